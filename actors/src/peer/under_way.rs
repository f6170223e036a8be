//! What one connection has under way: kept so low for bulk that what a slow link holds up stays short, however large its queues are.
//!
//! A byte that has left for the kernel cannot be overtaken any more. So bulk waits in its lane while what is written and not acknowledged fills the path
//! and a few milliseconds of queue ([`LinkRate::in_flight_max`]); votes and pings never wait for this. Where what is under way is not reported, as with connections in
//! memory, bulk is not held.

use super::shared_stream::SharedStream;
use std::time::Duration;
use timed_peer::LinkRate;
use timed_primitives::Instant;

#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) rate: LinkRate,
    /// Bytes written so far.
    written: u64,
    /// Those that were acknowledged when we last looked.
    carried: u64,
    /// Bytes under way, at most: between two looks they only become fewer, but for what is written.
    at_most: usize,
    /// Whether the connection reports what is under way.
    is_reported: bool,
}

impl UnderWay {
    /// How long until bulk may join what is under way, or `None` when it may. The kernel is asked only when what was written since the last look
    /// may be too much.
    pub(super) fn look(&mut self, stream: &SharedStream, now: Instant) -> Option<Duration> {
        if self.at_most < self.rate.in_flight_max(Duration::ZERO) {
            return None;
        }
        let bytes_in_flight = stream.bytes_in_flight();
        self.is_reported = bytes_in_flight.is_some();
        let Some(bytes_in_flight) = bytes_in_flight else {
            self.at_most = 0;
            return None;
        };
        self.at_most = bytes_in_flight.bytes;
        // Encryption adds a little to what is under way, and nothing to what we count.
        let under_way = u64::try_from(bytes_in_flight.bytes).unwrap_or(u64::MAX);
        let carried = self.written.saturating_sub(under_way).max(self.carried);
        self.rate.on_carried(now, now, usize::try_from(carried - self.carried).unwrap_or(usize::MAX));
        self.carried = carried;
        let over = bytes_in_flight.bytes.checked_sub(self.rate.in_flight_max(bytes_in_flight.round_trip))?;
        Some(self.rate.time_of(over))
    }

    /// A batch was taken by the kernel.
    pub(super) fn on_written(&mut self, started: Instant, now: Instant, bytes: usize) {
        self.written = self.written.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.at_most = self.at_most.saturating_add(bytes);
        if !self.is_reported {
            self.rate.on_carried(started, now, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{BytesInFlight, Stream};
    use std::io;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

    /// What a kernel would report, and how often it was asked.
    #[derive(Clone, Default)]
    struct Kernel(Arc<Mutex<(Option<BytesInFlight>, usize)>>);

    impl Kernel {
        fn set_bytes(&self, bytes: usize) {
            self.0.lock().unwrap().0 = Some(BytesInFlight { bytes, round_trip: Duration::from_millis(20) });
        }

        fn asked(&self) -> usize {
            self.0.lock().unwrap().1
        }
    }

    struct ReportingStream(DuplexStream, Kernel);

    impl Stream for ReportingStream {
        fn bytes_in_flight(&self) -> Option<BytesInFlight> {
            let mut kernel = self.1.0.lock().unwrap();
            kernel.1 += 1;
            kernel.0
        }
    }

    impl AsyncRead for ReportingStream {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for ReportingStream {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    fn stream() -> (SharedStream, Kernel) {
        let (ours, _theirs) = tokio::io::duplex(64);
        let kernel = Kernel::default();
        (SharedStream::new(Box::new(ReportingStream(ours, kernel.clone()))), kernel)
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000)
    }

    #[test]
    fn bulk_waits_while_the_path_is_full_and_the_kernel_is_asked_only_when_it_may_be() {
        let ((stream, kernel), mut under_way) = (stream(), UnderWay::default());
        kernel.set_bytes(0);
        assert_eq!((under_way.look(&stream, at(0)), kernel.asked()), (None, 0), "nothing was written");
        under_way.on_written(at(0), at(0), 100_000);
        kernel.set_bytes(100_000);
        let wait = under_way.look(&stream, at(1)).unwrap();
        let over = 100_000 - under_way.rate.in_flight_max(Duration::from_millis(20));
        assert_eq!((wait, kernel.asked()), (under_way.rate.time_of(over), 1));
        kernel.set_bytes(1_000);
        assert_eq!((under_way.look(&stream, at(2)), kernel.asked()), (None, 2));
        assert_eq!((under_way.look(&stream, at(3)), kernel.asked()), (None, 2), "it can only have become less");
    }

    #[test]
    fn the_rate_is_that_of_what_was_acknowledged_and_without_a_word_of_it_that_of_writing() {
        let ((stream, kernel), mut under_way) = (stream(), UnderWay::default());
        // Into a large buffer at once; the link carries 1 MB/s.
        for n in 0..100 {
            under_way.on_written(at(n * 50), at(n * 50), 50_000);
            kernel.set_bytes(50_000);
            let _ = under_way.look(&stream, at(n * 50));
        }
        let rate = under_way.rate.bytes_per_second();
        assert!((900_000..=1_100_000).contains(&rate), "{rate}");

        let ((stream, kernel), mut under_way) = (self::stream(), UnderWay::default());
        for n in 0..100 {
            under_way.on_written(at(n * 50), at(n * 50 + 50), 100_000);
            assert_eq!(under_way.look(&stream, at(n * 50 + 50)), None, "nothing is reported, and nothing is held back");
        }
        assert!(kernel.asked() > 0);
        assert!(under_way.rate.bytes_per_second() > 1_900_000, "{}", under_way.rate.bytes_per_second());
    }
}
