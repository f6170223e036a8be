//! JSON-RPC 2.0 (jsonrpc.org/specification), and the 1.0 and 1.1 forms that Bitcoin's clients send, each answered as Bitcoin Core 28 does: a call
//! without `jsonrpc` gets `result` and `error` both, and its HTTP status distinguishes errors. What is no call at all counts as one of 1.0.

use crate::answers::{Answer, answer, has_effect, is_wait};
use crate::error::{ErrorObject, RpcError};
use crate::limits::RpcLimits;
use crate::long_calls::{AnswerCost, LongCalls, PrepareThread};
use crate::methods::{Call, Method, TransactionCall};
use crate::node::NodeApi;
use crate::params::shown;
use crate::refused::unknown_method;
use crate::unique_keys::UniqueKeys;
use crate::unsent::{AnswerRoom, UnsentAnswers};
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// How many calls of one batch are in progress together, when their answers are small.
const BATCH_TOGETHER: usize = 100;

/// What calls in progress share.
pub(crate) struct Calls {
    node: Arc<dyn NodeApi>,
    limits: RpcLimits,
    /// Calls in progress, beside those below: up to [`RpcLimits::calls_max`].
    running: Semaphore,
    /// Submissions in progress: up to [`RpcLimits::submissions_max`].
    submitting: Semaphore,
    /// Calls that wait for a block: up to [`RpcLimits::waits_max`], so that they leave room for the others.
    waiting: Semaphore,
    /// Calls whose answers take long to make.
    long: LongCalls,
    /// Answers that clients have not taken yet.
    unsent: UnsentAnswers,
}

/// What the client gets. `None` as body: only notifications, nothing to say.
pub(crate) struct HttpReply {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<String>,
    /// What the body has of the room for answers that clients have not taken.
    pub(crate) room: Option<AnswerRoom>,
}

impl HttpReply {
    fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, room: None }
    }
}

/// Answers the body of one request, which the server does after it has checked the head: the HTTP status, and the text of the answer if
/// there is anything to say. Calls run in the caller's tokio runtime, which must have timers.
pub async fn answer_body(node: Arc<dyn NodeApi>, limits: RpcLimits, body: &[u8]) -> (u16, Option<String>) {
    let reply = Calls::new(node, limits, || {}).reply(body, None).await;
    (reply.status.as_u16(), reply.body)
}

/// One call, taken apart.
pub(crate) struct Request {
    head: CallHead,
    pub(crate) method: String,
    pub(crate) params: Option<Value>,
    pub(crate) is_notification: bool,
}

/// What the answer to a call must know of it.
#[derive(Clone)]
struct CallHead {
    id: Value,
    is_legacy: bool,
}

impl Calls {
    pub(crate) fn new(node: Arc<dyn NodeApi>, limits: RpcLimits, prepare: PrepareThread) -> Self {
        let (running, waiting) = (Semaphore::new(limits.calls_max), Semaphore::new(limits.waits_max));
        let submitting = Semaphore::new(limits.submissions_max);
        let (long, unsent) = (LongCalls::new(&limits, prepare), UnsentAnswers::new(limits.unsent_bytes_max));
        Self { node, limits, running, submitting, waiting, long, unsent }
    }

    pub(crate) fn node(&self) -> &dyn NodeApi {
        &*self.node
    }

    pub(crate) fn limits(&self) -> &RpcLimits {
        &self.limits
    }

    pub(crate) fn long(&self) -> &LongCalls {
        &self.long
    }

