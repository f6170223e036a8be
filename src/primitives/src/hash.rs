//! 32-byte BLAKE3 hashes, each bound to its purpose.

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::sync::OnceLock;

/// What a hash is for. Two purposes never give the same hash for the same bytes.
///
/// Implemented by BLAKE3's key derivation mode (BLAKE3 paper, section 2.3), whose context string is the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name is the thing that is hashed")]
pub enum Domain {
    TransactionId,
    TransactionFullId,
    TransactionSignature,
    BlockId,
    KeyHash,
    KeySet,
    MerkleLeaf,
    MerkleNode,
    MerkleEmpty,
    HistoryLeaf,
    HistoryNode,
    HistoryRoot,
    OutputLeaf,
    ValidatorSet,
    Certificate,
    Parameters,
    Genesis,
    StateCommitment,
    UtxoElement,
    MasternodeId,
    MasternodeDetails,
    MasternodeEntry,
    Accounts,
    Payout,
    Draw,
    Reachability,
    SignedText,
    DevelopmentKey,
    BatchCoefficients,
    LeaderOrder,
}

impl Domain {
    const fn context(self) -> &'static str {
        match self {
            Self::TransactionId => "timed v1 transaction id",
            Self::TransactionFullId => "timed v1 transaction with witnesses",
            Self::TransactionSignature => "timed v1 transaction signature",
            Self::BlockId => "timed v1 block id",
            Self::KeyHash => "timed v1 key hash",
            Self::KeySet => "timed v1 key set",
            Self::MerkleLeaf => "timed v1 merkle leaf",
            Self::MerkleNode => "timed v1 merkle node",
            Self::MerkleEmpty => "timed v1 merkle empty tree",
            Self::HistoryLeaf => "timed v1 history leaf",
            Self::HistoryNode => "timed v1 history node",
            Self::HistoryRoot => "timed v1 history root",
            Self::OutputLeaf => "timed v1 output leaf",
            Self::ValidatorSet => "timed v1 validator set",
            Self::Certificate => "timed v1 commit certificate",
            Self::Parameters => "timed v1 parameters",
            Self::Genesis => "timed v1 genesis",
            Self::StateCommitment => "timed v1 state commitment",
            Self::UtxoElement => "timed v1 utxo element",
            Self::MasternodeId => "timed v1 masternode of genesis",
            Self::MasternodeDetails => "timed v1 masternode details",
            Self::MasternodeEntry => "timed v1 masternode list entry",
            Self::Accounts => "timed v1 accounts",
            Self::Payout => "timed v1 payout",
            Self::Draw => "timed v1 draw",
            Self::Reachability => "timed v1 reachability",
            Self::SignedText => "timed v1 signed text",
            Self::DevelopmentKey => "timed v1 development key",
            Self::BatchCoefficients => "timed v1 batch coefficients",
            Self::LeaderOrder => "timed v1 leader order",
        }
    }

    /// A hasher for this purpose, for input that comes in pieces or wants extended output.
    pub fn hasher(self) -> blake3::Hasher {
        // Deriving the key from the context costs as much as hashing a short message, so it is done once.
        let key = CONTEXT_KEYS[self as usize].get_or_init(|| hash_derive_key_context(self.context()));
        blake3::Hasher::new_from_context_key(key)
    }
}

/// Of each purpose, in order of [`Domain`].
static CONTEXT_KEYS: [OnceLock<ContextKey>; Domain::LeaderOrder as usize + 1] =
    [const { OnceLock::new() }; Domain::LeaderOrder as usize + 1];

/// A BLAKE3 hash. Shown as 64 lower-case hex digits, in byte order.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of nothing in particular: parent of the first block.
    pub const ZERO: Self = Self([0; 32]);

    /// Hashes bytes for one purpose.
    pub fn of(domain: Domain, bytes: &[u8]) -> Self {
        Self(domain.hasher().update(bytes).finalize().into())
    }

    /// The first four bytes in hex, for logs.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits, got {0:?}")]
pub struct HashTextError(String);

impl std::str::FromStr for Hash {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HashTextError(text.chars().take(80).collect()))?;
        Ok(Self(bytes))
    }
}

/// Declares a newtype around [`struct@Hash`] that shows, parses and encodes like it.
#[macro_export]
macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
        pub struct $name(pub $crate::hash::Hash);

        impl $name {
            /// The first four bytes in hex, for logs.
            pub fn short(&self) -> String {
                self.0.short()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::hash::HashTextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_separate_and_text_round_trips() {
        let a = Hash::of(Domain::BlockId, b"x");
        let b = Hash::of(Domain::TransactionId, b"x");
        assert_ne!(a, b);
        assert_eq!(a.to_string().parse::<Hash>().unwrap(), a);
        assert!("zz".parse::<Hash>().is_err());
    }

    #[test]
    fn every_purpose_hashes_in_key_derivation_mode() {
        for domain in [Domain::TransactionId, Domain::MerkleNode, Domain::LeaderOrder] {
            for bytes in [&b""[..], b"some bytes"] {
                assert_eq!(Hash::of(domain, bytes), Hash(blake3::derive_key(domain.context(), bytes)), "{domain:?}");
            }
        }
    }
}
