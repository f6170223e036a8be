//! What a transaction does beside moving money, and what it says.

use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// Longest memo. Unit: bytes.
pub const MEMO_BYTES_MAX: usize = 80;

/// What a transaction does beside moving money. In canonical bytes one byte, its number, and what belongs to it.
///
/// Numbers from 1 to 11 are kept for what later versions bring, and refused by name; others are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransactionPayload {
    /// 0: nothing.
    #[default]
    Transfer,
}

/// Numbers that later versions give a meaning to. No transaction may have them before.
pub const RESERVED_PAYLOADS: [(u8, &str); 11] = [
    (1, "register"),
    (2, "update service"),
    (3, "update registrar"),
    (4, "pause"),
    (5, "resume"),
    (6, "revoke"),
    (7, "release"),
    (8, "proposal"),
    (9, "vote"),
    (10, "rule version"),
    (11, "signing lease"),
];

/// The number of a payload that no transaction can have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Kept for later.
    #[error(
        "payload {number} ({name}) is reserved: no version of the rules allows it yet; is a newer version of this software out?"
    )]
    Reserved {
        /// Its number.
        number: u8,
        /// What it will be.
        name: &'static str,
    },
    /// Nothing has this number.
    #[error("payload {0} is not known; is a newer version of this software out?")]
    Unknown(u8),
}

impl TransactionPayload {
    /// Its number, which never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Transfer => 0,
        }
    }

    fn of(number: u8) -> Result<Self, PayloadError> {
        if number == Self::Transfer.number() {
            return Ok(Self::Transfer);
        }
        match RESERVED_PAYLOADS.iter().find(|(reserved, _)| *reserved == number) {
            Some((_, name)) => Err(PayloadError::Reserved { number, name: *name }),
            None => Err(PayloadError::Unknown(number)),
        }
    }
}

impl BorshSerialize for TransactionPayload {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.number().serialize(writer)
    }
}

/// Refuses what is no transfer, by [`PayloadError`].
impl BorshDeserialize for TransactionPayload {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let number = u8::deserialize_reader(reader)?;
        Self::of(number).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// What a transaction says to whoever reads it; no rule depends on it. Bound: [`MEMO_BYTES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, BorshSerialize)]
pub struct Memo(Vec<u8>);

/// It has too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a memo has at most {MEMO_BYTES_MAX} bytes, not {0}")]
pub struct MemoError(usize);

impl Memo {
    /// Of these bytes.
    ///
    /// # Errors
    /// [`MemoError`] when they are more than [`MEMO_BYTES_MAX`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, MemoError> {
        if bytes.len() > MEMO_BYTES_MAX { Err(MemoError(bytes.len())) } else { Ok(Self(bytes)) }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Refuses a longer one before it is read.
impl BorshDeserialize for Memo {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let length = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        if length > MEMO_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, MemoError(length)));
        }
        (0..length).map(|_| u8::deserialize_reader(reader)).collect::<io::Result<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{decode, encode};

    #[test]
    fn only_a_transfer_is_read_and_every_other_number_says_why_not() {
        assert_eq!(encode(&TransactionPayload::Transfer), [0]);
        for number in 0..=u8::MAX {
            let read = decode::<TransactionPayload>(&[number]).map_err(|error| error.to_string());
            match (number, RESERVED_PAYLOADS.iter().find(|(reserved, _)| *reserved == number)) {
                (0, None) => assert_eq!(read, Ok(TransactionPayload::Transfer)),
                (_, Some((_, name))) => {
                    assert!(read.unwrap_err().contains(&format!("payload {number} ({name}) is reserved")));
                }
                (_, None) => assert!(read.unwrap_err().contains(&format!("payload {number} is not known"))),
            }
        }
    }

    #[test]
    fn a_memo_has_80_bytes_at_most() {
        for length in [0, 1, MEMO_BYTES_MAX] {
            let memo = Memo::new(vec![7; length]).unwrap();
            assert_eq!(decode::<Memo>(&encode(&memo)).unwrap(), memo);
        }
        assert_eq!(Memo::new(vec![7; 81]), Err(MemoError(81)));
        assert!(decode::<Memo>(&encode(&vec![7_u8; 81])).unwrap_err().to_string().contains("at most 80 bytes, not 81"));
        assert!(decode::<Memo>(&u32::MAX.to_le_bytes()).unwrap_err().to_string().contains("not 4294967295"));
    }
}
