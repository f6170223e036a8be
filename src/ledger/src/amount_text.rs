//! Amounts as decimal text in JSON, since numbers there lose digits above 2^53.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use timed_primitives::Amount;

pub(crate) fn serialize<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&amount.to_string())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
