//! From words of the command line to JSON parameters, by the method's row in the table.

use serde_json::{Map, Value};
use std::io::Read;
use timed_primitives::Amount;
use timed_rpc::{Method, Param, ParamKind};

/// Most that is read from standard input: a transaction of 64 KiB in hex fits sixteen times. Unit: bytes.
const STDIN_BYTES_MAX: u64 = 2 << 20;

/// Reads parameters in order, or by name as `name=value`. The word `-` stands for what comes on standard input.
pub(crate) fn read(method: &Method, given: Vec<String>, stdin: &mut dyn Read) -> Result<Value, String> {
    let mut values = Map::new();
    let mut next = 0;
    for word in given {
        let by_name = word.split_once('=').and_then(|(name, value)| {
            method.params.iter().find(|p| p.is_called(name)).map(|param| (param, value.to_owned()))
        });
        let (param, text) = match by_name {
            Some(named) => named,
            None => (positional(method, &mut next, &word)?, word),
        };
        let text = if text == "-" { from_stdin(stdin)? } else { text };
        let value = convert(param, &text)
            .map_err(|got| format!("{}: {}: expected {}, got {got}", method.name, param.name, param.kind.expected()))?;
        match (values.get_mut(param.name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(_), _) => return Err(format!("{}: {} is given twice", method.name, param.name)),
            (None, value) => {
                values.insert(param.name.into(), value);
            }
        }
    }
    match method.params.iter().find(|p| p.default.is_none() && !values.contains_key(p.name)) {
        Some(missing) => Err(format!("{} is missing: {}", missing.name, method.usage())),
        None => Ok(Value::Object(values)),
    }
}

