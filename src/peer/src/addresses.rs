//! Where nodes can be reached: signed address records, relayed within their class, and the book that keeps them.
//!
//! A record is signed by the node it names, so nobody can send us to a victim's address in another's name. Records are hints:
//! what counts is the key that the secure channel proves after dialling.

mod address_book;

pub use address_book::{
    Added, AddressBook, CandidateKind, DialCandidate, KeptAddress, RECORDS_PER_SOURCE_MAX,
    RECORDS_PER_SOURCE_SUBNET_MAX, RecordSource, TRIED_MAX, TRIED_PER_SUBNET_MAX, UNTRIED_MAX,
};

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use timed_primitives::{ChainId, PublicKey, SecretKey, Signature, UnixTime};

/// Longest record. Unit: bytes of its canonical encoding.
pub const RECORD_BYTES_MAX: usize = 256;

/// Most records in one answer.
pub const RECORDS_PER_ANSWER_MAX: usize = 100;

/// Longest `host:port` anywhere. Unit: bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// A record from further in the future is refused: it could never be replaced.
const FUTURE_MAX: Duration = Duration::from_secs(600);

/// An older record is refused and no longer relayed: the node has not said for weeks that it is there.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Domain of a record's signature.
const RECORD_DOMAIN: &[u8] = b"timed v1 address record";

/// How far an address reaches. Records are given only to, and taken only from, peers of the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// This machine.
    Loopback,
    /// A local or container network (RFC 1918, RFC 4193, RFC 6598, link-local, names without a dot).
    Private,
    /// The internet.
    Public,
}

impl AddressClass {
    /// Class of an IP; `None` for one that cannot be dialled (unspecified, broadcast, multicast).
    pub fn of_ip(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self::of_v4(v4),
                None => Self::of_v6(v6),
            },
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = ip.octets();
        if a == 0 || ip.is_broadcast() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b)) {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        let [first, ..] = ip.segments();
        if ip.is_unspecified() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if let Some(v4) = embedded_v4(ip) {
            Self::of_v4(v4)
        } else if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }

    /// Whether an address that a peer announced as one of this class may be dialled at this IP. Not where its name leads to an IP of another
    /// class: whoever owns a public name could have us dial into our own network.
    pub fn reaches(self, ip: IpAddr) -> bool {
        Self::of_ip(ip) == Some(self)
    }

    /// Class of a `host:port`.
    ///
    /// # Errors
    /// [`AddressRecordError`] when the text has not that form or cannot be dialled.
    pub fn of_address(address: &str) -> Result<Self, AddressRecordError> {
        let host = check_address(address)?;
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::of_ip(ip).ok_or(AddressRecordError::NotDialable),
            Err(_) if host.eq_ignore_ascii_case("localhost") => Ok(Self::Loopback),
            Err(_) if host.contains('.') => Ok(Self::Public),
            Err(_) => Ok(Self::Private),
        }
    }

    /// Lower-case name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// The IPv4 address inside an IPv6 one: IPv4-compatible (RFC 4291), translated (RFC 6052), or 6to4 (RFC 3056).
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// `ip:port`, an IPv6 address in brackets; an IPv4 address mapped into IPv6 as IPv4.
pub fn join_address(ip: IpAddr, port: u16) -> String {
    core::net::SocketAddr::new(ip.to_canonical(), port).to_string()
}

/// Checks the form `host:port` and gives the host: a name, an IPv4 address, or an IPv6 address (in brackets in the text).
///
/// # Errors
/// [`AddressRecordError`] says what is wrong.
pub fn check_address(address: &str) -> Result<&str, AddressRecordError> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(AddressRecordError::TooLong { bytes: address.len() });
    }
    let (host, port) = address.rsplit_once(':').ok_or(AddressRecordError::Form)?;
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|p| p != 0) {
        return Err(AddressRecordError::Port);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().map(|_| inner).map_err(|_| AddressRecordError::Form);
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(AddressRecordError::Form);
    }
    Ok(host)
}

