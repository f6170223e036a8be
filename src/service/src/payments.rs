//! Payments with the coins of the node's wallet.

use crate::Service;
use crate::failures::gone;
use crate::node_wallet::NodeWallet;
use crate::pool::refusal;
use crate::wallet::collateral_of;
use crate::wallets::wallet_error;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use timed_actors::mempool::{ListConsumed, SubmitError};
use timed_chain::PoolTransaction;
use timed_ledger::{
    Address, KeyHash, LedgerView, MasternodeError, OutPoint, OutputEntry, Transaction, TransactionPayload,
};
use timed_mempool::{Reject, ResourceState};
use timed_primitives::{Clock, Height, TxId};
use timed_rpc::{ChainApi as _, Funding, PaymentOrder, RpcError, WalletFault};
use timed_wallet::{BuildError, Coin, KeyState, Payment, Reservation};

/// Other nodes spend with the same development key; a payment whose coin is taken tries this often with others.
const TRIES: usize = 5;
/// How long the coins of a payment stay reserved whose asker went away before the mempool answered.
const RESERVED_FOR: Duration = Duration::from_secs(30);

/// A payment is built where it is asked for up to so many coins; a choice among more takes milliseconds, and is made beside the thread that serves.
const COINS_IN_PLACE: usize = 2_000;

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

