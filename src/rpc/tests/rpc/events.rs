//! Subscriptions over real WebSockets, and what clients do to them: refuse to read, flood, hang, send garbage, come back from far away.

use crate::http::{Running, start, start_with};
use crate::sample::{Sample, address, block, transaction};
use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timed_ledger::KeyHash;
use timed_primitives::{Block, BlockPayload, CommitCertificate, Height, Round, encode};
use timed_rpc::{EventLimits, EventsApi, FinalBlock, NodeEvent, PoolChange, RpcError, RpcLimits, TopicSet};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A chain whose blocks the test makes, and a mempool whose news it makes up.
struct MadeUpNode {
    /// Of height 1 and above.
    blocks: Mutex<Vec<FinalBlock>>,
    sender: mpsc::UnboundedSender<NodeEvent>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<NodeEvent>>,
    reading: AtomicUsize,
    /// Most reads at one time.
    reading_most: AtomicUsize,
    wanted: watch::Sender<TopicSet>,
}

impl MadeUpNode {
    fn new(blocks: u64) -> Arc<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let (wanted, _) = watch::channel(TopicSet::default());
        Arc::new(Self {
            blocks: Mutex::new((1..=blocks).map(|height| made(height, 0)).collect()),
            sender,
            events: tokio::sync::Mutex::new(events),
            reading: AtomicUsize::new(0),
            reading_most: AtomicUsize::new(0),
            wanted,
        })
    }

    /// The next block is final.
    fn add_block(&self, found: FinalBlock) {
        let height = found.block.header.height;
        self.blocks.lock().unwrap().push(found);
        self.sender.send(NodeEvent::Tip(height)).unwrap();
    }

    fn next_height(&self) -> u64 {
        self.blocks.lock().unwrap().len() as u64 + 1
    }

    /// Waits until the server wants to know of the mempool, and says that it is empty.
    async fn begin_pool(&self) {
        self.wanted.subscribe().wait_for(|wanted| wanted.needs_pool()).await.unwrap();
        self.sender.send(NodeEvent::Pool(Vec::new())).unwrap();
    }
}

/// A block with so many bytes that are no transactions.
fn made(height: u64, bytes: usize) -> FinalBlock {
    let mut header = block(1).header;
    header.height = Height(height);
    let block = Block { header, parent_certificate: None, payload: BlockPayload(vec![0; bytes]) };
    of(block)
}

fn of(block: Block) -> FinalBlock {
    let (height, id) = (block.header.height, block.id());
    let certificate = CommitCertificate { height, round: Round(0), block: id, signatures: Vec::new() };
    FinalBlock { block: Arc::new(block), certificate: Arc::new(certificate), payouts: None }
}

#[async_trait]
impl EventsApi for MadeUpNode {
    fn heights(&self) -> (Height, Height) {
        (Height(1), Height(self.next_height() - 1))
    }

    fn final_blocks(&self, first: Height, count_max: usize, _bytes_max: usize) -> Result<Vec<FinalBlock>, RpcError> {
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.reading_most.fetch_max(reading, Ordering::SeqCst);
        let from = usize::try_from(first.0 - 1).unwrap();
        let found = self.blocks.lock().unwrap().iter().skip(from).take(count_max).cloned().collect();
        self.reading.fetch_sub(1, Ordering::SeqCst);
        Ok(found)
    }

    fn is_owner_mine(&self, owner: &KeyHash) -> bool {
        *owner == address(1).key_hash
    }

    async fn follow(&self, mut wanted: watch::Receiver<TopicSet>, report: &(dyn Fn(NodeEvent) + Send + Sync)) {
        let mut events = self.events.lock().await;
        loop {
            self.wanted.send_replace(*wanted.borrow_and_update());
            tokio::select! {
                changed = wanted.changed() => changed.unwrap(),
                event = events.recv() => report(event.unwrap()),
            }
        }
    }
}

async fn serve(node: &Arc<MadeUpNode>, events: EventLimits, limits: RpcLimits) -> Running {
    start_with(Sample::default(), limits, |server| server.with_events(node.clone(), events)).await
}

type Socket = WebSocketStream<TcpStream>;

