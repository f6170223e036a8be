//! Questions about the node's wallet.

use crate::Service;
use crate::failures::{gone, unreadable};
use crate::wallets::wallet_error;
use async_trait::async_trait;
use std::collections::{BTreeSet, HashMap};
use timed_actors::mempool::{ListEntries, ResourceStates};
use timed_chain::Resource;
use timed_ledger::{
    Address, KeyHash, LedgerQueries as _, LedgerView, OutPoint, OutputEntry, RegistrationId, TextSignature,
    Transaction, TransactionBody, TransactionPayload, Witness, payment_of,
};
use timed_mempool::{EntryInfo, ResourceState};
use timed_primitives::{Amount, TxId};
use timed_rpc::result::Balance;
use timed_rpc::{Funding, PaymentOrder, RpcError, Unspent, WalletApi};

/// Outputs read at a time.
const PAGE: usize = 2_000;
/// Most outputs that the mempool is asked about at once.
const STATES_AT_ONCE: usize = 1_000;
/// Most outputs of one address that are handled, and of all addresses that a call names; above it calls answer with an error that says so.
const COINS_MAX: usize = 200_000;
#[async_trait]
impl WalletApi for Service {
    async fn balance(&self, address: Option<Address>) -> Result<Balance, RpcError> {
        let rows = self.wallet_unspent(address.into_iter().collect()).await?;
        let sum = |of: &dyn Fn(&Unspent) -> bool| {
            Amount::sum(rows.iter().filter(|row| of(row)).map(|row| row.output.amount))
                .unwrap_or(Amount(u64::MAX))
                .into()
        };
        Ok(Balance {
            spendable: sum(&|row| row.height.is_some() && row.spent_by.is_none() && row.collateral.is_none()),
            locked: sum(&|row| row.height.is_some() && row.spent_by.is_some()),
            pending: sum(&|row| row.height.is_none() && row.spent_by.is_none() && row.collateral.is_none()),
            collateral: sum(&|row| row.spent_by.is_none() && row.collateral.is_some()),
        })
    }

    async fn new_address(&self, label: String) -> Result<Address, RpcError> {
        let address = self.wallet.new_address().await.map_err(wallet_error)?;
        if !label.is_empty() {
            self.set_label(address, label).await?;
        }
        Ok(address)
    }

    fn addresses(&self) -> Vec<Address> {
        self.wallet.lock().addresses()
    }

    fn labels(&self) -> Vec<(Address, String)> {
        let network = self.chain.genesis().network;
        let labels = self.wallet.labels();
        labels.iter().map(|(key_hash, label)| (Address { network, key_hash: *key_hash }, label.clone())).collect()
    }

    fn label(&self, address: &Address) -> String {
        self.wallet.labels().get(&address.key_hash).cloned().unwrap_or_default()
    }

    async fn set_label(&self, address: Address, label: String) -> Result<(), RpcError> {
        let set = self.wallet.set_label(address.key_hash, label).await;
        set.map_err(|error| RpcError::Wallet(error.to_string()))
    }

    async fn unspent(&self, addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        self.wallet_unspent(addresses).await
    }

    fn is_mine(&self, address: &Address) -> bool {
        self.wallet.lock().owns(&address.key_hash)
    }

    async fn witnesses(
        &self,
        body: TransactionBody,
        owners: Vec<Option<KeyHash>>,
    ) -> Result<Vec<Option<Witness>>, RpcError> {
        let wallet = self.wallet.lock();
        let witness = |owner: &Option<KeyHash>| match owner {
            Some(owner) => wallet.witness(&body, owner).map_err(|error| wallet_error(error.into())),
            None => Ok(None),
        };
        owners.iter().map(witness).collect()
    }

    async fn sign_text(&self, address: Address, text: String) -> Result<TextSignature, RpcError> {
        let signed = self.wallet.lock().sign_text(&address.key_hash, &text);
        let signed = signed.map_err(|error| wallet_error(error.into()))?;
        signed.ok_or_else(|| {
            RpcError::Wallet(format!(
                "this node's wallet does not have the key of {address}: `listunspent` shows what it has"
            ))
        })
    }

    async fn hold_back(&self, outputs: Vec<OutPoint>, is_held: bool) -> Result<(), RpcError> {
        self.wallet.hold_back(outputs, is_held)
    }

    async fn held_back(&self) -> Result<Vec<OutPoint>, RpcError> {
        Ok(self.wallet.held().iter().copied().collect())
    }

    async fn pay(&self, order: PaymentOrder) -> Result<TxId, RpcError> {
        self.make_payment(order).await
    }

    async fn fund(
        &self,
        order: PaymentOrder,
        inputs: Vec<OutPoint>,
        change: Option<Address>,
    ) -> Result<Funding, RpcError> {
        self.find_funds(order, inputs, change).await
    }
}

