//! The start of a chain: who votes, who owns what, which rules. A JSON file for people, one hash for machines.

use crate::address::{Address, AddressError};
use crate::lock::KeyHash;
use crate::parameters::{Parameters, ParametersError};
use crate::transaction::{OutPoint, TxOutput};
use borsh::BorshSerialize;
use serde::{Deserialize, Serialize};
use timed_chain::ChainGenesis;
use timed_primitives::{
    Amount, AmountError, ChainId, Domain, Hash, KeyError, Network, PublicKey, SecretKey, TxId, UnixTime, Validator,
    ValidatorSet, ValidatorSetError, encode,
};

/// Most outputs a genesis may hold: they are written to the store in one batch.
pub const GENESIS_OUTPUTS_MAX: usize = 100_000;

/// Everything nodes must agree on before the first block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Decides the prefix of addresses.
    pub network: Network,
    /// Every signature commits to it.
    pub chain_id: ChainId,
    /// Time of height 0; the first block is later.
    pub time: UnixTime,
    /// The rules.
    pub parameters: Parameters,
    /// Who decides the first block. Their order in the file counts for the hash and for nothing else.
    pub validators: Vec<GenesisValidator>,
    /// Who owns what at height 0; position is the index of the output.
    pub outputs: Vec<GenesisOutput>,
}

/// A validator from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisValidator {
    /// Consensus key.
    pub key: PublicKey,
    /// Voting power, more than 0.
    pub power: u64,
}

/// Money from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisOutput {
    /// Whose it is.
    pub address: Address,
    /// How much.
    pub amount: Amount,
}

