//! One life of a node: the real actors on a `LocalSet` of its own.

use crate::cost::Processors;
use crate::gate::NodeGate;
use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use timed_actors::{FatalReason, Handles};
use tokio::task::LocalSet;

/// One life.
pub(crate) struct Life {
    pub(crate) gate: Arc<NodeGate>,
    pub(crate) local: RefCell<Option<LocalSet>>,
    pub(crate) handles: Handles,
    /// What work costs it; `None` for nothing.
    pub(crate) processors: Option<Arc<Processors>>,
    pub(crate) is_paused: Cell<bool>,
    pub(crate) waker: RefCell<Option<Waker>>,
    pub(crate) fatal: Arc<Mutex<Option<FatalReason>>>,
}
