//! One masternode: all the chain knows of it, and the short form that headers prove.

use crate::masternodes::payout::Payouts;
use crate::masternodes::registration::RegistrationId;
use crate::masternodes::service::ServiceAddress;
use crate::masternodes::tier::Tier;
use crate::parameters::Parameters;
use crate::transaction::OutPoint;
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{Amount, Domain, Hash, Height, PublicKey, TxId, UnixTime, encode};

/// What a masternode does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum MasternodeStatus {
    /// 0: votes, or waits for a place, or is of the tier that does not vote.
    Active,
    /// 1: announced that its machine is away. Has no power, and no penalty for that.
    Paused,
    /// 2: asked to leave; goes when enough others vote.
    Leaving {
        /// Height of the block with the request.
        asked_at: Height,
    },
    /// 3: has left. Its collateral can be released after the unbonding time.
    Left {
        /// Height of the block that decided it. Power leaves two heights later.
        at: Height,
        /// Time of that block, from which the unbonding time counts.
        time: UnixTime,
    },
    /// 4: missed too many heights. Has no power until its operator resumes; lost no money.
    Jailed {
        /// Height of the block that decided it.
        at: Height,
    },
    /// 5: contradicted itself. Goes for good as soon as no more than a third of the power has gone; until then it is in the set.
    Ended {
        /// Height of the block with the evidence.
        at: Height,
    },
}

impl MasternodeStatus {
    /// Its number in canonical bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Paused => 1,
            Self::Leaving { .. } => 2,
            Self::Left { .. } => 3,
            Self::Jailed { .. } => 4,
            Self::Ended { .. } => 5,
        }
    }

    /// Its name, as clients see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Leaving { .. } => "leaving",
            Self::Left { .. } => "left",
            Self::Jailed { .. } => "jailed",
            Self::Ended { .. } => "ended",
        }
    }
}

/// All the chain knows of a masternode.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Masternode {
    /// Its name.
    pub id: RegistrationId,
    /// By its collateral.
    pub tier: Tier,
    /// The output that is locked for it. Never changes.
    pub collateral: OutPoint,
    /// Signs what concerns money and keys.
    pub owner: PublicKey,
    /// Votes, and signs what concerns the machine. No other masternode has it.
    pub operator: PublicKey,
    /// Where it is reached.
    pub service: ServiceAddress,
    /// Who gets what it earns.
    pub payouts: Payouts,
    /// Height of the block with its registration; 0 for those of genesis.
    pub registered_at: Height,
    /// What it does.
    pub status: MasternodeStatus,
    /// The transaction that changed it last, at first its registration. The next change names it, so that no change is ever repeated.
    pub last_change: TxId,
    /// Height of the block with that transaction.
    pub changed_at: Height,
    /// Until when a free one is there unless it is renewed; others do not expire.
    pub expires: UnixTime,
    /// Height of the block that brought the operator key; 0 for those of genesis.
    pub operator_since: Height,
    /// What its double sign costs; the release pays it to the treasury. Zero for all others.
    pub penalty: Amount,
}

impl Masternode {
    /// The short form.
    pub fn entry(&self) -> ListEntry {
        ListEntry {
            id: self.id,
            operator: self.operator,
            service: self.service,
            tier: self.tier,
            status: self.status.number(),
            details: Hash::of(Domain::MasternodeDetails, &encode(self)),
        }
    }

    /// Until when one that is registered or renewed at this time is there: for ever, unless it is free.
    pub fn expiry(tier: Tier, time: UnixTime, parameters: &Parameters) -> UnixTime {
        match tier {
            Tier::Free => UnixTime(time.0.saturating_add(parameters.free_expiry_ms)),
            Tier::Bronze | Tier::Silver | Tier::Gold => UnixTime(u64::MAX),
        }
    }

    /// Whether it has a claim to a place among the voters.
    pub const fn wants_to_vote(&self) -> bool {
        self.tier.votes()
            && matches!(
                self.status,
                MasternodeStatus::Active | MasternodeStatus::Leaving { .. } | MasternodeStatus::Ended { .. }
            )
    }

    /// The first height its operator key can vote at: what a block changes acts two heights later, and those of genesis decide the first.
    pub const fn votes_from(&self) -> Height {
        match self.operator_since {
            Height::GENESIS => Height::FIRST,
            since => since.next().next(),
        }
    }

    /// Whether it contradicted itself, once for all.
    pub fn is_ended(&self) -> bool {
        self.penalty > Amount::ZERO || matches!(self.status, MasternodeStatus::Ended { .. })
    }
}

/// Size of a [`ListEntry`] in canonical bytes.
pub const LIST_ENTRY_BYTES: usize = 116;

/// The short form of a masternode: what others must know of it, and a hash over all the rest. Size: [`LIST_ENTRY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ListEntry {
    /// Its name.
    pub id: RegistrationId,
    /// The key that votes.
    pub operator: PublicKey,
    /// Where it is reached.
    pub service: ServiceAddress,
    /// By its collateral.
    pub tier: Tier,
    /// Number of its [`MasternodeStatus`].
    pub status: u8,
    /// Hash of the canonical bytes of the [`Masternode`].
    pub details: Hash,
}

impl ListEntry {
    /// What the Merkle tree of the list has in its place.
    pub fn leaf(&self) -> Hash {
        Hash::of(Domain::MasternodeEntry, &encode(self))
    }
}