    /// Answers a whole body. `wallet` is the name that the path asks for a wallet by.
    pub(crate) async fn reply(&self, body: &[u8], wallet: Option<&str>) -> HttpReply {
        match serde_json::from_slice(body) {
            Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &RpcError::Parse(error.to_string())),
            Ok(UniqueKeys(Value::Array(batch))) => self.reply_to_batch(batch, wallet).await,
            Ok(UniqueKeys(single)) => self.reply_to_single(single, wallet).await,
        }
    }

    async fn reply_to_single(&self, value: Value, wallet: Option<&str>) -> HttpReply {
        let request = match Request::read(value) {
            Ok(request) => request,
            Err(bad) => {
                return HttpReply { status: StatusCode::BAD_REQUEST, body: Some(bad.response()), room: None };
            }
        };
        let is_notification = request.is_notification;
        let mut answered = self.call(request, wallet).await;
        if is_notification {
            return HttpReply::nothing();
        }
        let mut room = self.unsent.begin();
        answered.take_room(&mut room, 0);
        let status = match &answered.error {
            Some(error) if answered.head.is_legacy => legacy_status(error),
            _ => StatusCode::OK,
        };
        HttpReply { status, body: Some(answered.text), room: Some(room) }
    }

    /// Answers a batch in its order, one call at a time; neighbouring calls that submit transactions are started together, in order, so that
    /// their signatures are checked together. Each call takes a slot when its turn comes; one that finds none is answered "busy". Beyond
    /// [`RpcLimits::answer_bytes_max`] of answers, and when clients leave no room for more answers, the rest is refused unasked; what was done by
    /// then is answered.
    async fn reply_to_batch(&self, batch: Vec<Value>, wallet: Option<&str>) -> HttpReply {
        let is_empty = batch.is_empty();
        let max = self.limits.batch_max;
        if batch.len() > max {
            let error = RpcError::TooLarge { what: "the batch", size: batch.len(), max };
            return fault(StatusCode::BAD_REQUEST, &error);
        }
        let (mut answers, mut room, mut has_room) = (String::from("["), self.unsent.begin(), true);
        let mut calls = batch.into_iter().peekable();
        while let Some(first) = calls.next() {
            let (slots, slots_max) = self.slots(is_submission(&first));
            let mut slot = slots.try_acquire().ok();
            let mut group = vec![first];
            while group.iter().all(is_submission)
                && group.len() < BATCH_TOGETHER
                && let Some(taken) = slot.as_mut()
                && calls.peek().is_some_and(is_submission)
                && let Ok(further) = slots.try_acquire()
            {
                taken.merge(further);
                group.extend(calls.next());
            }
            let (size, max) = (answers.len(), self.limits.answer_bytes_max);
            let refusal = match &slot {
                None => Some(RpcError::Busy(slots_max)),
                Some(_) if size > max => Some(RpcError::TooLarge { what: "the batch's answer", size, max }),
                Some(_) if !has_room => Some(RpcError::AnswersUnread),
                Some(_) => None,
            };
            let group = group.into_iter().map(|value| self.reply_within_batch(value, wallet, refusal.as_ref()));
            for mut answered in join_all(group).await.into_iter().flatten() {
                has_room &= answered.take_room(&mut room, answers.len());
                if answers.len() > 1 {
                    answers.push(',');
                }
                answers.push_str(&answered.text);
            }
        }
        // An empty batch names no version, so it is answered as before there was one.
        if answers.len() == 1 && !is_empty {
            return HttpReply::nothing();
        }
        answers.push(']');
        HttpReply { status: StatusCode::OK, body: Some(answers), room: Some(room) }
    }

    /// The answer to one call of a batch; `None` for a notification.
    async fn reply_within_batch(
        &self,
        value: Value,
        wallet: Option<&str>,
        refusal: Option<&RpcError>,
    ) -> Option<Answered> {
        let request = match Request::read(value) {
            Err(bad) => return Some(bad.answered()),
            Ok(request) => request,
        };
        let is_notification = request.is_notification;
        let answered = match (refusal, Method::find(&request.method)) {
            (Some(refusal), _) => request.answered(Err(refusal.clone())),
            (None, None) => request.answered(Err(unknown_method(&request.method))),
            (None, Some(method)) if is_wait(method) => {
                let error = RpcError::InvalidRequest(format!("{} cannot be part of a batch", request.method));
                request.answered(Err(error))
            }
            (None, Some(method)) => self.answer_in_time(method, request, wallet).await,
        };
        (!is_notification).then_some(answered)
    }

    async fn call(&self, request: Request, wallet: Option<&str>) -> Answered {
        let Some(method) = Method::find(&request.method) else {
            return request.answered(Err(unknown_method(&request.method)));
        };
        if is_wait(method) {
            let Ok(_permit) = self.waiting.try_acquire() else {
                return request.answered(Err(RpcError::Busy(self.limits.waits_max)));
            };
            return request.answered(answer(&*self.node, method, request.params.as_ref(), wallet).await);
        }
        let (slots, slots_max) = self.slots(is_submitting(method));
        let Ok(_permit) = slots.try_acquire() else { return request.answered(Err(RpcError::Busy(slots_max))) };
        self.answer_in_time(method, request, wallet).await
    }

    /// The slots that a call takes one of, and how many there are.
    fn slots(&self, is_submission: bool) -> (&Semaphore, usize) {
        match is_submission {
            true => (&self.submitting, self.limits.submissions_max),
            false => (&self.running, self.limits.calls_max),
        }
    }

    /// The answer as text, which takes as long as the answer is large: both are made where the cost of the call demands.
    async fn answer_in_time(&self, method: &'static Method, request: Request, wallet: Option<&str>) -> Answered {
        let (head, limit) = (request.head.clone(), self.limits.call_time);
        let (node, wallet, deadline) = (self.node.clone(), wallet.map(str::to_owned), Instant::now() + limit);
        let cost = AnswerCost::of(method, request.params.as_ref());
        let made = self.long.run(cost, deadline, async move {
            let answer = answer(&*node, method, request.params.as_ref(), wallet.as_deref());
            let result = timeout_at(deadline, answer).await;
            let answered = request.answered(result.unwrap_or(Err(RpcError::Timeout(limit.as_secs()))));
            Answered { has_effect: has_effect(method), ..answered }
        });
        made.await.unwrap_or_else(|error| head.refused(error))
    }
}

