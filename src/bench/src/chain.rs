//! A chain of full blocks, made by the real ledger without a network: payments signed by many keys, blocks certified by the development
//! validators.

use super::usage::thread_cpu_time;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed_chain::{Assembled, Draft, History as _, PoolTransaction, Store, TransactionFault, tables_of};
use timed_ledger::{
    Genesis, KeyHash, Ledger, LedgerQueries as _, Lock, OutPoint, PaymentApplication, Transaction, TransactionBody,
    TxInput, TxOutput, transactions_of,
};
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{
    Amount, Block, ChainId, CommitCertificate, CommitSignature, Disk, Round, SecretKey, VoteKind, encode,
};
use timed_store::DataDir;

/// Validators of the network whose chain is made.
pub(super) const VALIDATORS: u64 = 4;
/// Coins made from one coin of genesis: as many as fit into one transaction of 64 KiB.
const SPLIT_INTO: usize = 1_500;
/// What one payment pays. Unit: 10⁻⁸ TIME.
const PAID: u64 = 10_000;
/// Time between two blocks.
const BLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A chain in a data folder.
pub(super) struct Made {
    pub(super) blocks: u64,
    pub(super) transactions: u64,
    pub(super) bytes: u64,
}

/// Writes a chain of so many full blocks, and the one that makes their coins, into a data folder as a node would have.
///
/// # Errors
/// When the folder cannot be written, or the ledger refuses a block.
pub(super) fn make_chain(folder: &Path, blocks: u32) -> anyhow::Result<Made> {
    let data = DataDir::open(folder, ChainMaker::genesis().hash())?;
    let mut maker = ChainMaker::start(&data.disk(), Arc::new(data.open_store(&tables_of::<PaymentApplication>())?))?;
    let (mut transactions, mut bytes) = (0, 0);
    for _ in 0..blocks {
        let made = maker.full_block()?;
        transactions += made.0 as u64;
        bytes += made.1 as u64;
    }
    let blocks = maker.height();
    maker.finish()?;
    Ok(Made { blocks, transactions, bytes })
}

/// Precommits of all of these for a block.
pub(super) fn certificate<'a>(
    chain_id: ChainId,
    keys: impl Iterator<Item = &'a SecretKey>,
    block: &Block,
) -> CommitCertificate {
    let (height, round, id) = (block.height(), Round::ZERO, block.id());
    let precommit = |key: &SecretKey| {
        let validator = key.public();
        let bytes = vote_signing_bytes(chain_id, VoteKind::Precommit, height, round, Some(id), &validator);
        CommitSignature { validator, signature: key.sign(&bytes) }
    };
    let mut signatures: Vec<_> = keys.map(precommit).collect();
    signatures.sort();
    CommitCertificate { height, round, block: id, signatures }
}

/// What a block costs a node that knows its payments.
pub(super) struct BlockCost {
    /// Processor time of validating it. Unit: seconds.
    pub(super) validate: f64,
    /// Until it is final on this node, its sync included. Unit: seconds.
    pub(super) commit: f64,
    /// Until the store holds it, its sync included. Unit: seconds.
    pub(super) store: f64,
}

/// A coin and its owner: each owner signs one payment of a block, as in a network with many users. Signatures of one key would be
/// cheaper to verify together.
struct OwnedCoin {
    outpoint: OutPoint,
    amount: Amount,
    owner: SecretKey,
}

/// Makes blocks on top of each other.
pub(super) struct ChainMaker {
    ledger: Ledger,
    chain_id: ChainId,
    validators: Vec<SecretKey>,
    coins: Vec<OwnedCoin>,
}

impl ChainMaker {
    /// The network whose chain is made.
    pub(super) fn genesis() -> Genesis {
        Genesis::devnet(VALIDATORS)
    }

