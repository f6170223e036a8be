//! Bad input for each method, made from its row in the table: whatever a client gives, it gets a result or an error that names what is wrong.

use crate::sample::{Sample, address, block, transaction};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_primitives::encode;
use timed_rpc::{METHODS, Method, Param, ParamKind, RpcLimits, answer_body};

/// Tries for each method.
const TRIES: usize = 300;

/// A value in JSON: of any type, of a wrong range, or one that may be right.
fn value(rng: &mut StdRng, param: Option<&Param>) -> String {
    let texts = ["", " ", "é漢\u{202e}𝄞", "\u{0}", "-1", "1e5", "NaN", "*", "start", "[]", "null", "../../etc/passwd"];
    let numbers =
        ["0", "-0", "-1", "1", "2", "9223372036854775808", "18446744073709551616", "1e400", "-1e-400", "0.5", "1E+2"];
    match rng.random_range(0..14) {
        0 => "null".into(),
        1 => ["true", "false"][rng.random_range(0..2)].into(),
        2 | 3 => numbers[rng.random_range(0..numbers.len())].into(),
        4 => "9".repeat(rng.random_range(1..400)),
        5 | 6 => Value::from(texts[rng.random_range(0..texts.len())]).to_string(),
        7 => Value::from("ab".repeat(rng.random_range(0..80))).to_string(),
        8 => Value::from("x".repeat(rng.random_range(1..100_000))).to_string(),
        9 => {
            let deep = rng.random_range(1..200);
            format!("{}{}", "[".repeat(deep), "]".repeat(deep))
        }
        10 => {
            let deep = rng.random_range(1..60);
            format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep))
        }
        11 => r#"{"txid":1,"txid":2,"vout":-1}"#.into(),
        12 => format!("[{}]", vec!["1"; rng.random_range(0..2_000)].join(",")),
        _ => param.map_or_else(|| "[]".into(), |param| likely(param.kind).to_string()),
    }
}

/// A value that at least one method takes.
fn likely(kind: ParamKind) -> Value {
    match kind {
        ParamKind::Integer | ParamKind::Verbosity => json!(1),
        ParamKind::Boolean => json!(true),
        ParamKind::Text | ParamKind::Address | ParamKind::Owners => json!(address(1).to_string()),
        ParamKind::Hex => json!(hex::encode(encode(&transaction()))),
        ParamKind::Hash => json!(transaction().id().to_string()),
        ParamKind::HashOrHeight => json!(block(1).id().to_string()),
        ParamKind::Amount => json!("0.5"),
        ParamKind::HexList => json!([hex::encode(encode(&transaction()))]),
        ParamKind::AddressList | ParamKind::TextList => json!([address(1).to_string()]),
        ParamKind::OutPoints => json!([{ "txid": transaction().id().to_string(), "vout": 0 }]),
        ParamKind::Outputs => json!({ address(2).to_string(): 1 }),
        ParamKind::Options => json!({ "minimumAmount": "1" }),
        ParamKind::Peer => json!("127.0.0.1:7001"),
        ParamKind::Interval => json!("waiting"),
        ParamKind::Ignored | ParamKind::Only(_) => Value::Null,
    }
}

/// Parameters by position or by name, some missing, some superfluous, some twice.
fn params(rng: &mut StdRng, method: &Method) -> String {
    let whole = method.params.len();
    let count = if rng.random_bool(0.7) { whole } else { rng.random_range(0..=whole + 1) };
    if rng.random_range(0..3) > 0 {
        let values: Vec<String> = (0..count).map(|i| value(rng, method.params.get(i))).collect();
        return format!("[{}]", values.join(","));
    }
    let mut pairs: Vec<String> = Vec::new();
    for _ in 0..count {
        let at = rng.random_range(0..=method.params.len());
        let param = method.params.get(at);
        let name = match param {
            Some(param) if rng.random_bool(0.2) && !param.alias.is_empty() => param.alias,
            Some(param) => param.name,
            None => ["args", "colour", "", "é"][rng.random_range(0..4)],
        };
        pairs.push(format!("{}:{}", Value::from(name), value(rng, param)));
    }
    format!("{{{}}}", pairs.join(","))
}