/// An address or a record is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRecordError {
    /// Too long.
    #[error("address has {bytes} bytes, at most {ADDRESS_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not `host:port`.
    #[error("expected host:port, such as 192.0.2.1:7000, [2001:db8::1]:7000 or node.example.org:7000")]
    Form,
    /// No port, or port 0.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Nobody can be at this address.
    #[error("the address is unspecified, broadcast or multicast and cannot be dialled")]
    NotDialable,
    /// Not the canonical encoding of a record, or longer than allowed.
    #[error("address record of {bytes} bytes cannot be decoded")]
    Undecodable {
        /// Its length.
        bytes: usize,
    },
    /// Not signed by the key it names.
    #[error("address record of {} has a wrong signature", .key.short())]
    Signature {
        /// The key it names.
        key: PublicKey,
    },
    /// From the future or too old.
    #[error("address record is of {time}, now is {now}: compare the clocks")]
    Time {
        /// The record's.
        time: UnixTime,
        /// Ours.
        now: UnixTime,
    },
    /// The address reaches less far or further than the peer that sent it.
    #[error("{} address sent by a {} peer", .record.name(), .source_class.name())]
    Class {
        /// The record's.
        record: AddressClass,
        /// The sending peer's.
        source_class: AddressClass,
    },
    /// One peer, or the peers of one subnet, have sent enough.
    #[error(
        "the peer or its subnet has sent enough untried records: at most {RECORDS_PER_SOURCE_MAX} and {RECORDS_PER_SOURCE_SUBNET_MAX}"
    )]
    SourceFull,
}

/// A node says where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AddressRecord {
    /// The node.
    pub key: PublicKey,
    /// `host:port`. Bound: what keeps the record within [`RECORD_BYTES_MAX`].
    pub address: String,
    /// When it said so; a newer record replaces an older one.
    pub time: UnixTime,
    /// Signature over domain, chain id, key, time and address.
    pub signature: Signature,
}

impl AddressRecord {
    /// Signs our own record.
    ///
    /// # Errors
    /// [`AddressRecordError`] when the address has no valid form or the record would be too long.
    pub fn sign(key: &SecretKey, chain_id: ChainId, address: &str, time: UnixTime) -> Result<Self, AddressRecordError> {
        AddressClass::of_address(address)?;
        let signature = key.sign(&Self::message(chain_id, &key.public(), address, time));
        let record = Self { key: key.public(), address: address.into(), time, signature };
        match record.encode().len() {
            bytes if bytes > RECORD_BYTES_MAX => Err(AddressRecordError::TooLong { bytes }),
            _ => Ok(record),
        }
    }

    /// Canonical bytes, as they travel.
    pub fn encode(&self) -> Bytes {
        timed_primitives::encode(self).into()
    }

    /// Reads a record and checks form, bound and signature.
    ///
    /// # Errors
    /// [`AddressRecordError`]; [`AddressRecordError::Undecodable`] and [`AddressRecordError::Signature`] are provable faults of the record's author,
    /// not of the peer that passed it on.
    pub fn decode(chain_id: ChainId, bytes: &[u8]) -> Result<Self, AddressRecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(AddressRecordError::Undecodable { bytes: bytes.len() });
        }
        let record: Self =
            timed_primitives::decode(bytes).map_err(|_| AddressRecordError::Undecodable { bytes: bytes.len() })?;
        AddressClass::of_address(&record.address)?;
        let message = Self::message(chain_id, &record.key, &record.address, record.time);
        if record.key.verify(&message, &record.signature) {
            Ok(record)
        } else {
            Err(AddressRecordError::Signature { key: record.key })
        }
    }

    /// How far it reaches.
    ///
    /// # Errors
    /// [`AddressRecordError`] when the address has no valid form; a decoded or signed record has one.
    pub fn class(&self) -> Result<AddressClass, AddressRecordError> {
        AddressClass::of_address(&self.address)
    }

    fn message(chain_id: ChainId, key: &PublicKey, address: &str, time: UnixTime) -> Vec<u8> {
        let mut bytes = RECORD_DOMAIN.to_vec();
        bytes.extend(chain_id.0.to_be_bytes());
        bytes.extend(key.0);
        bytes.extend(time.0.to_be_bytes());
        bytes.extend(address.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests;
