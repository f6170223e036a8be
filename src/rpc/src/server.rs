//! HTTP: one accept loop with bounds on connections, time and size, and the checks before a call is read.

use crate::accepting::{AcceptLog, accept};
use crate::auth::Auth;
use crate::connections::{Busy, ConnectionId};
use crate::error::RpcError;
use crate::events::{EventHub, EventLimits, EventsApi, client_at};
use crate::limits::RpcLimits;
use crate::long_calls::PrepareThread;
use crate::metrics::CONTENT_TYPE;
use crate::node::NodeApi;
use crate::protocol::{Calls, HttpReply, fault};
use crate::trouble::{Severity, Trouble};
use crate::watched::SharedConnections;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How often deadlines of connections are checked.
const TICK: Duration = Duration::from_millis(250);
/// Buffer of a connection, and so the longest head of a request. Unit: bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// Time that a wrong password costs the client (Bitcoin's server takes as long). A cookie cannot be guessed anyway.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_millis(250);

/// The server: JSON-RPC by POST to `/`, and by GET `/health`, `/ready`, `/metrics` and the pages given.
pub struct RpcServer {
    node: Arc<dyn NodeApi>,
    auth: Auth,
    hosts: Vec<String>,
    limits: RpcLimits,
    pages: Option<Router>,
    prepare_long_call: PrepareThread,
    events: Option<(Arc<dyn EventsApi>, EventLimits)>,
}

impl RpcServer {
    /// A server with the default limits.
    pub fn new(node: Arc<dyn NodeApi>, auth: Auth) -> Self {
        Self {
            node,
            auth,
            hosts: Vec::new(),
            limits: RpcLimits::default(),
            pages: None,
            prepare_long_call: || {},
            events: None,
        }
    }

    /// Answers under these host names too, beside `localhost` and IP addresses; `*` is any name.
    #[must_use]
    pub fn with_hosts(self, hosts: impl IntoIterator<Item = String>) -> Self {
        Self { hosts: hosts.into_iter().map(|h| h.to_lowercase()).collect(), ..self }
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(self, limits: RpcLimits) -> Self {
        Self { limits, ..self }
    }

    /// Pages beside the server's own, such as the dashboard at GET `/`. They need no password and so must change nothing.
    #[must_use]
    pub fn with_pages(self, pages: Router) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// What a thread does first that makes an answer which takes long: whole blocks, or many blocks or outputs. It may give way to others from then on.
    #[must_use]
    pub fn with_long_call_threads(self, prepare_long_call: fn()) -> Self {
        Self { prepare_long_call, ..self }
    }

    /// Events over a WebSocket at `/ws`, for callers with credentials.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn EventsApi>, limits: EventLimits) -> Self {
        Self { events: Some((events, limits)), ..self }
    }

