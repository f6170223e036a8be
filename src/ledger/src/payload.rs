//! What a transaction does beside moving money, and what it says.

use crate::masternodes::{Payouts, RegistrationId, ServiceAddress, Tier};
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;
use timed_primitives::{CommitCertificate, DoubleSign, PublicKey, TxId};

/// Longest memo. Unit: bytes.
pub const MEMO_BYTES_MAX: usize = 80;

/// What a transaction does beside moving money. In canonical bytes one byte, its number, and what belongs to it.
///
/// Each but a transfer has witnesses of its own behind those of the inputs: see [`Self::signers`]. Numbers from 8 to 11 are kept for what
/// later versions bring, and refused by name; others are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, BorshSerialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum TransactionPayload {
    /// 0: nothing.
    #[default]
    Transfer,
    /// 1: output 0 becomes the collateral of a new masternode, whose name is the transaction's id.
    Register(RegisterPayload),
    /// 2: the masternode is reached elsewhere. A free one is renewed.
    UpdateService {
        /// Which masternode.
        registration: RegistrationId,
        /// Its last change.
        previous: TxId,
        /// Where it is reached from now on.
        service: ServiceAddress,
    },
    /// 3: another voting key, or other payees.
    UpdateRegistrar {
        /// Which masternode.
        registration: RegistrationId,
        /// Its last change.
        previous: TxId,
        /// The key that votes from two heights later on.
        operator: PublicKey,
        /// Who gets what it earns from now on.
        payouts: Payouts,
    },
    /// 4: its machine is away; it has no power from two heights later on.
    Pause {
        /// Which masternode.
        registration: RegistrationId,
        /// Its last change.
        previous: TxId,
    },
    /// 5: the end of a pause.
    Resume {
        /// Which masternode.
        registration: RegistrationId,
        /// Its last change.
        previous: TxId,
    },
    /// 6: it leaves, for good.
    Revoke {
        /// Which masternode.
        registration: RegistrationId,
        /// Its last change.
        previous: TxId,
    },
    /// 7: the collateral of one that has left, which the first input spends, is free after the unbonding time.
    Release {
        /// Which masternode.
        registration: RegistrationId,
    },
    /// 12: a masternode contradicted itself. Anybody can show it.
    DoubleSign {
        /// Whose key it was.
        registration: RegistrationId,
        /// The two statements.
        proof: DoubleSign,
    } = 12,
    /// 13: precommits for a decided block that came too late for the certificate in the block after it. Added by proposers.
    LatePrecommits(CommitCertificate),
    /// 14: a witness that was drawn reached a free masternode. Signed by the witness's operator.
    Reachability {
        /// The interval it was drawn for.
        interval: u64,
        /// Who was reached.
        free: RegistrationId,
        /// Who says so.
        witness: RegistrationId,
    },
}

/// A new masternode.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct RegisterPayload {
    /// How much output 0 locks.
    pub tier: Tier,
    /// Signs what concerns money and keys.
    pub owner: PublicKey,
    /// Votes, and signs what concerns the machine.
    pub operator: PublicKey,
    /// Where it is reached.
    pub service: ServiceAddress,
    /// Who gets what it earns.
    pub payouts: Payouts,
}

/// Numbers that later versions give a meaning to. No transaction may have them before.
pub const RESERVED_PAYLOADS: [(u8, &str); 4] =
    [(8, "proposal"), (9, "vote"), (10, "rule version"), (11, "signing lease")];

/// The number of a payload that no transaction can have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Kept for later.
    #[error(
        "payload {number} ({name}) is reserved: no version of the rules allows it yet; is a newer version of this software out?"
    )]
    Reserved {
        /// Its number.
        number: u8,
        /// What it will be.
        name: &'static str,
    },
    /// Nothing has this number.
    #[error("payload {0} is not known; is a newer version of this software out?")]
    Unknown(u8),
}

impl TransactionPayload {
    /// Its number, which never changes.
    pub const fn number(&self) -> u8 {
        match self {
            Self::Transfer => 0,
            Self::Register(_) => 1,
            Self::UpdateService { .. } => 2,
            Self::UpdateRegistrar { .. } => 3,
            Self::Pause { .. } => 4,
            Self::Resume { .. } => 5,
            Self::Revoke { .. } => 6,
            Self::Release { .. } => 7,
            Self::DoubleSign { .. } => 12,
            Self::LatePrecommits(_) => 13,
            Self::Reachability { .. } => 14,
        }
    }