/// An answer as the client gets it.
struct Answered {
    head: CallHead,
    text: String,
    error: Option<RpcError>,
    /// Whether the call may have changed something.
    has_effect: bool,
}

impl Answered {
    /// Takes room for this answer behind so many bytes of others, and returns whether there was enough. Without room, the client gets "busy" in its
    /// place, unless the call may have changed something. Unit: bytes.
    fn take_room(&mut self, room: &mut AnswerRoom, before: usize) -> bool {
        let has_room = room.grow_to(before + self.text.len());
        if !has_room && !self.has_effect && self.error.is_none() {
            *self = self.head.clone().refused(RpcError::AnswersUnread);
        }
        if !has_room {
            room.grow_towards(before + self.text.len());
        }
        has_room
    }
}

impl CallHead {
    /// That the call has no result, for this reason.
    fn refused(self, error: RpcError) -> Answered {
        let text = failed(&self.id, &error, self.is_legacy);
        Answered { head: self, text, error: Some(error), has_effect: false }
    }
}

/// Whether a call of a batch hands in a transaction.
fn is_submission(call: &Value) -> bool {
    let name = call.get("method").and_then(Value::as_str);
    name.and_then(Method::find).is_some_and(is_submitting)
}

fn is_submitting(method: &Method) -> bool {
    matches!(method.call, Call::Transaction(TransactionCall::SendRawTransaction))
}

/// What is no call, and how to answer it.
struct BadRequest {
    id: Value,
    text: String,
    is_legacy: bool,
}

impl BadRequest {
    fn response(self) -> String {
        self.answered().text
    }

    fn answered(self) -> Answered {
        CallHead { id: self.id, is_legacy: self.is_legacy }.refused(RpcError::InvalidRequest(self.text))
    }
}

