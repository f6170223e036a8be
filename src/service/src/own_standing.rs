//! What becomes of this node's own masternode: its log says it when it changes, so that nobody has to ask.

use crate::Service;
use std::time::Duration;
use timed_ledger::{Masternode, MasternodeList, MasternodeStatus, RegistrationId, RewardState};
use timed_primitives::{Amount, PublicKey};
use tracing::{Level, info, warn};

/// How often it is looked.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// What the chain says of a masternode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OwnStanding {
    id: RegistrationId,
    status: MasternodeStatus,
    penalty: Amount,
    is_warned: bool,
}

/// That of the masternode with this operator key.
fn standing(list: &MasternodeList, rewards: &RewardState, key: &PublicKey) -> Option<OwnStanding> {
    let one: &Masternode = list.of_operator(key)?;
    let (id, status, penalty) = (one.id, one.status, one.penalty);
    Some(OwnStanding { id, status, penalty, is_warned: rewards.account(&id).is_warned })
}

/// What is to be said when that changes; `before` is what it was, or nothing yet.
fn news(before: Option<OwnStanding>, now: Option<OwnStanding>) -> Option<(Level, String)> {
    let Some(now) = now else {
        let gone = before?.id;
        return Some((
            Level::WARN,
            format!(
                "masternode {gone} is no longer this node's: it has another operator key, or nothing of it is left on the chain"
            ),
        ));
    };
    let of_this = before.filter(|before| before.id == now.id);
    let (id, was_charged) = (now.id, of_this.is_some_and(|before| before.penalty < now.penalty));
    let level_and_text = match now.status {
        _ if was_charged => (
            Level::WARN,
            format!(
                "masternode {id} signed two things for one place, which the chain has the proof of: it has ended for good, and {} TIME of its \
                 collateral are charged; find out who else signs with its key: `time-cli masternode why {id}`",
                now.penalty
            ),
        ),
        status if of_this.is_some_and(|before| before.status == status) => {
            let is_new = now.is_warned && of_this.is_some_and(|before| !before.is_warned);
            return is_new.then(|| {
                (Level::WARN, format!(
                    "masternode {id} missed too many heights and is warned: if it misses as many by the next assessment, it is jailed; \
                     `time-cli masternode why {id}`"
                ))
            });
        }
        MasternodeStatus::Active => (Level::INFO, format!("masternode {id} is active")),
        MasternodeStatus::Paused => {
            (Level::INFO, format!("masternode {id} is paused; `time-cli masternode resume {id}` ends that"))
        }
        MasternodeStatus::Leaving { .. } => {
            (Level::INFO, format!("masternode {id} asked to leave, and votes until enough others do: keep it running"))
        }
        MasternodeStatus::Left { at, .. } => (
            Level::INFO,
            format!(
                "masternode {id} has left with height {at}; `time-cli masternode status {id}` says when its collateral is free"
            ),
        ),
        MasternodeStatus::Jailed { at } => (
            Level::WARN,
            format!(
                "masternode {id} was jailed at height {at}, since it missed too many heights: it has no power, and lost no money; mend the \
                 machine, then `time-cli masternode resume {id}`"
            ),
        ),
        MasternodeStatus::Ended { at } => (
            Level::WARN,
            format!("masternode {id} has ended at height {at} by a double sign: `time-cli masternode why {id}`"),
        ),
    };
    Some(level_and_text)
}

impl Service {
    /// Looks for as long as the node runs. Nothing is said by a node without a consensus key.
    pub async fn watch_own_masternode(&self) {
        let Some(key) = self.consensus_key.as_ref().map(timed_primitives::SecretKey::public) else { return };
        let mut before = None;
        loop {
            let view = self.chain.view();
            let now = standing(view.state().masternodes(), view.state().rewards(), &key);
            drop(view);
            if now != before
                && let Some((level, text)) = news(before, now)
            {
                match level {
                    Level::WARN => warn!("{text}"),
                    _ => info!("{text}"),
                }
            }
            before = now;
            tokio::time::sleep(LOOK_EACH).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_ledger::Genesis;
    use timed_primitives::{Height, SecretKey, UnixTime};

    #[test]
    fn each_change_is_said_once_and_what_is_lost_is_a_warning() {
        use MasternodeStatus as S;
        let list = MasternodeList::new(Genesis::devnet(4).masternodes());
        let key = |n| SecretKey::development("consensus", n).public();
        assert_eq!(standing(&list, &RewardState::default(), &key(9)), None);
        let active = standing(&list, &RewardState::default(), &key(1)).unwrap();
        let with = |status| Some(OwnStanding { status, ..active });
        let active = Some(active);
        assert_eq!((news(active, active), news(None, None)), (None, None));
        let at = Height(7);
        let cases = [
            (None, active, Level::INFO, "is active"),
            (active, with(S::Paused), Level::INFO, "is paused"),
            (with(S::Paused), active, Level::INFO, "is active"),
            (active, with(S::Leaving { asked_at: at }), Level::INFO, "asked to leave"),
            (active, with(S::Left { at, time: UnixTime(0) }), Level::INFO, "has left with height 7"),
            (active, with(S::Jailed { at }), Level::WARN, "was jailed at height 7"),
            (active, None, Level::WARN, "no longer this node's"),
        ];
        for (before, now, level, part) in cases {
            let (found, text) = news(before, now).unwrap();
            assert!(found == level && text.contains(part), "{found} {text}");
        }
        let warned = active.map(|one| OwnStanding { is_warned: true, ..one });
        assert!(news(active, warned).unwrap().1.contains("is warned"));
        assert_eq!((news(warned, warned), news(warned, active)), (None, None));
        let charged = with(S::Left { at, time: UnixTime(0) }).map(|one| OwnStanding { penalty: Amount::ONE, ..one });
        let (level, text) = news(active, charged).unwrap();
        assert!(level == Level::WARN && text.contains("1.00000000 TIME of its collateral"), "{text}");
        // Others that sign twice too make it dearer.
        let more = charged.map(|one| OwnStanding { penalty: Amount::whole(2), ..one });
        assert!(news(charged, more).unwrap().1.contains("2.00000000 TIME"));
    }
}