/// The parameter of the next word without a name. The last one takes all that is left when it is a list.
fn positional(method: &'_ Method, next: &mut usize, word: &str) -> Result<&'static Param, String> {
    let param = method.params.get(*next).ok_or_else(|| format!("one word too many: {word:?} ({})", method.usage()))?;
    if !takes_many(param.kind) {
        *next += 1;
    }
    Ok(param)
}

/// Whether it takes all words that follow.
pub(crate) const fn takes_many(kind: ParamKind) -> bool {
    matches!(kind, ParamKind::HexList | ParamKind::AddressList | ParamKind::TextList)
}

pub(crate) fn from_stdin(stdin: &mut dyn Read) -> Result<String, String> {
    let mut text = String::new();
    stdin.take(STDIN_BYTES_MAX).read_to_string(&mut text).map_err(|e| format!("cannot read standard input: {e}"))?;
    Ok(text.trim().to_owned())
}

/// The value, or what was given in place of one.
fn convert(param: &Param, text: &str) -> Result<Value, String> {
    let shown = || format!("{:?}", text.chars().take(60).collect::<String>());
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_hash = is_hex(text) && text.len() == 64;
    let number = || text.parse::<u64>().map(Value::from).map_err(|_| shown());
    match param.kind {
        ParamKind::Integer => number(),
        ParamKind::Verbosity => match text.to_lowercase().as_str() {
            "true" | "yes" => Ok(1.into()),
            "false" | "no" => Ok(0.into()),
            _ => number(),
        },
        ParamKind::Boolean => match text.to_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true.into()),
            "false" | "no" | "0" => Ok(false.into()),
            _ => Err(shown()),
        },
        ParamKind::Text | ParamKind::Address | ParamKind::Peer => Ok(text.into()),
        ParamKind::Hash if is_hash => Ok(text.into()),
        ParamKind::Hash => Err(shown()),
        ParamKind::HashOrHeight if is_hash => Ok(text.into()),
        ParamKind::HashOrHeight => number(),
        ParamKind::Interval if matches!(text, "latest" | "waiting" | "open") => Ok(text.into()),
        ParamKind::Interval => number(),
        ParamKind::Hex if is_hex(text) => Ok(text.into()),
        ParamKind::Hex => Err(shown()),
        ParamKind::Amount => match text.parse::<Amount>() {
            // The digits go out as they are: a JSON number of any length is exact.
            Ok(amount) => amount.to_string().parse().map(Value::Number).map_err(|_| shown()),
            Err(error) => Err(format!("{text:?}: {error}")),
        },
        ParamKind::HexList | ParamKind::AddressList | ParamKind::TextList if text.starts_with('[') => {
            match serde_json::from_str(text) {
                Ok(list @ Value::Array(_)) => Ok(list),
                _ => Err(shown()),
            }
        }
        ParamKind::OutPoints | ParamKind::Outputs | ParamKind::Options => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| value.is_array() || value.is_object())
            .ok_or_else(shown),
        ParamKind::Owners if text.starts_with(['[', '{']) => serde_json::from_str(text).map_err(|_| shown()),
        ParamKind::Owners => Ok(text.into()),
        // As Bitcoin's client reads words of which it knows nothing: JSON where it is, else text.
        ParamKind::Ignored | ParamKind::Only(_) => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        ParamKind::HexList | ParamKind::AddressList | ParamKind::TextList => {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, words: &[&str], expected: Result<&str, &str>) {
        let method = Method::find(name).unwrap();
        let words = words.iter().map(|w| (*w).to_owned()).collect();
        let read = read(method, words, &mut "00ff\n".as_bytes()).map(|value| value.to_string());
        match expected {
            Ok(json) => assert_eq!(read.as_deref(), Ok(json)),
            Err(part) => assert!(read.clone().unwrap_err().contains(part), "{read:?}"),
        }
    }

    #[test]
    fn words_become_parameters() {
        let hash = "ab".repeat(32);
        check("getblock", &["12", "2"], Ok(r#"{"blockhash":12,"verbosity":2}"#));
        check("getblock", &["verbosity=0", &hash], Ok(&format!(r#"{{"verbosity":0,"blockhash":"{hash}"}}"#)));
        check("getblock", &["blockhash=7"], Ok(r#"{"blockhash":7}"#));
        check("getrawtransaction", &[&hash, "yes"], Ok(&format!(r#"{{"txid":"{hash}","verbosity":1}}"#)));
        check(
            "sendtoaddress",
            &["dtime1x", "90071992.54740993"],
            Ok(r#"{"address":"dtime1x","amount":90071992.54740993}"#),
        );
        for (given, sent) in [
            ("1e-05", "0.00001000"),
            ("1e2", "100.00000000"),
            ("0.123456780", "0.12345678"),
            ("1.000000000", "1.00000000"),
        ] {
            check("sendtoaddress", &["a", given], Ok(&format!(r#"{{"address":"a","amount":{sent}}}"#)));
        }
        check("sendrawtransaction", &["-"], Ok(r#"{"hexstring":"00ff"}"#));
        check("testmempoolaccept", &["00", "11,22", r#"["33"]"#], Ok(r#"{"rawtxs":["00","11","22","33"]}"#));
        check(
            "testmempoolaccept",
            &["00", "11", "22", "maxfeerate=0"],
            Ok(r#"{"rawtxs":["00","11","22"],"maxfeerate":0.00000000}"#),
        );
        check("sendrawtransaction", &["00", "1e-3"], Ok(r#"{"hexstring":"00","maxfeerate":0.00100000}"#));
        check("listunspent", &["0", "addresses=a,b"], Ok(r#"{"minconf":0,"addresses":["a","b"]}"#));
        check("getblockcount", &[], Ok("{}"));
    }

    #[test]
    fn wrong_words_are_named() {
        check("getblock", &["abc"], Err("blockhash: expected a block hash"));
        check("getblock", &[], Err("blockhash is missing: getblock <blockhash> [verbosity]"));
        check("getblock", &["verbosity=1"], Err("blockhash is missing"));
        check("getblock", &["1", "blockhash=2"], Err("given twice"));
        check("getblockhash", &["1", "2"], Err("one word too many: \"2\""));
        check("getblockhash", &["-1"], Err("a whole number, got \"-1\""));
        check("sendtoaddress", &["dtime1x", "0.123456789"], Err("at most 8 decimals"));
        check("gettransaction", &["12"], Err("expected 64 hex digits, got \"12\""));
        check("sendrawtransaction", &["xyz"], Err("a transaction in hex"));
        check("getrawmempool", &["maybe"], Err("true or false"));
    }
}