    /// Its name, as clients see it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Register(_) => "register",
            Self::UpdateService { .. } => "update service",
            Self::UpdateRegistrar { .. } => "update registrar",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Revoke { .. } => "revoke",
            Self::Release { .. } => "release",
            Self::DoubleSign { .. } => "double sign",
            Self::LatePrecommits(_) => "late precommits",
            Self::Reachability { .. } => "reachability",
        }
    }

    /// How many witnesses the payload has behind those of the inputs: owner and operator for a registration, owner and new operator for an
    /// update of the registrar, the operator for an update of the service, a pause and its end, the owner for leaving. Nobody else signs a
    /// release: the collateral's key does, as for every output.
    pub const fn signers(&self) -> usize {
        match self {
            Self::Transfer | Self::Release { .. } | Self::DoubleSign { .. } | Self::LatePrecommits(_) => 0,
            Self::UpdateService { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Revoke { .. }
            | Self::Reachability { .. } => 1,
            Self::Register(_) | Self::UpdateRegistrar { .. } => 2,
        }
    }

    /// The change of a masternode that this one follows: two that follow the same exclude each other.
    pub const fn previous(&self) -> Option<TxId> {
        match self {
            Self::UpdateService { previous, .. }
            | Self::UpdateRegistrar { previous, .. }
            | Self::Pause { previous, .. }
            | Self::Resume { previous, .. }
            | Self::Revoke { previous, .. } => Some(*previous),
            Self::Transfer
            | Self::Register(_)
            | Self::Release { .. }
            | Self::DoubleSign { .. }
            | Self::LatePrecommits(_)
            | Self::Reachability { .. } => None,
        }
    }

    /// Whether it says something about somebody's behaviour and moves no money: it has no inputs, outputs or memo, and pays no fee. The
    /// evidence root of a header is over these.
    pub const fn is_statement(&self) -> bool {
        matches!(self, Self::DoubleSign { .. } | Self::LatePrecommits(_) | Self::Reachability { .. })
    }
}

/// Refuses what has no meaning yet, by [`PayloadError`].
impl BorshDeserialize for TransactionPayload {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let number = u8::deserialize_reader(reader)?;
        let change = |reader: &mut R| <(RegistrationId, TxId)>::deserialize_reader(reader);
        Ok(match number {
            0 => Self::Transfer,
            1 => Self::Register(BorshDeserialize::deserialize_reader(reader)?),
            2 => {
                let (registration, previous) = change(reader)?;
                Self::UpdateService { registration, previous, service: BorshDeserialize::deserialize_reader(reader)? }
            }
            3 => {
                let (registration, previous) = change(reader)?;
                let operator = PublicKey::deserialize_reader(reader)?;
                let payouts = Payouts::deserialize_reader(reader)?;
                Self::UpdateRegistrar { registration, previous, operator, payouts }
            }
            4 => change(reader).map(|(registration, previous)| Self::Pause { registration, previous })?,
            5 => change(reader).map(|(registration, previous)| Self::Resume { registration, previous })?,
            6 => change(reader).map(|(registration, previous)| Self::Revoke { registration, previous })?,
            7 => Self::Release { registration: BorshDeserialize::deserialize_reader(reader)? },
            12 => {
                let registration = BorshDeserialize::deserialize_reader(reader)?;
                Self::DoubleSign { registration, proof: BorshDeserialize::deserialize_reader(reader)? }
            }
            13 => Self::LatePrecommits(BorshDeserialize::deserialize_reader(reader)?),
            14 => {
                let (interval, free, witness) = BorshDeserialize::deserialize_reader(reader)?;
                Self::Reachability { interval, free, witness }
            }
            _ => {
                let error = match RESERVED_PAYLOADS.iter().find(|(reserved, _)| *reserved == number) {
                    Some((_, name)) => PayloadError::Reserved { number, name },
                    None => PayloadError::Unknown(number),
                };
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        })
    }
}

/// What a transaction says to whoever reads it; no rule depends on it. Bound: [`MEMO_BYTES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, BorshSerialize)]
pub struct Memo(Vec<u8>);

/// It has too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a memo has at most {MEMO_BYTES_MAX} bytes, not {0}")]
pub struct MemoError(usize);

