//! How values of ours look in JSON: ids as text, money as exact numbers.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use std::fmt::Display;
use std::str::FromStr;
use timed_ledger::{Address, Lock};
use timed_primitives::{Amount, Network};

/// A value that JSON shows as the text by which people know it: an id, a key, an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<T>(pub T);

impl<T> From<T> for Text<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The address that pays a lock; empty for one that has none.
pub(crate) fn address(network: Network, lock: Lock) -> String {
    lock.key_hash().map(|key_hash| Address { network, key_hash }.to_string()).unwrap_or_default()
}

/// Money in JSON: a number of TIME with eight decimals, as Bitcoin's interfaces show it. Exact, because the digits are written
/// and read as text and never pass through a floating-point number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonAmount(pub Amount);

impl JsonAmount {
    /// Reads an amount from a number's own digits or from text; `None` when the value is neither.
    ///
    /// # Errors
    /// What is wrong with the digits.
    pub fn read(value: &serde_json::Value) -> Option<Result<Self, timed_primitives::AmountError>> {
        let digits = match value {
            serde_json::Value::Number(number) => number.as_str(),
            serde_json::Value::String(text) => text,
            _ => return None,
        };
        Some(digits.parse().map(Self))
    }
}

impl From<Amount> for JsonAmount {
    fn from(amount: Amount) -> Self {
        Self(amount)
    }
}

impl Serialize for JsonAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.0.to_string();
        digits.parse::<serde_json::Number>().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match Self::read(&value) {
            Some(read) => read.map_err(D::Error::custom),
            None => Err(D::Error::custom("expected an amount such as 12.5")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::TxId;

    #[test]
    fn money_is_exact_at_every_size() {
        for units in [0, 1, 99_999_999, 100_000_000, 9_007_199_254_740_993, u64::MAX] {
            let json = serde_json::to_string(&JsonAmount(Amount(units))).unwrap();
            assert_eq!(json, format!("{}.{:08}", units / 100_000_000, units % 100_000_000));
            assert_eq!(serde_json::from_str::<JsonAmount>(&json).unwrap().0, Amount(units));
            assert_eq!(serde_json::from_str::<JsonAmount>(&format!("\"{json}\"")).unwrap().0, Amount(units));
            let value = serde_json::to_value(JsonAmount(Amount(units))).unwrap();
            assert_eq!(value.to_string(), json, "through a value too");
        }
        for (text, units) in
            [("1e-05", 1_000), ("1e2", 10_000_000_000), ("0.123456780", 12_345_678), ("1.000000000", 100_000_000)]
        {
            assert_eq!(serde_json::from_str::<JsonAmount>(text).unwrap().0, Amount(units), "{text}");
        }
        for bad in ["-1", "1e12", "0.000000001", "1e-9", "true", "184467440738", "\"\"", "\"NaN\""] {
            assert!(serde_json::from_str::<JsonAmount>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_text() {
        let json = serde_json::to_string(&Text(TxId::default())).unwrap();
        assert_eq!(json, format!("\"{}\"", "0".repeat(64)));
        assert_eq!(serde_json::from_str::<Text<TxId>>(&json).unwrap().0, TxId::default());
        assert!(serde_json::from_str::<Text<TxId>>("\"12\"").is_err());
    }
}
