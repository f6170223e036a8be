//! What of peers was written to their files.

use std::sync::Arc;
use timed_actors::peer::PostMortem;
use timed_peer::Ban;

/// What is on disk already.
#[derive(Default)]
pub(super) struct SavedPeers {
    pub(super) bans: Vec<Ban>,
    pub(super) last_end: Option<Arc<PostMortem>>,
    pub(super) address_changes: u64,
}
