//! What each client is sent, step by step, without sockets and with a clock of the test's own.

use super::*;
use crate::events::matching::events_of_block;
use crate::events::node_event::{DeclinedPayment, FinalBlock, PeerEnd};
use crate::events::parts::{PaymentParts, PreparedBlock};
use serde_json::{Value, json};
use timed_ledger::{Address, Transaction, TransactionBody, TxInput, TxOutput};
use timed_primitives::{
    Amount, Block, BlockId, BlockPayload, ChainId, CommitCertificate, Hash, Header, PublicKey, Round, SecretKey, TxId,
    UnixTime, encode,
};

const NETWORK: Network = Network::Devnet;

fn key(id: u64) -> SecretKey {
    SecretKey::development("wallet", id)
}

fn address(id: u64) -> Address {
    Address { network: NETWORK, key_hash: KeyHash::of(&key(id).public()) }
}

/// `from` pays `to`; each number makes another one.
fn payment(from: u64, to: u64, number: u32) -> Transaction {
    let inputs = vec![TxInput { previous: OutPoint { txid: TxId(Hash([7; 32])), index: number } }];
    let outputs = vec![TxOutput { amount: Amount::whole(u64::from(number) + 1), lock: address(to).lock() }];
    TransactionBody::transfer(ChainId(7), inputs, outputs).sign(&[&key(from)])
}

fn parts(transaction: &Transaction) -> PaymentParts {
    PaymentParts::of(transaction, &|owner| *owner == address(9).key_hash)
}

fn block(height: u64, transactions: &[Transaction]) -> PreparedBlock {
    let zero = Hash::ZERO;
    let header = Header {
        version: timed_primitives::block::BLOCK_VERSION,
        chain_id: ChainId(7),
        height: Height(height),
        time: UnixTime(height * 1_000),
        parent: BlockId::default(),
        proposer: PublicKey([1; 32]),
        first_round: Round(0),
        tx_root: zero,
        state_commitment: zero,
        history_root: zero,
        masternode_root: zero,
        output_root: zero,
        validators_hash: zero,
        next_validators_hash: zero,
        parent_certificate_hash: zero,
        evidence_root: zero,
        parameters_hash: zero,
    };
    let payload = BlockPayload(encode(&transactions.to_vec()));
    let block = Block { header, parent_certificate: None, payload };
    let certificate =
        CommitCertificate { height: Height(height), round: Round(0), block: block.id(), signatures: Vec::new() };
    let found = FinalBlock { block: Arc::new(block), certificate: Arc::new(certificate), payouts: None };
    PreparedBlock::new(found, NETWORK, zero, true, &|owner| *owner == address(9).key_hash)
}

/// A table at height 10, as a test uses it.
struct Stage {
    table: Subscriptions,
    now: Duration,
}

impl Stage {
    fn new(limits: EventLimits) -> Self {
        Self { table: Subscriptions::new(limits, NETWORK, Height(10)), now: Duration::ZERO }
    }

    fn client(&mut self) -> SubscriberId {
        self.table.on_connect(self.now).unwrap()
    }

    fn try_subscribe(&mut self, id: SubscriberId, params: Value) -> Result<SubscriptionId, RpcError> {
        let (filter, after) = EventFilter::read(Some(&params), NETWORK, 1_000).unwrap();
        let bounds = (Height(5), self.table.height());
        self.table.subscribe(id, filter, after, bounds)
    }

    fn subscribe(&mut self, id: SubscriberId, params: Value) -> SubscriptionId {
        self.try_subscribe(id, params).unwrap()
    }

    /// The parameters of all events that wait for a client.
    fn events(&mut self, id: SubscriberId) -> Vec<Value> {
        let texts = self.table.take(id, usize::MAX);
        let parsed =
            texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap_or_else(|e| panic!("{e}: {text}")));
        parsed
            .map(|event| {
                assert_eq!((&event["jsonrpc"], &event["method"]), (&json!("2.0"), &json!("event")));
                event["params"].clone()
            })
            .collect()
    }

    /// Their states with the cursors.
    fn states(&mut self, id: SubscriberId) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.events(id).iter().map(|event| format!("{} {}", text(&event["state"]), text(&event["cursor"]))).collect()
    }

    /// Reads the past as the shell does, from these blocks, `page` at a time.
    fn replay(&mut self, id: SubscriberId, blocks: &[PreparedBlock], page: usize) {
        while let Some(task) = self.table.next_replay(id) {
            let found: Vec<_> = blocks.iter().filter(|block| block.height() >= task.first).take(page).collect();
            let next = found.last().map_or(task.first, |block| block.height().next());
            let events = found.iter().flat_map(|block| events_of_block(block, &task.filter));
            let events = events.filter(|(cursor, _)| *cursor > task.after).collect();
            self.table.on_replayed(id, task.subscription, events, next);
        }
    }
}

