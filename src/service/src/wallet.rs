//! The node's wallet: the development key's coins, and payments with them.

use crate::Service;
use crate::chain::spender_of;
use crate::failures::{gone, unreadable};
use crate::pool::refusal;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_actors::mempool::{ListConsumed, ListEntries, ResourceStates, SubmitError};
use timed_chain::PoolTransaction;
use timed_ledger::{
    Address, Genesis, KeyHash, LedgerQueries as _, LedgerView, Lock, OutPoint, OutputEntry, Transaction,
    TransactionBody, Witness, payment_of,
};
use timed_mempool::{Reject, ResourceState};
use timed_node_files::{WalletFile, WalletFileError};
use timed_primitives::{Amount, Clock, Height, Instant, SecretKey, TxId};
use timed_rpc::result::Balance;
use timed_rpc::{RpcError, Unspent, WalletApi};
use timed_wallet::{BuildError, Coin, Fees, KEYS_MAX, Payment, Reservation, Wallet, WalletError};

/// Outputs read at a time.
const PAGE: usize = 2_000;
/// Most outputs of one address that are handled; above it calls answer with an error that says so.
const COINS_MAX: usize = 200_000;
/// Most outputs that are held back.
const HELD_MAX: usize = 10_000;
/// Other nodes spend with the same development key; a payment whose coin is taken tries this often with others.
const TRIES: usize = 5;
/// How long the coins of a payment stay reserved whose asker went away before the mempool answered.
const RESERVED_FOR: Duration = Duration::from_secs(30);

/// The wallet and where it keeps how many addresses it made.
pub struct NodeWallet {
    wallet: Mutex<Wallet>,
    /// Coins of payments whose outcome is not known yet, and until when they are reserved at most, if nobody waits for it any more. Locked
    /// after `wallet`, never before it.
    in_flight: Mutex<BTreeMap<OutPoint, Option<Instant>>>,
    /// Height of the chain when locks of spent coins were forgotten last: coins read at a lower one are out of date.
    read_at: Mutex<Height>,
    /// Outputs that the operator wants no payment to spend, until the node ends. Bound: [`HELD_MAX`].
    held: Mutex<BTreeSet<OutPoint>>,
    file: WalletFile,
    /// Held by the one that writes the file, on a thread that no client waits for.
    writing: Arc<tokio::sync::Mutex<()>>,
    fees: Fees,
}

/// The wallet cannot be opened, or has no further address.
#[derive(Debug, thiserror::Error)]
pub enum NodeWalletError {
    /// See there.
    #[error(transparent)]
    File(#[from] WalletFileError),
    /// The thread that was to write the file did not come back.
    #[error("the wallet's file was not written: {0}")]
    NotWritten(#[from] tokio::task::JoinError),
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl NodeWallet {
    /// The wallet of `key`, with as many addresses as it had when the node last ran.
    ///
    /// # Errors
    /// [`NodeWalletError`].
    pub fn open(folder: &Path, key: SecretKey, genesis: &Genesis) -> Result<Self, NodeWalletError> {
        let parameters = &genesis.parameters;
        let fees = Fees {
            per_byte: parameters.fee_per_byte_min,
            dust_min: parameters.dust_min,
            transaction_bytes_max: parameters.transaction_bytes_max.into(),
        };
        let file = WalletFile::new(folder);
        let mut wallet = Wallet::from_key(key, genesis.network, genesis.chain_id);
        for _ in 1..file.made(KEYS_MAX)? {
            wallet.next_address()?;
        }
        let (in_flight, read_at, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { wallet: Mutex::new(wallet), in_flight, read_at, held, file, writing: Arc::default(), fees })
    }

    fn lock(&self) -> MutexGuard<'_, Wallet> {
        self.wallet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeMap<OutPoint, Option<Instant>>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next address; that it was made is on disk before it is handed out. A disk that hangs holds up those who want one, and nobody else.
    pub(crate) async fn new_address(&self) -> Result<Address, NodeWalletError> {
        // Given to the thread that writes: who asks may have gone away before the disk answers.
        let turn = self.writing.clone().lock_owned().await;
        let (address, made) = {
            let mut wallet = self.lock();
            (wallet.next_address()?, wallet.addresses().len())
        };
        let file = self.file.clone();
        let write = move || {
            let _turn = turn;
            file.keep(made)
        };
        tokio::task::spawn_blocking(write).await??;
        Ok(address)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<OutPoint>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds outputs back from payments, or gives them back; giving back none means all.
    fn hold_back(&self, outputs: Vec<OutPoint>, is_held: bool) -> Result<(), RpcError> {
        let mut held = self.held();
        if !is_held && outputs.is_empty() {
            held.clear();
            return Ok(());
        }
        // All or nothing, as Bitcoin's server does it.
        if let Some(output) = outputs.iter().find(|output| held.contains(output) == is_held) {
            let state = if is_held { "is held back already" } else { "is not held back" };
            return Err(RpcError::InvalidParameter(format!("lockunspent: output {output} {state}")));
        }
        if is_held && held.len() + outputs.len() > HELD_MAX {
            return Err(RpcError::Wallet(format!("at most {HELD_MAX} outputs are held back")));
        }
        for output in outputs {
            if is_held {
                held.insert(output)
            } else {
                held.remove(&output)
            };
        }
        Ok(())
    }

    fn key_hashes(&self) -> Vec<KeyHash> {
        self.lock().key_hashes().copied().collect()
    }
}

/// Coins of a payment on its way to the mempool. They stay reserved until its outcome is known, or for [`RESERVED_FOR`] when nobody waits
/// for that any more: the mempool may still take it.
struct InFlight {
    wallet: Arc<NodeWallet>,
    clock: Arc<dyn Clock>,
    coins: Vec<OutPoint>,
    is_known: bool,
}

impl InFlight {
    fn new(wallet: &Arc<NodeWallet>, clock: &Arc<dyn Clock>, transaction: &Transaction) -> Self {
        let coins: Vec<_> = transaction.body.inputs.iter().map(|input| input.previous).collect();
        wallet.in_flight().extend(coins.iter().map(|coin| (*coin, None)));
        Self { wallet: wallet.clone(), clock: clock.clone(), coins, is_known: false }
    }

    /// The mempool has answered.
    fn end(mut self) {
        self.is_known = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut in_flight = self.wallet.in_flight();
        for coin in &self.coins {
            if self.is_known {
                in_flight.remove(coin);
            } else {
                in_flight.insert(*coin, Some(self.clock.now() + RESERVED_FOR));
            }
        }
    }
}

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
            spendable: sum(&|row| row.height.is_some() && row.spent_by.is_none()),
            locked: sum(&|row| row.height.is_some() && row.spent_by.is_some()),
            pending: sum(&|row| row.height.is_none() && row.spent_by.is_none()),
        })
    }

