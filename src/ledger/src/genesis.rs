//! The start of a chain: who votes, who owns what, which rules. A JSON file for people, one hash for machines.

use crate::address::{Address, AddressError};
use crate::lock::KeyHash;
use crate::masternodes::{
    Masternode, MasternodeList, MasternodeStatus, Payouts, PayoutsError, RegistrationId, ServiceAddress,
    ServiceAddressError, Tier, VOTERS_MAX, VotingMasternodes,
};
use crate::parameters::{Parameters, ParametersError};
use crate::transaction::{OutPoint, TxOutput};
use borsh::BorshSerialize;
use std::collections::BTreeSet;
use timed_chain::ChainGenesis;
use timed_primitives::{
    Amount, AmountError, ChainId, Domain, Hash, Height, KeyError, Network, PublicKey, SecretKey, TxId, UnixTime,
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
    /// The masternodes from the start; those that vote decide the first blocks.
    pub masternodes: Vec<GenesisMasternode>,
    /// Who owns what at height 0; position is the index of the output.
    pub outputs: Vec<GenesisOutput>,
}

/// A masternode from the start: on the list like one that registers later.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct GenesisMasternode {
    /// The key that votes.
    pub operator: PublicKey,
    /// The key that signs what concerns money and keys.
    pub owner: PublicKey,
    /// Index of the output that it locks, whose amount is that of a tier that votes.
    pub collateral: u32,
    /// Where it is reached; may be left open.
    pub service: Option<ServiceAddress>,
    /// Who gets what it earns.
    pub payouts: Payouts,
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
    /// A masternode's key is not a key.
    #[error("genesis file: masternode {position}: {source}")]
    MasternodeKey {
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
    /// A masternode's payee has no address of this network.
    #[error("genesis file: masternode {position}: {source}")]
    Payee {
        /// Which masternode, from 0.
        position: usize,
        /// What is wrong.
        source: AddressError,
    },
    /// A masternode that cannot be.
    #[error("genesis: masternode {position}: {reason}")]
    Masternode {
        /// Which, from 0.
        position: usize,
        /// What is wrong.
        reason: GenesisMasternodeError,
    },
    /// Nobody votes.
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

/// What is wrong with a masternode of a genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisMasternodeError {
    /// More than can vote.
    #[error("a genesis has at most {VOTERS_MAX} masternodes")]
    TooMany,
    /// No such output, or its amount is that of no tier.
    #[error("collateral {0} is no output with the amount of a tier that votes (1000, 10000 or 100000 TIME)")]
    Collateral(u32),
    /// One output for two.
    #[error("collateral {0} is that of an earlier one")]
    CollateralTwice(u32),
    /// One voting key for two.
    #[error("operator key {0} is that of an earlier one")]
    OperatorTwice(PublicKey),
    /// The bytes are no point on the curve.
    #[error("{0} is no valid public key")]
    Key(PublicKey),
    /// Its address is that of nobody.
    #[error("service address: {0}")]
    Service(ServiceAddressError),
    /// Its payees cannot be paid.
    #[error("{0}")]
    Payouts(PayoutsError),
}

impl Genesis {
    /// A network on one machine, with keys anybody can compute: nodes 1 to `nodes` are bronze masternodes, each with a collateral and an owner
    /// of its own, and the wallet key 0 owns 1,000 outputs of 1,000 TIME, so that as many payments can run side by side.
    pub fn devnet(nodes: u64) -> Self {
        Self::devnet_with_coins(nodes, DEVNET_COINS)
    }

    /// The same with another number of the wallet's outputs.
    pub fn devnet_with_coins(nodes: u64, coins: u32) -> Self {
        let output = GenesisOutput { address: devnet_address("wallet", 0), amount: Amount::whole(1_000) };
        Self {
            network: Network::Devnet,
            chain_id: ChainId(DEVNET_CHAIN_IDS.saturating_add(nodes)),
            time: DEVNET_TIME,
            parameters: Parameters::of(Network::Devnet),
            masternodes: (1..=nodes).zip(coins..).map(devnet_masternode).collect(),
            outputs: (0..coins).map(|_| output).chain((1..=nodes).map(devnet_collateral)).collect(),
        }
    }