fn declined(txid: TxId, reason: &'static str) -> DeclinedPayment {
    DeclinedPayment { txid, reason, why: "for people".into(), by: None, gone: None }
}

#[test]
fn a_payment_is_followed_from_the_mempool_to_its_block() {
    let mut stage = Stage::new(EventLimits::default());
    let (shop, other) = (stage.client(), stage.client());
    stage.subscribe(shop, json!(["payments", { "addresses": [address(1).to_string()] }]));
    stage.subscribe(other, json!(["payments", { "addresses": [address(3).to_string()] }]));
    assert!(stage.events(shop).is_empty(), "what waits is not known yet");
    let early = payment(2, 1, 0);
    stage.table.on_pool(vec![(parts(&early), None), (parts(&payment(2, 4, 9)), None)]);
    assert_eq!(stage.states(shop), ["mempool 10", "caught_up 10"]);
    let tx = payment(2, 1, 1);
    let id = BlockId(Hash([5; 32]));
    stage.table.on_entered(parts(&tx), None);
    stage.table.on_entered(parts(&tx), None);
    stage.table.on_proposed(&tx.id(), Some(id));
    stage.table.on_proposed(&tx.id(), Some(id));
    stage.table.on_proposed(&tx.id(), None);
    stage.table.on_block(&block(11, &[payment(4, 5, 3), tx.clone()]));
    // The mempool's own news of it come late, and say nothing new.
    stage.table.on_entered(parts(&tx), None);
    stage.table.on_included(&tx.id());
    stage.table.on_declined(&declined(tx.id(), "expired"));
    let events = stage.events(shop);
    let states: Vec<_> = events.iter().map(|event| event["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["mempool", "proposed", "mempool", "final"]);
    let last = &events[3];
    assert_eq!((&last["height"], &last["cursor"], &last["seq"]), (&json!(11), &json!("11-2"), &json!(6)));
    assert_eq!((&last["txid"], last["amount"].to_string()), (&json!(tx.id().to_string()), "2.00000000".into()));
    assert_eq!(last["received"][0]["address"], json!(address(1).to_string()));
    assert_eq!(stage.states(other), ["caught_up 10"]);
    stage.table.on_declined(&declined(early.id(), "expired"));
    let events = stage.events(shop);
    assert_eq!((&events[0]["state"], &events[0]["reason"]), (&json!("declined"), &json!("expired")));
    assert_eq!((&events[0]["cursor"], events.len()), (&json!("11"), 1));
}

#[test]
fn outputs_go_through_their_states_by_name() {
    let mut stage = Stage::new(EventLimits::default());
    let (owner, watcher) = (stage.client(), stage.client());
    let tx = payment(2, 1, 1);
    let spent = tx.body.inputs[0].previous;
    stage.subscribe(owner, json!(["outputs", { "addresses": [address(1).to_string(), address(2).to_string()] }]));
    stage.subscribe(watcher, json!(["outputs", { "outputs": [spent.to_string()] }]));
    stage.table.on_pool(Vec::new());
    stage.table.on_entered(parts(&tx), None);
    stage.table.on_proposed(&tx.id(), Some(BlockId(Hash([5; 32]))));
    stage.table.on_block(&block(11, std::slice::from_ref(&tx)));
    assert_eq!(stage.states(owner), ["caught_up 10", "Locked 10", "SpentPending 10", "Confirmed 11-1", "Unspent 11-2"]);
    assert_eq!(stage.states(watcher), ["caught_up 10", "Locked 10", "SpentPending 10", "Confirmed 11-1"]);
    // One that is refused gives its output back, but not the one that another has.
    let (lost, loser) = (payment(2, 4, 2), payment(2, 4, 3));
    for tx in [&lost, &loser] {
        stage.table.on_entered(parts(tx), None);
    }
    stage.table.on_declined(&declined(lost.id(), "expired"));
    let gone = Some(loser.body.inputs[0].previous);
    stage.table.on_declined(&DeclinedPayment { gone, ..declined(loser.id(), "conflict") });
    assert_eq!(stage.states(owner), ["Locked 11", "Locked 11", "Unspent 11"]);
}

#[test]
fn the_wallet_is_followed_with_all_its_addresses() {
    let mut stage = Stage::new(EventLimits::default());
    let client = stage.client();
    stage.subscribe(client, json!(["payments", { "wallet": true }]));
    stage.table.on_pool(vec![(parts(&payment(9, 1, 1)), None)]);
    stage.table.on_block(&block(11, &[payment(9, 1, 1), payment(2, 3, 2), payment(2, 9, 3)]));
    let events = stage.events(client);
    let shown: Vec<_> = events.iter().map(|event| (event["state"].clone(), event["cursor"].clone())).collect();
    assert_eq!(json!(shown), json!([["mempool", "10"], ["caught_up", "10"], ["final", "11-1"], ["final", "11-3"]]));
    assert_eq!(events[2]["spent"][0]["address"], json!(address(9).to_string()));
    assert_eq!((&events[2]["received"], events[2]["amount"].to_string()), (&json!([]), "0.00000000".into()));
}

#[test]
fn who_comes_back_misses_nothing_final_and_gets_nothing_twice() {
    let me = address(1).to_string();
    let heights = 8..=14u64;
    let all: Vec<Transaction> = (0..40).map(|n| payment(2, if n % 3 == 0 { 1 } else { 5 }, n)).collect();
    let transactions = |height: u64| &all[usize::try_from(height - 8).unwrap() * 5..][..5];
    let blocks: Vec<_> = heights.map(|height| block(height, transactions(height))).collect();
    // What one gets who was there from the start.
    let mut stage = Stage::new(EventLimits::default());
    let client = stage.client();
    for topic in ["payments", "outputs"] {
        stage.subscribe(client, json!([topic, { "addresses": [me], "after": 7 }]));
    }
    stage.table.on_pool(Vec::new());
    stage.replay(client, &blocks[..3], 2);
    blocks[3..].iter().for_each(|block| stage.table.on_block(block));
    let whole: Vec<Value> = stage.events(client).into_iter().filter(|event| event["state"] != "caught_up").collect();
    assert!(whole.len() > 15, "{}", whole.len());
    // Whoever goes away after any of them, and comes back at any height, gets the others.
    for topic in ["payments", "outputs"] {
        let whole: Vec<&Value> = whole.iter().filter(|event| event["topic"] == topic).collect();
        for (known, event) in whole.iter().enumerate() {
            let left_at = event["height"].as_u64().unwrap();
            for back_at in left_at.max(10)..=14 {
                let mut stage = Stage::new(EventLimits::default());
                let client = stage.client();
                stage.table.on_pool(Vec::new());
                let until = usize::try_from(back_at - 8).unwrap() + 1;
                blocks[..until].iter().for_each(|block| stage.table.on_block(block));
                stage.subscribe(client, json!([topic, { "addresses": [me], "after": event["cursor"] }]));
                stage.replay(client, &blocks[..until], 1);
                blocks[until..].iter().for_each(|block| stage.table.on_block(block));
                let mut rest = stage.events(client);
                rest.retain(|event| event["state"] != "caught_up");
                let names = |events: &mut dyn Iterator<Item = &Value>| -> Vec<Value> {
                    events.map(|event| json!([event["cursor"], event["txid"], event["state"]])).collect()
                };
                assert_eq!(
                    names(&mut rest.iter()),
                    names(&mut whole[known + 1..].iter().copied()),
                    "{topic} after {} back at {back_at}",
                    event["cursor"]
                );
            }
        }
    }
}

#[test]
fn a_past_that_is_not_there_is_refused_with_what_is() {
    let mut stage = Stage::new(EventLimits::default());
    let client = stage.client();
    for (after, is_there) in [
        (json!(3), false),
        (json!("4-2"), false),
        (json!(4), true),
        (json!(10), true),
        (json!("10-7"), true),
        (json!(11), false),
    ] {
        let subscribed = stage.try_subscribe(client, json!(["blocks", { "after": after }]));
        match subscribed {
            Ok(_) => assert!(is_there, "{after}"),
            Err(error) => {
                let expected = "blocks 5 to 10 can be read again; give a height from 4 to 10";
                assert!(!is_there && error.code() == -8 && error.to_string().ends_with(expected), "{after}: {error}");
            }
        }
    }
}

#[test]
fn nobody_waits_for_a_client_that_does_not_read() {
    let limits = EventLimits { queue_events_max: 4, ..EventLimits::default() };
    let mut stage = Stage::new(limits);
    let (slow, quick) = (stage.client(), stage.client());
    for client in [slow, quick] {
        stage.subscribe(client, json!(["blocks"]));
    }
    for height in 11..=14 {
        stage.table.on_block(&block(height, &[]));
        assert_eq!(stage.events(quick).len(), if height == 11 { 2 } else { 1 });
    }
    assert_eq!(stage.table.end_of(slow), Some(SubscriberEnd::SlowReader));
    assert_eq!((stage.table.end_of(quick), stage.table.ended(SubscriberEnd::SlowReader)), (None, 1));
    assert!(stage.events(slow).is_empty() && stage.table.queued_bytes == 0, "nothing is kept for it");
    stage.table.on_disconnect(slow);
    stage.table.on_block(&block(15, &[]));
    assert_eq!(stage.events(quick).len(), 1);
}

#[test]
fn of_all_that_waits_there_is_a_bound_and_who_leaves_most_is_ended() {
    let one = {
        let mut stage = Stage::new(EventLimits::default());
        let client = stage.client();
        stage.subscribe(client, json!(["blocks"]));
        stage.events(client);
        stage.table.on_block(&block(11, &[]));
        stage.table.queued_bytes
    };
    let mut stage = Stage::new(EventLimits { all_bytes_max: one * 7, ..EventLimits::default() });
    let (greedy, modest) = (stage.client(), stage.client());
    stage.subscribe(greedy, json!(["blocks"]));
    stage.subscribe(greedy, json!(["blocks"]));
    stage.subscribe(modest, json!(["blocks"]));
    (11..=13).for_each(|height| stage.table.on_block(&block(height, &[])));
    assert_eq!((stage.table.end_of(greedy), stage.table.end_of(modest)), (Some(SubscriberEnd::Overfull), None));
    assert_eq!(stage.events(modest).len(), 4);
    assert_eq!(stage.table.queued_bytes, 0);
}

#[test]
fn a_past_is_read_only_while_there_is_room_for_it() {
    let limits = EventLimits { queue_events_max: 40, ..EventLimits::default() };
    let mut stage = Stage::new(limits);
    let client = stage.client();
    stage.table.height = Height(99);
    let number = stage.subscribe(client, json!(["blocks", { "after": 4 }]));
    let mut height = 5;
    while let Some(task) = stage.table.next_replay(client) {
        assert_eq!((task.subscription, task.first), (number, Height(height)));
        let events = events_of_block(&block(height, &[]), &task.filter);
        height += 1;
        stage.table.on_replayed(client, number, events, Height(height));
    }
    assert_eq!((height, stage.table.end_of(client)), (16, None), "a fourth of its room, and one");
    assert_eq!(stage.events(client).len(), 11);
    assert!(stage.table.next_replay(client).is_some(), "when it has read, its past goes on");
}

#[test]
fn clients_and_what_they_ask_for_are_bounded() {
    let limits =
        EventLimits { subscribers_max: 2, subscriptions_max: 2, subscriber_addresses_max: 3, ..EventLimits::default() };
    let mut stage = Stage::new(limits);
    let (one, two) = (stage.client(), stage.client());
    assert_eq!(stage.table.on_connect(stage.now), Err(TooManySubscribers(2)));
    let of = |ids: &[u64]| {
        let addresses: Vec<_> = ids.iter().map(|id| address(*id).to_string()).collect();
        json!(["payments", { "addresses": addresses }])
    };
    let first = stage.subscribe(one, of(&[1, 2]));
    assert!(stage.try_subscribe(one, of(&[3, 4])).unwrap_err().to_string().contains("too large: 4, at most 3"));
    stage.subscribe(one, of(&[3]));
    assert!(stage.try_subscribe(one, json!(["blocks"])).unwrap_err().to_string().contains("too large: 3, at most 2"));
    assert!(!stage.table.unsubscribe(two, first) && stage.table.unsubscribe(one, first));
    assert!(!stage.table.unsubscribe(one, first));
    stage.subscribe(one, of(&[4, 5]));
    stage.table.on_disconnect(one);
    assert_eq!((stage.table.owners.len(), stage.table.wanted()), (0, TopicSet::default()), "nothing is left of it");
    stage.client();
}

#[test]
fn calls_cost_their_sender_and_who_floods_is_ended() {
    let limits = EventLimits { calls_burst: 1, refused_max: 1, ..EventLimits::default() };
    let mut stage = Stage::new(limits);
    let client = stage.client();
    let mut call = || stage.table.on_call(Duration::ZERO, client).map_err(|error| error.code());
    assert_eq!([call(), call(), call()], [Ok(()), Err(-32005), Err(-32005)]);
    assert_eq!(stage.table.end_of(client), Some(SubscriberEnd::TooManyCalls));
}

#[test]
fn a_client_that_is_gone_leaves_by_the_deadline() {
    let mut stage = Stage::new(EventLimits::default());
    let (alive, gone) = (stage.client(), stage.client());
    let mut pings = 0;
    for second in 1..=60 {
        let now = Duration::from_secs(second);
        for id in [alive, gone] {
            let is_ping_due = stage.table.on_tick(now, id);
            pings += u32::from(is_ping_due);
            if is_ping_due && id == alive {
                stage.table.on_frame(now, id);
            }
        }
    }
    assert_eq!((stage.table.end_of(alive), stage.table.end_of(gone)), (None, Some(SubscriberEnd::Silent)));
    assert_eq!(pings, 5, "every 15 s to the one, once to the other");
}

#[test]
fn what_has_no_past_begins_with_what_there_is() {
    let mut stage = Stage::new(EventLimits::default());
    let early = stage.client();
    stage.subscribe(early, json!(["peers"]));
    let peer = |session| PeerUpState {
        session,
        address: format!("127.0.0.1:{session}"),
        key: PublicKey([1; 32]),
        validator: None,
        is_inbound: true,
    };
    stage.table.on_peers(vec![peer(1)], &[]);
    assert_eq!(stage.states(early), ["up 10", "caught_up 10"]);
    let late = stage.client();
    stage.subscribe(late, json!(["peers"]));
    assert_eq!(stage.states(late), ["up 10", "caught_up 10"]);
    let end = PeerEnd { reason: "dead".into(), why: "it was silent".into() };
    stage.table.on_peers(vec![peer(2)], &[(1, end)]);
    let events = stage.events(late);
    assert_eq!(
        json!([events[0]["state"], events[0]["reason"], events[1]["state"], events[1]["id"]]),
        json!(["down", "dead", "up", 2])
    );
    let step = |step| ConsensusStep { height: Height(11), round: 0, step, proposer: None, proposal: None };
    stage.subscribe(late, json!(["consensus"]));
    for name in ["propose", "propose", "prevote"] {
        stage.table.on_consensus(step(name));
    }
    assert_eq!(stage.states(late), ["propose 10", "caught_up 10", "prevote 10"]);
    // Nobody follows it for a while: then it begins anew.
    stage.table.on_unknown(Topic::Consensus);
    stage.table.on_consensus(step("precommit"));
    assert_eq!(stage.states(late), ["precommit 10", "caught_up 10"]);
}

#[test]
fn what_left_the_mempool_unseen_is_said() {
    let mut stage = Stage::new(EventLimits::default());
    let client = stage.client();
    stage.subscribe(client, json!(["payments", { "addresses": [address(1).to_string()] }]));
    let (stays, leaves) = (payment(2, 1, 1), payment(2, 1, 2));
    stage.table.on_pool(vec![(parts(&stays), None), (parts(&leaves), None)]);
    stage.events(client);
    stage.table.on_pool(vec![(parts(&stays), None)]);
    let events = stage.events(client);
    assert_eq!(json!([events[0]["state"], events[0]["reason"], events.len()]), json!(["declined", "unseen", 1]));
    // After a time in which nobody followed the mempool, all there is comes again.
    stage.table.on_pool_unknown();
    assert_eq!(stage.table.pool.len(), 0);
    stage.table.on_pool(vec![(parts(&stays), None)]);
    assert_eq!(stage.states(client), ["mempool 10", "caught_up 10"]);
}
