//! A chain of the ledger, its audit beside it, and who does what.

use super::dice::Dice;
use super::genesis::{genesis, key};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use timed_audit::Audit;
use timed_chain::{Draft, History as _, PoolTransaction, TransactionFault};
use timed_ledger::{
    Genesis, Ledger, LedgerQueries as _, MasternodeList, OutPoint, RegistrationId, Transaction,
    TransactionPayload as P, TxOutput,
};
use timed_primitives::{
    Block, BlockId, CommitCertificate, CommitSignature, Height, MemoryDisk, PublicKey, Round, SecretKey, Signature,
    TxId, UnixTime, Validator,
};
use timed_test_support::MemoryStore;

/// Keys of operators and owners that there are.
pub(crate) const KEYS: u64 = 60;

/// All keys that there are, by what they are for, and their secrets.
pub(crate) static KEY_RING: LazyLock<BTreeMap<PublicKey, SecretKey>> = LazyLock::new(|| {
    let pairs = ["operator", "owner"].into_iter().flat_map(|purpose| (0..170).map(move |id| key(purpose, id)));
    pairs.map(|key| (key.public(), key)).collect()
});

/// What is tried most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Theme {
    /// Everything.
    All,
    /// Other keys, again and again, for two masternodes.
    Keys,
    /// More masternodes than have a place.
    Crowd,
    /// Double signs, again and again.
    Blame,
}

/// What a history is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) theme: Theme,
    pub(crate) blocks: u64,
    /// So many things are tried in a block, at most.
    pub(crate) tries: u64,
    /// One in so many precommits is missing where it can be.
    pub(crate) missing: u64,
}

impl Shape {
    /// Most are short and full, some are long, so that assessments come.
    pub(crate) fn of(seed: u64) -> Self {
        match seed % 16 {
            0 | 4 | 8 => Self { theme: Theme::All, blocks: 460, tries: 1, missing: 2 },
            1 => Self { theme: Theme::Keys, blocks: 60, tries: 4, missing: 2 },
            2 => Self { theme: Theme::Crowd, blocks: 24, tries: 6, missing: 9 },
            3 | 7 => Self { theme: Theme::Blame, blocks: 40, tries: 3, missing: 3 },
            _ => Self { theme: Theme::All, blocks: 20 + seed % 60, tries: 4, missing: 2 + seed % 5 },
        }
    }
}

/// What was decided at a height.
pub(crate) struct Decided {
    pub(crate) id: BlockId,
    /// Round of the certificate in the next block.
    pub(crate) round: Round,
    pub(crate) voters: Vec<PublicKey>,
    /// Whose precommits the chain has, as far as the driver knows.
    pub(crate) signed: Vec<PublicKey>,
}

