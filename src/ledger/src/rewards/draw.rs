//! Which free masternodes can be paid, and who says whether they can be reached.

use crate::masternodes::{MasternodeList, MasternodeStatus, RegistrationId, Tier, VotingMasternodes};
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{BlockId, Domain, Hash};

/// How many free masternodes are drawn for an interval.
const DRAWN_MAX: usize = 10;
/// How many witnesses each of them has.
const WITNESSES_MAX: usize = 7;
/// How many witnesses must have reached a free masternode, so that it is paid.
pub const REACHED_MIN: usize = 3;

/// A free masternode that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Drawn {
    /// Which.
    pub free: RegistrationId,
    /// Who is asked whether it can be reached, in order of drawing.
    pub witnesses: Vec<DrawnWitness>,
}

/// A voting masternode that was drawn as a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DrawnWitness {
    /// Which.
    pub registration: RegistrationId,
    /// Whether it stated that it reached the free one.
    pub has_stated: bool,
}

impl Drawn {
    /// How many witnesses reached it.
    pub fn stated(&self) -> usize {
        self.witnesses.iter().filter(|witness| witness.has_stated).count()
    }

    /// Whether enough witnesses reached it.
    pub fn is_reached(&self) -> bool {
        self.stated() >= REACHED_MIN
    }
}

/// Draws for the interval that opens after a block, by the id of that block's parent, its list and the voters two heights later.
pub fn draw(seed: BlockId, list: &MasternodeList, voters: &VotingMasternodes) -> Vec<Drawn> {
    let is_free =
        |one: &&crate::masternodes::Masternode| one.tier == Tier::Free && one.status == MasternodeStatus::Active;
    let free = least(list.iter().filter(is_free).map(|one| one.id), DRAWN_MAX, |id| place(&[&seed.0.0, &id.0.0]));
    let witnesses = |free: RegistrationId| {
        let voters = voters.as_slice().iter().map(|voter| voter.registration);
        let drawn = least(voters, WITNESSES_MAX, |id| place(&[&seed.0.0, &free.0.0, &id.0.0]));
        drawn.into_iter().map(|registration| DrawnWitness { registration, has_stated: false }).collect()
    };
    free.into_iter().map(|free| Drawn { free, witnesses: witnesses(free) }).collect()
}

fn place(parts: &[&[u8; 32]]) -> Hash {
    let mut hasher = Domain::Draw.hasher();
    for part in parts {
        hasher.update(&part[..]);
    }
    Hash(hasher.finalize().into())
}

/// Those with the least places, in order.
fn least(
    all: impl Iterator<Item = RegistrationId>,
    max: usize,
    place: impl Fn(&RegistrationId) -> Hash,
) -> Vec<RegistrationId> {
    let mut all: Vec<_> = all.map(|id| (place(&id), id)).collect();
    all.sort_unstable();
    all.into_iter().take(max).map(|(_, id)| id).collect()
}