fn request(server: &Running, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(format!("ws://{}/ws", server.address))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request = request.header("Host", server.address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn connect_with(server: &Running, headers: &[(&str, &str)]) -> Result<Socket, Error> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    Ok(client_async(request(server, headers), stream).await?.0)
}

async fn connect(server: &Running) -> Socket {
    connect_with(server, &[("Authorization", &server.cookie.header())]).await.unwrap()
}

/// The status with which a WebSocket is refused.
async fn refusal(server: &Running, headers: &[(&str, &str)]) -> u16 {
    match connect_with(server, headers).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap()
}

async fn next_json(socket: &mut Socket) -> Value {
    loop {
        match next(socket).await {
            Message::Text(text) => return serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The parameters of the next event.
async fn event(socket: &mut Socket) -> Value {
    let mut message = next_json(socket).await;
    assert_eq!(message["method"], "event", "{message}");
    message["params"].take()
}

async fn call(socket: &mut Socket, method: &str, params: Value) -> Value {
    let text = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string();
    socket.send(Message::text(text)).await.unwrap();
    let answer = next_json(socket).await;
    assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!(7), &json!("2.0")), "{answer}");
    answer
}

async fn subscribe(socket: &mut Socket, params: Value) -> u64 {
    let answer = call(socket, "subscribe", params).await;
    answer["result"]["subscription"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

/// Reads to the close frame: its code and reason.
async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(close)))) => return (close.code.into(), close.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("no close frame: {other:?}"),
        }
    }
}

#[tokio::test]
async fn only_callers_with_credentials_and_no_foreign_page_are_let_in() {
    let node = MadeUpNode::new(1);
    let server = serve(&node, EventLimits::default(), RpcLimits::default()).await;
    let cookie = server.cookie.header();
    let own = format!("http://{}", server.address);
    assert_eq!(refusal(&server, &[]).await, 401);
    assert_eq!(refusal(&server, &[("Authorization", "Basic eDp5")]).await, 401);
    let with = |more: &[(&'static str, String)]| -> Vec<(&'static str, String)> {
        std::iter::once(("Authorization", cookie.clone())).chain(more.iter().cloned()).collect()
    };
    for (headers, expected) in [
        (with(&[("Origin", "http://evil.example".into())]), 403),
        (with(&[("Origin", "null".into())]), 403),
        (with(&[("Origin", "http://evil.example:7100".into()), ("Host", "evil.example:7100".into())]), 403),
        (with(&[("Origin", "http://localhost:1".into())]), 403),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(refusal(&server, &headers).await, expected, "{headers:?}");
    }
    // A page of our own, and a program by whatever name it has for the node.
    for headers in [with(&[("Origin", own)]), with(&[("Host", "gateway.example".into())]), with(&[])] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut socket = connect_with(&server, &headers).await.unwrap();
        subscribe(&mut socket, json!(["blocks"])).await;
    }
    // No request for a WebSocket.
    let head =
        format!("GET /ws HTTP/1.1\r\nHost: {}\r\nAuthorization: {cookie}\r\nConnection: close\r\n\r\n", server.address);
    assert!([400, 426].contains(&server.raw(head.as_bytes()).await.status));
}

#[tokio::test]
async fn a_payment_is_heard_of_in_the_mempool_and_when_it_is_final() {
    let node = MadeUpNode::new(1);
    let server = serve(&node, EventLimits::default(), RpcLimits::default()).await;
    let mut socket = connect(&server).await;
    let number = subscribe(&mut socket, json!(["payments", { "addresses": [address(2).to_string()] }])).await;
    node.begin_pool().await;
    assert_eq!(event(&mut socket).await["state"], "caught_up");
    node.sender.send(NodeEvent::PoolChanges(vec![PoolChange::Entered(Arc::new(transaction()))])).unwrap();
    let waits = event(&mut socket).await;
    assert_eq!(
        (&waits["state"], &waits["subscription"], &waits["cursor"]),
        (&json!("mempool"), &json!(number), &json!("1"))
    );
    node.add_block(of(block(2)));
    let last = event(&mut socket).await;
    assert_eq!((&last["state"], &last["cursor"], &last["seq"]), (&json!("final"), &json!("2-1"), &json!(3)));
    assert_eq!(last["received"][0]["amount"].to_string(), "90071992.54740993", "no digit is lost");
    // Somebody who has seen nothing but the first block.
    let mut late = connect(&server).await;
    subscribe(&mut late, json!(["payments", { "wallet": true, "after": 1 }])).await;
    let found = event(&mut late).await;
    assert_eq!((&found["txid"], &found["cursor"]), (&last["txid"], &json!("2-1")));
    assert_eq!(event(&mut late).await["state"], "caught_up");
    assert_eq!(call(&mut late, "unsubscribe", json!([number])).await["result"], false, "it is another's");
    assert_eq!(call(&mut socket, "unsubscribe", json!({ "subscription": number })).await["result"], true);
    node.add_block(made(3, 0));
    assert_eq!(
        call(&mut socket, "unsubscribe", json!([number])).await["result"],
        false,
        "and no event before the answer"
    );
}

