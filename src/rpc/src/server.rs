//! HTTP: one accept loop with bounds on connections, time and size, and the checks before a call is looked at.

use crate::auth::Auth;
use crate::error::RpcError;
use crate::node::{Node, Readiness};
use crate::protocol::{Calls, Reply, fault};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// What requests may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most calls in progress; more are answered "busy". A batch counts as one.
    pub calls_max: usize,
    /// Most calls of `waitfornewblock` in progress; more are answered "busy".
    pub waits_max: usize,
    /// Longest time for one call; then the client gets an error, and the call is given up.
    pub call_time: Duration,
    /// Largest body. Unit: bytes. A block of 1 MiB in hex fits.
    pub body_bytes_max: usize,
    /// Most calls in one batch.
    pub batch_max: usize,
    /// From this size on, the rest of a batch is refused. Unit: bytes.
    pub answer_bytes_max: usize,
    /// Most connections; more wait in the system's backlog.
    pub connections_max: usize,
    /// Longest time for a request to arrive, and for a connection to stay idle.
    pub read_time: Duration,
    /// Longest time for answers in progress once the server is asked to end.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 64,
            waits_max: 16,
            call_time: Duration::from_secs(15),
            body_bytes_max: 2 << 20,
            batch_max: 100,
            answer_bytes_max: 32 << 20,
            connections_max: 256,
            read_time: Duration::from_secs(30),
            shutdown_time: Duration::from_secs(1),
        }
    }
}

/// Time that a wrong password costs the client (Bitcoin's server takes as long). A cookie cannot be guessed anyway.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_millis(250);

/// The server: JSON-RPC by POST to `/`, and by GET `/health`, `/ready`, `/metrics` and the pages given.
pub struct Server {
    node: Arc<dyn Node>,
    auth: Auth,
    hosts: Vec<String>,
    limits: Limits,
    pages: Router,
}

impl Server {
    /// A server with the default limits.
    pub fn new(node: Arc<dyn Node>, auth: Auth) -> Self {
        Self { node, auth, hosts: Vec::new(), limits: Limits::default(), pages: Router::new() }
    }

    /// Answers under these host names too, beside `localhost` and IP addresses.
    #[must_use]
    pub fn with_hosts(self, hosts: impl IntoIterator<Item = String>) -> Self {
        Self { hosts: hosts.into_iter().map(|h| h.to_lowercase()).collect(), ..self }
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Pages beside the server's own, such as the dashboard at GET `/`. They need no password and so must change nothing.
    #[must_use]
    pub fn with_pages(self, pages: Router) -> Self {
        Self { pages, ..self }
    }

    /// Serves until `end` is ready; then answers in progress have [`Limits::shutdown_time`] to finish. Dropping the future ends all
    /// at once. An error of one connection or of accepting never ends the server.
    pub async fn serve(self, listener: TcpListener, end: impl Future<Output = ()> + Send) {
        let limits = self.limits.clone();
        let router = self.router();
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut end => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener, &slots) => accepted,
            };
            let Some((stream, from, slot)) = accepted else { continue };
            let service = TowerToHyperService::new(router.clone().layer(Extension(Remote(from.ip()))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.read_time)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, addr = %from, "rpc connection ended");
                }
                drop(slot);
            });
        }
        drop(listener);
        if tokio::time::timeout(limits.shutdown_time, graceful.shutdown()).await.is_err() {
            tracing::debug!(connections = connections.len(), "rpc connections cut at the end");
        }
    }

    fn router(self) -> Router {
        let calls = Arc::new(Calls::new(self.node, self.limits));
        let gate = Arc::new(Gate { auth: self.auth, hosts: self.hosts });
        let rpc = post(rpc).route_layer(middleware::from_fn_with_state(gate.clone(), authorized));
        Router::new()
            .route("/", rpc)
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(calls)
            .merge(self.pages)
            .layer(middleware::from_fn_with_state(gate, known_host))
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not set TCP_NODELAY");
            }
            Some((stream, from, slot))
        }
        Err(error) => {
            // Out of file descriptors, most likely: others must close first, so trying at once would only spin.
            tracing::warn!(%error, "rpc server could not accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Remote(IpAddr);

/// Whom to let in.
struct Gate {
    auth: Auth,
    hosts: Vec<String>,
}

/// Refuses what a page in somebody's browser could send.
async fn known_host(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.refusal(request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

impl Gate {
    /// Why a request is refused: a host name that is not ours, under which a browser would reach us by DNS rebinding, or a page of
    /// another origin.
    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(host) = text(header::HOST) else {
            return Some((StatusCode::BAD_REQUEST, "a Host header is needed\n"));
        };
        let name = host_name(host);
        if !(name.eq_ignore_ascii_case("localhost") || is_ip(name) || self.hosts.contains(&name.to_lowercase())) {
            return Some((
                StatusCode::FORBIDDEN,
                "host name not allowed: add it to `rpc.hosts`, or ask by IP address\n",
            ));
        }
        let is_foreign =
            |origin: &str| origin.split_once("://").is_none_or(|(_, origin)| !origin.eq_ignore_ascii_case(host));
        let foreign = (StatusCode::FORBIDDEN, "requests from pages of other origins are not allowed\n");
        text(header::ORIGIN).is_some_and(is_foreign).then_some(foreign)
    }
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
    State(gate): State<Arc<Gate>>,
    Extension(Remote(from)): Extension<Remote>,
    request: Request,
    next: Next,
) -> Response {
    let credentials = request.headers().get(header::AUTHORIZATION).cloned();
    if gate.auth.allows(credentials.as_ref().map(|value| value.as_bytes()), from) {
        return next.run(request).await;
    }
    if credentials.is_some() {
        tracing::debug!(addr = %from, "wrong rpc credentials");
        tokio::time::sleep(WRONG_PASSWORD_PAUSE).await;
    }
    let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"timed\"")];
    (
        StatusCode::UNAUTHORIZED,
        ask,
        "credentials needed: the cookie file in the data folder, or rpc.user and rpc.password\n",
    )
        .into_response()
}

async fn rpc(State(calls): State<Arc<Calls>>, headers: HeaderMap, body: Body) -> Response {
    let limits = calls.limits();
    let max = limits.body_bytes_max;
    let too_large = |size| fault(StatusCode::PAYLOAD_TOO_LARGE, &RpcError::TooLarge { what: "the request", size, max });
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if let Some(size) = announced.filter(|size| *size > max) {
        return too_large(size).into_response();
    }
    match tokio::time::timeout(limits.read_time, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => calls.reply(&bytes).await.into_response(),
        // Longer than `max`, in pieces, or cut off: then nobody reads the answer.
        Ok(Err(_)) => too_large(max + 1).into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive\n").into_response(),
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self.body {
            None => self.status.into_response(),
            Some(body) => (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        }
    }
}

async fn health(State(calls): State<Arc<Calls>>) -> Response {
    probe(calls.node().health(), "alive\n")
}

async fn ready(State(calls): State<Arc<Calls>>) -> Response {
    probe(calls.node().ready(), "ready\n")
}

fn probe(readiness: Readiness, good: &'static str) -> Response {
    match readiness {
        Readiness::Ready => (StatusCode::OK, good).into_response(),
        Readiness::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(calls): State<Arc<Calls>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], calls.node().metrics()).into_response()
}
