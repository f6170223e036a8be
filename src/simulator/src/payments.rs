//! Payments as the simulator plays them: accounts that each have at most one payment on its way.

use crate::application::{ChangeDraw, SimulatedApplication, Workload};
use crate::changes;
use crate::setting::EMPTY_BLOCK_INTERVAL;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timed_audit::Audit;
use timed_chain::{ChainGenesis, ChainWriter, History, PoolTransaction, Store};
use timed_ledger::{
    Genesis, KeyHash, LedgerQuery, Lock, OutPoint, PAYLOAD_FORMAT, Supply, Transaction, TransactionBody,
    TransactionPayload, TxInput, TxOutput, transactions_of,
};
use timed_primitives::{Amount, ChainId, Disk, Height, PayloadFormat, SecretKey, TxId, decode, encode};

/// What one payment pays, and its fee.
const PAID: Amount = Amount(10_000);
const FEE: Amount = Amount(4_000);

/// So many outputs of genesis, the last, pay for changes of who decides.
const CHANGE_COINS: u32 = 200;

/// So many keys are paid, in turn. They never pay.
const PAYEES: u64 = 16;

/// The payments of a devnet.
pub struct SimulatedPayments {
    genesis: Genesis,
    supply: Amount,
    /// Derives each block's state a second time, whichever node has it first; what it found to be wrong.
    audit: Mutex<Result<AuditedBlocks, String>>,
}

/// The blocks so far.
struct AuditedBlocks {
    audit: Audit,
    /// Their transactions that are no payments, by kind.
    changes: BTreeMap<&'static str, u64>,
}

impl SimulatedPayments {
    /// With so many validators.
    pub fn devnet(voters: u64) -> Self {
        Self::with_empty_blocks(voters, EMPTY_BLOCK_INTERVAL)
    }

    /// The same, with an empty block after this time without a payment.
    pub fn with_empty_blocks(voters: u64, interval: Duration) -> Self {
        let mut genesis = Genesis::devnet(voters);
        genesis.parameters.empty_block_interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self::of(genesis)
    }

    /// With so many outputs of genesis, so that as many payments can run side by side.
    pub fn with_coins(voters: u64, coins: usize) -> Self {
        let coins = u32::try_from(coins).unwrap_or(u32::MAX).saturating_add(CHANGE_COINS);
        Self::of(Genesis::devnet_with_coins(voters, coins))
    }

    fn of(genesis: Genesis) -> Self {
        let supply = genesis.supply().unwrap_or_default();
        let audit = Audit::new(&genesis).map(|audit| AuditedBlocks { audit, changes: BTreeMap::new() });
        let audit = Mutex::new(audit.map_err(|error| error.to_string()));
        Self { genesis, supply, audit }
    }

    /// Derives the state of all blocks that it has not seen, up to the tip.
    fn audit(&self, history: &dyn History) -> Result<(), String> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match &mut *audit {
            Err(_) => return Ok(()),
            Ok(blocks) => blocks.up_to(history),
        };
        // What follows a difference differs too: one report is enough.
        if let Err(text) = &found {
            *audit = Err(text.clone());
        }
        found
    }
}

