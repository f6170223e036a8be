//! One block after the other.

use crate::draw::{AuditedDraw, draw};
use crate::error::{AuditError, AuditFault, BrokenRule, Commitment, StateParts};
use crate::header::{AuditedTip, check_hash};
use crate::money::sum;
use crate::participation::{AuditedInterval, Participation};
use crate::payment::{AuditedPayment, outpoints};
use crate::place::AuditedBlock;
use crate::power::Voters;
use crate::state::State;
use crate::summary::Summary;
use crate::transactions::is_statement;
use std::sync::Arc;
use timed_chain::transactions;
use timed_ledger::{Genesis, RegistrationId, Transaction};
use timed_primitives::{
    Amount, Block, BlockId, CommitCertificate, Domain, Hash, Header, Height, UnixTime, encode, merkle,
};

/// What the rules make of the blocks so far. All of it is in memory.
#[derive(Clone, Debug)]
pub struct Audit {
    genesis: Arc<Genesis>,
    genesis_hash: Hash,
    tip: AuditedTip,
    transactions: u64,
    pub(crate) state: State,
    /// Root over the outputs at the last height that a header refers to.
    boundary_root: Hash,
    warnings: u64,
    jailings: u64,
    intervals_paid: u64,
}

impl Audit {
    /// Before the first block.
    ///
    /// # Errors
    /// [`AuditError`] at height 0, when the genesis makes no chain.
    pub fn new(genesis: &Genesis) -> Result<Self, AuditError> {
        let at = |fault| AuditError { height: Height::GENESIS, fault };
        let state = State::of(genesis).map_err(at)?;
        let voters = Voters::of(&state.masternodes.list);
        if voters.len() == 0 {
            return Err(at(AuditFault::NoVoters));
        }
        Ok(Self {
            genesis: Arc::new(genesis.clone()),
            genesis_hash: genesis.hash(),
            tip: AuditedTip {
                chain: genesis.chain_id,
                parameters_hash: Hash::of(Domain::Parameters, &encode(&genesis.parameters)),
                height: Height::GENESIS,
                id: BlockId::default(),
                time: genesis.time,
                voters: [voters.clone(), voters.clone(), voters],
            },
            transactions: 0,
            boundary_root: state.money.output_root(),
            state,
            warnings: 0,
            jailings: 0,
            intervals_paid: 0,
        })
    }

    /// Audits the next block, which its certificate makes final.
    ///
    /// # Errors
    /// [`AuditError`]: the first difference. What is audited afterwards means nothing.
    pub fn apply(&mut self, block: &Block, certificate: &CommitCertificate) -> Result<(), AuditError> {
        self.try_apply(block, certificate).map_err(|fault| AuditError { height: block.header.height, fault })
    }

    fn try_apply(&mut self, block: &Block, certificate: &CommitCertificate) -> Result<(), AuditFault> {
        let header = &block.header;
        self.tip.check_header(header)?;
        self.tip.check_parent_certificate(block)?;
        self.tip.check_own_certificate(block, certificate)?;
        let transactions: Vec<Transaction> = transactions(&block.payload).map_err(|_| AuditFault::Payload)?;
        check_roots(header, &transactions)?;
        self.begin(header.time, block.parent_certificate.as_ref());
        let [_, _, next_voters] = self.tip.voters.clone();
        let genesis = Arc::clone(&self.genesis);
        let place = AuditedBlock {
            chain: genesis.chain_id,
            parameters: &genesis.parameters,
            height: header.height,
            time: header.time,
            next_voters: &next_voters,
        };
        for (index, transaction) in transactions.iter().enumerate() {
            let txid = transaction.id();
            let applied = self.state.transaction(place, txid, transaction, encode(transaction).len());
            applied.map_err(|fault| AuditFault::Transaction { index, txid, fault: Box::new(fault) })?;
            self.transactions += 1;
        }
        self.finish(place, block.id())?;
        self.check_state(header)
    }

    /// What comes before the transactions of a block: who signed the height before, or the first interval.
    fn begin(&mut self, time: UnixTime, parent_certificate: Option<&CommitCertificate>) {
        let [parents, ..] = &self.tip.voters;
        match parent_certificate {
            Some(certificate) => self.state.participation.record(certificate, parents),
            None => self.state.participation.open_first(time),
        }
    }

    /// What comes after them: payments, exits, voters, the draw.
    fn finish(&mut self, place: AuditedBlock<'_>, id: BlockId) -> Result<(), AuditFault> {
        let Self { state, tip, .. } = self;
        let State { money, masternodes, participation, .. } = state;
        let is_over = participation.is_over(place);
        let [_, own, next] = tip.voters.clone();
        let mut payment = None;
        if is_over {
            let voters = u32::try_from(own.len()).unwrap_or(u32::MAX);
            payment = participation.close(place, voters, masternodes, money)?;
        }
        let is_paid = payment.is_some();
        let AuditedPayment { outputs, missing, warnings } = payment.unwrap_or_default();
        let (gone, jailed) = masternodes.end_block(place, &missing);
        participation.accounts.retain(|id, _| !gone.contains(id));
        let second = Voters::of(&masternodes.list);
        if second.len() == 0 {
            return Err(AuditFault::NoVoters);
        }
        if is_over || place.height == Height::FIRST {
            participation.open.drawn = draw(tip.id, &masternodes.list, &second);
        }
        for (outpoint, output) in outpoints(self.genesis_hash, place.height).zip(outputs) {
            money.make(outpoint, output, place.height);
        }
        money.check_sum()?;
        tip.voters = [own, next, second];
        (tip.height, tip.id, tip.time) = (place.height, id, place.time);
        self.warnings += warnings;
        self.jailings += jailed;
        self.intervals_paid += u64::from(is_paid);
        Ok(())
    }

