//! What masternodes cost: the size of their proofs, and the processor time of each payload, of a root over the list and of the powers of the voters, by
//! the length of the list. Everything runs on one thread and is measured in that thread's processor time.

use super::report::{self, median, rounded};
use super::reward_blocks::{self, BlockFigures};
use super::usage::thread_cpu_time;
use clap::Args;
use serde_json::{Value, json};
use timed_ledger::{
    Genesis, KeyHash, LIST_ENTRY_BYTES, Lock, LockOwner, Masternode, MasternodeList, MasternodeProof, MasternodeStatus,
    OutPoint, Parameters, Payouts, RegisterPayload, RegistrationId, RuleContext, Tier, Transaction, TransactionBody,
    TransactionPayload, TxInput, TxOutput,
};
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{
    Amount, BlockId, DoubleSign, Hash, Height, Network, Round, SecretKey, TxId, UnixTime, Vote, VoteKind, encode,
};

/// Lengths of the list.
const COUNTS: [u64; 4] = [4, 21, 100, 150];

/// Flags of `timed-bench masternodes`.
#[derive(Clone, Debug, Args)]
pub(super) struct MasternodesArgs {
    /// How often each thing is measured; the median is shown.
    #[arg(long, default_value_t = 101, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    repetitions: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &MasternodesArgs) -> anyhow::Result<()> {
    let figures: Vec<_> =
        COUNTS.iter().map(|count| ListFigures::of(*count, arguments.repetitions)).collect::<anyhow::Result<_>>()?;
    if arguments.json {
        report::print_json(&json!({
            "benchmark": "masternodes",
            "setting": report::setting(),
            "repetitions": arguments.repetitions,
            "entry_bytes": LIST_ENTRY_BYTES,
            "lists": figures.iter().map(ListFigures::as_json).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    for one in &figures {
        let mut rows = vec![
            ("masternodes", one.count.to_string(), ""),
            ("proof of an entry", one.proof_bytes.to_string(), "bytes"),
            ("root over the list", one.root_us.to_string(), "µs"),
            ("powers of the voters", one.voters_us.to_string(), "µs"),
            ("an empty block, all signed", one.blocks.block_bytes.to_string(), "bytes"),
            ("an empty block", one.blocks.ordinary_us.to_string(), "µs"),
            ("an empty block that pays all", one.blocks.paying_us.to_string(), "µs"),
        ];
        let payload =
            |(name, _, us): &(&'static str, usize, f64)| (*name, us.to_string(), "µs, checked and carried out");
        rows.extend(one.payloads.iter().map(payload));
        report::print_rows(&rows);
    }
    Ok(())
}

/// What a list of one length costs.
struct ListFigures {
    count: u64,
    proof_bytes: usize,
    root_us: f64,
    voters_us: f64,
    blocks: BlockFigures,
    /// Name, size of the whole transaction, processor time.
    payloads: Vec<(&'static str, usize, f64)>,
}

impl ListFigures {
    fn of(count: u64, repetitions: u16) -> anyhow::Result<Self> {
        let mut list = MasternodeList::new(Genesis::devnet(count).masternodes());
        let ids: Vec<_> = list.iter().map(|one| one.id).collect();
        let proofs = ids.iter().filter_map(|id| MasternodeProof::of(&list, id));
        let proof_bytes = proofs.map(|proof| encode(&proof).len()).max().unwrap_or_default();
        let root_us = microseconds(repetitions, || list.seal());
        let voters_us = microseconds(repetitions, || drop(std::hint::black_box(list.seats())));
        let mut payloads = Vec::new();
        for (base, transaction) in samples(count) {
            let parameters = Parameters::of(Network::Devnet);
            let (seats, time) = (base.seats()?, UnixTime(1 << 50));
            let rules = RuleContext { parameters: &parameters, height: Height(9), time, seats: &seats };
            let (id, bytes) = (transaction.id(), transaction.size_bytes());
            base.plan(id, &transaction, rules)?;
            let mut lists: Vec<_> = (0..repetitions).map(|_| base.clone()).collect();
            let us = microseconds(repetitions, || {
                if let (Some(mut list), Ok(change)) = (lists.pop(), base.plan(id, &transaction, rules)) {
                    list.carry_out(change, rules);
                    std::hint::black_box(list);
                }
            });
            payloads.push((transaction.body.payload.name(), bytes, us));
        }
        let blocks = reward_blocks::measure(count)?;
        Ok(Self { count, proof_bytes, root_us, voters_us, blocks, payloads })
    }

    fn as_json(&self) -> Value {
        let payload = |(name, bytes, us): &(&str, usize, f64)| json!({ "payload": name, "transaction_bytes": bytes, "check_and_apply_us": us });
        json!({
            "masternodes": self.count,
            "proof_bytes": self.proof_bytes,
            "root_us": self.root_us,
            "voters_us": self.voters_us,
            "empty_block_bytes": self.blocks.block_bytes,
            "empty_block_us": self.blocks.ordinary_us,
            "paying_block_us": self.blocks.paying_us,
            "payloads": self.payloads.iter().map(payload).collect::<Vec<_>>(),
        })
    }
}

/// The median processor time.
fn microseconds(repetitions: u16, mut work: impl FnMut()) -> f64 {
    let once = |_| {
        let before = thread_cpu_time();
        work();
        1e6 * (thread_cpu_time() - before).as_secs_f64()
    };
    rounded(median((0..repetitions).map(once).collect()), 2)
}

/// A transaction with each payload, and a list on which it is allowed.
fn samples(count: u64) -> Vec<(MasternodeList, Transaction)> {
    let genesis = Genesis::devnet(count.max(5));
    let all: Vec<Masternode> =
        genesis.masternodes().take(usize::try_from(count.max(5)).unwrap_or(usize::MAX)).collect();
    let list = MasternodeList::new(all.clone());
    let with = |status: MasternodeStatus| {
        let mut changed = all.clone();
        changed[0].status = status;
        MasternodeList::new(changed)
    };
    let (one, key) = (&all[0], |purpose: &str, id: u64| SecretKey::development(purpose, id));
    let (owner, operator, new) = (key("owner", 1), key("consensus", 1), key("consensus", 500));
    let (registration, previous) = (one.id, one.last_change);
    let payouts = Payouts::one(LockOwner::KeyHash(KeyHash::of(&owner.public())));
    let service = timed_ledger::ServiceAddress::new(([203, 0, 113, 7], 7000).into());
    let register = RegisterPayload {
        tier: Tier::Bronze,
        owner: owner.public(),
        operator: new.public(),
        service,
        payouts: payouts.clone(),
    };
    let left = MasternodeStatus::Left { at: Height(1), time: UnixTime(0) };
    use TransactionPayload as P;
    vec![
        (list.clone(), signed(P::Register(register), None, &[&owner, &new])),
        (list.clone(), signed(P::UpdateService { registration, previous, service }, None, &[&operator])),
        (
            list.clone(),
            signed(
                P::UpdateRegistrar { registration, previous, operator: new.public(), payouts },
                None,
                &[&owner, &new],
            ),
        ),
        (list.clone(), signed(P::Pause { registration, previous }, None, &[&operator])),
        (with(MasternodeStatus::Paused), signed(P::Resume { registration, previous }, None, &[&operator])),
        (list.clone(), signed(P::Revoke { registration, previous }, None, &[&owner])),
        (list.clone(), evidence(registration, &operator)),
        (with(left), signed(P::Release { registration }, Some(one.collateral), &[])),
    ]
}

/// Two votes of one key for one place.
fn evidence(registration: RegistrationId, key: &SecretKey) -> Transaction {
    let (chain_id, kind, height) = (Genesis::devnet(4).chain_id, VoteKind::Prevote, Height(3));
    let vote = |block: u8| {
        let (block, validator) = (Some(BlockId(Hash([block; 32]))), key.public());
        let bytes = vote_signing_bytes(chain_id, kind, height, Round::ZERO, block, &validator);
        Vote { kind, height, round: Round::ZERO, block, validator, signature: key.sign(&bytes) }
    };
    let proof = DoubleSign::of_votes(vote(1), vote(2));
    TransactionBody::statement(chain_id, TransactionPayload::DoubleSign { registration, proof }).sign(&[])
}

fn signed(payload: TransactionPayload, spent: Option<OutPoint>, signers: &[&SecretKey]) -> Transaction {
    let wallet = SecretKey::development("wallet", 0);
    let previous = spent.unwrap_or(OutPoint { txid: TxId(Hash([7; 32])), index: 0 });
    let lock = Lock::KeyHash(KeyHash::of(&wallet.public()));
    let output = TxOutput { amount: Amount::whole(1_000), lock };
    let inputs = vec![TxInput { previous }];
    let chain_id = Genesis::devnet(4).chain_id;
    let body = TransactionBody { payload, ..TransactionBody::transfer(chain_id, inputs, vec![output, output]) };
    let keys: Vec<_> = [&wallet].into_iter().chain(signers.iter().copied()).collect();
    body.sign(&keys)
}
