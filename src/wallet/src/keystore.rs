//! The file of a wallet's keys: the entropy of its phrase, sealed with a passphrase.
//!
//! ```text
//! offset  bytes
//!      0     16  "timed wallet key"
//!     16      2  version of the format: 1
//!     18      1  network: 0 mainnet, 1 testnet, 2 devnet
//!     19      8  when it was made, in milliseconds since 1970
//!     27     12  argon2id: memory in KiB, passes, lanes, four bytes each
//!     39     16  salt of argon2id
//!     55     24  nonce of XChaCha20-Poly1305
//!     79     48  the 32 bytes of entropy, sealed, and the tag
//!    127     32  BLAKE3 of all before
//! ```
//!
//! Numbers are little-endian. What stands before the sealed part is authenticated with it. The hash at the end distinguishes a damaged file from a
//! wrong passphrase; it protects nothing.

use crate::phrase::{ENTROPY_BYTES, Phrase};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use timed_primitives::{Network, UnixTime};
use zeroize::Zeroizing;

/// How such a file begins.
const MAGIC: &[u8; 16] = b"timed wallet key";
/// The only version of the format.
const VERSION: u16 = 1;
/// Context of the hash at the end (BLAKE3 paper, section 2.3).
const CHECKSUM: &str = "timed v1 file of wallet keys";
/// Magic and version: what every version has. Unit: bytes.
const HEAD_BYTES: usize = 18;
/// What is authenticated: all before the sealed part. Unit: bytes.
const OPEN_BYTES: usize = 79;
/// Unit: bytes.
const TAG_BYTES: usize = 16;
/// Unit: bytes.
const CHECKSUM_BYTES: usize = 32;
/// Length of a file of this version. Unit: bytes.
pub const KEYSTORE_BYTES: usize = OPEN_BYTES + ENTROPY_BYTES + TAG_BYTES + CHECKSUM_BYTES;
/// Longest passphrase. Unit: bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

/// What it costs to try a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory that is filled. Unit: KiB.
    pub memory_kib: u32,
    /// How often.
    pub passes: u32,
    /// Parts of the memory that could be filled side by side.
    pub lanes: u32,
}

impl KdfCost {
    /// Of new files: the second of the two choices of RFC 9106, section 4 (64 MiB, three passes, four lanes). The first takes 2 GiB, which a node
    /// that votes does not have to spare.
    pub const STANDARD: Self = Self { memory_kib: 64 * 1_024, passes: 3, lanes: 4 };
    /// The least that is taken, here and from a file that somebody else may have written: what costs less protects nothing.
    pub const LEAST: Self = Self { memory_kib: 8 * 1_024, passes: 1, lanes: 1 };
    /// The most that is taken: a file must not be able to take a node's memory or time.
    pub const MOST: Self = Self { memory_kib: 256 * 1_024, passes: 16, lanes: 16 };

    fn is_allowed(self) -> bool {
        let (least, most) = (Self::LEAST, Self::MOST);
        (least.memory_kib..=most.memory_kib).contains(&self.memory_kib)
            && (least.passes..=most.passes).contains(&self.passes)
            && (least.lanes..=most.lanes).contains(&self.lanes)
    }
}

impl fmt::Display for KdfCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB, {} passes, {} lanes", self.memory_kib / 1_024, self.passes, self.lanes)
    }
}

/// What a new file is made of beside phrase and passphrase.
#[derive(Clone, Debug)]
pub struct KeystoreParts {
    /// Whose addresses the keys are for.
    pub network: Network,
    /// Now.
    pub made_at: UnixTime,
    /// What it shall cost to try a passphrase.
    pub cost: KdfCost,
    /// Fresh random bytes.
    pub salt: [u8; 16],
    /// Fresh random bytes. Of 24 bytes no two are the same by chance.
    pub nonce: [u8; 24],
}