/// Values that are wrong in one way each; the last two are long.
fn bad_values() -> Vec<String> {
    let short = [
        "null",
        "true",
        "-1",
        "0.5",
        "1e400",
        "18446744073709551616",
        r#""""#,
        r#""é漢\u202e𝄞""#,
        r#""\u0000""#,
        "[]",
        "{}",
        r#"{"txid":1,"txid":2,"addresses":1,"addresses":[]}"#,
    ];
    let deep =
        [format!("{}{}", "[".repeat(100), "]".repeat(100)), format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100))];
    let long = [Value::from("x".repeat(100_000)).to_string(), format!("[{}]", vec!["1"; 2_000].join(","))];
    short.map(str::to_owned).into_iter().chain(deep).chain(long).collect()
}

/// Asks, and gives the number of the error; what is no answer at all fails here.
async fn code(node: &Arc<Sample>, method: &Method, params: &str) -> Option<i64> {
    let body = format!(r#"{{"id":1,"method":"{}","params":{params}}}"#, method.name);
    let asked = answer_body(node.clone(), RpcLimits::default(), body.as_bytes());
    // Calls that wait for a block have a limit of their own, in virtual time here.
    let (status, answer) = tokio::time::timeout(Duration::from_secs(601), asked).await.unwrap();
    let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let shown: String = body.chars().take(300).collect();
    let Some(code) = answer["error"]["code"].as_i64() else {
        assert_eq!((status, answer.get("result").is_some()), (200, true), "{shown}: {answer}");
        return None;
    };
    assert!([400, 404, 500].contains(&status), "{shown}: {status} {answer}");
    let is_help = method.name == "help" && code == -32601;
    assert!(is_help || ![-32603, -32601, -32004].contains(&code), "{shown}: {answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.chars().count() < 1_000, "{shown}: {message}");
    Some(code)
}

/// Every parameter of every method, each kind of bad value: by position, and by a name that is there twice; and lists that are too short or too long.
#[tokio::test(start_paused = true)]
async fn each_parameter_of_each_method_is_given_each_kind_of_bad_value() {
    let node: Arc<Sample> = Arc::new(Sample::default());
    let mut asked = 0;
    for method in METHODS {
        let good: Vec<String> = method.params.iter().map(|param| likely(param.kind).to_string()).collect();
        for (at, param) in method.params.iter().enumerate() {
            for bad in bad_values() {
                let mut values = good.clone();
                values[at].clone_from(&bad);
                code(&node, method, &format!("[{}]", values.join(","))).await;
                let (name, others) = (Value::from(param.name), method.params.iter().zip(&good).enumerate());
                let others = others.filter(|(n, _)| *n != at);
                let mut pairs: Vec<String> =
                    others.map(|(_, (p, value))| format!("{}:{value}", Value::from(p.name))).collect();
                pairs.extend([format!("{name}:{}", good[at]), format!("{name}:{bad}")]);
                code(&node, method, &format!("{{{}}}", pairs.join(","))).await;
                asked += 2;
            }
        }
        let required = method.params.iter().filter(|param| param.default.is_none()).count();
        for count in 0..required {
            assert_eq!(
                code(&node, method, &format!("[{}]", good[..count].join(","))).await,
                Some(-1),
                "{}",
                method.name
            );
        }
        let superfluous = [good, vec!["1".to_owned()]].concat().join(",");
        assert_eq!(code(&node, method, &format!("[{superfluous}]")).await, Some(-1), "{}", method.name);
        asked += required + 1;
    }
    assert!(asked > 3_000, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn each_method_answers_whatever_it_is_given() {
    let node: Arc<Sample> = Arc::new(Sample::default());
    let mut rng = StdRng::seed_from_u64(17);
    let mut codes = BTreeMap::<i64, usize>::new();
    for method in METHODS {
        let mut good = 0;
        for _ in 0..TRIES {
            let params = params(&mut rng, method);
            match code(&node, method, &params).await {
                None => good += 1,
                Some(code) => *codes.entry(code).or_default() += 1,
            }
        }
        // What may be left out by name stands before what must be there.
        let needs_none = method.params.iter().all(|param| param.default.is_some()) && method.name != "sendmany";
        assert!(good > 0 || !needs_none, "{}: nothing was good", method.name);
    }
    for code in [-1, -3, -5, -8, -32700] {
        assert!(codes.contains_key(&code), "{code} never came: {codes:?}");
    }
}