    async fn new_address(&self) -> Result<Address, RpcError> {
        self.wallet.new_address().await.map_err(|error| RpcError::Wallet(error.to_string()))
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
        Ok(owners.iter().map(|owner| wallet.witness(&body, owner.as_ref()?)).collect())
    }

    async fn hold_back(&self, outputs: Vec<OutPoint>, is_held: bool) -> Result<(), RpcError> {
        self.wallet.hold_back(outputs, is_held)
    }

    async fn held_back(&self) -> Result<Vec<OutPoint>, RpcError> {
        Ok(self.wallet.held().iter().copied().collect())
    }

    async fn pay(&self, to: Address, amount: Amount) -> Result<TxId, RpcError> {
        let mut last = None;
        for _ in 0..TRIES {
            self.release_coins().await?;
            let mut coins = self.coins().await?;
            let (transaction, in_flight) = loop {
                match self.build_payment(to, amount, &coins)? {
                    Some(built) => break built,
                    // Heights only grow, so this ends as soon as no block comes in between.
                    None => coins = self.coins().await?,
                }
            };
            let outcome = self.handles.submissions.submit(Arc::new(PoolTransaction::of(&*transaction)), None).await;
            match outcome {
                Ok(txid) => {
                    in_flight.end();
                    return Ok(txid);
                }
                // Somebody else with the same key, or an earlier run, spends a coin of it: the next try takes others.
                Err(
                    error @ SubmitError::Refused(
                        Reject::Conflict { .. } | Reject::UnknownInput { .. } | Reject::AlreadyKnown { .. },
                    ),
                ) => {
                    in_flight.end();
                    self.lock_spent(&coins.1).await?;
                    last = Some(refusal(&error));
                }
                Err(error) => {
                    self.wallet.lock().unlock(&transaction);
                    in_flight.end();
                    return Err(refusal(&error));
                }
            }
        }
        Err(last.unwrap_or_else(|| RpcError::Wallet("no coin could be spent; try again in a moment".into())))
    }
}