/// The masternode whose collateral an output of the chain is.
pub(crate) fn collateral_of(view: &LedgerView, outpoint: &OutPoint) -> Option<RegistrationId> {
    view.state().masternodes().of_collateral(outpoint).map(|one| one.id)
}

/// The masternode whose collateral an output of a waiting transaction will be.
pub(crate) fn collateral_to_be(transaction: &Transaction, outpoint: &OutPoint) -> Option<RegistrationId> {
    let registers = matches!(transaction.body.payload, TransactionPayload::Register(_));
    (registers && outpoint.index == 0).then_some(RegistrationId(outpoint.txid.0))
}

/// What a transaction of the mempool spends, each with its id.
fn spends_of(entry: &EntryInfo) -> impl Iterator<Item = (Resource, TxId)> + '_ {
    entry.transaction.facts.consumes.iter().map(|resource| (*resource, entry.txid))
}

impl Service {
    /// Every final output of a key.
    pub(crate) fn outputs_of(view: &LedgerView, owner: &KeyHash) -> Result<Vec<(OutPoint, OutputEntry)>, RpcError> {
        let mut found: Vec<(OutPoint, OutputEntry)> = Vec::new();
        loop {
            let after = found.last().map(|(outpoint, _)| *outpoint);
            let page = view.outputs_of(owner, after.as_ref(), PAGE).map_err(unreadable)?;
            if page.is_empty() {
                return Ok(found);
            }
            found.extend(page);
            if found.len() > COINS_MAX {
                return Err(RpcError::Wallet(format!(
                    "an address has more than {COINS_MAX} outputs, which is more than this wallet handles: pay some of them together"
                )));
            }
        }
    }

    /// What the mempool knows of outputs, in their order. Asked in parts: the mempool also makes blocks, and must not be held up by one client.
    pub(crate) async fn resource_states(
        &self,
        outputs: impl Iterator<Item = OutPoint>,
    ) -> Result<Vec<Option<ResourceState>>, RpcError> {
        let resources: Vec<Resource> = outputs.map(|outpoint| outpoint.resource()).collect();
        let mut states = Vec::with_capacity(resources.len());
        for part in resources.chunks(STATES_AT_ONCE) {
            states.extend(self.handles.mempool.send(ResourceStates(part.to_vec())).await.map_err(gone)?);
        }
        Ok(states)
    }

    pub(crate) async fn wallet_unspent(&self, addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        let (owners, rows_max) = if addresses.is_empty() {
            (self.wallet.key_hashes().into_iter().collect(), usize::MAX)
        } else {
            (addresses.iter().map(|address| address.key_hash).collect::<BTreeSet<_>>(), COINS_MAX)
        };
        // The mempool first: what is final in between is found on the chain, and counted there only.
        let waiting = self.handles.mempool.send(ListEntries).await.map_err(gone)?;
        // So the view is taken after it: what had left the mempool by then is spent there, since the chain publishes a block before the mempool
        // learns of it.
        let read = move |view: &LedgerView| {
            // Not looked up one by one in the index that the mempool writes: this may be a thread that gives way to all others.
            let spenders: HashMap<Resource, TxId> = waiting.iter().flat_map(spends_of).collect();
            let tip = view.tip().height;
            let mut rows = Vec::new();
            for owner in &owners {
                for (outpoint, entry) in Self::outputs_of(view, owner)? {
                    let confirmations = tip.above(entry.height) + 1;
                    let (height, collateral) = (Some(entry.height), collateral_of(view, &outpoint));
                    let output = entry.output;
                    rows.push(Unspent { outpoint, output, height, confirmations, spent_by: None, collateral });
                }
                if rows.len() > rows_max {
                    return Err(RpcError::InvalidParameter(format!(
                        "these addresses have more than {rows_max} outputs: ask for fewer addresses at once"
                    )));
                }
            }
            for entry in &waiting {
                if view.location(&entry.txid).map_err(unreadable)?.is_some() {
                    continue;
                }
                let Ok(transaction) = payment_of(&entry.transaction) else { continue };
                for (outpoint, output) in transaction.outputs() {
                    if owners.contains(&output.lock.owner_hash()) {
                        let (height, collateral) = (None, collateral_to_be(&transaction, &outpoint));
                        rows.push(Unspent { outpoint, output, height, confirmations: 0, spent_by: None, collateral });
                    }
                }
            }
            for row in &mut rows {
                row.spent_by = spenders.get(&row.outpoint.resource()).copied();
            }
            Ok(rows)
        };
        let rows: Vec<Unspent> = self.chain.read(read).await?;
        self.note_used(rows.iter().filter_map(|row| row.output.lock.key_hash())).await?;
        Ok(rows)
    }
}