    /// What the header says of the state after the block, and of that of an earlier one.
    fn check_state(&mut self, header: &Header) -> Result<(), AuditFault> {
        let masternode_root = self.state.masternodes.root();
        check_hash(Commitment::Masternodes, header.masternode_root, masternode_root)?;
        let every = self.genesis.parameters.output_root_interval;
        let is_boundary = header.height.0.checked_rem(every) == Some(0);
        check_hash(Commitment::Outputs, header.output_root, if is_boundary { self.boundary_root } else { Hash::ZERO })?;
        let accounts_root = self.accounts_root();
        let output_hash = self.state.money.hash_bytes();
        let mut hasher = Domain::StateCommitment.hasher();
        hasher.update(&output_hash);
        hasher.update(&masternode_root.0);
        hasher.update(&accounts_root.0);
        hasher.update(&header.height.0.to_be_bytes());
        let audit = Hash(hasher.finalize().into());
        if header.state_commitment != audit {
            let money = &self.state.money;
            let parts = StateParts {
                outputs: money.outputs(),
                unspent: money.unspent()?,
                output_hash: Hash::of(Domain::UtxoElement, &output_hash),
                accounts_root,
                fees: money.fees,
                treasury: money.treasury,
                issued: money.issued,
            };
            return Err(AuditFault::State { block: header.state_commitment, audit, parts: Box::new(parts) });
        }
        if is_boundary {
            self.boundary_root = self.state.money.output_root();
        }
        Ok(())
    }

    /// Over all that is in no output and in no entry of the list.
    fn accounts_root(&self) -> Hash {
        let State { money, masternodes, participation, .. } = &self.state;
        let accounts =
            (money.treasury, money.issued, money.fees, &self.tip.voters, participation, &masternodes.penalties);
        Hash::of(Domain::Accounts, &encode(&accounts))
    }

    /// What would become of these transactions in the next block, one after the other, when those are left out that the rules do not allow: the
    /// fee of each, or the rule. Nothing changes.
    pub fn outcomes(
        &self,
        time: UnixTime,
        parent_certificate: Option<&CommitCertificate>,
        candidates: &[Transaction],
    ) -> Vec<Result<Amount, BrokenRule>> {
        let mut ahead = self.clone();
        ahead.begin(time, parent_certificate);
        let [_, _, next_voters] = &self.tip.voters;
        let (chain, parameters, height) = (self.genesis.chain_id, &self.genesis.parameters, self.tip.height.next());
        let place = AuditedBlock { chain, parameters, height, time, next_voters };
        let mut state = ahead.state;
        let outcome = |one: &Transaction| {
            let mut changed = state.clone();
            let fee = changed.transaction(place, one.id(), one, encode(one).len())?;
            state = changed;
            Ok(fee)
        };
        candidates.iter().map(outcome).collect()
    }

    /// Who may state now that a free masternode was reached, and has not: the number of the interval, the free one, the witness.
    pub fn asked(&self) -> Vec<(u64, RegistrationId, RegistrationId)> {
        let Participation { open, waiting, .. } = &self.state.participation;
        let of_drawn = |number, drawn: &AuditedDraw| {
            let free = drawn.free;
            let silent = drawn.witnesses.iter().filter(|witness| !witness.has_stated);
            silent.map(|witness| (number, free, witness.registration)).collect::<Vec<_>>()
        };
        let of_interval =
            |one: &AuditedInterval| one.drawn.iter().flat_map(|drawn| of_drawn(one.number, drawn)).collect::<Vec<_>>();
        [Some(open), waiting.as_ref()].into_iter().flatten().flat_map(of_interval).collect()
    }

    /// Where it stands.
    pub fn summary(&self) -> Summary {
        let State { money, masternodes, double_signs, penalties_paid, .. } = &self.state;
        let due = masternodes.list.values().map(|one| one.penalty);
        Summary {
            height: self.tip.height,
            time: self.tip.time,
            transactions: self.transactions,
            outputs: money.outputs(),
            unspent: money.unspent().unwrap_or_default(),
            fees: money.fees,
            treasury: money.treasury,
            issued: money.issued,
            masternodes: masternodes.by_status(),
            double_signs: *double_signs,
            warnings: self.warnings,
            jailings: self.jailings,
            penalties_due: sum(due).unwrap_or_default(),
            penalties_paid: *penalties_paid,
            intervals_paid: self.intervals_paid,
        }
    }
}

/// The roots over the body.
fn check_roots(header: &Header, transactions: &[Transaction]) -> Result<(), AuditFault> {
    let full_id = |one: &Transaction| Hash::of(Domain::TransactionFullId, &encode(one));
    let all: Vec<Hash> = transactions.iter().map(full_id).collect();
    let statements = transactions.iter().filter(|one| is_statement(&one.body.payload));
    let statements: Vec<Hash> = statements.map(full_id).collect();
    check_hash(Commitment::Transactions, header.tx_root, merkle::root(&all))?;
    check_hash(Commitment::Evidence, header.evidence_root, merkle::root(&statements))
}