    /// Starts a chain: its first block makes coins for full blocks of payments.
    ///
    /// # Errors
    /// When the ledger cannot be opened or refuses a block.
    pub(super) fn start(disk: &dyn Disk, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let genesis = Self::genesis();
        let ledger = timed_ledger::open(genesis.clone(), disk, store)?;
        let validators = (1..=VALIDATORS).map(|id| SecretKey::development("consensus", id)).collect();
        let mut maker = Self { ledger, chain_id: genesis.chain_id, validators, coins: Vec::new() };
        let payment_bytes = maker.payment(&maker.sample(&genesis)).size_bytes();
        let count = usize::try_from(genesis.parameters.block_bytes_max)? / payment_bytes;
        let rich = SecretKey::development("wallet", 0);
        let mut transactions = Vec::new();
        for (outpoint, output) in genesis.coins().take(count.div_ceil(SPLIT_INTO)) {
            let split = maker.split(outpoint, output.amount, &rich, count);
            transactions.push(Arc::new(PoolTransaction::of(&split.context("a coin of genesis is too small")?)));
        }
        maker.verify_known(&transactions);
        let block = maker.assemble(transactions)?;
        maker.commit(block)?;
        Ok(maker)
    }

    fn sample(&self, genesis: &Genesis) -> OwnedCoin {
        let outpoint = OutPoint { txid: timed_primitives::TxId(genesis.hash()), index: 0 };
        OwnedCoin { outpoint, amount: Amount::ONE, owner: SecretKey::development("benchmark", 0) }
    }

    /// Splits a coin of genesis into coins with owners of their own, until there are `count`.
    fn split(&mut self, from: OutPoint, amount: Amount, owner: &SecretKey, count: usize) -> Option<Transaction> {
        let first = self.coins.len();
        let parts = (count - first).min(SPLIT_INTO);
        let share = Amount((amount.0 / 2).checked_div(u64::try_from(parts).ok()?)?);
        let owners: Vec<_> = (first..first + parts).map(|id| SecretKey::development("benchmark", id as u64)).collect();
        let outputs: Vec<_> = owners.iter().map(|owner| locked(share, owner)).collect();
        let body = TransactionBody::transfer(self.chain_id, vec![TxInput { previous: from }], outputs);
        let transaction = body.sign(&[owner]);
        let txid = transaction.id();
        self.coins.extend((0u32..).zip(owners).map(|(index, owner)| OwnedCoin {
            outpoint: OutPoint { txid, index },
            amount: share,
            owner,
        }));
        Some(transaction)
    }

    /// Pays somebody and gives the change back.
    fn payment(&self, coin: &OwnedCoin) -> Transaction {
        // The fee is 1 for each byte; 300 bytes are more than a payment has.
        let change = Amount(coin.amount.0 - PAID - 300);
        let payee = TxOutput { amount: Amount(PAID), lock: Lock::KeyHash(KeyHash(coin.outpoint.txid.0)) };
        let body = TransactionBody::transfer(
            self.chain_id,
            vec![TxInput { previous: coin.outpoint }],
            vec![payee, locked(change, &coin.owner)],
        );
        body.sign(&[&coin.owner])
    }