/// The bytes are no file of keys, or the passphrase is not that of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// It begins otherwise.
    #[error("it is no file of wallet keys: it does not begin as one")]
    Foreign,
    /// A later version wrote it.
    #[error(
        "it is a file of wallet keys of version {found}, and this program reads version {VERSION}: use a newer one"
    )]
    Version {
        /// Its version.
        found: u16,
    },
    /// It is too short or too long.
    #[error(
        "it has {found} bytes and must have {KEYSTORE_BYTES}: it is cut off, or something was added; take another copy"
    )]
    Length {
        /// Its length. Unit: bytes.
        found: usize,
    },
    /// Bytes of it are others than were written.
    #[error("it is damaged: its checksum is wrong; take another copy")]
    Damaged,
    /// It is of a network that nobody knows.
    #[error("it is of a network with the number {0}, which this program does not know")]
    UnknownNetwork(u8),
    /// It is of another network.
    #[error("its keys are for {found}, and this node is of {expected}")]
    OtherNetwork {
        /// That of the file.
        found: Network,
        /// Ours.
        expected: Network,
    },
    /// It demands less or more than is taken.
    #[error(
        "it demands argon2id with {found}; taken are {} to {}: this program did not write it",
        KdfCost::LEAST,
        KdfCost::MOST
    )]
    Cost {
        /// What it demands.
        found: KdfCost,
    },
    /// There is none.
    #[error("the passphrase is empty: the file of keys is always encrypted")]
    EmptyPassphrase,
    /// It is too long.
    #[error("the passphrase has {0} bytes, at most {PASSPHRASE_BYTES_MAX} are taken")]
    LongPassphrase(usize),
    /// It opens nothing.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// Not enough memory.
    #[error("there is not enough memory to try a passphrase, which takes {0} KiB: give this process more")]
    Memory(u32),
}

/// A file of keys that was read or made, and is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKeys {
    bytes: Vec<u8>,
    network: Network,
    made_at: UnixTime,
    cost: KdfCost,
}

