//! Answers that clients have not taken yet: how much of them there may be, and how they leave in parts.

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

    /// For one answer, which has nothing of the room yet.
    pub(crate) fn begin(&self) -> AnswerRoom {
        AnswerRoom { all: self.room.clone(), units_max: self.units_max, taken: None }
    }
}

/// What one answer has of the room, until it is taken by its client or dropped.
pub(crate) struct AnswerRoom {
    all: Arc<Semaphore>,
    units_max: u32,
    taken: Option<OwnedSemaphorePermit>,
}

impl AnswerRoom {
    /// Takes the room for an answer that has grown to so many bytes, and returns whether there was as much; if not, nothing changes. Up to
    /// [`PART_BYTES`] it needs none; an answer that is larger than all of the room has all of it.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let lacking = self.lacking(bytes);
        lacking == 0 || self.take(lacking)
    }

    /// The same for an answer that must be given, as its call has done something: takes what room there is.
    pub(crate) fn grow_towards(&mut self, bytes: usize) {
        let free = u32::try_from(self.all.available_permits()).unwrap_or(u32::MAX);
        // Another answer may have come first.
        let _ = self.take(self.lacking(bytes).min(free));
    }

    /// The body of the answer, which gives the room back when its last part is taken.
    pub(crate) fn body(self, answer: String) -> Body {
        if answer.len() <= PART_BYTES {
            return Body::from(answer);
        }
        Body::new(LargeAnswer { rest: answer.into(), _room: self })
    }

    fn lacking(&self, bytes: usize) -> u32 {
        if bytes <= PART_BYTES {
            return 0;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units_max);
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        units.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    fn take(&mut self, units: u32) -> bool {
        let Ok(more) = self.all.clone().try_acquire_many_owned(units) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

/// An answer that is taken part by part, and makes room when the last is taken.
struct LargeAnswer {
    rest: Bytes,
    _room: AnswerRoom,
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

    fn body(unsent: &UnsentAnswers, bytes: usize) -> Option<Body> {
        let mut room = unsent.begin();
        room.grow_to(bytes).then(|| room.body("x".repeat(bytes)))
    }

    #[tokio::test]
    async fn large_answers_leave_in_parts_and_wait_for_no_room() {
        let unsent = UnsentAnswers::new(200 << 10);
        let first = body(&unsent, 150 << 10).unwrap();
        assert_eq!(HttpBody::size_hint(&first).exact(), Some(150 << 10));
        assert!(body(&unsent, 60 << 10).is_some(), "small ones need no room");
        assert!(body(&unsent, 70 << 10).is_none());
        assert_eq!(taken(first).await, [PART_BYTES, PART_BYTES, 22 << 10]);
        let whole = body(&unsent, 1 << 20).unwrap();
        assert!(body(&unsent, 70 << 10).is_none(), "it has all the room");
        drop(whole);
        assert!(body(&unsent, 70 << 10).is_some());
    }

    #[test]
    fn an_answer_takes_room_as_it_grows_and_gives_all_of_it_back() {
        let unsent = UnsentAnswers::new(200 << 10);
        let (mut first, mut second) = (unsent.begin(), unsent.begin());
        assert!(first.grow_to(64 << 10) && first.grow_to(100 << 10) && first.grow_to(120 << 10));
        assert!(second.grow_to(80 << 10) && !second.grow_to(81 << 10), "80 KiB are left");
        assert!(first.grow_to(120 << 10), "it has this much");
        assert_eq!(unsent.room.available_permits(), 0);
        drop(second);
        let mut done = unsent.begin();
        done.grow_towards(90 << 10);
        assert_eq!(unsent.room.available_permits(), 0, "what there is");
        drop((first, done));
        assert_eq!(unsent.room.available_permits(), 200);
    }
}