    /// Serves until `end` is ready; then answers in progress have [`RpcLimits::shutdown_time`] to finish. Dropping the future ends all
    /// at once. An error of one connection or of accepting never ends the server.
    pub async fn serve(self, listener: TcpListener, end: impl Future<Output = ()> + Send) {
        let limits = self.limits.clone();
        let connections = SharedConnections::new(limits.clone());
        let hub = self.hub().await;
        let following = hub.as_ref().map(EventHub::follow_on_thread).transpose();
        let following = following.inspect_err(|error| tracing::warn!(%error, "events cannot be followed"));
        let router = self.router(hub.clone());
        let (ending, is_ending) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = std::pin::pin!(end);
        let mut errors = AcceptLog::start();
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut end => break,
                _ = ticks.tick(), if !connections.is_empty() => {
                    connections.tick();
                    continue;
                }
                Some(_) = tasks.join_next() => continue,
                accepted = accept(&listener, &mut errors, &connections) => accepted,
            };
            let Some((stream, from)) = accepted else { continue };
            let (stream, closed) = connections.accept(stream, from.ip());
            let remote = Remote { ip: from.ip(), id: stream.id(), connections: connections.clone() };
            let service = TowerToHyperService::new(router.clone().layer(Extension(remote)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // The table of connections has the deadlines.
                .header_read_timeout(None)
                .max_buf_size(BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let mut is_ending = is_ending.clone();
            tasks.spawn(async move {
                let (mut connection, mut closed) = (std::pin::pin!(connection), closed.fuse());
                loop {
                    tokio::select! {
                        biased;
                        Ok(reason) = &mut closed => {
                            return tracing::debug!(addr = %from, reason = reason.name(), "rpc connection closed");
                        }
                        Ok(()) = is_ending.changed() => connection.as_mut().graceful_shutdown(),
                        ended = &mut connection => {
                            return if let Err(error) = ended {
                                tracing::debug!(%error, addr = %from, "rpc connection ended");
                            };
                        }
                    }
                }
            });
        }
        drop((listener, following));
        let subscribers = async {
            if let Some(hub) = hub {
                hub.stop().await;
            }
        };
        ending.send_replace(true);
        let calls = async { while tasks.join_next().await.is_some() {} };
        let ended = async { tokio::join!(calls, subscribers) };
        if tokio::time::timeout(limits.shutdown_time, ended).await.is_err() {
            tracing::debug!(connections = tasks.len(), "rpc connections cut at the end");
        }
    }

    /// What clients of `/ws` share, if there are events.
    async fn hub(&self) -> Option<Arc<EventHub>> {
        let (api, limits) = self.events.clone()?;
        let limits = limits.within(self.limits.connections_max);
        // Who has none pays nobody.
        let genesis = self.node.genesis().await.map(|genesis| genesis.hash).unwrap_or_default();
        Some(Arc::new(EventHub::new(api, limits, self.node.network(), genesis)))
    }

    fn router(self, hub: Option<Arc<EventHub>>) -> Router {
        let calls = Arc::new(Calls::new(self.node, self.limits, self.prepare_long_call));
        let gate = Arc::new(RequestGate { auth: self.auth, hosts: self.hosts });
        let behind_gate = middleware::from_fn_with_state(gate.clone(), authorized);
        let root = post(rpc).route_layer(behind_gate.clone());
        // Pages have their own start.
        let root = if self.pages.is_some() { root } else { root.get(introduction) };
        let wallet = post(rpc_of_wallet).route_layer(behind_gate.clone());
        let router = match hub.clone() {
            Some(hub) => Router::new().route("/ws", get(subscriber).route_layer(behind_gate).layer(Extension(hub))),
            None => Router::new(),
        };
        router
            .route("/", root)
            .route("/wallet/", wallet.clone())
            .route("/wallet/{name}", wallet)
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics).layer(Extension(hub)))
            .with_state(calls)
            .merge(self.pages.unwrap_or_default())
            .layer(middleware::from_fn_with_state(gate, known_host))
    }
}

/// Where a request comes from.
#[derive(Clone)]
struct Remote {
    ip: IpAddr,
    id: ConnectionId,
    connections: SharedConnections,
}

/// Headers that a request may have once.
const SINGLE: [(HeaderName, &str); 5] = [
    (header::HOST, "only one Host header is allowed\n"),
    (header::AUTHORIZATION, "only one Authorization header is allowed\n"),
    (header::ORIGIN, "only one Origin header is allowed\n"),
    (header::CONTENT_LENGTH, "only one Content-Length header is allowed\n"),
    (header::TRANSFER_ENCODING, "only one Transfer-Encoding header is allowed\n"),
];

/// Whom to let in.
struct RequestGate {
    auth: Auth,
    hosts: Vec<String>,
}

