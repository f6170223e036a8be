//! One client at its WebSocket: calls in, events out, and an end with a reason.

use super::cursor::EventCursor;
use super::hub::{ConnectedClient, EventHub};
use super::parts::EventBody;
use super::subscriber::SubscriberEnd;
use super::subscriptions::{ReplayTask, SubscriptionId, TooManySubscribers};
use super::topic::EventFilter;
use crate::connections::CloseReason;
use crate::error::RpcError;
use crate::long_calls::AnswerCost;
use crate::protocol::{Calls, Request};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::Height;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};
use tungstenite::error::Error as SocketError;

/// How often it is checked whether a client lives, at least.
const TICK: Duration = Duration::from_secs(1);
/// What is handed over to the socket at once. Unit: bytes.
const BATCH_BYTES: usize = 256 << 10;
/// When the past is tried to be read again, when the node had no place for it.
const REPLAY_AGAIN: Duration = Duration::from_millis(100);

/// What a page that was read comes to.
type ReplayedPage = Result<(Vec<(EventCursor, EventBody)>, Height), RpcError>;
type PageRead = Pin<Box<dyn Future<Output = (SubscriptionId, ReplayedPage)> + Send>>;

/// A client asks for a WebSocket: the answer, behind which it is served. `cut` gives what is ready when the connection must end at once.
pub(crate) fn client_at(
    hub: &Arc<EventHub>,
    calls: Arc<Calls>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    cut: impl FnOnce() -> oneshot::Receiver<CloseReason>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refusal.into_response(),
    };
    let client = match hub.connect() {
        Ok(client) => client,
        Err(TooManySubscribers(max)) => {
            let text =
                format!("busy: {max} clients are subscribed, which is as many as may be; try again in a moment\n");
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::CONNECTION, "close")], text).into_response();
        }
    };
    let (max, mut cut) = (hub.limits().frame_bytes_max, cut());
    upgrade.max_message_size(max).max_frame_size(max).on_upgrade(move |socket| async move {
        let mut session = ClientSession { socket, client, calls };
        tokio::select! {
            biased;
            Ok(reason) = &mut cut => tracing::debug!(reason = reason.name(), "subscriber cut"),
            () = session.run() => {}
        }
    })
}

struct ClientSession {
    socket: WebSocket,
    client: ConnectedClient,
    calls: Arc<Calls>,
}

/// What ends a session.
enum ClientEnd {
    /// We say why.
    Close(u16, Utf8Bytes),
    /// The client is gone, or has said good-bye.
    Gone,
}

impl From<SubscriberEnd> for ClientEnd {
    fn from(end: SubscriberEnd) -> Self {
        Self::Close(end.code(), Utf8Bytes::from_static(end.text()))
    }
}

impl ClientSession {
    async fn run(&mut self) {
        let ClientEnd::Close(code, reason) = self.serve().await else { return };
        tracing::debug!(code, reason = reason.as_str(), "subscriber closed");
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // Who does not read is not waited for.
        let _ = timeout(self.client.hub.limits().close_time, async {
            self.socket.send(close).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        })
        .await;
    }

    async fn serve(&mut self) -> ClientEnd {
        let hub = self.client.hub.clone();
        let every = (hub.limits().ping_after / 4).clamp(Duration::from_millis(10), TICK);
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading: Option<PageRead> = None;
        let (id, wake) = (self.client.id, self.client.wake.clone());
        loop {
            if let Some(end) = hub.with(|table, _| table.end_of(id)) {
                return end.into();
            }
            let events = hub.with(|table, _| table.take(id, BATCH_BYTES));
            if !events.is_empty() {
                if let Some(end) = self.send(events.into_iter().map(|text| Message::Text(text.into())).collect()).await
                {
                    return end;
                }
                // There may be more, but what the client says comes first.
                wake.notify_one();
            }
            if reading.is_none()
                && let Some(task) = hub.with(|table, _| table.next_replay(id))
            {
                reading = Some(read_page(hub.clone(), self.calls.clone(), task));
            }
            tokio::select! {
                biased;
                frame = self.socket.recv() => {
                    hub.with(|table, now| table.on_frame(now, id));
                    let answer = match frame {
                        Some(Ok(Message::Text(text))) => self.answer(&text),
                        Some(Ok(Message::Binary(_))) => {
                            hub.with(|table, _| table.end(id, SubscriberEnd::NotText));
                            None
                        }
                        // The library answers pings by itself.
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                        Some(Ok(Message::Close(_))) | None => return ClientEnd::Gone,
                        Some(Err(error)) => return unreadable(error),
                    };
                    if let Some(answer) = answer
                        && let Some(end) = self.send(vec![Message::Text(answer.into())]).await
                    {
                        return end;
                    }
                }
                () = wake.notified() => {}
                (number, page) = next_page(&mut reading) => {
                    reading = None;
                    match page {
                        Ok((events, next)) => hub.with(|table, _| table.on_replayed(id, number, events, next)),
                        Err(error) => {
                            tracing::warn!(%error, "the past cannot be read for a subscriber");
                            hub.with(|table, _| table.end(id, SubscriberEnd::Failed));
                        }
                    }
                }
                _ = ticks.tick() => {
                    let is_ping_due = hub.with(|table, now| table.on_tick(now, id));
                    if is_ping_due
                        && let Some(end) = self.send(vec![Message::Ping(Vec::new().into())]).await
                    {
                        return end;
                    }
                }
            }
        }
    }