pub(crate) struct Player {
    pub(crate) dice: Dice,
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    pub(crate) genesis: Genesis,
    pub(crate) ledger: Ledger,
    pub(crate) audit: Audit,
    pub(crate) decided: Vec<Decided>,
    /// Every operator key that a masternode ever had.
    pub(crate) operators: Vec<(RegistrationId, PublicKey)>,
    /// Of wallet 0, not spent and no collateral.
    pub(crate) coins: Vec<(OutPoint, TxOutput)>,
    pub(crate) blocks: Vec<(Arc<Block>, CommitCertificate)>,
    /// The last change that was made, whether a block took it or not.
    pub(crate) last_change: Option<(RegistrationId, TxId)>,
    pub(crate) accepted: BTreeMap<String, u64>,
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Player {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let mut dice = Dice::new(seed);
        let genesis = genesis(&mut dice, shape.theme);
        let ledger = timed_ledger::open(genesis.clone(), &MemoryDisk::default(), Arc::new(MemoryStore::default()));
        Self {
            dice,
            seed,
            shape,
            audit: Audit::new(&genesis).unwrap(),
            genesis,
            ledger: ledger.unwrap(),
            decided: Vec::new(),
            operators: Vec::new(),
            coins: Vec::new(),
            blocks: Vec::new(),
            last_change: None,
            accepted: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    pub(crate) fn play(&mut self) {
        while self.ledger.tip().height.0 < self.shape.blocks {
            self.step();
        }
    }

    pub(crate) fn list(&self) -> MasternodeList {
        (**self.ledger.reader().view().state().masternodes()).clone()
    }

    pub(crate) fn voters(&self, height: Height) -> Vec<Validator> {
        self.ledger.reader().validators(height).as_slice().to_vec()
    }

    /// The next block, of what the dice say.
    fn step(&mut self) {
        self.look();
        let mut candidates: Vec<Transaction> = Vec::new();
        for _ in 0..self.dice.below(self.shape.tries + 1) {
            // The pool takes nothing twice.
            let new = self.attempt().filter(|new| candidates.iter().all(|one| one.id() != new.id()));
            candidates.extend(new);
        }
        let interval = self.genesis.parameters.reward_interval_ms;
        let often = if self.shape.theme == Theme::Keys { 60 } else { 12 };
        let pause = match self.dice.below(often) {
            0 => 1,
            1 => interval,
            2 => interval * 3,
            3 => self.genesis.parameters.unbonding_ms,
            _ => 1 + self.dice.below(2_000),
        };
        self.block(candidates, pause);
    }

    /// A block of these candidates, so many ms after the last.
    pub(crate) fn block(&mut self, candidates: Vec<Transaction>, pause: u64) {
        let tip = self.ledger.tip();
        let (height, time) = (tip.height.next(), UnixTime(tip.time.0 + pause));
        // Now and then the block carries other precommits than its proposer's certificate has.
        let parent_certificate = match tip.certificate {
            Some(certificate) if self.dice.one_in(3) => {
                let (height, id, round) = (certificate.height, certificate.block, certificate.round);
                let voters = self.voters(height);
                Some(self.certify(height, id, round, &voters))
            }
            other => other,
        };
        if let (Some(certificate), Some(before)) = (&parent_certificate, self.decided.last_mut()) {
            before.round = certificate.round;
            before.signed = certificate.signatures.iter().map(|one| one.validator).collect();
        }
        let voters = self.voters(height);
        let proposer = self.dice.pick(&voters).unwrap().key;
        let transactions = candidates.iter().map(|one| Arc::new(PoolTransaction::of(one))).collect();
        let draft = Draft {
            time,
            proposer,
            first_round: Round(0),
            parent_certificate: parent_certificate.clone(),
            transactions,
            statements: Vec::new(),
        };
        let outcomes = self.audit.outcomes(time, parent_certificate.as_ref(), &candidates);
        let Ok(assembled) = self.ledger.assemble(draft) else { panic!("seed {}: no block at {height}", self.seed) };
        let mut left_out = assembled.left_out.into_iter().peekable();
        for (candidate, outcome) in candidates.iter().zip(outcomes) {
            let refused = left_out.next_if(|(txid, _)| *txid == candidate.id()).map(|(_, reason)| reason);
            self.compare(height, candidate, refused, outcome.map(drop));
        }
        let block = assembled.block;
        let round = Round(u32::from(self.dice.one_in(5)));
        let certificate = self.certify(height, block.id(), round, &voters);
        let voters = voters.iter().map(|voter| voter.key).collect();
        self.decided.push(Decided { id: block.id(), round, voters, signed: Vec::new() });
        self.ledger.commit(block.clone(), certificate.clone()).unwrap();
        if let Err(error) = self.audit.apply(&block, &certificate) {
            panic!("seed {}: {error}\n{}", self.seed, self.differences(&candidates));
        }
        self.blocks.push((block, certificate));
    }

    /// What the ledger has and the audit has not, by the texts of both, for whoever looks for the reason.
    fn differences(&self, candidates: &[Transaction]) -> String {
        let (view, audit) = (self.ledger.reader().view(), format!("{:?}", self.audit));
        let mut texts: Vec<String> = candidates.iter().map(|one| format!("tried {:?}", one.body.payload)).collect();
        let list = self.list();
        texts.extend(list.iter().map(|one| format!("{one:?}")).filter(|text| !audit.contains(&text[..])));
        texts.push(format!("{:?}\n{:?}\n{:?}", list.penalties(), view.supply(), view.state().rewards()));
        texts.push(format!("audit: {audit}"));
        texts.join("\n")
    }

    fn compare(
        &mut self,
        height: Height,
        candidate: &Transaction,
        ledger: Option<TransactionFault>,
        audit: Result<(), timed_audit::BrokenRule>,
    ) {
        let name = candidate.body.payload.name();
        if ledger.is_none() != audit.is_ok() {
            panic!("seed {}, height {height}: {candidate:#?}\nledger: {ledger:?}\naudit: {audit:?}", self.seed);
        }
        if let (None, P::LatePrecommits(late)) = (&ledger, &candidate.body.payload) {
            let position = usize::try_from(late.height.0 - 1).unwrap();
            self.decided[position].signed.extend(late.signatures.iter().map(|one| one.validator));
        }
        let (counts, name) = match audit {
            Ok(()) => (&mut self.accepted, name.to_owned()),
            // The name of the rule alone.
            Err(fault) => (&mut self.refused, format!("{name}: {fault:?}")),
        };
        let short = name.split(['(', '{']).next().unwrap_or_default();
        *counts.entry(short.trim_end().to_owned()).or_default() += 1;
    }

    /// More than two thirds of the power, and some of the others.
    fn certify(&mut self, height: Height, block: BlockId, round: Round, voters: &[Validator]) -> CommitCertificate {
        let total: u64 = voters.iter().map(|voter| voter.power).sum();
        let mut order = voters.to_vec();
        // Low keys are lazy: the same masternodes miss again and again.
        order.sort_by_key(|voter| voter.key);
        if self.dice.one_in(4) {
            self.dice.shuffle(&mut order);
        }
        let mut signed = total;
        let mut keys = Vec::new();
        for voter in order {
            if 3 * (signed - voter.power) > 2 * total && self.dice.one_in(self.shape.missing) {
                signed -= voter.power;
            } else {
                keys.push(voter.key);
            }
        }
        keys.sort();
        // Nobody checks these here, and each would take its time.
        let of = |validator| CommitSignature { validator, signature: Signature([0; 64]) };
        CommitCertificate { height, round, block, signatures: keys.into_iter().map(of).collect() }
    }
}
