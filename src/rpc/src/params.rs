//! Parameters of one call, checked against the method's row in the table.

use crate::chain::transaction_from_hex;
use crate::error::{ParamFault, RpcError};
use crate::methods::Method;
use crate::node::BlockAt;
use crate::param::ParamKind;
use crate::text::JsonAmount;
use serde_json::{Map, Value};
use timed_ledger::{Address, OutPoint, RegistrationId, Transaction};
use timed_primitives::{Amount, BlockId, Height, Network, TxId};

/// Most transactions in one `testmempoolaccept`, as in Bitcoin.
const TRANSACTIONS_MAX: usize = 25;
/// Highest fee for 1,000 bytes unless the client says otherwise, as in Bitcoin: a tenth of a coin. More is a mistake of a hundred times and above.
const FEE_RATE_MAX_DEFAULT: Amount = Amount(10_000_000);
/// No name of a peer is longer: a host has 253 characters (RFC 1035). Errors repeat what was given.
const PEER_CHARS_MAX: usize = 260;
/// Most outputs or payments in one call.
const OUTPOINTS_MAX: usize = 1_000;
/// Most addresses in one call.
const ADDRESSES_MAX: usize = 1_000;

/// Names an interval of rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntervalAt {
    /// The last that was paid.
    Latest,
    /// The one that is closed and not paid yet.
    Waiting,
    /// The one that is open.
    Open,
    /// By its number.
    Number(u64),
}

/// The values by position; what is absent or null is `None`.
pub(crate) struct Args<'a> {
    method: &'static Method,
    values: Vec<Option<&'a Value>>,
}

impl<'a> Args<'a> {
    /// Takes positional parameters, named ones, or named ones with the first of them in `args` (as Bitcoin Core 28), and refuses
    /// superfluous ones and values that ask for what is not done here.
    pub(crate) fn bind(method: &'static Method, params: Option<&'a Value>) -> Result<Self, RpcError> {
        let mut args = Self { method, values: vec![None; method.params.len()] };
        match params {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => args.positional(list)?,
            Some(Value::Object(map)) => args.named(map)?,
            Some(other) => return Err(args.wrong("params", "a list or an object", Some(other))),
        }
        args.check()?;
        Ok(args)
    }

    fn positional(&mut self, list: &'a [Value]) -> Result<(), RpcError> {
        if let Some(superfluous) = list.get(self.values.len()) {
            let fault = ParamFault::Superfluous;
            let (param, expected) =
                (format!("number {}", self.values.len() + 1), format!("nothing ({})", self.method.usage()));
            let (method, got) = (self.method.name, shown(superfluous));
            return Err(RpcError::InvalidParams { method, param, expected, got, fault });
        }
        for (slot, value) in self.values.iter_mut().zip(list) {
            *slot = (!value.is_null()).then_some(value);
        }
        Ok(())
    }

    fn named(&mut self, map: &'a Map<String, Value>) -> Result<(), RpcError> {
        let leading = match map.get("args") {
            Some(Value::Array(list)) if !self.method.params.iter().any(|p| p.is_called("args")) => {
                self.positional(list)?;
                list.len()
            }
            _ => 0,
        };
        for (name, value) in map.iter().filter(|(name, value)| *name != "args" || !value.is_array()) {
            let (method, param) = (self.method.name, name.chars().take(40).collect());
            let Some(position) = self.method.params.iter().position(|p| p.is_called(name)) else {
                let expected = format!("no such parameter ({})", self.method.usage());
                let fault = ParamFault::Name;
                return Err(RpcError::InvalidParams { method, param, expected, got: shown(value), fault });
            };
            let slot = self.values.get_mut(position).filter(|slot| position >= leading && slot.is_none());
            let Some(slot) = slot else {
                let expected = "it to be given once: by name or by position".into();
                let fault = ParamFault::Name;
                return Err(RpcError::InvalidParams { method, param, expected, got: shown(value), fault });
            };
            *slot = (!value.is_null()).then_some(value);
        }
        Ok(())
    }

    /// What is required must be there. What Bitcoin's server would do otherwise, and is not done here, is refused by name and never passed over.
    fn check(&self) -> Result<(), RpcError> {
        for (param, value) in self.method.params.iter().zip(&self.values) {
            if param.default.is_none() && value.is_none() {
                return Err(self.wrong(param.name, param.kind.expected(), None));
            }
            let (ParamKind::Only(supported), Some(value)) = (param.kind, value) else { continue };
            let text = value.to_string();
            if !supported.contains(&text.as_str()) {
                let (method, name, given) = (self.method.name, param.name, shown(value));
                let usual = supported.first().copied().unwrap_or("null");
                return Err(RpcError::InvalidParameter(format!(
                    "{method}: parameter {name}: {given} is not supported by this node: leave it out, or give {usual}"
                )));
            }
        }
        Ok(())
    }