/// The first to see a request: refuses what a page in somebody's browser could send.
async fn known_host(
    State(gate): State<Arc<RequestGate>>,
    Extension(remote): Extension<Remote>,
    request: Request,
    next: Next,
) -> Response {
    remote.connections.head(remote.id);
    let response = match gate.refusal(&request) {
        Some((StatusCode::FORBIDDEN, text)) => {
            // As elsewhere: whoever guesses must not learn faster under a name that is not ours.
            let credentials = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
            if credentials.is_some() && !gate.auth.allows(credentials, remote.ip) {
                tokio::time::sleep(WRONG_PASSWORD_PAUSE).await;
            }
            refused(StatusCode::FORBIDDEN, text)
        }
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    response.map(|body| remote.connections.answer(remote.id, body))
}

impl RequestGate {
    /// Why a request is refused: ambiguous headers, a host name that is not ours, under which a browser would reach us by
    /// DNS rebinding, or a page of another origin.
    fn refusal(&self, request: &Request) -> Option<(StatusCode, &'static str)> {
        let (uri, headers) = (request.uri(), request.headers());
        // Whoever stands between (a proxy, a cache) may have gone by the other one (RFC 9112, section 3.2).
        if let Some((_, text)) = SINGLE.iter().find(|(name, _)| headers.get_all(name).iter().count() > 1) {
            return Some((StatusCode::BAD_REQUEST, text));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = match text(header::HOST) {
            Some(host) => host,
            // No browser sends this.
            None if request.version() == Version::HTTP_10 && !headers.contains_key(header::HOST) => "",
            None => return Some((StatusCode::BAD_REQUEST, "a Host header is needed\n")),
        };
        if uri.authority().is_some_and(|asked| !host.is_empty() && !asked.as_str().eq_ignore_ascii_case(host)) {
            return Some((StatusCode::BAD_REQUEST, "the request line and the Host header name different hosts\n"));
        }
        let is_foreign =
            |origin: &str| origin.split_once("://").is_none_or(|(_, origin)| !origin.eq_ignore_ascii_case(host));
        if text(header::ORIGIN).is_some_and(is_foreign) || (host.is_empty() && headers.contains_key(header::ORIGIN)) {
            return Some((StatusCode::FORBIDDEN, "requests from pages of other origins are not allowed"));
        }
        let is_absent = !headers.contains_key(header::HOST);
        let is_allowed = is_absent || self.is_ours(host_name(host)) || is_probe(uri) || is_program(request);
        (!is_allowed)
            .then_some((StatusCode::FORBIDDEN, "host name not allowed: add it to rpc.hosts, or ask by IP address"))
    }

    fn is_ours(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("localhost")
            || is_ip(name)
            || self.hosts.iter().any(|host| host == "*" || *host == name.to_lowercase())
    }
}

/// A call by a program, which must show credentials like any other, and may do so when it is asked to (status 401): what a page that reached us by
/// rebinding sends by POST, or for a WebSocket, names its origin.
fn is_program(request: &Request) -> bool {
    let path = request.uri().path();
    let is_call = match *request.method() {
        Method::POST => path == "/" || path.starts_with("/wallet/"),
        Method::GET => path == "/ws",
        _ => false,
    };
    is_call && !request.headers().contains_key(header::ORIGIN)
}

/// What monitors ask, under whatever name they have for the node: it says nothing that is secret.
fn is_probe(uri: &Uri) -> bool {
    ["/health", "/ready", "/metrics"].contains(&uri.path())
}

/// An empty answer, as Bitcoin's server gives it; the reason stands beside the status, where people look.
fn refused(status: StatusCode, reason: &'static str) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(ReasonPhrase::from_static(reason.as_bytes()));
    response
}

/// The name in `name:port`, `name` or `[v6]:port`.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_ip(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
}

/// Lets only callers with credentials through.
async fn authorized(
    State(gate): State<Arc<RequestGate>>,
    Extension(remote): Extension<Remote>,
    request: Request,
    next: Next,
) -> Response {
    let credentials = request.headers().get(header::AUTHORIZATION).cloned();
    if gate.auth.allows(credentials.as_ref().map(|value| value.as_bytes()), remote.ip) {
        return match remote.connections.authenticated(remote.id) {
            Ok(()) => next.run(request).await,
            Err(Busy) => {
                let text = "busy: as many clients as there may be have all a call in progress; try again in a moment\n";
                (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, "close")], text).into_response()
            }
        };
    }
    if credentials.is_some() {
        tracing::debug!(addr = %remote.ip, "wrong rpc credentials");
        tokio::time::sleep(WRONG_PASSWORD_PAUSE).await;
    }
    let mut response =
        refused(StatusCode::UNAUTHORIZED, "credentials needed: the cookie file, or rpc.user and rpc.password");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"timed\""));
    response
}

