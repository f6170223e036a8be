//! A chain of full blocks, made by the real ledger without a network: payments signed by many keys, blocks certified by the development
//! validators.

use anyhow::Context as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{Assembled, Draft, PoolTransaction, Store, TransactionFault, tables_of};
use timed_ledger::{
    Genesis, KeyHash, Ledger, Lock, OutPoint, PaymentApplication, Transaction, TransactionBody, TxInput, TxOutput,
    transactions_of,
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

    /// The precommits of all but one validator: those that decide.
    pub(super) fn certify(&self, block: &Block) -> CommitCertificate {
        certificate(self.chain_id, self.validators.iter().skip(1), block)
    }

    /// Takes a block over as final. The coins it spent give place to their change.
    ///
    /// # Errors
    /// When the ledger refuses.
    pub(super) fn commit(&mut self, block: Arc<Block>) -> anyhow::Result<()> {
        let transactions = transactions_of(&block.payload);
        let spent: std::collections::BTreeMap<_, _> =
            transactions.iter().filter_map(|t| Some((t.body.inputs.first()?.previous, t))).collect();
        for coin in &mut self.coins {
            if let Some(transaction) = spent.get(&coin.outpoint)
                && let Some((outpoint, change)) = transaction.outputs().last()
            {
                (coin.outpoint, coin.amount) = (outpoint, change.amount);
            }
        }
        let certificate = self.certify(&block);
        self.ledger.commit(block, certificate)?;
        Ok(())
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
