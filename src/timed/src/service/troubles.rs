//! What is wrong with this node: for `/health`, `/ready`, the warnings and metrics.

use super::Service;
use std::sync::{Arc, Mutex, PoisonError};
use timed_consensus::SigningStatus;
use timed_rpc::Trouble;

/// What threads of the daemon found wrong, at most one trouble of each name. Cheap to clone; the lock is never held for longer than a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noticed(Arc<Mutex<Vec<Trouble>>>);

impl Noticed {
    /// It is so from now on, instead of an earlier one of the same name.
    pub(crate) fn set(&self, trouble: Trouble) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.name() != trouble.name());
        all.push(trouble);
    }

    fn all(&self) -> Vec<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service {
    /// Everything that is wrong, most pressing first. Reads atomics and published state only, and so answers while any actor hangs.
    pub(super) fn all_troubles(&self) -> Vec<Trouble> {
        let ended = self.handles.ended_actors().into_iter().map(|actor| Trouble::Ended { who: actor.name() });
        let hung = self.handles.pulses.hung().into_iter();
        let hung = hung.map(|hung| Trouble::Hung { who: hung.component.name(), silent: hung.silent });
        let mut troubles: Vec<_> = ended.chain(hung).chain(self.chain_troubles()).chain(self.noticed.all()).collect();
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.severity()));
        troubles
    }

    /// Near the tip, able to see new blocks, and signing if it is to sign.
    fn chain_troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let behind = self.handles.sync.borrow().as_ref().and_then(|sync| {
            let progress = &sync.progress;
            progress.leads.then_some(Trouble::Behind { tip: progress.tip, target: progress.target })
        });
        troubles.extend(behind);
        let consensus = self.handles.consensus.borrow();
        let Some(status) = consensus.as_ref() else {
            troubles.push(Trouble::Starting);
            return troubles;
        };
        troubles.extend(status.quorum_line.clone().map(|line| Trouble::NoQuorum { line }));
        if self.identity.validator.is_some() && status.signing != SigningStatus::On {
            troubles.push(Trouble::SigningOff { reason: status.signing.to_string() });
        }
        troubles
    }

    /// What an operator should know, most pressing first.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.all_troubles().iter().filter(|trouble| trouble.is_warning()).map(ToString::to_string).collect()
    }
}