/// What this is, for a person who looks with a browser.
async fn introduction() -> &'static str {
    "timed: a node that answers JSON-RPC by POST here (try `help`), and GET /health, /ready and /metrics\n"
}

/// A client that wants a WebSocket.
async fn subscriber(
    State(calls): State<Arc<Calls>>,
    Extension(remote): Extension<Remote>,
    Extension(hub): Extension<Arc<EventHub>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    client_at(&hub, calls, upgrade, || remote.connections.upgraded(remote.id))
}

async fn rpc_of_wallet(
    state: State<Arc<Calls>>,
    remote: Extension<Remote>,
    name: Option<Path<String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    reply(state, remote, Some(&name), headers, body).await
}

async fn rpc(state: State<Arc<Calls>>, remote: Extension<Remote>, headers: HeaderMap, body: Body) -> Response {
    reply(state, remote, None, headers, body).await
}

async fn reply(
    State(calls): State<Arc<Calls>>,
    Extension(remote): Extension<Remote>,
    wallet: Option<&str>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let limits = calls.limits();
    let max = limits.body_bytes_max;
    let too_large = |size| fault(StatusCode::PAYLOAD_TOO_LARGE, &RpcError::TooLarge { what: "the request", size, max });
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if let Some(size) = announced.filter(|size| *size > max) {
        return too_large(size).into_response();
    }
    match tokio::time::timeout(limits.body_time, whole(body, max)).await {
        Ok(Ok(bytes)) => {
            remote.connections.request(remote.id);
            calls.reply(&bytes, wallet).await.into_response()
        }
        Ok(Err(BodyFault::TooLarge)) => too_large(max + 1).into_response(),
        Ok(Err(BodyFault::Broken)) => {
            let error = RpcError::Parse("the body is cut off, or its chunks have no sizes".into());
            fault(StatusCode::BAD_REQUEST, &error).into_response()
        }
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive\n").into_response(),
    }
}

/// Why a body cannot be read.
enum BodyFault {
    TooLarge,
    Broken,
}

/// All of a body that has at most `max` bytes.
async fn whole(body: Body, max: usize) -> Result<Vec<u8>, BodyFault> {
    let (mut parts, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| BodyFault::Broken)?;
        if part.len() > max - bytes.len() {
            return Err(BodyFault::TooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

impl IntoResponse for HttpReply {
    fn into_response(self) -> Response {
        let Some(text) = self.body else { return self.status.into_response() };
        let body = match self.room {
            Some(room) => room.body(text),
            None => Body::from(text),
        };
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

async fn health(State(calls): State<Arc<Calls>>) -> Response {
    probe(calls.node().troubles(), Severity::Dead, "alive\n")
}

async fn ready(State(calls): State<Arc<Calls>>) -> Response {
    probe(calls.node().troubles(), Severity::NotReady, "ready\n")
}

/// Status 503 with a line for each trouble of this severity or above; 200 when there is none.
fn probe(troubles: Vec<Trouble>, from: Severity, good: &'static str) -> Response {
    let bad: String =
        troubles.iter().filter(|trouble| trouble.severity() >= from).map(|trouble| format!("{trouble}\n")).collect();
    if bad.is_empty() {
        return (StatusCode::OK, good).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, bad).into_response()
}

async fn metrics(
    State(calls): State<Arc<Calls>>,
    Extension(remote): Extension<Remote>,
    Extension(hub): Extension<Option<Arc<EventHub>>>,
) -> Response {
    let page = remote.connections.metrics_page(|registry| {
        calls.node().metrics(registry);
        if let Some(hub) = hub {
            hub.register_metrics(registry);
        }
    });
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}