impl SealedKeys {
    /// Seals a phrase. Takes memory and time as its cost says.
    ///
    /// # Errors
    /// [`KeystoreError`] of the passphrase, the cost, or the memory.
    pub fn seal(phrase: &Phrase, passphrase: &str, parts: &KeystoreParts) -> Result<Self, KeystoreError> {
        let KeystoreParts { network, made_at, cost, salt, nonce } = parts;
        let mut bytes = Vec::with_capacity(KEYSTORE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(network_number(*network));
        bytes.extend_from_slice(&made_at.0.to_le_bytes());
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(salt);
        bytes.extend_from_slice(nonce);
        let key = derived_key(passphrase, salt, *cost)?;
        let mut sealed = Zeroizing::new(*phrase.entropy());
        let tag = XChaCha20Poly1305::new((&*key).into())
            .encrypt_in_place_detached(<&XNonce>::from(nonce), &bytes, sealed.as_mut_slice())
            .expect("32 bytes are far below the most that the cipher takes");
        bytes.extend_from_slice(sealed.as_slice());
        bytes.extend_from_slice(&tag);
        bytes.extend_from_slice(&checksum(&bytes));
        Ok(Self { bytes, network: *network, made_at: *made_at, cost: *cost })
    }

    /// Reads a file without opening it. Its cost is checked here, before any memory is taken for it.
    ///
    /// # Errors
    /// [`KeystoreError`] says what the bytes are instead.
    pub fn read(bytes: &[u8]) -> Result<Self, KeystoreError> {
        let found = bytes.len();
        // What is cut off within the first words may be ours.
        if !bytes.starts_with(MAGIC.get(..found.min(MAGIC.len())).unwrap_or(MAGIC)) || bytes.is_empty() {
            return Err(KeystoreError::Foreign);
        }
        let Some((head, _)) = bytes.split_at_checked(HEAD_BYTES) else { return Err(KeystoreError::Length { found }) };
        let version = u16::from_le_bytes(array(head, MAGIC.len()));
        if version != VERSION {
            return Err(KeystoreError::Version { found: version });
        }
        if found != KEYSTORE_BYTES {
            return Err(KeystoreError::Length { found });
        }
        let (before, hash) = bytes.split_at(KEYSTORE_BYTES - CHECKSUM_BYTES);
        if checksum(before) != hash {
            return Err(KeystoreError::Damaged);
        }
        let number = |at| u32::from_le_bytes(array(bytes, at));
        let cost = KdfCost { memory_kib: number(27), passes: number(31), lanes: number(35) };
        if !cost.is_allowed() {
            return Err(KeystoreError::Cost { found: cost });
        }
        let [network] = array(bytes, HEAD_BYTES);
        let network = network_of(network).ok_or(KeystoreError::UnknownNetwork(network))?;
        let made_at = UnixTime(u64::from_le_bytes(array(bytes, HEAD_BYTES + 1)));
        Ok(Self { bytes: bytes.to_vec(), network, made_at, cost })
    }

    /// Opens it. Takes memory and time as its cost says.
    ///
    /// # Errors
    /// [`KeystoreError`] of the passphrase or the memory.
    pub fn open(&self, passphrase: &str) -> Result<Phrase, KeystoreError> {
        let salt: [u8; 16] = array(&self.bytes, 39);
        let nonce: [u8; 24] = array(&self.bytes, 55);
        let key = derived_key(passphrase, &salt, self.cost)?;
        let mut entropy: Zeroizing<[u8; ENTROPY_BYTES]> = Zeroizing::new(array(&self.bytes, OPEN_BYTES));
        let tag: [u8; TAG_BYTES] = array(&self.bytes, OPEN_BYTES + ENTROPY_BYTES);
        let (open, _) = self.bytes.split_at(OPEN_BYTES);
        XChaCha20Poly1305::new((&*key).into())
            .decrypt_in_place_detached(<&XNonce>::from(&nonce), open, entropy.as_mut_slice(), <&Tag>::from(&tag))
            .map_err(|_| KeystoreError::WrongPassphrase)?;
        Ok(Phrase::from_entropy(*entropy))
    }

    /// That it is of this network.
    ///
    /// # Errors
    /// [`KeystoreError::OtherNetwork`].
    pub fn check_network(&self, expected: Network) -> Result<(), KeystoreError> {
        let found = self.network;
        if found == expected { Ok(()) } else { Err(KeystoreError::OtherNetwork { found, expected }) }
    }

    /// What is written to the disk.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// When its wallet was made.
    pub const fn made_at(&self) -> UnixTime {
        self.made_at
    }
}

/// The key that seals. Bound of memory: [`KdfCost::MOST`].
fn derived_key(passphrase: &str, salt: &[u8; 16], cost: KdfCost) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    if passphrase.is_empty() {
        return Err(KeystoreError::EmptyPassphrase);
    }
    if passphrase.len() > PASSPHRASE_BYTES_MAX {
        return Err(KeystoreError::LongPassphrase(passphrase.len()));
    }
    let parameters = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok().filter(|_| cost.is_allowed());
    let parameters = parameters.ok_or(KeystoreError::Cost { found: cost })?;
    // Asked for first, so that a process without so much says so and goes on.
    let (mut memory, blocks) = (Vec::new(), parameters.block_count());
    memory.try_reserve_exact(blocks).map_err(|_| KeystoreError::Memory(cost.memory_kib))?;
    memory.resize(blocks, Block::default());
    let mut key = Zeroizing::new([0; 32]);
    let filled = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters).hash_password_into_with_memory(
        passphrase.as_bytes(),
        salt,
        key.as_mut_slice(),
        &mut memory,
    );
    for block in &mut memory {
        zeroize::Zeroize::zeroize(block);
    }
    filled.map_err(|_| KeystoreError::Cost { found: cost })?;
    Ok(key)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// So many bytes from a place; the length of the whole was checked before.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let part = bytes.get(at..at.saturating_add(N)).and_then(|part| part.try_into().ok());
    part.expect("every place is below the length that was checked")
}

const fn network_number(network: Network) -> u8 {
    match network {
        Network::Mainnet => 0,
        Network::Testnet => 1,
        Network::Devnet => 2,
    }
}

