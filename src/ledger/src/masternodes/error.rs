//! Why a change of the list of masternodes is not allowed.

use crate::masternodes::payout::PayoutsError;
use crate::masternodes::power::VOTERS_MIN;
use crate::masternodes::registration::RegistrationId;
use crate::masternodes::service::ServiceAddressError;
use crate::masternodes::tier::Tier;
use crate::transaction::OutPoint;
use timed_primitives::{Amount, Height, PublicKey, TxId, UnixTime};

/// Why a transaction cannot register or change a masternode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasternodeError {
    /// The first output is not what the tier demands.
    #[error("a {tier} masternode locks {needed} TIME in output 0, which has {found} TIME")]
    CollateralAmount {
        /// What it wants to be.
        tier: Tier,
        /// What it must lock.
        needed: Amount,
        /// What output 0 has.
        found: Amount,
    },
    /// The first output has a lock that depends on the height.
    #[error("output 0 is collateral and must not be locked until a height")]
    CollateralNotBefore,
    /// The collateral's own key did not sign.
    #[error(
        "output 0 is collateral: an input must be signed by the key it is locked to, or somebody else could be charged"
    )]
    CollateralNotSigned,
    /// A transaction spends what is locked for a masternode.
    #[error(
        "{outpoint} is the collateral of masternode {registration}: revoke it, and release the collateral after the unbonding time"
    )]
    CollateralLocked {
        /// The output.
        outpoint: OutPoint,
        /// For which masternode.
        registration: RegistrationId,
    },
    /// Two masternodes would have one voting key.
    #[error("operator key {operator} is that of masternode {registration}: make another key")]
    OperatorTaken {
        /// The key.
        operator: PublicKey,
        /// Who has it.
        registration: RegistrationId,
    },
    /// The owner's or the operator's key is no key.
    #[error("{0} is no valid public key")]
    Key(PublicKey),
    /// Nobody can be reached there.
    #[error("service address: {0}")]
    Service(#[from] ServiceAddressError),
    /// The payees cannot be paid.
    #[error(transparent)]
    Payouts(#[from] PayoutsError),
    /// There is no room for one more that does not pay.
    #[error("there are {max} free masternodes already: wait until one expires, or lock {bronze} TIME for a bronze one")]
    TooManyFree {
        /// The bound.
        max: usize,
        /// What the least tier that votes locks.
        bronze: Amount,
    },
    /// No masternode has this name.
    #[error(
        "masternode {0} does not exist: it was never registered, or its collateral was released, or it was a free one, whose deposit is a coin like any other when the unbonding time is over"
    )]
    Unknown(RegistrationId),
    /// A change that names another predecessor than the last change.
    #[error("the change follows {named}, the last change of masternode {registration} is {last}: build it anew")]
    Predecessor {
        /// Of which masternode.
        registration: RegistrationId,
        /// What the change names.
        named: TxId,
        /// What is there.
        last: TxId,
    },
    /// A second change in one block.
    #[error("masternode {registration} was changed at height {height}: one change in a block, try again after it")]
    ChangedInBlock {
        /// Which.
        registration: RegistrationId,
        /// The block.
        height: Height,
    },
    /// It does not do what the change would end.
    #[error("masternode {registration} is {status}: it cannot {wanted}")]
    Status {
        /// Which.
        registration: RegistrationId,
        /// What it does.
        status: &'static str,
        /// What the change would be.
        wanted: &'static str,
    },
    /// Too few would be left.
    #[error(
        "{left} masternodes would be left that vote, at least {VOTERS_MIN} must be: pause later, or revoke to leave when there are enough"
    )]
    TooFewVoters {
        /// How many would be left.
        left: usize,
    },
    /// The collateral is claimed before its time.
    #[error("the collateral of masternode {registration} can be released from {from} on, the block's time is {now}")]
    Unbonding {
        /// Of which.
        registration: RegistrationId,
        /// The earliest time of a block that releases it.
        from: UnixTime,
        /// Time of the block.
        now: UnixTime,
    },
    /// A release that does not spend the collateral.
    #[error("a release must spend the collateral {0} as its first input")]
    ReleaseSpends(OutPoint),
    /// A signature of the payload that is missing, or by another key.
    #[error("signature {position} of the payload must be by the {role} key {expected}")]
    Signer {
        /// Position among the payload's witnesses, from 0.
        position: usize,
        /// Whose it must be.
        role: &'static str,
        /// The key.
        expected: PublicKey,
    },
    /// The voting key was somebody's until a short while ago.
    #[error(
        "operator key {operator} was that of masternode {registration} and is kept until {until}: make another key"
    )]
    OperatorRetired {
        /// The key.
        operator: PublicKey,
        /// Whose it was.
        registration: RegistrationId,
        /// Until when nobody can take it.
        until: UnixTime,
    },
    /// Its keys are replaced so often that the chain would have to remember too many.
    #[error("masternode {registration} has replaced {max} keys within the unbonding time: wait until {until}")]
    TooManyKeys {
        /// Which.
        registration: RegistrationId,
        /// The bound.
        max: usize,
        /// When the oldest of them is forgotten.
        until: UnixTime,
    },
    /// What is handed in as evidence proves nothing.
    #[error("the two statements are not for one place and for different blocks, the lesser first: they prove nothing")]
    NoConflict,
    /// A free one is accused: it has no part in deciding anything.
    #[error("masternode {0} is free and never votes: what its key signs counts nowhere")]
    NeverVotes(RegistrationId),
    /// It was punished before, once for all.
    #[error("masternode {0} has ended by a double sign already")]
    EndedAlready(RegistrationId),
    /// The key that signed was not that masternode's at that height.
    #[error("key {key} was not the operator key of masternode {registration} at height {height}")]
    NotItsKey {
        /// Who is accused.
        registration: RegistrationId,
        /// Who signed.
        key: PublicKey,
        /// For which height.
        height: Height,
    },
    /// A change that changes nothing.
    #[error("the change leaves masternode {0} as it is")]
    Nothing(RegistrationId),
}
