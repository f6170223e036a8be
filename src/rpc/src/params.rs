//! Parameters of one call, checked against the method's row in the table.

use crate::chain::transaction_from_hex;
use crate::error::RpcError;
use crate::methods::Method;
use crate::node::BlockAt;
use crate::param::ParamKind;
use crate::text::JsonAmount;
use serde_json::Value;
use timed_ledger::{Address, Transaction};
use timed_primitives::{Amount, BlockId, Height, Network, TxId};

/// Most transactions in one `testmempoolaccept`, as in Bitcoin.
const TRANSACTIONS_MAX: usize = 25;
/// Highest fee for 1,000 bytes unless the client says otherwise, as in Bitcoin: a tenth of a coin. More is a mistake of a hundred times and above.
const FEE_RATE_MAX_DEFAULT: Amount = Amount(10_000_000);
/// Most addresses in one `listunspent`.
const ADDRESSES_MAX: usize = 1_000;

/// The values by position; what is absent or null is `None`.
pub(crate) struct Args<'a> {
    method: &'static Method,
    values: Vec<Option<&'a Value>>,
}

impl<'a> Args<'a> {
    /// Takes positional or named parameters and refuses superfluous ones.
    pub(crate) fn bind(method: &'static Method, params: Option<&'a Value>) -> Result<Self, RpcError> {
        let mut values = vec![None; method.params.len()];
        let present = |value: &'a Value| (!value.is_null()).then_some(value);
        match params {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.len() > values.len() => {
                return Err(RpcError::InvalidParams {
                    method: method.name,
                    param: format!("number {}", values.len() + 1),
                    expected: format!("nothing ({})", method.usage()),
                    got: list.get(values.len()).map(shown).unwrap_or_default(),
                });
            }
            Some(Value::Array(list)) => {
                for (slot, value) in values.iter_mut().zip(list) {
                    *slot = present(value);
                }
            }
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let position = method.params.iter().position(|p| p.name == name);
                    let Some(slot) = position.and_then(|i| values.get_mut(i)) else {
                        return Err(RpcError::InvalidParams {
                            method: method.name,
                            param: name.chars().take(40).collect(),
                            expected: format!("no such parameter ({})", method.usage()),
                            got: shown(value),
                        });
                    };
                    *slot = present(value);
                }
            }
            Some(other) => {
                return Err(RpcError::InvalidParams {
                    method: method.name,
                    param: "params".into(),
                    expected: "a list or an object".into(),
                    got: shown(other),
                });
            }
        }
        Ok(Self { method, values })
    }

    fn wrong(&self, name: &str, expected: impl Into<String>, value: Option<&Value>) -> RpcError {
        RpcError::InvalidParams {
            method: self.method.name,
            param: name.into(),
            expected: expected.into(),
            got: value.map_or_else(|| "nothing".into(), shown),
        }
    }

    /// The value and kind of a parameter. A name that is not in the table is a fault of ours that the tests find.
    fn value(&self, name: &str) -> (Option<&'a Value>, ParamKind) {
        let position = self.method.params.iter().position(|p| p.name == name);
        let row = position.and_then(|i| Some((*self.values.get(i)?, self.method.params.get(i)?.kind)));
        row.unwrap_or((None, ParamKind::Text))
    }

    fn optional<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>, RpcError> {
        let (value, kind) = self.value(name);
        value.map(|v| read(v).ok_or_else(|| self.wrong(name, kind.expected(), Some(v)))).transpose()
    }

    fn required<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, RpcError> {
        self.optional(name, read)?.ok_or_else(|| self.wrong(name, self.value(name).1.expected(), None))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, RpcError> {
        self.required(name, Value::as_u64)
    }

    pub(crate) fn integer_or(&self, name: &str, default: u64) -> Result<u64, RpcError> {
        Ok(self.optional(name, Value::as_u64)?.unwrap_or(default))
    }

    /// A whole number that fits 32 bits.
    pub(crate) fn index(&self, name: &str) -> Result<u32, RpcError> {
        self.required(name, |v| u32::try_from(v.as_u64()?).ok())
    }

    pub(crate) fn boolean_or(&self, name: &str, default: bool) -> Result<bool, RpcError> {
        let read = |value: &Value| value.as_bool().or_else(|| value.as_u64().map(|n| n != 0));
        Ok(self.optional(name, read)?.unwrap_or(default))
    }

    /// 0, 1 or 2; true and false mean 1 and 0.
    pub(crate) fn verbosity(&self, name: &str) -> Result<u64, RpcError> {
        let read = |value: &Value| value.as_u64().or_else(|| value.as_bool().map(u64::from)).filter(|n| *n <= 2);
        let (value, _) = self.value(name);
        value.map_or(Ok(1), |v| read(v).ok_or_else(|| self.wrong(name, "0, 1 or 2", Some(v))))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, RpcError> {
        self.text_or(name)?.ok_or_else(|| self.wrong(name, self.value(name).1.expected(), None))
    }

    pub(crate) fn text_or(&self, name: &str) -> Result<Option<&'a str>, RpcError> {
        let (value, kind) = self.value(name);
        value.map(|v| v.as_str().ok_or_else(|| self.wrong(name, kind.expected(), Some(v)))).transpose()
    }

    /// What may be a peer's name; a number is the id of its session.
    pub(crate) fn peer_or(&self, name: &str) -> Result<Option<String>, RpcError> {
        self.optional(name, |v| v.as_str().map(str::to_owned).or_else(|| v.as_u64().map(|id| id.to_string())))
            .map(|found| found.filter(|text| !text.is_empty()))
    }

    pub(crate) fn peer(&self, name: &str) -> Result<String, RpcError> {
        self.peer_or(name)?.ok_or_else(|| self.wrong(name, self.value(name).1.expected(), None))
    }

    pub(crate) fn txid(&self, name: &str) -> Result<TxId, RpcError> {
        self.required(name, |v| v.as_str()?.parse().ok())
    }

    pub(crate) fn block_id_or(&self, name: &str) -> Result<Option<BlockId>, RpcError> {
        let (value, kind) = self.value(name);
        let read = |v: &Value| v.as_str().and_then(|text| text.parse().ok());
        value.map(|v| read(v).ok_or_else(|| self.wrong(name, kind.expected(), Some(v)))).transpose()
    }

    pub(crate) fn block_at(&self, name: &str) -> Result<BlockAt, RpcError> {
        self.required(name, |value| match value {
            Value::String(text) => text.parse().ok().map(BlockAt::Id),
            value => value.as_u64().map(|height| BlockAt::Height(Height(height))),
        })
    }

    pub(crate) fn amount(&self, name: &str) -> Result<Amount, RpcError> {
        let (value, kind) = self.value(name);
        match value.map(|v| (v, JsonAmount::read(v))) {
            Some((_, Some(Ok(coins)))) => Ok(coins.0),
            Some((value, Some(Err(error)))) => {
                Err(self.wrong(name, format!("{} ({error})", kind.expected()), Some(value)))
            }
            Some((value, None)) => Err(self.wrong(name, kind.expected(), Some(value))),
            None => Err(self.wrong(name, kind.expected(), None)),
        }
    }

    /// The highest fee for 1,000 bytes; none without limit. A rate that nobody means is refused, as in Bitcoin.
    pub(crate) fn fee_rate_max(&self, name: &str) -> Result<Option<Amount>, RpcError> {
        let rate = if self.value(name).0.is_some() { self.amount(name)? } else { FEE_RATE_MAX_DEFAULT };
        if rate >= Amount::ONE {
            let text =
                format!("{}: {name}: expected less than 1 TIME per 1,000 bytes, or 0 for no limit", self.method.name);
            return Err(RpcError::InvalidParameter(text));
        }
        Ok(Some(rate).filter(|rate| *rate > Amount::ZERO))
    }

    pub(crate) fn address(&self, name: &str, network: Network) -> Result<Address, RpcError> {
        address(self.text(name)?, network)
    }

    pub(crate) fn addresses(&self, name: &str, network: Network) -> Result<Vec<Address>, RpcError> {
        let texts = self.optional(name, |v| texts(v, 0, ADDRESSES_MAX))?.unwrap_or_default();
        texts.into_iter().map(|text| address(text, network)).collect()
    }

    pub(crate) fn transaction(&self, name: &str) -> Result<Transaction, RpcError> {
        transaction_from_hex(self.text(name)?)
    }

    pub(crate) fn transactions(&self, name: &str) -> Result<Vec<Transaction>, RpcError> {
        let (value, kind) = self.value(name);
        let list = value.and_then(|v| texts(v, 1, TRANSACTIONS_MAX));
        let list = list.ok_or_else(|| self.wrong(name, kind.expected(), value))?;
        list.into_iter().map(transaction_from_hex).collect()
    }
}

fn texts(value: &Value, min: usize, max: usize) -> Option<Vec<&str>> {
    let list = value.as_array().filter(|list| (min..=max).contains(&list.len()))?;
    list.iter().map(Value::as_str).collect()
}

/// Reads an address of this network.
pub(crate) fn address(text: &str, network: Network) -> Result<Address, RpcError> {
    Address::parse_for(text, network)
        .map_err(|error| RpcError::Address { address: text.chars().take(100).collect(), reason: error.to_string() })
}

/// A JSON value in an error text: at most 60 characters of it.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
}
