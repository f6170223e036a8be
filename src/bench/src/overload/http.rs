//! The least of an HTTP/1.1 client: one kept connection, one request at a time. The load's price must be the node's and not its own.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer: `listunspent` of 100,000 outputs has 50 MiB. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Largest head of an answer. Unit: bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A connection to one node's RPC, opened when it is needed and again after a failure.
pub(crate) struct HttpClient {
    address: SocketAddr,
    authorization: String,
    stream: Option<TcpStream>,
}

impl HttpClient {
    pub(crate) fn new(address: SocketAddr, authorization: &str) -> Self {
        Self { address, authorization: authorization.to_owned(), stream: None }
    }

    /// The head of a request with a body of so many bytes.
    pub(crate) fn head(address: SocketAddr, authorization: &str, bytes: usize) -> String {
        format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n\
             Content-Length: {bytes}\r\n\r\n"
        )
    }

    /// Sends a body to `/` and returns the body of the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer; the next request opens a new connection.
    pub(crate) async fn post(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        let head = Self::head(self.address, &self.authorization, body.len());
        stream.set_nodelay(true)?;
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let (answer, is_kept) = read(&mut stream).await?;
        self.stream = is_kept.then_some(stream);
        Ok(answer)
    }
}

/// The body of one answer, and whether the connection may be used again.
async fn read(stream: &mut TcpStream) -> Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::with_capacity(4 << 10);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(Error::new(ErrorKind::InvalidData, "the head of the answer has no end"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    let (length, is_kept) = read_head(&bytes[..head])?;
    bytes.drain(..head);
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    bytes.truncate(length);
    Ok((bytes, is_kept))
}

/// Length of the body, and whether the connection is kept.
fn read_head(head: &[u8]) -> Result<(usize, bool)> {
    let (mut length, mut is_kept) = (0, true);
    for line in String::from_utf8_lossy(head).lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| Error::new(ErrorKind::InvalidData, "a length that is none"))?;
        } else if name.eq_ignore_ascii_case("connection") {
            is_kept = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    match length {
        0..=ANSWER_BYTES_MAX => Ok((length, is_kept)),
        _ => Err(Error::new(ErrorKind::InvalidData, "the answer is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_length_and_whether_the_connection_stays() {
        let head = |text: &str| read_head(text.as_bytes()).map_err(|error| error.kind());
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n"), Ok((12, true)));
        assert_eq!(head("HTTP/1.1 503 Busy\r\nContent-Length:7\r\nConnection: close\r\n\r\n"), Ok((7, false)));
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n"), Ok((0, true)));
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"), Err(ErrorKind::InvalidData));
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"), Err(ErrorKind::InvalidData));
    }
}
