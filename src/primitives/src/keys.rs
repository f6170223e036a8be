//! Ed25519 keys and signatures under the ZIP 215 rules, under which batch and single verification always agree.

use crate::hash::{Domain, Hash};
use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand::{CryptoRng, SeedableRng, rngs::StdRng};
use std::fmt;
use std::str::FromStr;

/// A public key, as its 32 canonical bytes. A node and a validator are each known by one. Whether the bytes are a point on the
/// curve is found out when a signature is checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// True when `signature` is by this key over `message` (ZIP 215).
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        VerificationKey::try_from(self.0)
            .and_then(|key| key.verify(&ed25519_zebra::Signature::from_bytes(&signature.0), message))
            .is_ok()
    }

    /// Whether the bytes are a point on the curve, so that signatures by this key can be good at all.
    pub fn is_valid(&self) -> bool {
        VerificationKey::try_from(self.0).is_ok()
    }

    /// The first four bytes in hex, for logs.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// The text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a key of 64 hex digits")]
pub struct KeyError;

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError)?;
        Ok(Self(bytes))
    }
}

/// A signature of 64 bytes (RFC 8032 encoding).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

/// A secret key. Never shown, not even by `Debug`.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from(seed))
    }

    /// A fresh key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// The key of development node `id` for one `purpose`. Anybody can compute it: for devnets only.
    pub fn development(purpose: &str, id: u64) -> Self {
        let mut hasher = Domain::DevelopmentKey.hasher();
        hasher.update(purpose.as_bytes()).update(&id.to_be_bytes());
        Self::from_seed(hasher.finalize().into())
    }

    /// The seed, to be stored or handed to TLS. Handle with care.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(VerificationKeyBytes::from(&self.0).into())
    }

    /// Signs a message; deterministic (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().short())
    }
}

/// One signature to check: who signed which message how.
#[derive(Clone, Debug)]
pub struct SignedItem {
    /// The alleged signer.
    pub key: PublicKey,
    /// What was signed.
    pub message: Vec<u8>,
    /// The alleged signature.
    pub signature: Signature,
}

/// True when every item is validly signed; an empty batch is. Agrees with [`PublicKey::verify`] item by item (ZIP 215).
///
/// The random coefficients are drawn from a hash of the whole batch, so that the result is reproducible and no signer can
/// choose a signature after its coefficient. Cost: about half of single verification from 64 items on.
pub fn verify_batch(items: &[SignedItem]) -> bool {
    if let [only] = items {
        return only.key.verify(&only.message, &only.signature);
    }
    let mut coefficients = Domain::BatchCoefficients.hasher();
    let mut verifier = batch::Verifier::new();
    for item in items {
        coefficients.update(&item.key.0).update(&item.signature.0);
        coefficients.update(&Hash::of(Domain::BatchCoefficients, &item.message).0);
        verifier.queue((
            VerificationKeyBytes::from(item.key.0),
            ed25519_zebra::Signature::from_bytes(&item.signature.0),
            &item.message[..],
        ));
    }
    verifier.verify(StdRng::from_seed(coefficients.finalize().into())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: u64) -> SignedItem {
        let key = SecretKey::development("test", id);
        let message = id.to_be_bytes().to_vec();
        SignedItem { key: key.public(), signature: key.sign(&message), message }
    }

    #[test]
    fn signs_and_verifies_one_and_many() {
        let mut items: Vec<_> = (0..20).map(item).collect();
        assert!(items.iter().all(|i| i.key.verify(&i.message, &i.signature)));
        assert!(verify_batch(&items));
        assert!(verify_batch(&[]));
        items[7].signature.0[3] ^= 1;
        assert!(!verify_batch(&items));
        assert!(!verify_batch(&items[7..8]));
    }

    #[test]
    fn bytes_that_are_no_point_verify_nothing() {
        let mut bad = item(1);
        bad.key = PublicKey([0xff; 32]);
        assert!(!verify_batch(&[bad.clone()]));
        assert!(!verify_batch(&[bad, item(2)]));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let key = SecretKey::development("test", 1);
        assert!(!format!("{key:?}").contains(&hex::encode(key.seed())));
    }
}