    /// Hands messages over to the system. A client that is ended meanwhile is not waited for.
    async fn send(&mut self, messages: Vec<Message>) -> Option<ClientEnd> {
        let (hub, id, wake) = (self.client.hub.clone(), self.client.id, self.client.wake.clone());
        let socket = &mut self.socket;
        let sending = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        let mut sending = std::pin::pin!(sending);
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return sent.err().map(|_| ClientEnd::Gone),
                () = wake.notified() => {
                    if let Some(end) = hub.with(|table, _| table.end_of(id)) {
                        return Some(end.into());
                    }
                }
            }
        }
    }

    /// The answer to a call; none to a notification.
    fn answer(&self, text: &str) -> Option<String> {
        let hub = &self.client.hub;
        let request = match Request::of_text(text) {
            Ok(request) => request,
            Err(refusal) => {
                // What is no call costs as much.
                let _counted = hub.with(|table, now| table.on_call(now, self.client.id));
                return Some(refusal);
            }
        };
        let result = hub.with(|table, now| table.on_call(now, self.client.id)).and_then(|()| self.call(&request));
        (!request.is_notification).then(|| request.answer(result))
    }

    fn call(&self, request: &Request) -> Result<Value, RpcError> {
        let (hub, id) = (&self.client.hub, self.client.id);
        let params = request.params.as_ref();
        match request.method.as_str() {
            "subscribe" => {
                let (filter, after) = EventFilter::read(params, hub.network(), hub.limits().addresses_max)?;
                let (topic, bounds) = (filter.topic, hub.api().heights());
                hub.with(|table, _| {
                    let number = table.subscribe(id, filter, after, bounds)?;
                    Ok(json!({ "subscription": number, "topic": topic.name(), "height": table.height().0 }))
                })
            }
            "unsubscribe" => {
                let number = match params {
                    Some(Value::Array(list)) => list.first(),
                    Some(Value::Object(object)) => object.get("subscription"),
                    _ => None,
                };
                let number = number.and_then(Value::as_u64).ok_or_else(|| {
                    RpcError::InvalidParameter("unsubscribe: expected the number of a subscription".into())
                })?;
                Ok(hub.with(|table, _| table.unsubscribe(id, number)).into())
            }
            other => Err(RpcError::Elsewhere(format!(
                "{other:.40} is not called here: /ws has subscribe and unsubscribe, all other methods are called by POST to /"
            ))),
        }
    }
}

/// What a client sent is none of what it may send.
fn unreadable(error: axum::Error) -> ClientEnd {
    let close = |code, text| ClientEnd::Close(code, Utf8Bytes::from_static(text));
    match error.into_inner().downcast_ref::<SocketError>() {
        Some(SocketError::Capacity(_)) => close(1009, "too_large: a message of a client has at most 128 KiB"),
        Some(SocketError::Utf8(_)) => close(1007, "not_utf8: calls are UTF-8"),
        Some(SocketError::Protocol(_)) => close(1002, "protocol: this is no frame of RFC 6455"),
        _ => ClientEnd::Gone,
    }
}

/// The page that is being read; never, when none is.
async fn next_page(reading: &mut Option<PageRead>) -> (SubscriptionId, ReplayedPage) {
    match reading {
        Some(page) => page.await,
        None => std::future::pending().await,
    }
}

/// Reads a page where long answers are made, few at once.
fn read_page(hub: Arc<EventHub>, calls: Arc<Calls>, task: ReplayTask) -> PageRead {
    Box::pin(async move {
        let number = task.subscription;
        loop {
            let Ok(place) = hub.replays.acquire().await else { return (number, Err(RpcError::NotOffered)) };
            let deadline = Instant::now() + calls.limits().call_time;
            let (reader, wanted) = (hub.clone(), task.clone());
            let page = calls.long().run(AnswerCost::Scan, deadline, async move { reader.page(&wanted) }).await;
            match page.and_then(|page| page) {
                Err(RpcError::Busy(_)) => {}
                // The block is on its way.
                Ok((_, next)) if next == task.first => {}
                page => return (number, page),
            }
            drop(place);
            sleep(REPLAY_AGAIN).await;
        }
    })
}
