//! How names travel.

/// 32 bytes of a hash, as they travel.
pub type WireHash = [u8; 32];
/// 32 bytes of a public key, as they travel.
pub type WireKey = [u8; 32];