impl Request {
    /// The call, or what is wrong with it.
    fn read(value: Value) -> Result<Self, BadRequest> {
        let Value::Object(mut map) = value else {
            let text = format!("expected an object, got {}", shown(&value));
            return Err(BadRequest { id: Value::Null, text, is_legacy: true });
        };
        let version = Version::of(map.get("jsonrpc"));
        let is_legacy = version != Version::Two;
        let invalid = |id: Value, text: String| Err(BadRequest { id, text, is_legacy });
        let (id, has_id) = match map.remove("id") {
            None => (Value::Null, false),
            Some(id @ (Value::Null | Value::String(_) | Value::Number(_))) => (id, true),
            Some(other) => {
                return invalid(Value::Null, format!("id: expected text, a number or null, got {}", shown(&other)));
            }
        };
        if version == Version::Unknown {
            let given = map.get("jsonrpc").map(shown).unwrap_or_default();
            return invalid(id, format!("jsonrpc: expected \"2.0\", got {given}"));
        }
        let method = match map.remove("method") {
            Some(Value::String(method)) => method,
            Some(other) => return invalid(id, format!("method: expected text, got {}", shown(&other))),
            None => return invalid(id, "method: expected text, got nothing".into()),
        };
        let params = map.remove("params");
        if let Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) = &params {
            return invalid(id, format!("params: expected a list or an object, got {}", shown(other)));
        }
        Ok(Self { head: CallHead { id, is_legacy }, method, params, is_notification: !has_id && !is_legacy })
    }

    /// The one call that a text is, or what its sender is answered.
    pub(crate) fn of_text(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Err(error) => Err(failed(&Value::Null, &RpcError::Parse(error.to_string()), false)),
            Ok(UniqueKeys(value)) => Self::read(value).map_err(BadRequest::response),
        }
    }

    /// The text of the answer.
    pub(crate) fn answer(&self, result: Result<Value, RpcError>) -> String {
        self.answered(result.map(Answer::Value)).text
    }

    fn answered(&self, result: Result<Answer, RpcError>) -> Answered {
        let CallHead { id, is_legacy } = &self.head;
        let text = match (result, is_legacy) {
            (Ok(Answer::Value(result)), true) => text(&LegacyResponse { result, error: None, id }),
            (Ok(Answer::Value(result)), false) => text(&Response { jsonrpc: "2.0", result, id }),
            // As the two above write it.
            (Ok(Answer::Text(result)), true) => format!(r#"{{"result":{result},"error":null,"id":{id}}}"#),
            (Ok(Answer::Text(result)), false) => format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#),
            (Err(error), _) => return self.head.clone().refused(error),
        };
        Answered { head: self.head.clone(), text, error: None, has_effect: false }
    }
}

/// Which form a call has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// 1.0 or 1.1, or none is named.
    Legacy,
    Two,
    Unknown,
}

impl Version {
    /// Some clients write it as a number.
    fn of(jsonrpc: Option<&Value>) -> Self {
        let text = match jsonrpc {
            None | Some(Value::Null) => return Self::Legacy,
            Some(Value::String(text)) => text.as_str(),
            Some(Value::Number(number)) => number.as_str(),
            Some(_) => return Self::Unknown,
        };
        match text {
            "1" | "1.0" | "1.1" => Self::Legacy,
            "2" | "2.0" => Self::Two,
            _ => Self::Unknown,
        }
    }
}

fn failed(id: &Value, error: &RpcError, is_legacy: bool) -> String {
    let error = error.to_object();
    if is_legacy {
        text(&LegacyResponse { result: Value::Null, error: Some(error), id })
    } else {
        text(&CallFailure { jsonrpc: "2.0", error, id })
    }
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    result: Value,
    id: &'a Value,
}

#[derive(Serialize)]
struct CallFailure<'a> {
    jsonrpc: &'static str,
    error: ErrorObject,
    id: &'a Value,
}

/// Of the 1.0 form.
#[derive(Serialize)]
struct LegacyResponse<'a> {
    result: Value,
    error: Option<ErrorObject>,
    id: &'a Value,
}

/// Keys are text and values are finite, so it always is JSON.
fn text(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

/// A fault of the request as a whole, which therefore has no id.
pub(crate) fn fault(status: StatusCode, error: &RpcError) -> HttpReply {
    HttpReply { status, body: Some(failed(&Value::Null, error, true)), room: None }
}

/// What Bitcoin's server says to calls of the 1.0 form.
fn legacy_status(error: &RpcError) -> StatusCode {
    match error {
        RpcError::InvalidRequest(_) => StatusCode::BAD_REQUEST,
        RpcError::UnknownMethod { .. } | RpcError::Meaningless { .. } | RpcError::NotOffered => StatusCode::NOT_FOUND,
        RpcError::Busy(_) | RpcError::AnswersUnread | RpcError::Overloaded { .. } | RpcError::Behind { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
