//! Who votes, and for which masternode.

use crate::masternodes::registration::RegistrationId;
use crate::masternodes::tier::Tier;
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;
use std::sync::Arc;
use timed_primitives::{PublicKey, Validator, ValidatorSet, ValidatorSetError};

/// A validator and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VotingMasternode {
    /// The key that votes, and its effective power.
    pub validator: (PublicKey, u64),
    /// The masternode.
    pub registration: RegistrationId,
    /// Its tier.
    pub tier: Tier,
}

/// The validators of a height with their masternodes, in ascending order of keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct VotingMasternodes {
    set: ValidatorSet,
    voters: Arc<[VotingMasternode]>,
}

impl VotingMasternodes {
    /// Sorts and checks.
    ///
    /// # Errors
    /// What [`ValidatorSet::new`] refuses.
    pub fn new(mut voters: Vec<VotingMasternode>) -> Result<Self, ValidatorSetError> {
        let validators = voters.iter().map(|voter| Validator { key: voter.validator.0, power: voter.validator.1 });
        let set = ValidatorSet::new(validators.collect())?;
        voters.sort_by_key(|voter| voter.validator.0);
        Ok(Self { set, voters: voters.into() })
    }

    /// The validators alone. A voter has the position of its validator.
    pub const fn validators(&self) -> &ValidatorSet {
        &self.set
    }

    /// All, in ascending order of keys.
    pub fn as_slice(&self) -> &[VotingMasternode] {
        &self.voters
    }

    /// The greatest effective power among them.
    pub fn power_max(&self) -> u64 {
        self.voters.iter().map(|voter| voter.validator.1).max().unwrap_or_default()
    }
}

impl PartialEq for VotingMasternodes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.voters, &other.voters) || self.voters == other.voters
    }
}

impl Eq for VotingMasternodes {}

/// The voters in order.
impl BorshSerialize for VotingMasternodes {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.as_slice().serialize(writer)
    }
}

/// Refuses what is no set of validators.
impl BorshDeserialize for VotingMasternodes {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let voters = Vec::deserialize_reader(reader)?;
        Self::new(voters).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