impl AuditedBlocks {
    fn up_to(&mut self, history: &dyn History) -> Result<(), String> {
        for height in (self.audit.summary().height.0 + 1..=history.tip().height.0).map(Height) {
            let block = history.block(height).map_err(|error| error.to_string())?;
            let certificate = history.certificate(height).map_err(|error| error.to_string())?;
            let (Some(block), Some(certificate)) = (block, certificate) else { return Ok(()) };
            self.audit.apply(&block, &certificate).map_err(|error| error.to_string())?;
            for transaction in transactions_of(&block.payload) {
                if transaction.body.payload != TransactionPayload::Transfer {
                    *self.changes.entry(transaction.body.payload.name()).or_default() += 1;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl SimulatedPayments {
    /// One that believes in another sum of all money.
    pub(crate) fn with_supply(voters: u64, supply: u64) -> Self {
        Self { supply: Amount(supply), ..Self::devnet(voters) }
    }
}

fn lock(key: &SecretKey) -> Lock {
    Lock::KeyHash(KeyHash::of(&key.public()))
}

fn payee(number: u64) -> SecretKey {
    SecretKey::development("payee", number)
}

/// Where all money is at a tip.
///
/// # Errors
/// What the node says.
pub fn supply_of(history: &dyn History) -> Result<Supply, String> {
    let answer = history.query(&encode(&LedgerQuery::Supply)).map_err(|error| error.to_string())?;
    decode(&answer).map_err(|error| error.to_string())
}

/// How many of the outputs of genesis are those of accounts.
fn accounts(genesis: &Genesis) -> usize {
    genesis.coins().count().saturating_sub(usize::try_from(CHANGE_COINS).unwrap_or_default())
}

impl SimulatedApplication for SimulatedPayments {
    fn genesis(&self) -> ChainGenesis {
        self.genesis.chain()
    }

    fn payload_format(&self) -> PayloadFormat {
        PAYLOAD_FORMAT
    }

    fn empty_block_interval(&self) -> Duration {
        Duration::from_millis(self.genesis.parameters.empty_block_interval_ms)
    }

    fn open(&self, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Box<dyn ChainWriter>, String> {
        let ledger = timed_ledger::open(self.genesis.clone(), disk, store).map_err(|error| error.to_string())?;
        Ok(Box::new(ledger))
    }

    /// Of one genesis output, whole but for the fee, to the payee with this number.
    fn transaction(&self, number: usize, variant: u64) -> Option<PoolTransaction> {
        let (outpoint, output) = self.genesis.unspent().nth(number)?;
        let outputs = vec![TxOutput { amount: output.amount.minus(Amount(10_000))?, lock: lock(&payee(variant)) }];
        let inputs = vec![TxInput { previous: outpoint }];
        let body = TransactionBody::transfer(self.genesis.chain_id, inputs, outputs);
        Some(PoolTransaction::of(&body.sign(&[&SecretKey::development("wallet", 0)])))
    }

    fn workload(&self) -> Box<dyn Workload> {
        Box::new(Accounts::new(&self.genesis))
    }

    fn check(&self, history: &dyn History) -> Result<(), String> {
        let found = supply_of(history)?;
        let supply = self.supply.plus(found.issued).unwrap_or_default();
        let found = found.total().unwrap_or_default();
        if found == supply { self.audit(history) } else { Err(format!("there are {found} TIME, not {supply}")) }
    }

    fn change(&self, history: &dyn History, draw: &ChangeDraw) -> Option<PoolTransaction> {
        let answer = history.query(&encode(&LedgerQuery::Masternodes)).ok()?;
        let coins = self.genesis.coins().skip(accounts(&self.genesis));
        changes::draw(&self.genesis, &decode(&answer).ok()?, coins, draw).map(|made| PoolTransaction::of(&made))
    }

    fn changes(&self) -> BTreeMap<&'static str, u64> {
        let blocks = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(AuditedBlocks { audit, changes }) = &*blocks else { return BTreeMap::new() };
        let summary = audit.summary();
        let ends =
            [("jailing", summary.jailings), ("paid interval", summary.intervals_paid), ("warning", summary.warnings)];
        changes.clone().into_iter().chain(ends).filter(|(_, count)| *count > 0).collect()
    }

    fn questions(&self) -> u64 {
        PAYEES
    }

    /// What a payee has.
    fn question(&self, number: u64) -> Vec<u8> {
        encode(&LedgerQuery::Balance(KeyHash::of(&payee(number).public())))
    }
}

/// A coin that can pay.
#[derive(Clone, Copy)]
struct Account {
    outpoint: OutPoint,
    amount: Amount,
}

/// One account for each output of genesis.
struct Accounts {
    chain_id: ChainId,
    key: SecretKey,
    free: VecDeque<Account>,
    /// What each payment leaves to its account.
    change: BTreeMap<TxId, Account>,
    made: u64,
}

impl Accounts {
    fn new(genesis: &Genesis) -> Self {
        let account = |(outpoint, output): (OutPoint, TxOutput)| Account { outpoint, amount: output.amount };
        Self {
            chain_id: genesis.chain_id,
            key: SecretKey::development("wallet", 0),
            free: genesis.coins().map(account).take(accounts(genesis)).collect(),
            change: BTreeMap::new(),
            made: 0,
        }
    }

    fn pay(&mut self) -> Option<Transaction> {
        let account = self.free.pop_front()?;
        let change = account.amount.minus(PAID)?.minus(FEE)?;
        self.made += 1;
        let payee = TxOutput { amount: PAID, lock: lock(&payee(self.made % PAYEES)) };
        let outputs = vec![payee, TxOutput { amount: change, lock: lock(&self.key) }];
        let body = TransactionBody::transfer(self.chain_id, vec![TxInput { previous: account.outpoint }], outputs);
        let transaction = body.sign(&[&self.key]);
        let txid = transaction.id();
        self.change.insert(txid, Account { outpoint: OutPoint { txid, index: 1 }, amount: change });
        Some(transaction)
    }
}

impl Workload for Accounts {
    fn next(&mut self) -> Option<PoolTransaction> {
        Some(PoolTransaction::of(&self.pay()?))
    }

    fn on_final(&mut self, txid: &TxId) {
        self.free.extend(self.change.remove(txid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_pays_again_with_its_change() {
        let mut accounts = Accounts::new(&Genesis::devnet(4));
        let first = accounts.pay().unwrap();
        for _ in 1..800 {
            accounts.pay().unwrap();
        }
        assert!(accounts.pay().is_none(), "all accounts wait");
        accounts.on_final(&first.id());
        let second = accounts.pay().unwrap();
        assert_eq!(second.body.inputs[0].previous, OutPoint { txid: first.id(), index: 1 });
    }
}
