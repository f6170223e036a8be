//! JSON in which no object has a key twice. A reader that keeps one of two says nothing of the other: of `{"A": 0.1, "A": 0.3}` a payment would
//! be lost. RFC 8259 leaves open what such a text means, so it is refused.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Most characters of a key in an error.
const SHOWN_CHARS: usize = 40;
/// Where numbers keep their text (feature `arbitrary_precision`), `serde_json` gives one as an object with this key and the text. A test compares.
const NUMBER: &str = "$serde_json::private::Number";

/// A value whose objects, at any depth, have each key once.
pub(crate) struct UniqueKeys(pub(crate) Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueKeys(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if key == NUMBER {
                let digits = object.next_value::<String>()?;
                return digits.parse().map(Value::Number).map_err(A::Error::custom);
            }
            if values.contains_key(&key) {
                let shown: String = key.chars().take(SHOWN_CHARS).collect();
                return Err(A::Error::custom(format!("the key {shown:?} is there twice; give it once")));
            }
            let UniqueKeys(value) = object.next_value()?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str::<UniqueKeys>(text).map(|read| read.0).map_err(|error| error.to_string())
    }

    #[test]
    fn what_has_each_key_once_is_read_as_it_is() {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        let texts = [
            r#"{"a":1,"b":{"a":[null,true,-3,1.5,18446744073709551615,"x\n\u00e9"]},"":{}}"#,
            "[]",
            "9e-05",
            "-0",
            "1e400",
            r#""text""#,
            "nul",
            "{\"a\":1",
            &deep,
            &"[".repeat(200),
        ];
        for text in texts {
            let usual = serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
            assert_eq!(read(text), usual, "{text}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[[{"b":{"c":1,"a":2,"\u0061":3}}]]"#] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(r#"the key "a" is there twice; give it once"#), "{error}");
        }
        let long = "k".repeat(100_000);
        let error = read(&format!(r#"{{"{long}":1,"{long}":2}}"#)).unwrap_err();
        assert!(error.len() < 120, "{error}");
    }
}
