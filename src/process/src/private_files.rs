//! Who may read the files of this process.

use rustix::fs::Mode;

/// Every file that the process makes from now on is for its user alone (0600, folders 0700), those that libraries make included. Files that
/// are there already stay as they are. Call it before other threads run: it is the process's, not a thread's.
pub fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