    fn wrong(&self, name: &str, expected: impl Into<String>, value: Option<&Value>) -> RpcError {
        RpcError::InvalidParams {
            method: self.method.name,
            param: name.into(),
            expected: expected.into(),
            got: value.map_or_else(|| "nothing".into(), shown),
            fault: value.map_or(ParamFault::Missing, |_| ParamFault::Type),
        }
    }

    /// A value of the right type that cannot be one.
    fn out_of_range(&self, name: &str, expected: impl Into<String>, value: &Value) -> RpcError {
        RpcError::InvalidParams {
            method: self.method.name,
            param: name.into(),
            expected: expected.into(),
            got: shown(value),
            fault: ParamFault::Value,
        }
    }

    /// Whether the client gave it.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.value(name).0.is_some()
    }

    /// As the client gave it.
    pub(crate) fn given(&self, name: &str) -> Option<&'a Value> {
        self.value(name).0
    }

    /// The value and kind of a parameter. A name that is not in the table is a fault of ours that the tests find.
    fn value(&self, name: &str) -> (Option<&'a Value>, ParamKind) {
        let position = self.method.params.iter().position(|p| p.name == name);
        let row = position.and_then(|i| Some((*self.values.get(i)?, self.method.params.get(i)?.kind)));
        row.unwrap_or((None, ParamKind::Text))
    }

    fn optional<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>, RpcError> {
        let (value, kind) = self.value(name);
        value.map(|v| read(v).ok_or_else(|| self.misfit(name, kind, v))).transpose()
    }

    /// The error for a value that is not of this kind: of another type, or of the right one and out of its range.
    fn misfit(&self, name: &str, kind: ParamKind, value: &Value) -> RpcError {
        let is_type = match kind {
            ParamKind::Integer => value.is_i64() || value.is_u64(),
            ParamKind::Hash => value.is_string(),
            ParamKind::HashOrHeight | ParamKind::Interval => value.is_string() || value.is_i64() || value.is_u64(),
            ParamKind::HexList | ParamKind::AddressList | ParamKind::TextList => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
            }
            ParamKind::OutPoints => value.as_array().is_some_and(|list| list.iter().all(Value::is_object)),
            _ => false,
        };
        match is_type {
            true => self.out_of_range(name, kind.expected(), value),
            false => self.wrong(name, kind.expected(), Some(value)),
        }
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

    /// From 0 on; what is above 2 says no more than 2. True and false mean 1 and 0.
    pub(crate) fn verbosity(&self, name: &str, default: u64) -> Result<u64, RpcError> {
        let read = |value: &Value| value.as_u64().or_else(|| value.as_bool().map(u64::from));
        Ok(self.optional(name, read)?.unwrap_or(default).min(2))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, RpcError> {
        self.text_or(name)?.ok_or_else(|| self.wrong(name, self.value(name).1.expected(), None))
    }

    /// A text that no error repeats.
    pub(crate) fn secret(&self, name: &str) -> Result<&'a str, RpcError> {
        let (value, kind) = self.value(name);
        let text = value.and_then(Value::as_str);
        text.ok_or_else(|| match value {
            None => self.wrong(name, kind.expected(), None),
            Some(_) => self.wrong(name, kind.expected(), Some(&Value::from("something else"))),
        })
    }

    pub(crate) fn text_or(&self, name: &str) -> Result<Option<&'a str>, RpcError> {
        let (value, kind) = self.value(name);
        value.map(|v| v.as_str().ok_or_else(|| self.wrong(name, kind.expected(), Some(v)))).transpose()
    }

    /// What may be a peer's name; a number is the id of its session.
    pub(crate) fn peer_or(&self, name: &str) -> Result<Option<String>, RpcError> {
        let shortened = |text: &str| text.chars().take(PEER_CHARS_MAX).collect::<String>();
        self.optional(name, |v| v.as_str().map(shortened).or_else(|| v.as_u64().map(|id| id.to_string())))
            .map(|found| found.filter(|text| !text.is_empty()))
    }

    pub(crate) fn peer(&self, name: &str) -> Result<String, RpcError> {
        self.peer_or(name)?.ok_or_else(|| self.wrong(name, self.value(name).1.expected(), None))
    }

    pub(crate) fn txid(&self, name: &str) -> Result<TxId, RpcError> {
        self.required(name, |v| v.as_str()?.parse().ok())
    }

    pub(crate) fn registration(&self, name: &str) -> Result<RegistrationId, RpcError> {
        self.required(name, |v| v.as_str()?.parse().ok())
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<bool, RpcError> {
        self.required(name, |value| value.as_bool().or_else(|| value.as_u64().map(|n| n != 0)))
    }

    /// Settings by name; none when they are absent.
    pub(crate) fn options(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, RpcError> {
        self.optional(name, Value::as_object)
    }

    pub(crate) fn block_id(&self, name: &str) -> Result<BlockId, RpcError> {
        self.required(name, |v| v.as_str()?.parse().ok())
    }

    pub(crate) fn block_id_or(&self, name: &str) -> Result<Option<BlockId>, RpcError> {
        self.optional(name, |v| v.as_str().and_then(|text| text.parse().ok()))
    }

    pub(crate) fn block_at(&self, name: &str) -> Result<BlockAt, RpcError> {
        self.required(name, |value| match value {
            Value::String(text) => text.parse().ok().map(BlockAt::Id),
            value => value.as_u64().map(|height| BlockAt::Height(Height(height))),
        })
    }

    /// The last one that was paid when it is absent.
    pub(crate) fn interval(&self, name: &str) -> Result<IntervalAt, RpcError> {
        let read = |value: &Value| match value.as_str() {
            Some("latest") => Some(IntervalAt::Latest),
            Some("waiting") => Some(IntervalAt::Waiting),
            Some("open") => Some(IntervalAt::Open),
            _ => value.as_u64().map(IntervalAt::Number),
        };
        Ok(self.optional(name, read)?.unwrap_or(IntervalAt::Latest))
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

    /// A list of at most `max` texts; none when it is absent.
    pub(crate) fn texts(&self, name: &str, max: usize) -> Result<Vec<&'a str>, RpcError> {
        Ok(self.optional(name, |v| texts(v, 0, max))?.unwrap_or_default())
    }

    /// Names of outputs, at most [`OUTPOINTS_MAX`].
    pub(crate) fn outpoints(&self, name: &str) -> Result<Vec<OutPoint>, RpcError> {
        let read = |value: &Value| {
            let list = value.as_array().filter(|list| list.len() <= OUTPOINTS_MAX)?;
            let outpoint = |item: &Value| {
                let txid = item.get("txid")?.as_str()?.parse().ok()?;
                Some(OutPoint { txid, index: u32::try_from(item.get("vout")?.as_u64()?).ok()? })
            };
            list.iter().map(outpoint).collect::<Option<Vec<_>>>()
        };
        Ok(self.optional(name, read)?.unwrap_or_default())
    }

    /// Who gets how much, in the order given; an address at most once.
    pub(crate) fn payments(&self, name: &str, network: Network) -> Result<Vec<(Address, Amount)>, RpcError> {
        let value = self.required(name, Some)?;
        let objects: Vec<&Map<String, Value>> = match value {
            Value::Object(map) => vec![map],
            Value::Array(list) if list.len() <= OUTPOINTS_MAX => list.iter().filter_map(Value::as_object).collect(),
            other => return Err(self.wrong(name, ParamKind::Outputs.expected(), Some(other))),
        };
        if value.as_array().is_some_and(|list| list.len() != objects.len()) {
            return Err(self.wrong(name, ParamKind::Outputs.expected(), Some(value)));
        }
        let mut payments: Vec<(Address, Amount)> = Vec::new();
        for (text, amount) in objects.into_iter().flatten() {
            let to = address(text, network)?;
            let read = JsonAmount::read(amount).and_then(Result::ok);
            let amount = read.ok_or_else(|| self.wrong(name, ParamKind::Amount.expected(), Some(amount)))?;
            if payments.iter().any(|(other, _)| *other == to) {
                return Err(RpcError::InvalidParameter(format!("{}: {name}: {to} is there twice", self.method.name)));
            }
            payments.push((to, amount.0));
        }
        if payments.is_empty() || payments.len() > OUTPOINTS_MAX {
            return Err(self.out_of_range(name, format!("1 to {OUTPOINTS_MAX} payments"), value));
        }
        Ok(payments)
    }

    /// Addresses as the calls of the address index name them: `"a"`, `["a"]` or `{"addresses": ["a"]}`.
    pub(crate) fn owners(&self, name: &str, network: Network) -> Result<Vec<Address>, RpcError> {
        let value = self.required(name, Some)?;
        let list = value.get("addresses").unwrap_or(value);
        let found = match list {
            Value::String(text) => Some(vec![text.as_str()]),
            list => texts(list, 1, ADDRESSES_MAX),
        };
        let found = found.ok_or_else(|| self.wrong(name, ParamKind::Owners.expected(), Some(value)))?;
        found.into_iter().map(|text| address(text, network)).collect()
    }

    pub(crate) fn transactions(&self, name: &str) -> Result<Vec<Transaction>, RpcError> {
        let (value, kind) = self.value(name);
        let list = value.ok_or_else(|| self.wrong(name, kind.expected(), None))?;
        let list = texts(list, 1, TRANSACTIONS_MAX).ok_or_else(|| self.misfit(name, kind, list))?;
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
