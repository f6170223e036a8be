//! What clients say of a masternode when they register or change it.

use super::signing::read_key;
use crate::error::RpcError;
use crate::params::{Args, address};
use serde_json::Value;
use timed_ledger::{Address, LockOwner, PAYOUTS_MAX, Payout, Payouts, ServiceAddress};
use timed_primitives::{Network, PublicKey, SecretKey};

/// The options of `protx`. Keys that sign are never repeated in an answer or an error.
#[derive(Default)]
pub(super) struct ProtxOptions {
    /// Where it is reached.
    pub(super) service: Option<ServiceAddress>,
    /// Public key of the owner.
    pub(super) owner: Option<PublicKey>,
    /// Public key that votes.
    pub(super) operator: Option<PublicKey>,
    /// Who gets what it earns.
    pub(super) payouts: Option<Payouts>,
    /// The address that the collateral is locked to.
    pub(super) collateral: Option<Address>,
    /// Whether the node's wallet may add coins of its own.
    pub(super) funds_from_wallet: Option<bool>,
    /// Who gets a released collateral.
    pub(super) to: Option<Address>,
    /// Secret keys that sign: the owner's, the operator's, the collateral's.
    pub(super) keys: Vec<SecretKey>,
}

impl ProtxOptions {
    /// Reads the options of a command, which takes those of these names.
    pub(super) fn read(command: &str, args: &Args<'_>, known: &[&str], network: Network) -> Result<Self, RpcError> {
        let mut read = Self::default();
        for (name, value) in args.options("options")?.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let refuse = |what: String| RpcError::InvalidParameter(format!("protx {command}: options: {what}"));
            if !known.contains(&name.as_str()) {
                let name: String = name.chars().take(40).collect();
                let takes =
                    if known.is_empty() { "it takes none".into() } else { format!("it takes {}", known.join(", ")) };
                return Err(refuse(format!("there is no {name:?}: {takes}")));
            }
            let text = || value.as_str().ok_or_else(|| refuse(format!("{name}: expected text")));
            let key = || text()?.parse().map_err(|_| refuse(format!("{name}: expected a public key, 64 hex digits")));
            match name.as_str() {
                "service" => {
                    let service = text()?.parse::<ServiceAddress>();
                    read.service = Some(service.map_err(|error| refuse(format!("service: {error}")))?);
                }
                "owner" => read.owner = Some(key()?),
                "operator" => read.operator = Some(key()?),
                "payees" => {
                    read.payouts = Some(payouts(value, network).map_err(|error| refuse(format!("payees: {error}")))?)
                }
                "collateral" => read.collateral = Some(address(text()?, network)?),
                "fund_from" => {
                    read.funds_from_wallet = Some(match text()? {
                        "wallet" => true,
                        "collateral" => false,
                        _ => return Err(refuse("fund_from: expected \"wallet\" or \"collateral\"".into())),
                    });
                }
                "to" => read.to = Some(address(text()?, network)?),
                _ => read.keys.push(read_key(text()?)?),
            }
        }
        Ok(read)
    }
}

/// One address, or an object of shares in basis points by address.
fn payouts(value: &Value, network: Network) -> Result<Payouts, String> {
    let owner = |text: &str| match address(text, network) {
        Ok(address) => Ok(LockOwner::KeyHash(address.key_hash)),
        Err(error) => Err(error.to_string()),
    };
    let expected = "expected an address, or an object of shares by address, in basis points: 10000 is all";
    match value {
        Value::String(text) => Ok(Payouts::one(owner(text)?)),
        Value::Object(shares) if shares.len() <= PAYOUTS_MAX => {
            let payout = |(text, share): (&String, &Value)| {
                let share = share.as_u64().and_then(|share| u16::try_from(share).ok()).ok_or(expected)?;
                Ok::<_, String>(Payout { to: owner(text)?, share })
            };
            let payouts = shares.iter().map(payout).collect::<Result<_, _>>()?;
            Payouts::new(payouts).map_err(|error| error.to_string())
        }
        Value::Object(shares) => Err(format!("{} payees, at most {PAYOUTS_MAX} are allowed", shares.len())),
        _ => Err(expected.into()),
    }
}
