//! A server on a free port and a client that writes its HTTP by hand, so that bad requests can be sent too.

use crate::sample::Sample;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use timed_rpc::{Auth, Cookie, RpcLimits, RpcServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) node: Arc<Sample>,
    pub(crate) cookie: Cookie,
    pub(crate) end: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn code(&self) -> Option<i64> {
        self.json()["error"]["code"].as_i64()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn start(sample: Sample, limits: RpcLimits) -> Running {
    start_with(sample, limits, |server| server).await
}

/// With what else a test gives the server.
pub(crate) async fn start_with(
    sample: Sample,
    limits: RpcLimits,
    more: impl FnOnce(RpcServer) -> RpcServer,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node = Arc::new(sample);
    let cookie = Cookie::generate();
    let auth = Auth::default().with_cookie(&cookie).with_password("operator", "correct horse battery");
    let server = RpcServer::new(node.clone(), auth).with_hosts(["Node.Example".to_owned()]).with_limits(limits);
    let server = more(server);
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(server.serve(listener, async {
        let _ = ended.await;
    }));
    Running { address, node, cookie, end, task }
}

impl Running {
    /// Sends these bytes and reads to the end.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        read(&mut stream).await
    }

    pub(crate) async fn get(&self, path: &str, host: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await
    }

    /// Posts a body with the cookie.
    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.post_with(&[("Authorization", &self.cookie.header())], body).await
    }

    pub(crate) async fn post_with(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{request}\r\n{body}").as_bytes()).await
    }

    /// Calls one method in the 2.0 form.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Answer {
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.post(&call.to_string()).await
    }
}

pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}
