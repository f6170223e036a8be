//! Answers that clients have not taken yet: how much of them there may be, and how they leave in parts.

use crate::error::RpcError;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What leaves at once: as much as a connection gathers. Unit: bytes.
const PART_BYTES: usize = 64 * 1024;
/// What is counted together. Unit: bytes.
const UNIT_BYTES: usize = 1024;

/// Room for answers that clients have not taken yet.
pub(crate) struct UnsentAnswers {
    room: Arc<Semaphore>,
    units_max: u32,
}

impl UnsentAnswers {
    /// Room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let units_max = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { room: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// The body of an answer. One of [`PART_BYTES`] at most needs no room; one that is larger than all of it has all of it.
    ///
    /// # Errors
    /// [`RpcError::AnswersUnread`] when there is no room for it.
    pub(crate) fn body(&self, answer: String) -> Result<Body, RpcError> {
        let bytes = answer.len();
        if bytes <= PART_BYTES {
            return Ok(Body::from(answer));
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max);
        let room = self.room.clone().try_acquire_many_owned(units).map_err(|_| RpcError::AnswersUnread)?;
        Ok(Body::new(LargeAnswer { rest: answer.into(), _room: room }))
    }
}

/// An answer that is taken part by part, and makes room when the last is taken.
struct LargeAnswer {
    rest: Bytes,
    _room: OwnedSemaphorePermit,
}

impl HttpBody for LargeAnswer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(part);
        Poll::Ready((!part.is_empty()).then(|| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(mut body: Body) -> Vec<usize> {
        let mut parts = Vec::new();
        while let Some(part) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            parts.push(part.unwrap().into_data().unwrap().len());
        }
        parts
    }

    #[tokio::test]
    async fn large_answers_leave_in_parts_and_wait_for_no_room() {
        let unsent = UnsentAnswers::new(200 << 10);
        let answer = |bytes: usize| unsent.body("x".repeat(bytes));
        let first = answer(150 << 10).unwrap();
        assert_eq!(HttpBody::size_hint(&first).exact(), Some(150 << 10));
        assert!(answer(60 << 10).is_ok(), "small ones need no room");
        assert!(matches!(answer(70 << 10), Err(RpcError::AnswersUnread)));
        assert_eq!(taken(first).await, [PART_BYTES, PART_BYTES, 22 << 10]);
        let whole = answer(1 << 20).unwrap();
        assert!(answer(70 << 10).is_err(), "it has all the room");
        drop(whole);
        assert!(answer(70 << 10).is_ok());
    }
}