impl Service {
    /// Every final output of a key.
    fn outputs_of(view: &LedgerView, owner: &KeyHash) -> Result<Vec<(OutPoint, OutputEntry)>, RpcError> {
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

    /// Final outputs of the wallet's keys, and at which height.
    async fn coins(&self) -> Result<(Height, Vec<Coin>), RpcError> {
        let keys = self.wallet.key_hashes();
        let read = move |view: &LedgerView| {
            let mut coins = Vec::new();
            for key_hash in keys {
                for (outpoint, entry) in Self::outputs_of(view, &key_hash)? {
                    coins.push(Coin { outpoint, amount: entry.output.amount, key_hash });
                }
            }
            Ok((view.tip().height, coins))
        };
        self.chain.read(read).await
    }

    /// Gives back coins whose payment is no more: it was refused, has expired, or lost to another that took only some of them.
    ///
    /// Only those are asked for whose payment has its outcome already, and only the reservation that was asked for is ended: whatever
    /// happens to a coin while the mempool answers, the answer is not about that.
    async fn release_coins(&self) -> Result<(), RpcError> {
        let now = self.clock.now();
        let (coins, reservations): (Vec<OutPoint>, Vec<Reservation>) = {
            let wallet = self.wallet.lock();
            let mut in_flight = self.wallet.in_flight();
            in_flight.retain(|_, until| until.is_none_or(|until| now < until));
            wallet.locked().filter(|(coin, _)| !in_flight.contains_key(coin)).map(|(coin, of)| (*coin, of)).unzip()
        };
        let states = self
            .handles
            .mempool
            .send(ResourceStates(coins.iter().map(OutPoint::resource).collect()))
            .await
            .map_err(gone)?;
        let mut wallet = self.wallet.lock();
        for ((coin, reservation), state) in coins.iter().zip(reservations).zip(states) {
            if state == Some(ResourceState::Available) {
                wallet.unlock_output(coin, reservation);
            }
        }
        Ok(())
    }

    /// Builds a payment of coins that nobody reserved, and reserves them. `None`: the coins were read before another payment saw a newer
    /// block, so that what it forgot as spent would be taken for unspent.
    fn build_payment(
        &self,
        to: Address,
        amount: Amount,
        (height, coins): &(Height, Vec<Coin>),
    ) -> Result<Option<(Arc<Transaction>, InFlight)>, RpcError> {
        let mut wallet = self.wallet.lock();
        {
            let mut read_at = self.wallet.read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if *height < *read_at {
                return Ok(None);
            }
            *read_at = *height;
        }
        let unspent: BTreeSet<OutPoint> = coins.iter().map(|coin| coin.outpoint).collect();
        wallet.forget_spent(|outpoint| unspent.contains(outpoint));
        let payment = Payment { to, amount, fees: self.wallet.fees, change: None };
        let held = self.wallet.held().clone();
        let free: Vec<Coin> = coins.iter().copied().filter(|coin| !held.contains(&coin.outpoint)).collect();
        let transaction = wallet.build(&free, &payment).map_err(|error| payment_error(&error, &to))?;
        let in_flight = InFlight::new(&self.wallet, &self.clock, &transaction);
        Ok(Some((Arc::new(transaction), in_flight)))
    }

    /// Passes over all coins that transactions in the mempool spend, whoever made them.
    async fn lock_spent(&self, coins: &[Coin]) -> Result<(), RpcError> {
        let spent: BTreeSet<OutPoint> =
            self.handles.mempool.send(ListConsumed).await.map_err(gone)?.into_iter().map(OutPoint::from).collect();
        let ours = coins.iter().map(|coin| coin.outpoint).filter(|coin| spent.contains(coin));
        self.wallet.lock().lock_outputs(ours);
        Ok(())
    }

    pub(crate) async fn wallet_unspent(&self, addresses: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        let owners = if addresses.is_empty() {
            self.wallet.key_hashes()
        } else {
            addresses.iter().map(|address| address.key_hash).collect()
        };
        // The mempool first: what is final in between is found on the chain, and counted there only.
        let waiting = self.handles.mempool.send(ListEntries).await.map_err(gone)?;
        let read = move |view: &LedgerView| {
            let tip = view.tip().height;
            let mut rows = Vec::new();
            for owner in &owners {
                for (outpoint, entry) in Self::outputs_of(view, owner)? {
                    let confirmations = tip.above(entry.height) + 1;
                    let height = Some(entry.height);
                    rows.push(Unspent { outpoint, output: entry.output, height, confirmations, spent_by: None });
                }
            }
            for entry in &waiting {
                if view.location(&entry.txid).map_err(unreadable)?.is_some() {
                    continue;
                }
                let Ok(transaction) = payment_of(&entry.transaction) else { continue };
                for (outpoint, output) in transaction.outputs() {
                    let Lock::KeyHash(owner) = output.lock;
                    if owners.contains(&owner) {
                        rows.push(Unspent { outpoint, output, height: None, confirmations: 0, spent_by: None });
                    }
                }
            }
            Ok(rows)
        };
        let mut rows = self.chain.read(read).await?;
        let resources = rows.iter().map(|row| row.outpoint.resource()).collect();
        let states = self.handles.mempool.send(ResourceStates(resources)).await.map_err(gone)?;
        for (row, state) in rows.iter_mut().zip(states) {
            row.spent_by = state.and_then(spender_of);
        }
        Ok(rows)
    }
}

fn payment_error(error: &BuildError, to: &Address) -> RpcError {
    match error {
        BuildError::InsufficientFunds { shortage, .. } => {
            RpcError::InsufficientFunds { needed: shortage.needed, available: shortage.available }
        }
        BuildError::WrongNetwork { .. } => RpcError::Address { address: to.to_string(), reason: error.to_string() },
        BuildError::AmountZero | BuildError::Dust { .. } => RpcError::InvalidParameter(error.to_string()),
        BuildError::TooLarge { .. } => RpcError::Wallet(error.to_string()),
    }
}
