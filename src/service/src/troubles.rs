//! What is wrong with this node: for `/health`, `/ready`, the warnings and metrics.

use crate::Service;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_consensus::SigningStatus;
use timed_peer::OwnClockOff;
use timed_primitives::Height;
use timed_rpc::Trouble;

/// What will be here sooner is no trouble: where twenty blocks are decided each second, any node is two behind now and then.
const BEHIND_FROM: Duration = Duration::from_secs(1);
/// Refusals for so long make the node "not ready".
const OVERLOAD_AFTER: Duration = Duration::from_secs(10);

/// What threads of the daemon found wrong, at most one trouble of each name. Cheap to clone; the lock is never held for longer than a copy.
#[derive(Clone, Debug, Default)]
pub struct Noticed(Arc<Mutex<Vec<Trouble>>>);

impl Noticed {
    /// It is so from now on, instead of an earlier one of the same name.
    pub fn set(&self, trouble: Trouble) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.name() != trouble.name());
        all.push(trouble);
    }

    /// The same, and says so in the log unless one of that name was there already.
    pub fn set_and_log(&self, trouble: Trouble) {
        if self.all().iter().all(|other| other.name() != trouble.name()) {
            tracing::warn!("{trouble}");
        }
        self.set(trouble);
    }

    /// It is so no more.
    pub fn clear(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|trouble| trouble.name() != name);
    }

    pub(crate) fn all(&self) -> Vec<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service {
    /// Everything that is wrong, most pressing first. Reads atomics and published state only, and so answers while any actor hangs.
    pub(crate) fn all_troubles(&self) -> Vec<Trouble> {
        let ended = self.handles.ended_actors().into_iter().map(|actor| Trouble::Ended { who: actor.name() });
        let hung = self.handles.pulses.hung().into_iter();
        let hung = hung.map(|hung| Trouble::Hung { who: hung.component.name(), silent: hung.silent });
        let rest = self
            .chain_troubles()
            .into_iter()
            .chain(self.clock_trouble())
            .chain(self.overload())
            .chain(self.chain.trouble())
            .chain(self.keeping_trouble())
            .chain(self.noticed.all());
        let mut troubles: Vec<_> = ended.chain(hung).chain(rest).collect();
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.severity()));
        troubles
    }

    fn chain_troubles(&self) -> Vec<Trouble> {
        let progress = self.handles.sync.borrow().as_ref().map(|sync| sync.progress.clone());
        let behind = progress.filter(|progress| progress.is_behind(BEHIND_FROM));
        let sync = behind.map(|progress| (progress.tip, progress.target));
        let consensus =
            self.handles.consensus.borrow().as_ref().map(|status| (status.quorum_line.clone(), status.signing));
        of_chain(sync, consensus, self.identity.validator.is_some())
    }

    /// A short burst is no trouble: the clients it meets learn when to come back.
    fn overload(&self) -> Option<Trouble> {
        let view = self.handles.submissions.view();
        let lasts = view.refusing.filter(|lasts| *lasts >= OVERLOAD_AFTER)?;
        Some(Trouble::Overload { lasts, delay: view.delay })
    }

    /// Our own clock is wrong.
    fn clock_trouble(&self) -> Option<Trouble> {
        let view = self.peers();
        let offset_ms = view.clock_offset_ms.filter(|_| view.is_clock_off)?;
        Some(Trouble::ClockOff { line: OwnClockOff { offset_ms }.to_string() })
    }

    /// What the node does, in one line. Reads published state only, and so answers while any actor hangs.
    pub fn in_words(&self) -> String {
        let trouble = self.all_troubles().into_iter().next();
        let progress = self.handles.sync.borrow().as_ref().map(|sync| sync.progress.clone());
        match (trouble, progress) {
            (Some(Trouble::Behind { .. }) | None, Some(progress)) if progress.is_behind(BEHIND_FROM) => {
                let left = progress.remaining.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
                format!("syncing {:.0} %{left}: height {} of {}", progress.percent, progress.tip, progress.target)
            }
            (Some(trouble), _) => trouble.to_string(),
            (None, _) => {
                let consensus = self.handles.consensus.borrow().as_ref().map(|status| status.signing);
                let role = if consensus == Some(SigningStatus::On) { "signing" } else { "observing" };
                format!("{role}: height {}, {} peers", self.chain.tip().height, self.peers().peers.len())
            }
        }
    }

    /// What an operator should know, most pressing first.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.all_troubles().iter().filter(|trouble| trouble.is_warning()).map(ToString::to_string).collect()
    }
}

/// Near the tip, able to see new blocks, and signing if it is to sign? `sync`: tip and target while blocks are fetched. `consensus`: the line
/// about a missing quorum, and whether it signs; `None` before it started.
pub(crate) fn of_chain(
    sync: Option<(Height, Height)>,
    consensus: Option<(Option<String>, SigningStatus)>,
    is_validator: bool,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    troubles.extend(sync.map(|(tip, target)| Trouble::Behind { tip, target }));
    let Some((quorum_line, signing)) = consensus else {
        troubles.push(Trouble::Starting);
        return troubles;
    };
    troubles.extend(quorum_line.map(|line| Trouble::NoQuorum { line }));
    if is_validator {
        troubles.extend(match signing {
            // A key that is no masternode's makes an observer: nothing is wrong.
            SigningStatus::On | SigningStatus::NotValidator => None,
            SigningStatus::Off { reason, .. } if reason.is_twin() => Some(Trouble::Twin { line: signing.to_string() }),
            off => Some(Trouble::SigningOff { reason: off.to_string() }),
        });
    }
    troubles
}