    /// One payment of each coin; together they fill a block.
    pub(super) fn payments(&self) -> Vec<Arc<PoolTransaction>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.coins.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let signers: Vec<_> = self
                .coins
                .chunks(share)
                .map(|coins| {
                    scope.spawn(|| {
                        coins.iter().map(|c| Arc::new(PoolTransaction::of(&self.payment(c)))).collect::<Vec<_>>()
                    })
                })
                .collect();
            signers.into_iter().flat_map(|signer| signer.join().unwrap_or_default()).collect()
        })
    }

    /// They were signed here: nothing of them has to be checked.
    pub(super) fn verify_known(&self, transactions: &[Arc<PoolTransaction>]) {
        self.ledger.verified().insert(transactions.iter().cloned());
    }

    /// A block of what fits, on top of the tip.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn assemble(&mut self, transactions: Vec<Arc<PoolTransaction>>) -> anyhow::Result<Arc<Block>> {
        let tip = self.ledger.tip();
        let Assembled { block, left_out, .. } = self.ledger.assemble(Draft {
            time: tip.time.plus(BLOCK_INTERVAL),
            proposer: self.validators.first().context("nobody votes")?.public(),
            first_round: Round::ZERO,
            parent_certificate: tip.certificate,
            transactions,
            statements: vec![],
        })?;
        let is_room = |error: &_| matches!(error, TransactionFault::NoRoom { .. });
        if let Some((txid, error)) = left_out.iter().find(|(_, error)| !is_room(error)) {
            anyhow::bail!("payment {txid} of the benchmark does not apply: {error}");
        }
        Ok(block)
    }

    /// The precommits of all but one validator: those that decide. Each is absent in turn, so that none has to leave for it.
    pub(super) fn certify(&self, block: &Block) -> CommitCertificate {
        let absent = block.height().0 % VALIDATORS;
        let present = (0..).zip(&self.validators).filter(|(index, _)| *index != absent).map(|(_, key)| key);
        certificate(self.chain_id, present, block)
    }

    /// Takes a block over as final. The coins it spent give place to their change.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn commit(&mut self, block: Arc<Block>) -> anyhow::Result<()> {
        let spent = Self::changes_of(&block);
        self.replace_coins(&spent);
        let certificate = self.certify(&block);
        self.ledger.commit(block, certificate)?;
        Ok(())
    }

    /// The change of each payment of a block, by the coin that it spends.
    fn changes_of(block: &Block) -> BTreeMap<OutPoint, (OutPoint, Amount)> {
        let change = |payment: &Transaction| {
            let (outpoint, change) = payment.outputs().last()?;
            Some((payment.body.inputs.first()?.previous, (outpoint, change.amount)))
        };
        transactions_of(&block.payload).iter().filter_map(change).collect()
    }

    fn replace_coins(&mut self, changes: &BTreeMap<OutPoint, (OutPoint, Amount)>) {
        for coin in &mut self.coins {
            if let Some(change) = changes.get(&coin.outpoint) {
                (coin.outpoint, coin.amount) = *change;
            }
        }
    }

    /// Makes and commits one full block; gives how many payments it has and its size in bytes.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn full_block(&mut self) -> anyhow::Result<(usize, usize)> {
        let payments = self.payments();
        self.verify_known(&payments);
        let block = self.assemble(payments)?;
        let made = (transactions_of(&block.payload).len(), encode(&*block).len());
        self.commit(block)?;
        Ok(made)
    }

    /// Makes and commits one block without payments.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn empty_block(&mut self) -> anyhow::Result<()> {
        let block = self.assemble(Vec::new())?;
        self.commit(block)
    }

    /// Payments of a full block.
    pub(super) const fn payments_max(&self) -> usize {
        self.coins.len()
    }

    /// Makes one more block, of so many payments, and measures what a node does about it that knows them. Nothing waits for the store before.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn next_block_cost(&mut self, payments: usize) -> anyhow::Result<BlockCost> {
        self.ledger.flush()?;
        let mut known = self.payments();
        known.truncate(payments);
        self.verify_known(&known);
        let mut block = (*self.assemble(known)?).clone();
        // Another block than the one just made, of which all is known.
        block.header.time = block.header.time.plus(Duration::from_millis(1));
        let block = Arc::new(block);
        let start = thread_cpu_time();
        self.ledger.validate(&block)?;
        let validate = thread_cpu_time().saturating_sub(start).as_secs_f64();
        let spent = Self::changes_of(&block);
        let certificate = self.certify(&block);
        let start = Instant::now();
        self.ledger.commit(block, certificate)?;
        let commit = start.elapsed().as_secs_f64();
        self.replace_coins(&spent);
        let start = Instant::now();
        self.ledger.flush()?;
        Ok(BlockCost { validate, commit, store: start.elapsed().as_secs_f64() })
    }

    /// How many blocks, unspent outputs and bytes of the block log there are.
    pub(super) fn size(&self) -> (u64, u64, u64) {
        let reader = self.ledger.reader();
        (self.height(), reader.totals().outputs, reader.stats().log_bytes)
    }

    /// The last block and its certificate.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn certified_tip(&self) -> anyhow::Result<(Arc<Block>, CommitCertificate)> {
        let view = self.ledger.reader().view();
        let block = view.decided(view.height())?.context("the chain is empty")?.block;
        let certificate = self.certify(&block);
        Ok((block, certificate))
    }

    /// Height of the last block.
    pub(super) fn height(&self) -> u64 {
        self.ledger.tip().height.0
    }

    /// Brings the store up to date and closes the ledger.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        Ok(self.ledger.flush()?)
    }
}

fn locked(amount: Amount, owner: &SecretKey) -> TxOutput {
    TxOutput { amount, lock: Lock::KeyHash(KeyHash::of(&owner.public())) }
}
