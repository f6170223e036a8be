//! Our nouns in the engine's clothes: the associated types of Malachite's `Context`.
//!
//! Newtypes, because neither the traits nor the nouns are ours here. Nothing of this leaves the crate.

use arc_malachitebft_core_types as mt;
use mt::{NilOrVal, Round, VoteType};
use std::fmt;
use std::sync::Arc;
use timed_primitives::{BlockId, PublicKey, SecretKey, Signature, ValidatorSet};

/// The engine's view of a chain. It holds nothing: chain id and keys enter where signatures are made and checked.
#[derive(Clone, Debug)]
pub(crate) struct Ctx;

/// Height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct H(pub(crate) u64);

impl fmt::Display for H {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl mt::Height for H {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// A validator's identity: its consensus key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) PublicKey);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl mt::Address for Key {}

/// What is decided: a block's id. The block itself travels apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ValueId(pub(crate) BlockId);

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl mt::Value for ValueId {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

/// A validator of the height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineValidator {
    key: Key,
    power: u64,
}

impl mt::Validator<Ctx> for EngineValidator {
    fn address(&self) -> &Key {
        &self.key
    }

    fn public_key(&self) -> &PublicKey {
        &self.key.0
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The validators of one height with the order in which they lead its rounds. Cheap to clone, as the engine does often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    members: Arc<[EngineValidator]>,
    /// Positions in `members`; round r is led by entry r modulo length. Each position once.
    order: Arc<[usize]>,
    total: u64,
}

impl Members {
    /// `order` holds each position of `set` once, as [`crate::leaders`] gives it.
    pub(crate) fn new(set: &ValidatorSet, order: Arc<[usize]>) -> Self {
        let members = set.iter().map(|v| EngineValidator { key: Key(v.key), power: v.power }).collect();
        Self { members, order, total: set.total_power() }
    }

    fn leader(&self, round: Round) -> &EngineValidator {
        let round = usize::try_from(round.as_u32().unwrap_or(0)).unwrap_or(0);
        let position = self.order.get(round % self.order.len().max(1)).copied().unwrap_or(0);
        self.members.get(position).or_else(|| self.members.first()).expect("a validator set has at least one member")
    }
}

impl mt::ValidatorSet<Ctx> for Members {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.total
    }

    fn get_by_address(&self, address: &Key) -> Option<&EngineValidator> {
        let position = self.members.binary_search_by_key(address, |m| m.key).ok()?;
        self.members.get(position)
    }

    fn get_by_index(&self, index: usize) -> Option<&EngineValidator> {
        self.members.get(index)
    }
}

/// A vote without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineVote {
    pub(crate) kind: VoteType,
    pub(crate) height: H,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<ValueId>,
    pub(crate) validator: Key,
}

impl mt::Vote<Ctx> for EngineVote {
    fn height(&self) -> H {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<ValueId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<ValueId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Key {
        &self.validator
    }

    // Vote extensions are not used: the policy given at each height is `Disabled`.
    fn extension(&self) -> Option<&mt::SignedExtension<Ctx>> {
        None
    }

    fn take_extension(&mut self) -> Option<mt::SignedExtension<Ctx>> {
        None
    }

    fn extend(self, _: mt::SignedExtension<Ctx>) -> Self {
        self
    }
}

/// A proposal without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineProposal {
    pub(crate) height: H,
    pub(crate) round: Round,
    pub(crate) value: ValueId,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Key,
}

impl mt::Proposal<Ctx> for EngineProposal {
    fn height(&self) -> H {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &ValueId {
        &self.value
    }

    fn take_value(self) -> ValueId {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Key {
        &self.proposer
    }
}

/// Demanded by the trait, never made: blocks travel by our own messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoPart;

impl mt::ProposalPart<Ctx> for NoPart {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// Ed25519 under ZIP 215. Made and checked in the engine's environment; decoding is never asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scheme;

/// The bytes have the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} bytes")]
pub(crate) struct WrongLength {
    expected: usize,
}

impl mt::SigningScheme for Scheme {
    type DecodingError = WrongLength;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, WrongLength> {
        bytes.try_into().map(Signature).map_err(|_| WrongLength { expected: 64 })
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, WrongLength> {
        bytes.try_into().map(PublicKey).map_err(|_| WrongLength { expected: 32 })
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.to_vec()
    }
}

impl mt::Context for Ctx {
    type Address = Key;
    type Height = H;
    type ProposalPart = NoPart;
    type Proposal = EngineProposal;
    type Validator = EngineValidator;
    type ValidatorSet = Members;
    type Timeouts = mt::LinearTimeouts;
    type Value = ValueId;
    type Vote = EngineVote;
    type Extension = Vec<u8>;
    type SigningScheme = Scheme;

    /// Total: the engine asks with rounds it has not verified. The set is that of one height, so the height adds nothing.
    fn select_proposer<'a>(&self, set: &'a Members, _: H, round: Round) -> &'a EngineValidator {
        set.leader(round)
    }

    fn new_proposal(&self, height: H, round: Round, value: ValueId, pol_round: Round, proposer: Key) -> EngineProposal {
        EngineProposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(&self, height: H, round: Round, value: NilOrVal<ValueId>, validator: Key) -> EngineVote {
        EngineVote { kind: VoteType::Prevote, height, round, value, validator }
    }

    fn new_precommit(&self, height: H, round: Round, value: NilOrVal<ValueId>, validator: Key) -> EngineVote {
        EngineVote { kind: VoteType::Precommit, height, round, value, validator }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arc_malachitebft_core_types::Context as _;
    use timed_primitives::Validator;

    #[test]
    fn select_proposer_is_total() {
        let set =
            ValidatorSet::new((1..=3).map(|k| Validator { key: PublicKey([k; 32]), power: 1 }).collect()).unwrap();
        let members = Members::new(&set, [2, 0, 1].into());
        let leader = |round| Ctx.select_proposer(&members, H(9), round).key.0.0[0];
        assert_eq!([0, 1, 2, 3].map(|r| leader(Round::new(r))), [3, 1, 2, 3]);
        assert_eq!(leader(Round::Nil), 3);
        assert_eq!(leader(Round::new(u32::MAX)), [3, 1, 2][(u32::MAX % 3) as usize]);
    }
}
