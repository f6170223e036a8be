//! What a TCP connection has under way, as the kernel reports it (Linux, `sock_diag(7)`); elsewhere nothing is known.
//!
//! One netlink socket serves all connections of the process. An answer is there as soon as the question was sent, so nobody waits.

use super::BytesInFlight;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// `AF_NETLINK`, of which `NETLINK_SOCK_DIAG` is a protocol.
const NETLINK: (i32, i32) = (16, 4);
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// Bytes of `struct nlmsghdr` and `struct inet_diag_req_v2`.
const QUESTION_BYTES: u32 = 16 + 56;
/// `struct nlmsghdr` and `struct inet_diag_msg`, after which attributes come.
const ATTRIBUTES_AT: usize = 16 + 72;
/// `idiag_wqueue` in the answer: bytes written and not acknowledged.
const UNACKNOWLEDGED_AT: usize = 16 + 60;
/// `INET_DIAG_INFO`, an attribute that holds a `struct tcp_info`.
const INFO: u16 = 2;
/// `tcpi_min_rtt` in it. Unit: µs.
const MIN_RTT_AT: usize = 148;
/// Answers to earlier questions that are passed over, should there be any.
const STALE_MAX: usize = 4;

/// The two ends of a connection, to ask about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    own: SocketAddr,
    theirs: SocketAddr,
}

impl Ends {
    pub(super) const fn new(own: SocketAddr, theirs: SocketAddr) -> Self {
        Self { own, theirs }
    }

    /// Asks the kernel; `None` when it does not say.
    pub(super) fn bytes_in_flight(self) -> Option<BytesInFlight> {
        static KERNEL: OnceLock<Option<Mutex<Kernel>>> = OnceLock::new();
        let kernel = KERNEL.get_or_init(|| Kernel::open().ok().map(Mutex::new)).as_ref()?;
        kernel.lock().unwrap_or_else(PoisonError::into_inner).ask(self)
    }

    fn question(self, number: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(QUESTION_BYTES.to_ne_bytes());
        bytes.extend([BY_FAMILY.to_ne_bytes(), REQUEST.to_ne_bytes()].concat());
        bytes.extend([number.to_ne_bytes(), [0; 4]].concat());
        let family = if self.own.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let protocol = i32::from(Protocol::TCP);
        let family = [i32::from(family), protocol].map(|code| u8::try_from(code).unwrap_or(0));
        bytes.extend([family[0], family[1], 1 << (INFO - 1), 0]);
        // Whatever its state.
        bytes.extend([0xff; 4]);
        bytes.extend([self.own.port().to_be_bytes(), self.theirs.port().to_be_bytes()].concat());
        for address in [self.own.ip(), self.theirs.ip()] {
            let mut place = [0; 16];
            match address {
                IpAddr::V4(ip) => place[..4].copy_from_slice(&ip.octets()),
                IpAddr::V6(ip) => place = ip.octets(),
            }
            bytes.extend(place);
        }
        // Any interface, and no cookie.
        bytes.extend([[0; 4], [0xff; 4], [0xff; 4]].concat());
        bytes
    }
}

struct Kernel {
    socket: Socket,
    asked: u32,
}

impl Kernel {
    fn open() -> std::io::Result<Self> {
        let socket = Socket::new(Domain::from(NETLINK.0), Type::RAW, Some(Protocol::from(NETLINK.1)))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, asked: 0 })
    }

    fn ask(&mut self, ends: Ends) -> Option<BytesInFlight> {
        self.asked = self.asked.wrapping_add(1);
        self.socket.send(&ends.question(self.asked)).ok()?;
        let mut answer = [0; 1024];
        for _ in 0..STALE_MAX {
            let bytes = (&self.socket).read(&mut answer).ok()?;
            let answer = answer.get(..bytes)?;
            if number(answer, 8)? == self.asked {
                return read(answer);
            }
        }
        None
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// What the answer says, unless it is an error.
fn read(answer: &[u8]) -> Option<BytesInFlight> {
    if short(answer, 4)? != BY_FAMILY {
        return None;
    }
    let bytes = usize::try_from(number(answer, UNACKNOWLEDGED_AT)?).ok()?;
    let mut at = ATTRIBUTES_AT;
    loop {
        let (length, kind) = (usize::from(short(answer, at)?), short(answer, at + 2)?);
        if kind == INFO {
            let info = answer.get(at + 4..at + length)?;
            let round_trip = Duration::from_micros(number(info, MIN_RTT_AT)?.into());
            return Some(BytesInFlight { bytes, round_trip });
        }
        // Attributes begin at multiples of four.
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn what_is_written_and_not_read_is_under_way() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(local).await else { continue };
            let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (_unread, _) = listener.accept().await.unwrap();
            let ends = Ends::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let Some(bytes_in_flight) = ends.bytes_in_flight() else {
                eprintln!("skipped: this kernel does not report on sockets");
                return;
            };
            assert_eq!(bytes_in_flight.bytes, 0, "{local}");
            assert!(bytes_in_flight.round_trip < Duration::from_secs(1), "{bytes_in_flight:?}");
            // Far more than the other side's buffer takes.
            let mut written = 0;
            while let Ok(Ok(())) =
                tokio::time::timeout(Duration::from_millis(200), stream.write_all(&[7; 65_536])).await
            {
                written += 65_536;
                assert!(written < 1 << 30);
            }
            assert!(ends.bytes_in_flight().unwrap().bytes > 0, "{local}");
        }
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert_eq!(read(&[]), None);
        let mut answer = vec![0; 300];
        answer[4] = 20;
        assert_eq!(read(&answer), None, "no attribute says it");
        assert_eq!(read(&answer[..80]), None);
    }
}
