//! Texts that the key of an address signs, so that its holder can show who says them.

use crate::lock::KeyHash;
use timed_primitives::{Domain, Hash, PublicKey, SecretKey, Signature};

/// A key and its signature of a text. The signature covers a hash of a domain of its own (`timed v1 signed text`), so it is none of a transaction,
/// vote or block, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSignature {
    /// Who signed.
    pub key: PublicKey,
    /// Over the text.
    pub signature: Signature,
}

/// Key and signature. Unit: bytes.
pub const TEXT_SIGNATURE_BYTES: usize = 96;

fn signed_bytes(text: &str) -> [u8; 32] {
    Hash::of(Domain::SignedText, text.as_bytes()).0
}

impl TextSignature {
    /// Signs a text.
    pub fn new(key: &SecretKey, text: &str) -> Self {
        Self { key: key.public(), signature: key.sign(&signed_bytes(text)) }
    }

    /// Whether the key with this hash signed the text.
    pub fn is_of(&self, owner: &KeyHash, text: &str) -> bool {
        KeyHash::of(&self.key) == *owner && self.key.verify(&signed_bytes(text), &self.signature)
    }

    /// The key, then the signature.
    pub fn to_bytes(&self) -> [u8; TEXT_SIGNATURE_BYTES] {
        let mut bytes = [0; TEXT_SIGNATURE_BYTES];
        let (key, signature) = bytes.split_at_mut(self.key.0.len());
        key.copy_from_slice(&self.key.0);
        signature.copy_from_slice(&self.signature.0);
        bytes
    }

    /// The same back; `None` for another number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (key, signature) = bytes.split_first_chunk()?;
        Some(Self { key: PublicKey(*key), signature: Signature(signature.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_text() {
        let key = |n| SecretKey::development("wallet", n);
        let hash = |n| KeyHash::of(&key(n).public());
        let signed = TextSignature::new(&key(1), "pay me here");
        assert_eq!(TextSignature::from_bytes(&signed.to_bytes()), Some(signed));
        assert_eq!(TextSignature::from_bytes(&signed.to_bytes()[1..]), None);
        assert_eq!(TextSignature::from_bytes(&[]), None);
        assert!(signed.is_of(&hash(1), "pay me here"));
        assert!(!signed.is_of(&hash(2), "pay me here") && !signed.is_of(&hash(1), "pay me here "));
        let mut other = signed;
        other.key = key(2).public();
        assert!(!other.is_of(&hash(2), "pay me here"));
    }
}
