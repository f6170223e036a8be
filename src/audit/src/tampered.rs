//! One number of the state is another: the next block names it.

use crate::Audit;
use crate::error::AuditFault;
use crate::histories::play::{Player, Shape};
use timed_ledger::{MasternodeStatus, TxOutput};
use timed_primitives::{Amount, Height, UnixTime};

/// Changes one thing of a kind; false when there is none.
type Tampering = fn(&mut Audit) -> bool;

fn is_some<T>(found: Option<T>, change: impl FnOnce(T)) -> bool {
    found.map(change).is_some()
}

const CHANGES: [(&str, Tampering); 20] = [
    ("treasury", |audit| is_some(Some(&mut audit.state.money.treasury), |one| one.0 ^= 1)),
    ("fees", |audit| is_some(Some(&mut audit.state.money.fees), |one| one.0 ^= 1)),
    ("issued", |audit| is_some(Some(&mut audit.state.money.issued), |one| one.0 ^= 1)),
    ("an output", |audit| {
        let money = &mut audit.state.money;
        let found = money.any();
        is_some(found, |(outpoint, output)| {
            let other = TxOutput { amount: Amount(output.amount.0 + 1), ..output };
            money.spend(&outpoint).unwrap();
            money.make(outpoint, other, Height::GENESIS);
        })
    }),
    ("a penalty", |audit| is_some(audit.state.masternodes.list.values_mut().last(), |one| one.penalty.0 += 1)),
    ("a status", |audit| {
        is_some(audit.state.masternodes.list.values_mut().next(), |one| {
            one.status = MasternodeStatus::Jailed { at: Height(7) };
        })
    }),
    ("a masternode", |audit| {
        let first = audit.state.masternodes.list.keys().next().copied();
        is_some(first, |id| drop(audit.state.masternodes.release(&id)))
    }),
    ("a replaced key", |audit| audit.state.masternodes.penalties.tamper(0)),
    ("an offence", |audit| audit.state.masternodes.penalties.tamper(1)),
    ("a removal", |audit| audit.state.masternodes.penalties.tamper(2)),
    ("a number of an interval", |audit| is_some(Some(&mut audit.state.participation.open), |one| one.number += 1)),
    ("fees of an interval", |audit| is_some(Some(&mut audit.state.participation.open), |one| one.fees.0 += 1)),
    ("a start of an interval", |audit| {
        is_some(Some(&mut audit.state.participation.open), |one| one.start = UnixTime(one.start.0 - 1))
    }),
    ("voters of an interval", |audit| is_some(audit.state.participation.waiting.as_mut(), |one| one.voters += 1)),
    ("heights that were expected", |audit| {
        let waiting = audit.state.participation.waiting.as_mut();
        is_some(waiting.and_then(|one| one.tallies.values_mut().next()), |one| one.expected += 1)
    }),
    ("heights that were signed", |audit| {
        let waiting = audit.state.participation.waiting.as_mut();
        is_some(waiting.and_then(|one| one.tallies.values_mut().next()), |one| one.signed ^= 1)
    }),
    ("what a witness stated", |audit| {
        let drawn = audit.state.participation.open.drawn.iter_mut();
        is_some(drawn.flat_map(|one| &mut one.witnesses).next(), |one| one.has_stated ^= true)
    }),
    ("an account", |audit| is_some(audit.state.participation.accounts.values_mut().next(), |one| one.signed += 1)),
    ("a warning", |audit| is_some(audit.state.participation.accounts.values_mut().next(), |one| one.is_warned ^= true)),
    ("precommits of a height", |audit| audit.state.participation.heights.tamper()),
];

#[test]
fn each_number_of_the_state_that_is_another_shows_in_the_next_block() {
    let mut never: Vec<&str> = CHANGES.iter().map(|(what, _)| *what).collect();
    for seed in 3..80 {
        let mut player = Player::new(seed, Shape::of(seed));
        let length = player.shape.blocks.min(70);
        player.shape.blocks = length - 1;
        player.play();
        let before = player.audit.clone();
        player.shape.blocks = length;
        player.play();
        let (block, certificate) = player.blocks.last().unwrap();
        for (what, change) in CHANGES {
            let mut changed = before.clone();
            if !change(&mut changed) {
                continue;
            }
            // Who pays at the same height may lose what was changed.
            if let Err(error) = changed.apply(block, certificate) {
                assert_eq!(error.height, block.height(), "{what}: {error}");
                assert!(!matches!(error.fault, AuditFault::NotNext { .. } | AuditFault::Payload), "{what}: {error}");
                never.retain(|one| *one != what);
            }
        }
        if never.is_empty() {
            return;
        }
    }
    panic!("never found: {never:?}");
}
