//! Which free masternodes an interval can pay, and who says whether they are reached.

use crate::power::Voters;
use borsh::BorshSerialize;
use std::collections::BTreeMap;
use timed_ledger::{Masternode, MasternodeStatus, RegistrationId, Tier};
use timed_primitives::{BlockId, Domain, Hash};

/// Free ones that are drawn.
const DRAWN_MAX: usize = 10;
/// Witnesses of each.
const WITNESSES_MAX: usize = 7;

/// A free masternode that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct AuditedDraw {
    /// Which.
    pub free: RegistrationId,
    /// Who may say that it was reached, in order of drawing.
    pub witnesses: Vec<AuditedWitness>,
}

/// Who may say whether it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub struct AuditedWitness {
    /// Which masternode.
    pub registration: RegistrationId,
    /// Whether it said so.
    pub has_stated: bool,
}

/// Draws by the list at the end of a block, whose parent is the seed, and the voters that the block's changes lead to.
pub(crate) fn draw(seed: BlockId, list: &BTreeMap<RegistrationId, Masternode>, voters: &Voters) -> Vec<AuditedDraw> {
    let is_candidate = |one: &&Masternode| one.tier == Tier::Free && one.status == MasternodeStatus::Active;
    let free = list.values().filter(is_candidate).map(|one| one.id);
    draw_of(seed, free, &voters.iter().map(|voter| voter.registration).collect::<Vec<_>>())
}

/// Draws among these.
pub fn draw_of(
    seed: BlockId,
    free: impl Iterator<Item = RegistrationId>,
    voters: &[RegistrationId],
) -> Vec<AuditedDraw> {
    let witness = |registration| AuditedWitness { registration, has_stated: false };
    let of = |free: RegistrationId| {
        let ticket = |voter: &RegistrationId| (hashed(&[seed.0, free.0, voter.0]), *voter);
        let tickets: BTreeMap<_, _> = voters.iter().map(ticket).collect();
        AuditedDraw { free, witnesses: tickets.into_values().take(WITNESSES_MAX).map(witness).collect() }
    };
    let tickets: BTreeMap<_, _> = free.map(|free| (hashed(&[seed.0, free.0]), free)).collect();
    tickets.into_values().take(DRAWN_MAX).map(of).collect()
}

fn hashed(parts: &[Hash]) -> Hash {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.0).collect();
    Hash::of(Domain::Draw, &bytes)
}