/// Why a genesis cannot start a chain, or a file is not one.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The text is not the JSON of a genesis.
    #[error("genesis file: {0}")]
    Json(#[source] serde_json::Error),
    /// Unknown network name.
    #[error("genesis file: {0}")]
    Network(#[from] timed_primitives::NetworkError),
    /// A validator's key is not a key.
    #[error("genesis file: validator {position}: {source}")]
    ValidatorKey {
        /// Which, from 0.
        position: usize,
        /// What is wrong.
        source: KeyError,
    },
    /// An output's address is not one of this network.
    #[error("genesis file: output {position}: {source}")]
    Address {
        /// Which, from 0.
        position: usize,
        /// What is wrong.
        source: AddressError,
    },
    /// An output's amount is not an amount.
    #[error("genesis file: output {position}: {source}")]
    Amount {
        /// Which, from 0.
        position: usize,
        /// What is wrong.
        source: AmountError,
    },
    /// Chain id 0 is what an absent number reads as.
    #[error("genesis: chain_id must not be 0; choose a number no other chain uses")]
    ChainIdZero,
    /// The rules contradict themselves.
    #[error("genesis: {0}")]
    Parameters(#[from] ParametersError),
    /// The validators are no set.
    #[error("genesis: {0}")]
    Validators(#[from] ValidatorSetError),
    /// Nobody could ever pay.
    #[error("genesis: there must be at least one output, or no payment is ever possible")]
    NoOutputs,
    /// More outputs than one batch should hold.
    #[error("genesis: {found} outputs, at most {GENESIS_OUTPUTS_MAX} are allowed")]
    TooManyOutputs {
        /// How many there are.
        found: usize,
    },
    /// An output below the chain's own dust limit.
    #[error("genesis: output {position} of {amount} TIME is below dust_min")]
    Dust {
        /// Which, from 0.
        position: usize,
        /// How much.
        amount: Amount,
    },
    /// The outputs add up to more than can be counted.
    #[error("genesis: the outputs add up to more than 2^64 units")]
    SupplyOverflow,
}

impl Genesis {
    /// A network on one machine, with keys anybody can compute: validators are nodes 1 to `nodes` with power 1 each, and the
    /// wallet key 0 owns 1,000 outputs of 1,000 TIME, so that as many payments can run side by side.
    pub fn devnet(nodes: u64) -> Self {
        let wallet = KeyHash::of(&SecretKey::development("wallet", 0).public());
        let output = GenesisOutput {
            address: Address { network: Network::Devnet, key_hash: wallet },
            amount: Amount::whole(1_000),
        };
        Self {
            network: Network::Devnet,
            chain_id: ChainId(DEVNET_CHAIN_IDS.saturating_add(nodes)),
            time: DEVNET_TIME,
            parameters: Parameters::of(Network::Devnet),
            validators: (1..=nodes)
                .map(|id| GenesisValidator { key: SecretKey::development("consensus", id).public(), power: 1 })
                .collect(),
            outputs: vec![output; 1_000],
        }
    }

    /// The chain's name for machines: covers every field. Peers with another one are refused.
    pub fn hash(&self) -> Hash {
        let canonical = Canonical {
            network: self.network.name().as_bytes().to_vec(),
            chain_id: self.chain_id,
            time: self.time,
            parameters: self.parameters.clone(),
            validators: self.validators.iter().map(|v| (v.key, v.power)).collect(),
            outputs: self.outputs.iter().map(|o| TxOutput { amount: o.amount, lock: o.address.lock() }).collect(),
        };
        Hash::of(Domain::Genesis, &encode(&canonical))
    }

    /// What the chain must know of it.
    pub fn chain(&self) -> ChainGenesis {
        ChainGenesis {
            hash: self.hash(),
            chain_id: self.chain_id,
            time: self.time,
            block_bytes_max: self.parameters.block_bytes_max,
            parameters_hash: self.parameters.hash(),
        }
    }

    /// Checks everything that must hold before the first block.
    ///
    /// # Errors
    /// [`GenesisError`] names what is wrong and where.
    pub fn validate(&self) -> Result<(), GenesisError> {
        if self.chain_id.0 == 0 {
            return Err(GenesisError::ChainIdZero);
        }
        self.parameters.validate()?;
        self.validator_set()?;
        if self.outputs.is_empty() {
            return Err(GenesisError::NoOutputs);
        }
        if self.outputs.len() > GENESIS_OUTPUTS_MAX {
            return Err(GenesisError::TooManyOutputs { found: self.outputs.len() });
        }
        for (position, output) in self.outputs.iter().enumerate() {
            if output.amount < self.parameters.dust_min {
                return Err(GenesisError::Dust { position, amount: output.amount });
            }
            if output.address.network != self.network {
                let source = AddressError::Network { found: output.address.network, expected: self.network };
                return Err(GenesisError::Address { position, source });
            }
        }
        self.supply().map(|_| ())
    }

    /// All money there is: no block makes more.
    ///
    /// # Errors
    /// [`GenesisError::SupplyOverflow`].
    pub fn supply(&self) -> Result<Amount, GenesisError> {
        Amount::sum(self.outputs.iter().map(|o| o.amount)).ok_or(GenesisError::SupplyOverflow)
    }

    /// Who decides the first block.
    ///
    /// # Errors
    /// What [`ValidatorSet::new`] refuses.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(self.validators.iter().map(|v| Validator { key: v.key, power: v.power }).collect())
    }

    /// The outputs with their names. No transaction made them: their transaction id is the genesis hash.
    pub fn unspent(&self) -> impl Iterator<Item = (OutPoint, TxOutput)> + '_ {
        let txid = TxId(self.hash());
        (0u32..).zip(&self.outputs).map(move |(index, output)| {
            (OutPoint { txid, index }, TxOutput { amount: output.amount, lock: output.address.lock() })
        })
    }

    /// The output of this position.
    pub(crate) fn output(&self, index: u32) -> Option<TxOutput> {
        let output = self.outputs.get(usize::try_from(index).ok()?)?;
        Some(TxOutput { amount: output.amount, lock: output.address.lock() })
    }

    /// Reads the file people write, and validates it.
    ///
    /// # Errors
    /// [`GenesisError`] with the line for JSON that does not fit, with the position for a bad entry.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        let file: File = serde_json::from_str(text).map_err(GenesisError::Json)?;
        let genesis = file.into_genesis()?;
        genesis.validate()?;
        Ok(genesis)
    }

    /// The file for people. [`Self::from_json`] reads it back to an equal value.
    pub fn to_json(&self) -> String {
        let file = File::from(self);
        serde_json::to_string_pretty(&file).expect("strings, numbers and lists always have a JSON form")
    }
}

/// Devnet of `n` nodes is chain 1,000 + n: two devnets of different size never accept each other's signatures.
const DEVNET_CHAIN_IDS: u64 = 1_000;
/// 2025-01-01T00:00:00Z: in the past, so that the first block is due at once.
const DEVNET_TIME: UnixTime = UnixTime(1_735_689_600_000);

/// What the hash covers, in this order.
#[derive(BorshSerialize)]
struct Canonical {
    network: Vec<u8>,
    chain_id: ChainId,
    time: UnixTime,
    parameters: Parameters,
    validators: Vec<(PublicKey, u64)>,
    outputs: Vec<TxOutput>,
}

