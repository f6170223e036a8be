//! A Byzantine validator's end of a secured connection.

use super::SharedByzantine;
use bytes::{Buf as _, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use timed_actors::transport::{BoxStream, Stream};
use timed_primitives::PublicKey;
use timed_wire::{FrameCodec, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::Decoder as _;

/// Whatever is written comes out as the Byzantine validator says it. What is read is left alone.
pub(crate) struct LyingStream {
    stream: BoxStream,
    to: PublicKey,
    byzantine: SharedByzantine,
    codec: FrameCodec,
    /// What was written and is no whole frame yet.
    written: BytesMut,
    /// What is to leave. Bound: what one write becomes, since none is taken before the last is out.
    said: BytesMut,
}

impl LyingStream {
    pub(crate) fn new(stream: BoxStream, to: PublicKey, byzantine: SharedByzantine) -> Self {
        let codec = FrameCodec::new();
        Self { stream, to, byzantine, codec, written: BytesMut::new(), said: BytesMut::new() }
    }

    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.said.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.said))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.said.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_frames(&mut self) -> io::Result<()> {
        while let Some(frame) = self.codec.decode(&mut self.written).map_err(io::Error::other)? {
            if let Incoming::Message { message, .. } = frame {
                self.byzantine.lock().say(&self.to, message, &mut self.said);
            }
        }
        Ok(())
    }
}

impl AsyncRead for LyingStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Stream for LyingStream {}

impl AsyncWrite for LyingStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_said(cx))?;
        self.written.extend_from_slice(bytes);
        self.take_frames()?;
        // What does not leave now leaves with the flush.
        match self.poll_said(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_said(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
