//! Real files and the real database behind the seams of the cores.
//!
//! Knows: folders, locks, permissions, `fsync`, fjall. Must not know: what is stored. [`DataDir`] owns a node's folder, [`FileDisk`]
//! is [`timed_primitives::Disk`] on files, [`FjallStore`] is [`timed_chain::Store`] on fjall.
//!
//! ```text
//! <data folder>/        0700
//!   lock                held while a process runs; its pid
//!   genesis             hash of the genesis the folder belongs to
//!   blocks.log ...      files of the cores, by FileDisk: what must not be lost
//!   state/              fjall: derived from blocks.log, may be moved aside at any time while the node is stopped
//! ```

mod data_dir;
mod file_disk;
mod files;
mod fjall_store;
mod folder_watch;
mod remedy;
mod watched_disk;

pub use data_dir::{DataDir, DataDirError};
pub use file_disk::FileDisk;
pub use files::{read_bounded, read_text_bounded, write_durably};
pub use fjall_store::{FjallStore, StoreOpenError};
pub use folder_watch::{FolderLost, FolderWatch};
pub use remedy::remedy;
pub use watched_disk::{SlowSync, SyncTimes, WatchedDisk};