impl Service {
    /// Pays, with other coins when others spend those that were chosen.
    pub(crate) async fn make_payment(&self, order: PaymentOrder) -> Result<TxId, RpcError> {
        if self.wallet.lock().key_state() == KeyState::Locked {
            return Err(WalletFault::Locked.into());
        }
        let payment = Arc::new(self.payment(order, Vec::new(), None));
        let mut last = None;
        for _ in 0..TRIES {
            self.release_coins().await?;
            let mut coins = Arc::new(self.coins().await?);
            let (transaction, in_flight) = loop {
                match self.built(&payment, &coins).await? {
                    Some(built) => break built,
                    // Heights only grow, so this ends as soon as no block comes in between.
                    None => coins = Arc::new(self.coins().await?),
                }
            };
            // So that no later payment has the same address for its change.
            if let Err(error) = self.wallet.keep_change().await {
                self.wallet.lock().unlock(&transaction);
                in_flight.end();
                return Err(wallet_error(error));
            }
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

    /// Final outputs of the wallet's keys that are no collateral, and at which height.
    async fn coins(&self) -> Result<KnownCoins, RpcError> {
        let keys = self.wallet.key_hashes();
        let read = move |view: &LedgerView| {
            let mut coins = Vec::new();
            for key_hash in keys {
                let found = Self::outputs_of(view, &key_hash)?.into_iter();
                let is_coin = |outpoint: &OutPoint, entry: &OutputEntry| {
                    entry.output.lock.key_hash().is_some() && collateral_of(view, outpoint).is_none()
                };
                for (outpoint, entry) in found.filter(|(outpoint, entry)| is_coin(outpoint, entry)) {
                    coins.push(Coin { outpoint, amount: entry.output.amount, key_hash });
                }
            }
            Ok((view.tip().height, coins))
        };
        let (height, coins): KnownCoins = self.chain.read(read).await?;
        self.note_used(coins.iter().map(|coin| coin.key_hash)).await?;
        Ok((height, coins))
    }

    /// The wallet's next addresses come after those that have coins.
    pub(crate) async fn note_used(&self, owners: impl Iterator<Item = KeyHash>) -> Result<(), RpcError> {
        // Outputs come by owner, and there may be many of one.
        let mut owners: Vec<KeyHash> = owners.collect();
        owners.dedup();
        self.wallet.saw(&owners.into_iter().collect()).await.map_err(wallet_error)
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
        let states = self.resource_states(coins.iter().copied()).await?;
        let mut wallet = self.wallet.lock();
        for ((coin, reservation), state) in coins.iter().zip(reservations).zip(states) {
            if state == Some(ResourceState::Available) {
                wallet.unlock_output(coin, reservation);
            }
        }
        Ok(())
    }

    /// As [`build_payment`], beside the thread that serves when there is much to choose from.
    async fn built(&self, payment: &Arc<Payment>, coins: &Arc<KnownCoins>) -> Result<Option<Built>, RpcError> {
        if coins.1.len() <= COINS_IN_PLACE {
            return build_payment(&self.wallet, &self.clock, payment, coins);
        }
        let (wallet, clock, payment, coins) = (self.wallet.clone(), self.clock.clone(), payment.clone(), coins.clone());
        let built = tokio::task::spawn_blocking(move || build_payment(&wallet, &clock, &payment, &coins)).await;
        built.unwrap_or_else(|fault| Err(RpcError::Internal(format!("a payment ended by a fault of its own: {fault}"))))
    }

    fn payment(&self, order: PaymentOrder, given: Vec<Coin>, change: Option<Address>) -> Payment {
        let PaymentOrder { outputs, fee_from, payload, .. } = order;
        Payment { outputs, fee_from, given, fees: self.wallet.fees(), change, payload }
    }

    /// A transaction that spends these outputs and as many coins as it takes; nothing is reserved.
    pub(crate) async fn find_funds(
        &self,
        order: PaymentOrder,
        inputs: Vec<OutPoint>,
        change: Option<Address>,
    ) -> Result<Funding, RpcError> {
        let mut given = Vec::with_capacity(inputs.len());
        for outpoint in inputs {
            let unspent = self.output(outpoint, true).await?.ok_or(RpcError::MissingInput(outpoint))?;
            let is_released = matches!(order.payload, TransactionPayload::Release { .. });
            if let Some(registration) = unspent.collateral.filter(|_| !is_released) {
                let locked = MasternodeError::CollateralLocked { outpoint, registration };
                return Err(RpcError::Rejected(locked.to_string()));
            }
            let lock = unspent.output.lock;
            let more =
                || RpcError::Wallet(format!("{outpoint} is locked by {lock}: this wallet signs for one key only"));
            let key_hash = lock.key_hash().ok_or_else(more)?;
            given.push(Coin { outpoint, amount: unspent.output.amount, key_hash });
        }
        self.release_coins().await?;
        let (_, coins) = self.coins().await?;
        // What others spend with the same keys is no coin either.
        self.lock_spent(&coins).await?;
        let coins = if order.only_named { Vec::new() } else { not_held(&self.wallet, &coins) };
        let payment = self.payment(order, given, change);
        let funded = self.wallet.lock().fund(&coins, &payment);
        let funded = funded.map_err(|error| payment_error(&error))?;
        let change_at = funded.has_change.then_some(payment.outputs.len());
        Ok(Funding { body: funded.body, fee: funded.fee, change_at })
    }

    /// Passes over all coins that transactions in the mempool spend, whoever made them.
    async fn lock_spent(&self, coins: &[Coin]) -> Result<(), RpcError> {
        let spent: BTreeSet<OutPoint> =
            self.handles.mempool.send(ListConsumed).await.map_err(gone)?.into_iter().map(OutPoint::from).collect();
        let ours = coins.iter().map(|coin| coin.outpoint).filter(|coin| spent.contains(coin));
        self.wallet.lock().lock_outputs(ours);
        Ok(())
    }
}

/// Final outputs of the wallet's keys, and at which height.
type KnownCoins = (Height, Vec<Coin>);
/// A payment, and its coins.
type Built = (Arc<Transaction>, InFlight);

/// Builds a payment of coins that nobody reserved, and reserves them. `None`: the coins were read before another payment saw a newer
/// block, so that what it forgot as spent would be taken for unspent.
fn build_payment(
    node_wallet: &Arc<NodeWallet>,
    clock: &Arc<dyn Clock>,
    payment: &Payment,
    (height, coins): &KnownCoins,
) -> Result<Option<Built>, RpcError> {
    let unspent: BTreeSet<OutPoint> = coins.iter().map(|coin| coin.outpoint).collect();
    let mut wallet = node_wallet.lock();
    {
        let mut read_at = node_wallet.read_at();
        if *height < *read_at {
            return Ok(None);
        }
        *read_at = *height;
    }
    wallet.forget_spent(|outpoint| unspent.contains(outpoint));
    let transaction = wallet.build(&not_held(node_wallet, coins), payment).map_err(|error| payment_error(&error))?;
    let in_flight = InFlight::new(node_wallet, clock, &transaction);
    Ok(Some((Arc::new(transaction), in_flight)))
}

/// Without those that the operator holds back.
fn not_held(wallet: &NodeWallet, coins: &[Coin]) -> Vec<Coin> {
    let held = wallet.held();
    coins.iter().copied().filter(|coin| !held.contains(&coin.outpoint)).collect()
}

fn payment_error(error: &BuildError) -> RpcError {
    match error {
        BuildError::InsufficientFunds { shortage, .. } => {
            RpcError::InsufficientFunds { needed: shortage.needed, available: shortage.available }
        }
        BuildError::WrongNetwork { address, .. } => {
            RpcError::Address { address: address.to_string(), reason: error.to_string() }
        }
        BuildError::AmountZero | BuildError::Dust { .. } | BuildError::Nobody | BuildError::FeeTooLarge { .. } => {
            RpcError::InvalidParameter(error.to_string())
        }
        BuildError::Wallet(error) => wallet_error((*error).into()),
        BuildError::TooLarge { .. } => RpcError::Wallet(error.to_string()),
    }
}