fn network_of(number: u8) -> Option<Network> {
    [Network::Mainnet, Network::Testnet, Network::Devnet].into_iter().find(|known| network_number(*known) == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(passphrase: &str) -> SealedKeys {
        SealedKeys::seal(&Phrase::from_entropy([9; 32]), passphrase, &parts()).unwrap()
    }

    fn parts() -> KeystoreParts {
        let (network, made_at) = (Network::Devnet, UnixTime(1_700_000_000_123));
        KeystoreParts { network, made_at, cost: KdfCost::LEAST, salt: [1; 16], nonce: [2; 24] }
    }

    /// The same with a checksum that is right.
    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(KEYSTORE_BYTES - CHECKSUM_BYTES);
        let hash = checksum(&bytes);
        bytes.extend_from_slice(&hash);
        bytes
    }

    #[test]
    fn what_was_sealed_is_opened_by_its_passphrase_alone() {
        let sealed = sealed("correct horse");
        let read = SealedKeys::read(sealed.bytes()).unwrap();
        assert_eq!((&read, read.made_at()), (&sealed, UnixTime(1_700_000_000_123)));
        assert_eq!(read.open("correct horse").unwrap().entropy(), &[9; 32]);
        for wrong in ["correct horsf", "Correct horse", "correct horse "] {
            assert_eq!(read.open(wrong), Err(KeystoreError::WrongPassphrase));
        }
        assert_eq!(read.open(""), Err(KeystoreError::EmptyPassphrase));
        assert_eq!(read.open(&"x".repeat(1_025)), Err(KeystoreError::LongPassphrase(1_025)));
        assert_eq!(
            read.check_network(Network::Mainnet),
            Err(KeystoreError::OtherNetwork { found: Network::Devnet, expected: Network::Mainnet })
        );
        assert!(!format!("{sealed:?}").contains("correct"));
        assert!(!sealed.bytes().windows(8).any(|part| part == [9; 8]), "the entropy is not in the file");
    }

    #[test]
    fn the_format_stays_what_it_is() {
        // Made by another program (libsodium's argon2id and XChaCha20-Poly1305, and BLAKE3): a file of today must open for ever.
        let text = include_str!("../tests/keystore_v1.hex").trim();
        assert_eq!(hex::encode(sealed("correct horse").bytes()), text);
        let bytes = hex::decode(text).unwrap();
        let opened = SealedKeys::read(&bytes).unwrap().open("correct horse").unwrap();
        assert_eq!(opened.entropy(), &[9; 32]);
    }

    #[test]
    fn files_that_are_none_say_what_they_are() {
        let bytes = sealed("pass").bytes().to_vec();
        let read = |bytes: &[u8]| SealedKeys::read(bytes).unwrap_err();
        for length in 1..bytes.len() {
            assert_eq!(read(&bytes[..length]), KeystoreError::Length { found: length }, "cut off at {length}");
        }
        assert_eq!(read(&[&bytes[..], &[0]].concat()), KeystoreError::Length { found: KEYSTORE_BYTES + 1 });
        assert_eq!((read(b""), read(b"SQLite format 3\0")), (KeystoreError::Foreign, KeystoreError::Foreign));
        let mut later = bytes.clone();
        later[16] = 2;
        assert_eq!(read(&later), KeystoreError::Version { found: 2 });
        for at in HEAD_BYTES..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(read(&damaged), KeystoreError::Damaged, "byte {at}");
        }
        let mut unknown = bytes.clone();
        unknown[18] = 7;
        assert_eq!(read(&with_checksum(unknown)), KeystoreError::UnknownNetwork(7));
    }

    #[test]
    fn a_foreign_file_cannot_take_memory_or_time() {
        let bytes = sealed("pass").bytes().to_vec();
        for (at, number) in [(27, 256 * 1_024 + 1), (27, u32::MAX), (27, 1_024), (31, 17), (31, 0), (35, 17), (35, 0)] {
            let mut greedy = bytes.clone();
            greedy[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
            let refused = SealedKeys::read(&with_checksum(greedy)).unwrap_err();
            assert!(matches!(refused, KeystoreError::Cost { .. }), "{at} {number}: {refused}");
        }
        let cost = KdfCost { memory_kib: u32::MAX, ..KdfCost::LEAST };
        let made = SealedKeys::seal(&Phrase::from_entropy([1; 32]), "pass", &KeystoreParts { cost, ..parts() });
        assert_eq!(made, Err(KeystoreError::Cost { found: cost }));
    }

    #[test]
    fn what_stands_before_the_sealed_part_is_authenticated() {
        let bytes = sealed("pass").bytes().to_vec();
        // Network, time, cost, salt, nonce, sealed part, tag.
        for at in [18, 19, 26, 31, 39, 55, 78, 79, 110, 111, 126] {
            let mut changed = bytes.clone();
            changed[at] ^= 2;
            if let Ok(read) = SealedKeys::read(&with_checksum(changed)) {
                assert_eq!(read.open("pass"), Err(KeystoreError::WrongPassphrase), "byte {at}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_end_the_process(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), is_ours in any::<bool>()) {
            if is_ours {
                bytes.splice(0..0, MAGIC.iter().copied().chain([1, 0]));
                bytes = with_checksum(bytes);
            }
            let _ = SealedKeys::read(&bytes);
        }
    }
}
