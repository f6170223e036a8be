//! What of peers was written to their files.

use std::sync::Arc;
use timed_actors::peer::PostMortem;
use timed_peer::Ban;

/// What is on disk already.
#[derive(Default)]
pub(crate) struct SavedPeers {
    pub(crate) bans: Vec<Ban>,
    pub(crate) last_end: Option<Arc<PostMortem>>,
    pub(crate) address_changes: u64,
}