#[tokio::test]
async fn what_is_no_call_is_answered_and_what_is_no_text_ends_the_client() {
    let node = MadeUpNode::new(1);
    let limits = EventLimits { frame_bytes_max: 4_096, ..EventLimits::default() };
    let server = serve(&node, limits, RpcLimits::default()).await;
    let mut socket = connect(&server).await;
    for (text, code) in [
        ("{", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"subscribe"}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["nothing"]}"#, -8),
        (r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["blocks",{"after":9}]}"#, -8),
        (r#"{"jsonrpc":"2.0","id":1,"method":"unsubscribe","params":["x"]}"#, -8),
    ] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(next_json(&mut socket).await["error"]["code"], code, "{text}");
    }
    // A notification is done and not answered.
    socket.send(Message::text(r#"{"jsonrpc":"2.0","method":"subscribe","params":["blocks"]}"#)).await.unwrap();
    assert_eq!(event(&mut socket).await["state"], "caught_up");
    socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(closed(&mut socket).await.0, 1003);
    let mut socket = connect(&server).await;
    socket.send(Message::text("x".repeat(5_000))).await.unwrap();
    let (code, reason) = closed(&mut socket).await;
    assert!(code == 1009 && reason.starts_with("too_large"), "{code} {reason}");
    // Bytes that are no frame: the reserved bits, and a length that no memory has.
    for garbage in [[0xff; 64].to_vec(), [&[0x81, 0xff][..], &[0x7f; 8], &[0; 64]].concat()] {
        let mut socket = connect(&server).await;
        socket.get_mut().write_all(&garbage).await.unwrap();
        let (code, _) = closed(&mut socket).await;
        assert!([1002, 1009].contains(&code), "{code}");
    }
    assert_eq!(server.call("uptime", json!([])).await.status, 200);
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_and_holds_nobody_up() {
    let node = MadeUpNode::new(1);
    let limits = EventLimits { queue_events_max: 8, close_time: PATIENCE, ..EventLimits::default() };
    let server = serve(&node, limits, RpcLimits::default()).await;
    let (mut slow, mut quick) = (connect(&server).await, connect(&server).await);
    for socket in [&mut slow, &mut quick] {
        subscribe(socket, json!(["blocks", { "verbosity": 2 }])).await;
        assert_eq!(event(socket).await["state"], "caught_up");
    }
    // More than the system holds for it, and than may wait.
    let mut heights = 0;
    let mut text = String::new();
    while !text.contains("timed_rpc_subscribers_closed_total{reason=\"slow_reader\"} 1") {
        let height = node.next_height();
        let mut header = block(1).header;
        header.height = Height(height);
        let payload = BlockPayload(encode(&vec![transaction(); 1_000]));
        node.add_block(of(Block { header, parent_certificate: None, payload }));
        assert_eq!(event(&mut quick).await["height"], height);
        heights += 1;
        assert!(heights < 200, "{text}");
        text = server.get("/metrics", "localhost").await.body;
    }
    let (code, reason) = closed(&mut slow).await;
    assert!(code == 1013 && reason.starts_with("slow_reader: "), "{code} {reason}");
    node.add_block(made(node.next_height(), 0));
    assert_eq!(event(&mut quick).await["height"], node.next_height() - 1);
}

#[tokio::test]
async fn a_thousand_connections_leave_the_node_and_its_clients_what_they_need() {
    let node = MadeUpNode::new(1);
    let limits = EventLimits { subscribers_max: 20, ..EventLimits::default() };
    let server = serve(&node, limits, RpcLimits::default()).await;
    let mut client = connect(&server).await;
    subscribe(&mut client, json!(["blocks"])).await;
    event(&mut client).await;
    let mut sockets = Vec::new();
    let mut refused = 0;
    for _ in 0..1_000 {
        match connect_with(&server, &[("Authorization", &server.cookie.header())]).await {
            Ok(socket) => sockets.push(socket),
            Err(Error::Http(response)) if response.status() == 503 => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((sockets.len(), refused), (19, 981));
    // Those who never finish to ask, or do not even begin.
    let mut hanging = Vec::new();
    for n in 0..500 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /ws HTTP/1.1\r\nUpgrade: web").await.unwrap();
        }
        hanging.push(stream);
    }
    assert_eq!(server.call("uptime", json!([])).await.status, 200);
    assert_eq!(server.get("/health", "localhost").await.status, 200);
    node.add_block(made(2, 0));
    assert_eq!(event(&mut client).await["height"], 2);
    // Places are free again when their clients are gone.
    sockets.clear();
    let again = async {
        loop {
            if let Ok(mut socket) = connect_with(&server, &[("Authorization", &server.cookie.header())]).await {
                subscribe(&mut socket, json!(["blocks"])).await;
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_closed_by_its_deadline() {
    let node = MadeUpNode::new(1);
    let limits = RpcLimits { head_time: Duration::from_millis(300), ..RpcLimits::default() };
    let server = serve(&node, EventLimits::default(), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    // One that asks well and is gone before it has read the answer leaves nothing behind.
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            server.address,
            server.cookie.header(),
            generate_key()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    let none_is_left = async {
        while !server.get("/metrics", "localhost").await.body.contains("\ntimed_rpc_subscribers 0\n") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, none_is_left).await.unwrap();
}

#[tokio::test]
async fn a_hundred_clients_from_far_away_get_all_of_it_and_the_node_goes_on() {
    const BLOCKS: u64 = 2_000;
    let node = MadeUpNode::new(BLOCKS);
    let limits = EventLimits { page_blocks: 50, queue_events_max: 400, ..EventLimits::default() };
    let server = serve(&node, limits, RpcLimits::default()).await;
    let clients = join_all((0..100).map(|_| async {
        let mut socket = connect(&server).await;
        subscribe(&mut socket, json!(["blocks", { "after": 0 }])).await;
        socket
    }));
    let reading = join_all(clients.await.into_iter().map(|mut socket| async move {
        for height in 1..=BLOCKS {
            let found = event(&mut socket).await;
            assert_eq!((&found["height"], &found["seq"]), (&json!(height), &json!(height)));
        }
        socket
    }));
    let asking = async {
        for _ in 0..20 {
            assert_eq!(server.call("uptime", json!([])).await.status, 200);
        }
    };
    let (sockets, ()) = timeout(PATIENCE, async { tokio::join!(reading, asking) }).await.unwrap();
    let most = node.reading_most.load(Ordering::SeqCst);
    assert!(most <= 3, "two at once beside the one that is live, not {most}");
    node.add_block(made(BLOCKS + 1, 0));
    for mut socket in sockets {
        let mut found = event(&mut socket).await;
        if found["state"] == "caught_up" {
            found = event(&mut socket).await;
        }
        assert_eq!(found["height"], BLOCKS + 1);
    }
}

#[tokio::test]
async fn a_dead_client_leaves_and_a_flood_of_calls_ends_its_sender() {
    let node = MadeUpNode::new(1);
    let ms = Duration::from_millis;
    let limits =
        EventLimits { ping_after: ms(100), silent_max: ms(400), close_time: PATIENCE, ..EventLimits::default() };
    // What ends a connection without calls ends no subscriber.
    let calls = RpcLimits { idle_time: ms(300), head_time: ms(300), ..RpcLimits::default() };
    let server = serve(&node, limits, calls).await;
    let (mut alive, mut dead) = (connect(&server).await, connect(&server).await);
    // The library answers pings while somebody reads.
    let living = tokio::spawn(async move {
        let mut pings = 0;
        while pings < 10 {
            pings += u32::from(matches!(next(&mut alive).await, Message::Ping(_)));
        }
        alive
    });
    let mut alive = living.await.unwrap();
    let (code, reason) = closed(&mut dead).await;
    assert!(code == 1008 && reason.starts_with("silent: "), "{code} {reason}");
    for _ in 0..200 {
        // The last ones may find the connection closed.
        let _ = alive.send(Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["x"]}"#)).await;
    }
    let (code, reason) = closed(&mut alive).await;
    assert!(code == 1008 && reason.starts_with("too_many_calls: "), "{code} {reason}");
}

#[tokio::test]
async fn the_end_of_the_node_is_said_to_all() {
    let node = MadeUpNode::new(1);
    let server = serve(&node, EventLimits::default(), RpcLimits::default()).await;
    let mut sockets = vec![connect(&server).await, connect(&server).await];
    subscribe(&mut sockets[0], json!(["blocks"])).await;
    server.end.send(()).unwrap();
    for socket in &mut sockets {
        let (code, reason) = closed(socket).await;
        assert!(CloseCode::from(code) == CloseCode::Away && reason.starts_with("stopping: "), "{code} {reason}");
    }
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_without_events_has_no_such_place() {
    let server = start(Sample::default(), RpcLimits::default()).await;
    assert_eq!(refusal(&server, &[("Authorization", &server.cookie.header())]).await, 404);
    let answer = server.call("subscribe", json!(["blocks"])).await;
    assert!(answer.code() == Some(-32601) && answer.message().contains("WebSocket"), "{answer:?}");
}