impl Memo {
    /// Of these bytes.
    ///
    /// # Errors
    /// [`MemoError`] when they are more than [`MEMO_BYTES_MAX`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, MemoError> {
        if bytes.len() > MEMO_BYTES_MAX { Err(MemoError(bytes.len())) } else { Ok(Self(bytes)) }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Refuses a longer one before it is read.
impl BorshDeserialize for Memo {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let length = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        if length > MEMO_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, MemoError(length)));
        }
        (0..length).map(|_| u8::deserialize_reader(reader)).collect::<io::Result<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{KeyHash, LockOwner};
    use timed_primitives::{
        BlockId, CommitSignature, Hash, Height, Round, SecretKey, Signature, Vote, VoteKind, decode, encode,
    };

    /// One of each kind, in order of their numbers.
    fn all() -> Vec<TransactionPayload> {
        use TransactionPayload as P;
        let (registration, previous) = (RegistrationId(Hash([1; 32])), TxId(Hash([2; 32])));
        let [owner, operator] = [3, 4].map(|n| SecretKey::development("test", n).public());
        let service: ServiceAddress = "203.0.113.7:7000".parse().unwrap();
        let payouts = Payouts::one(LockOwner::KeyHash(KeyHash::of(&owner)));
        let (tier, of_register) = (Tier::Silver, payouts.clone());
        vec![
            P::Transfer,
            P::Register(RegisterPayload { tier, owner, operator, service, payouts: of_register }),
            P::UpdateService { registration, previous, service },
            P::UpdateRegistrar { registration, previous, operator, payouts },
            P::Pause { registration, previous },
            P::Resume { registration, previous },
            P::Revoke { registration, previous },
            P::Release { registration },
        ]
    }

    /// Those that say something about behaviour, from number 12 on.
    fn statements() -> Vec<TransactionPayload> {
        use TransactionPayload as P;
        let (one, other) = (RegistrationId(Hash([1; 32])), RegistrationId(Hash([2; 32])));
        let vote = |block: u8| Vote {
            kind: VoteKind::Precommit,
            height: Height(7),
            round: Round(1),
            block: Some(BlockId(Hash([block; 32]))),
            validator: SecretKey::development("test", 5).public(),
            signature: Signature([block; 64]),
        };
        let late = CommitCertificate {
            height: Height(7),
            round: Round(1),
            block: BlockId(Hash([3; 32])),
            signatures: vec![CommitSignature { validator: vote(3).validator, signature: vote(3).signature }],
        };
        vec![
            P::DoubleSign { registration: one, proof: DoubleSign::of_votes(vote(4), vote(3)) },
            P::LatePrecommits(late),
            P::Reachability { interval: 9, free: one, witness: other },
        ]
    }

    #[test]
    fn every_kind_is_read_and_every_other_number_says_why_not() {
        for (number, payload) in (0..).zip(all()).chain((12..).zip(statements())) {
            let bytes = encode(&payload);
            assert_eq!(payload.is_statement(), number >= 12);
            assert_eq!((bytes[0], payload.number()), (number, number));
            assert_eq!(decode::<TransactionPayload>(&bytes).unwrap(), payload);
        }
        for number in (8..12).chain(15..=u8::MAX) {
            let text = decode::<TransactionPayload>(&[number]).unwrap_err().to_string();
            match RESERVED_PAYLOADS.iter().find(|(reserved, _)| *reserved == number) {
                Some((_, name)) => assert!(text.contains(&format!("payload {number} ({name}) is reserved")), "{text}"),
                None => assert!(text.contains(&format!("payload {number} is not known")), "{text}"),
            }
        }
    }

    #[test]
    fn a_memo_has_80_bytes_at_most() {
        for length in [0, 1, MEMO_BYTES_MAX] {
            let memo = Memo::new(vec![7; length]).unwrap();
            assert_eq!(decode::<Memo>(&encode(&memo)).unwrap(), memo);
        }
        assert_eq!(Memo::new(vec![7; 81]), Err(MemoError(81)));
        assert!(decode::<Memo>(&encode(&vec![7_u8; 81])).unwrap_err().to_string().contains("at most 80 bytes, not 81"));
        assert!(decode::<Memo>(&u32::MAX.to_le_bytes()).unwrap_err().to_string().contains("not 4294967295"));
    }
}