    /// The masternodes as they are on the list at the start.
    pub fn masternodes(&self) -> impl Iterator<Item = Masternode> + '_ {
        let (hash, parameters) = (self.hash(), &self.parameters);
        let txid = TxId(hash);
        (0u32..).zip(&self.masternodes).filter_map(move |(position, one)| {
            let id = RegistrationId(Hash::of(Domain::MasternodeId, &encode(&(hash, position))));
            Some(Masternode {
                id,
                tier: self.tier_of(one.collateral)?,
                collateral: OutPoint { txid, index: one.collateral },
                owner: one.owner,
                operator: one.operator,
                service: one.service.unwrap_or(ServiceAddress::UNKNOWN),
                payouts: one.payouts.clone(),
                registered_at: Height::GENESIS,
                status: MasternodeStatus::Active,
                last_change: TxId(id.0),
                changed_at: Height::GENESIS,
                expires: Masternode::expiry(self.tier_of(one.collateral)?, self.time, parameters),
                operator_since: Height::GENESIS,
                penalty: Amount::ZERO,
            })
        })
    }

    /// The tier that votes whose collateral this output could be.
    fn tier_of(&self, index: u32) -> Option<Tier> {
        let amount = self.outputs.get(usize::try_from(index).ok()?)?.amount;
        let collateral = |tier: &Tier| tier.collateral(self.parameters.free_deposit);
        Tier::ALL.into_iter().find(|tier| tier.votes() && collateral(tier) == amount)
    }

    fn check_masternodes(&self) -> Result<(), GenesisError> {
        use GenesisMasternodeError as E;
        let (mut collaterals, mut operators) = (BTreeSet::new(), BTreeSet::new());
        for (position, one) in self.masternodes.iter().enumerate() {
            let refused = |reason| Err(GenesisError::Masternode { position, reason });
            if position >= VOTERS_MAX {
                return refused(E::TooMany);
            }
            if self.tier_of(one.collateral).is_none() {
                return refused(E::Collateral(one.collateral));
            }
            if !collaterals.insert(one.collateral) {
                return refused(E::CollateralTwice(one.collateral));
            }
            if !operators.insert(one.operator) {
                return refused(E::OperatorTwice(one.operator));
            }
            if let Some(key) = [one.operator, one.owner].into_iter().find(|key| !key.is_valid()) {
                return refused(E::Key(key));
            }
            if let Some(Err(error)) = one.service.map(|service| service.check()) {
                return refused(E::Service(error));
            }
        }
        self.validator_set().map(|_| ()).map_err(GenesisError::from)
    }

    /// The chain's name for machines: covers every field. Peers with another one are refused.
    pub fn hash(&self) -> Hash {
        let canonical = Canonical {
            network: self.network.name().as_bytes().to_vec(),
            chain_id: self.chain_id,
            time: self.time,
            parameters: self.parameters.clone(),
            masternodes: self.masternodes.clone(),
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
        self.supply()?;
        self.check_masternodes()
    }

    /// All money there is: no block makes more.
    ///
    /// # Errors
    /// [`GenesisError::SupplyOverflow`].
    pub fn supply(&self) -> Result<Amount, GenesisError> {
        Amount::sum(self.outputs.iter().map(|o| o.amount)).ok_or(GenesisError::SupplyOverflow)
    }

    /// Who decides the first two blocks.
    ///
    /// # Errors
    /// What [`ValidatorSet::new`] refuses.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        self.voters().map(|voters| voters.validators().clone())
    }

    /// The same, with their masternodes.
    pub(crate) fn voters(&self) -> Result<VotingMasternodes, ValidatorSetError> {
        MasternodeList::new(self.masternodes()).voters()
    }

    /// The outputs with their names. No transaction made them: their transaction id is the genesis hash.
    pub fn unspent(&self) -> impl Iterator<Item = (OutPoint, TxOutput)> + '_ {
        let txid = TxId(self.hash());
        (0u32..).zip(&self.outputs).map(move |(index, output)| {
            (OutPoint { txid, index }, TxOutput { amount: output.amount, lock: output.address.lock() })
        })
    }

    /// Those outputs that lock no masternode.
    pub fn coins(&self) -> impl Iterator<Item = (OutPoint, TxOutput)> + '_ {
        let locked: BTreeSet<u32> = self.masternodes.iter().map(|one| one.collateral).collect();
        self.unspent().filter(move |(outpoint, _)| !locked.contains(&outpoint.index))
    }

    /// The output of this position.
    pub(crate) fn output(&self, index: u32) -> Option<TxOutput> {
        let output = self.outputs.get(usize::try_from(index).ok()?)?;
        Some(TxOutput { amount: output.amount, lock: output.address.lock() })
    }
}