/// The JSON file: keys as hex, addresses as bech32m, amounts as decimal text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: String,
    chain_id: u64,
    time_ms: u64,
    parameters: Parameters,
    validators: Vec<FileValidator>,
    outputs: Vec<FileOutput>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileValidator {
    key: String,
    power: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOutput {
    address: String,
    amount: String,
}

impl From<&Genesis> for File {
    fn from(genesis: &Genesis) -> Self {
        Self {
            network: genesis.network.name().to_owned(),
            chain_id: genesis.chain_id.0,
            time_ms: genesis.time.0,
            parameters: genesis.parameters.clone(),
            validators: genesis
                .validators
                .iter()
                .map(|v| FileValidator { key: v.key.to_string(), power: v.power })
                .collect(),
            outputs: genesis
                .outputs
                .iter()
                .map(|o| FileOutput { address: o.address.to_string(), amount: o.amount.to_string() })
                .collect(),
        }
    }
}

impl File {
    fn into_genesis(self) -> Result<Genesis, GenesisError> {
        let network: Network = self.network.parse()?;
        let validators = self.validators.iter().enumerate().map(|(position, v)| {
            let key = v.key.parse().map_err(|source| GenesisError::ValidatorKey { position, source })?;
            Ok(GenesisValidator { key, power: v.power })
        });
        let outputs = self.outputs.iter().enumerate().map(|(position, o)| {
            let address =
                Address::parse_for(&o.address, network).map_err(|source| GenesisError::Address { position, source })?;
            let amount = o.amount.parse().map_err(|source| GenesisError::Amount { position, source })?;
            Ok(GenesisOutput { address, amount })
        });
        Ok(Genesis {
            network,
            chain_id: ChainId(self.chain_id),
            time: UnixTime(self.time_ms),
            validators: validators.collect::<Result<_, GenesisError>>()?,
            outputs: outputs.collect::<Result<_, GenesisError>>()?,
            parameters: self.parameters,
        })
    }
}

/// Amounts as decimal text in JSON, since numbers there lose digits above 2^53.
pub(crate) mod amount_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use timed_primitives::Amount;

    pub(crate) fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&amount.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn json_both_ways() {
        for nodes in [1, 4, 7] {
            let genesis = Genesis::devnet(nodes);
            let read = Genesis::from_json(&genesis.to_json()).unwrap();
            assert_eq!(read, genesis);
            assert_eq!(read.hash(), genesis.hash());
        }
        assert_ne!(Genesis::devnet(3).hash(), Genesis::devnet(4).hash());
    }

    #[test]
    fn every_field_is_in_the_hash() {
        let genesis = Genesis::devnet(4);
        let changes: [fn(&mut Genesis); 8] = [
            |g| g.network = Network::Testnet,
            |g| g.chain_id = ChainId(5),
            |g| g.time = UnixTime(5),
            |g| g.parameters.fee_per_byte_min += 1,
            |g| g.parameters.output_root_interval += 1,
            |g| g.validators[0].power += 1,
            |g| g.outputs[0].amount = Amount::ONE,
            |g| g.outputs.truncate(999),
        ];
        let mut seen = BTreeSet::from([genesis.hash()]);
        for change in changes {
            let mut other = genesis.clone();
            change(&mut other);
            assert!(seen.insert(other.hash()));
        }
    }

    #[test]
    fn refuses_what_cannot_start_a_chain() {
        let check = |change: fn(&mut Genesis), expected: &str| {
            let mut genesis = Genesis::devnet(4);
            change(&mut genesis);
            let text = genesis.validate().unwrap_err().to_string();
            assert!(text.contains(expected), "{text:?} should say {expected:?}");
        };
        check(|g| g.chain_id = ChainId(0), "chain_id");
        check(|g| g.validators.clear(), "at least one validator");
        check(|g| g.validators[1] = g.validators[0], "listed twice");
        check(|g| g.outputs.clear(), "at least one output");
        check(|g| g.outputs[3].amount = Amount(999), "output 3 of 0.00000999 TIME is below dust_min");
        check(|g| g.outputs[2].address.network = Network::Mainnet, "output 2: address belongs to mainnet");
        check(|g| g.outputs.iter_mut().for_each(|o| o.amount = Amount(u64::MAX)), "2^64");
        check(|g| g.parameters.block_bytes_max = 2_000_000, "block_bytes_max is 2000000, allowed are 1024 to 1048576");
        check(|g| g.parameters.min_block_interval_ms = 20_000, "must be above");
        check(|g| g.parameters.propose_timeout_ms = 0, "propose_timeout_ms");
        check(|g| g.parameters.output_root_interval = 3, "output_root_interval is 3, allowed are 4 to 1000000");
        check(|g| g.parameters.output_root_interval = 1_000_001, "output_root_interval is 1000001");
        let mut without: serde_json::Value = serde_json::from_str(&Genesis::devnet(4).to_json()).unwrap();
        without["parameters"].as_object_mut().unwrap().remove("output_root_interval").unwrap();
        let error = Genesis::from_json(&without.to_string()).unwrap_err().to_string();
        assert!(error.contains("missing field `output_root_interval`"), "{error}");
        let unknown = Genesis::devnet(4).to_json().replacen("\"network\"", "\"colour\": 1, \"network\"", 1);
        assert!(matches!(Genesis::from_json(&unknown), Err(GenesisError::Json(_))));
        let typo = Genesis::devnet(4).to_json().replacen("dtime1", "dtime1q", 1);
        assert!(matches!(Genesis::from_json(&typo), Err(GenesisError::Address { position: 0, .. })));
    }
}
