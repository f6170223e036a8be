//! JSON-RPC 2.0 (jsonrpc.org/specification), and the 1.0 and 1.1 forms that Bitcoin's clients send, each answered as Bitcoin Core 28 does: a call
//! without `jsonrpc` gets `result` and `error` both, and its HTTP status distinguishes errors. What is no call at all counts as one of 1.0.

use crate::answers::{Answer, answer, is_wait};
use crate::error::{ErrorObject, RpcError};
use crate::limits::RpcLimits;
use crate::long_calls::{AnswerCost, LongCalls, PrepareThread};
use crate::methods::{Call, Method, TransactionCall};
use crate::node::NodeApi;
use crate::params::shown;
use crate::refused::unknown_method;
use crate::unsent::UnsentAnswers;
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;

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
}

/// Answers the body of one request, which the server does after it has checked the head: the HTTP status, and the text of the answer if
/// there is anything to say. Calls run in the caller's tokio runtime, which must have timers.
pub async fn answer_body(node: Arc<dyn NodeApi>, limits: RpcLimits, body: &[u8]) -> (u16, Option<String>) {
    let reply = Calls::new(node, limits, || {}).reply(body, None).await;
    (reply.status.as_u16(), reply.body)
}

/// One call, taken apart.
struct Request {
    id: Value,
    method: String,
    params: Option<Value>,
    is_legacy: bool,
    is_notification: bool,
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

    /// Answers a whole body. `wallet` is the name that the path asks for a wallet by.
    pub(crate) async fn reply(&self, body: &[u8], wallet: Option<&str>) -> HttpReply {
        match serde_json::from_slice(body) {
            Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &RpcError::Parse(error.to_string())),
            Ok(Value::Array(batch)) => self.reply_to_batch(batch, wallet).await,
            Ok(single) => self.reply_to_single(single, wallet).await,
        }
    }

    async fn reply_to_single(&self, value: Value, wallet: Option<&str>) -> HttpReply {
        let request = match Request::read(value) {
            Ok(request) => request,
            Err(bad) => return HttpReply { status: StatusCode::BAD_REQUEST, body: Some(bad.response()) },
        };
        let (is_notification, is_legacy) = (request.is_notification, request.is_legacy);
        let answered = self.call(request, wallet).await;
        if is_notification {
            return HttpReply { status: StatusCode::NO_CONTENT, body: None };
        }
        let status = match &answered.error {
            Some(error) if is_legacy => legacy_status(error),
            _ => StatusCode::OK,
        };
        HttpReply { status, body: Some(answered.text) }
    }

    /// Answers a batch in its order, one call at a time; neighbouring calls that submit transactions are started together, in order, so that
    /// their signatures are checked together. Each call takes a slot when its turn comes; one that finds none is answered "busy". Beyond
    /// [`RpcLimits::answer_bytes_max`] of answers, the rest is refused unasked.
    async fn reply_to_batch(&self, batch: Vec<Value>, wallet: Option<&str>) -> HttpReply {
        let is_empty = batch.is_empty();
        let max = self.limits.batch_max;
        if batch.len() > max {
            let error = RpcError::TooLarge { what: "the batch", size: batch.len(), max };
            return fault(StatusCode::BAD_REQUEST, &error);
        }
        let mut answers: Vec<String> = Vec::new();
        let mut size = 0;
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
            let is_full = size > self.limits.answer_bytes_max;
            let refusal = match (&slot, is_full) {
                (None, _) => Some(RpcError::Busy(slots_max)),
                (_, true) => {
                    Some(RpcError::TooLarge { what: "the batch's answer", size, max: self.limits.answer_bytes_max })
                }
                (Some(_), false) => None,
            };
            let group = group.into_iter().map(|value| self.reply_within_batch(value, wallet, refusal.as_ref()));
            for answer in join_all(group).await.into_iter().flatten() {
                size += answer.len();
                answers.push(answer);
            }
        }
        // An empty batch names no version, so it is answered as before there was one.
        if answers.is_empty() && !is_empty {
            return HttpReply { status: StatusCode::NO_CONTENT, body: None };
        }
        HttpReply { status: StatusCode::OK, body: Some(format!("[{}]", answers.join(","))) }
    }

    /// The answer to one call of a batch; `None` for a notification.
    async fn reply_within_batch(
        &self,
        value: Value,
        wallet: Option<&str>,
        refusal: Option<&RpcError>,
    ) -> Option<String> {
        let request = match Request::read(value) {
            Err(bad) => return Some(bad.response()),
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
        (!is_notification).then_some(answered.text)
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
        let (id, is_legacy) = (request.id.clone(), request.is_legacy);
        let (node, wallet, limit) = (self.node.clone(), wallet.map(str::to_owned), self.limits.call_time);
        let cost = AnswerCost::of(method, request.params.as_ref());
        let made = self.long.run(cost, async move {
            let answer = answer(&*node, method, request.params.as_ref(), wallet.as_deref());
            let result = tokio::time::timeout(limit, answer).await;
            request.answered(result.unwrap_or(Err(RpcError::Timeout(limit.as_secs()))))
        });
        made.await.unwrap_or_else(|error| Answered { text: failed(&id, &error, is_legacy), error: Some(error) })
    }

    /// The body of an answer for the client, or that there is no room for it.
    pub(crate) fn body(&self, answer: String) -> Result<Body, HttpReply> {
        self.unsent.body(answer).map_err(|error| fault(legacy_status(&error), &error))
    }
}

/// An answer as the client gets it.
struct Answered {
    text: String,
    error: Option<RpcError>,
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
        failed(&self.id, &RpcError::InvalidRequest(self.text), self.is_legacy)
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
        Ok(Self { id, method, params, is_legacy, is_notification: !has_id && !is_legacy })
    }

    fn answered(&self, result: Result<Answer, RpcError>) -> Answered {
        let id = &self.id;
        let text = match (result, self.is_legacy) {
            (Ok(Answer::Value(result)), true) => text(&LegacyResponse { result, error: None, id }),
            (Ok(Answer::Value(result)), false) => text(&Response { jsonrpc: "2.0", result, id }),
            // As the two above write it.
            (Ok(Answer::Text(result)), true) => format!(r#"{{"result":{result},"error":null,"id":{id}}}"#),
            (Ok(Answer::Text(result)), false) => format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#),
            (Err(error), is_legacy) => return Answered { text: failed(id, &error, is_legacy), error: Some(error) },
        };
        Answered { text, error: None }
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
    HttpReply { status, body: Some(failed(&Value::Null, error, true)) }
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