/// Devnet of `n` nodes is chain 1,000 + n: two devnets of different size never accept each other's signatures.
const DEVNET_CHAIN_IDS: u64 = 1_000;
/// 2025-01-01T00:00:00Z: in the past, so that the first block is due at once.
const DEVNET_TIME: UnixTime = UnixTime(1_735_689_600_000);

/// Outputs of the wallet of development networks; the collaterals follow them.
const DEVNET_COINS: u32 = 1_000;

/// What development keys of this purpose own.
fn devnet_address(purpose: &str, id: u64) -> Address {
    Address { network: Network::Devnet, key_hash: KeyHash::of(&SecretKey::development(purpose, id).public()) }
}

fn devnet_collateral(id: u64) -> GenesisOutput {
    GenesisOutput { address: devnet_address("collateral", id), amount: Tier::Bronze.collateral(Amount::ONE) }
}

fn devnet_masternode((id, collateral): (u64, u32)) -> GenesisMasternode {
    let key = |purpose| SecretKey::development(purpose, id).public();
    GenesisMasternode {
        operator: key("consensus"),
        owner: key("owner"),
        collateral,
        service: None,
        payouts: Payouts::one(devnet_address("wallet", 0).lock().owner()),
    }
}

/// What the hash covers, in this order.
#[derive(BorshSerialize)]
struct Canonical {
    network: Vec<u8>,
    chain_id: ChainId,
    time: UnixTime,
    parameters: Parameters,
    masternodes: Vec<GenesisMasternode>,
    outputs: Vec<TxOutput>,
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
        let changes: [fn(&mut Genesis); 10] = [
            |g| g.network = Network::Testnet,
            |g| g.chain_id = ChainId(5),
            |g| g.time = UnixTime(5),
            |g| g.parameters.fee_per_byte_min += 1,
            |g| g.masternodes[0].collateral = 7,
            |g| g.masternodes[0].owner = SecretKey::development("test", 7).public(),
            |g| g.masternodes[0].service = "127.0.0.1:7000".parse().ok(),
            |g| g.parameters.output_root_interval += 1,
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
        check(|g| g.masternodes.clear(), "at least one validator");
        check(|g| g.masternodes[1].operator = g.masternodes[0].operator, "masternode 1: operator key");
        check(|g| g.masternodes[1].collateral = 1_000, "masternode 1: collateral 1000 is that of an earlier one");
        check(|g| g.masternodes[1].collateral = 5_000, "masternode 1: collateral 5000 is no output");
        check(|g| g.outputs[1_002].amount = Amount::whole(999), "masternode 2: collateral 1002 is no output");
        check(|g| g.masternodes[3].owner = PublicKey([2; 32]), "masternode 3: 0202");
        check(|g| g.masternodes = vec![g.masternodes[0].clone(); 151], "masternode 1: collateral");
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
        let text = Genesis::devnet(4).to_json();
        let typo = text.replacen("dtime1", "dtime1q", 1);
        assert!(matches!(Genesis::from_json(&typo), Err(GenesisError::Payee { position: 0, .. })));
        let (masternodes, outputs) = text.split_at(text.find("\"outputs\"").unwrap());
        let typo = format!("{masternodes}{}", outputs.replacen("dtime1", "dtime1q", 1));
        assert!(matches!(Genesis::from_json(&typo), Err(GenesisError::Address { position: 0, .. })));
    }
}
