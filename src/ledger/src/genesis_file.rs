//! The genesis as a JSON file for people.

use crate::address::Address;
use crate::genesis::{Genesis, GenesisError, GenesisMasternode, GenesisMasternodeError, GenesisOutput};
use crate::lock::LockOwner;
use crate::masternodes::{Payout, Payouts};
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};
use timed_primitives::{ChainId, Network, UnixTime};

impl Genesis {
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

/// The JSON file: keys as hex, addresses as bech32m, amounts as decimal text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: String,
    chain_id: u64,
    time_ms: u64,
    parameters: Parameters,
    masternodes: Vec<FileMasternode>,
    outputs: Vec<FileOutput>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMasternode {
    operator: String,
    owner: String,
    collateral: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    payouts: Vec<FilePayout>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePayout {
    address: String,
    share: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOutput {
    address: String,
    amount: String,
}

impl From<&Genesis> for File {
    fn from(genesis: &Genesis) -> Self {
        let network = genesis.network;
        // A genesis pays to keys only: whatever was read or made has addresses.
        let payout = |payout: &Payout| {
            let (LockOwner::KeyHash(key_hash) | LockOwner::KeySet(key_hash)) = payout.to;
            FilePayout { address: Address { network, key_hash }.to_string(), share: payout.share }
        };
        let masternode = |one: &GenesisMasternode| FileMasternode {
            operator: one.operator.to_string(),
            owner: one.owner.to_string(),
            collateral: one.collateral,
            service: one.service.map(|service| service.to_string()),
            payouts: one.payouts.as_slice().iter().map(payout).collect(),
        };
        Self {
            network: network.name().to_owned(),
            chain_id: genesis.chain_id.0,
            time_ms: genesis.time.0,
            parameters: genesis.parameters.clone(),
            masternodes: genesis.masternodes.iter().map(masternode).collect(),
            outputs: genesis
                .outputs
                .iter()
                .map(|o| FileOutput { address: o.address.to_string(), amount: o.amount.to_string() })
                .collect(),
        }
    }
}

impl FileMasternode {
    fn into_masternode(self, position: usize, network: Network) -> Result<GenesisMasternode, GenesisError> {
        let key = |text: &str| text.parse().map_err(|source| GenesisError::MasternodeKey { position, source });
        let refused = |reason| GenesisError::Masternode { position, reason };
        let payout = |one: &FilePayout| {
            let address = Address::parse_for(&one.address, network);
            let to = address.map_err(|source| GenesisError::Payee { position, source })?.lock().owner();
            Ok(Payout { to, share: one.share })
        };
        let payouts = self.payouts.iter().map(payout).collect::<Result<_, GenesisError>>()?;
        let service = self.service.map(|text| text.parse()).transpose();
        Ok(GenesisMasternode {
            operator: key(&self.operator)?,
            owner: key(&self.owner)?,
            collateral: self.collateral,
            service: service.map_err(|error| refused(GenesisMasternodeError::Service(error)))?,
            payouts: Payouts::new(payouts).map_err(|error| refused(GenesisMasternodeError::Payouts(error)))?,
        })
    }
}

impl File {
    fn into_genesis(self) -> Result<Genesis, GenesisError> {
        let network: Network = self.network.parse()?;
        let masternodes = self.masternodes.into_iter().enumerate();
        let masternodes = masternodes.map(|(position, one)| one.into_masternode(position, network));
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
            masternodes: masternodes.collect::<Result<_, GenesisError>>()?,
            outputs: outputs.collect::<Result<_, GenesisError>>()?,
            parameters: self.parameters,
        })
    }
}
