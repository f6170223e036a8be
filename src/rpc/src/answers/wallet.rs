//! Answers of the node's wallet.

use super::shape::{Answer, Rows, json, text, tip, total};
use super::signing::sign_with_wallet;
use super::{history, labels, payments};
use crate::error::RpcError;
use crate::methods::WalletCall;
use crate::node::{NodeApi, Unspent};
use crate::outputs::UnspentInfo;
use crate::params::{Args, address};
use crate::result::AddressInfo;
use crate::text::{JsonAmount, Text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json as value_of};
use std::collections::BTreeSet;
use timed_ledger::{Address, OutPoint, TEXT_SIGNATURE_BYTES, TextSignature};
use timed_primitives::{Amount, Network, encode};

pub(super) async fn answer(node: &dyn NodeApi, call: WalletCall, args: &Args<'_>) -> Result<Answer, RpcError> {
    let network = node.network();
    let value = match call {
        WalletCall::GetBalance => balance(node, args).await,
        WalletCall::GetBalances => balances(node).await,
        WalletCall::GetUnconfirmedBalance => json(node.balance(None).await?.pending),
        WalletCall::GetWalletInfo => wallet_info(node).await,
        WalletCall::GetNewAddress => json(Text(node.new_address(labels::read(args)?).await?)),
        WalletCall::GetRawChangeAddress => json(Text(node.new_change_address().await?)),
        WalletCall::GetAddressInfo => Ok(address_info(node, &args.address("address", network)?)),
        WalletCall::ListUnspent => return list_unspent(node, args).await,
        WalletCall::SendToAddress => payments::to_one(node, args).await,
        WalletCall::SendMany => payments::to_many(node, args).await,
        WalletCall::FundRawTransaction => payments::fund(node, args).await,
        WalletCall::SetLabel => {
            node.set_label(args.address("address", network)?, labels::read(args)?).await?;
            Ok(Value::Null)
        }
        WalletCall::GetAddressesByLabel => labels::addresses(node, args.text("label")?),
        WalletCall::ListLabels => labels::list(node, args.text_or("purpose")?.unwrap_or_default()),
        WalletCall::SignRawTransactionWithWallet => sign_with_wallet(node, args.transaction("hexstring")?).await,
        WalletCall::SignMessage => {
            let signed = node.sign_text(args.address("address", network)?, args.text("message")?.to_owned()).await?;
            Ok(STANDARD.encode(signed.to_bytes()).into())
        }
        WalletCall::VerifyMessage => {
            let (owner, message) = (args.address("address", network)?.key_hash, args.text("message")?);
            let signed =
                STANDARD.decode(args.text("signature")?).ok().and_then(|bytes| TextSignature::from_bytes(&bytes));
            let signed = signed.ok_or_else(|| {
                RpcError::InvalidParameter(format!(
                    "verifymessage: signature: expected the {TEXT_SIGNATURE_BYTES} bytes in base64 that signmessage gives"
                ))
            })?;
            Ok(signed.is_of(&owner, message).into())
        }
        WalletCall::LockUnspent => {
            let (unlock, outputs) = (args.boolean("unlock")?, args.outpoints("transactions")?);
            if outputs.is_empty() && !unlock {
                return Err(RpcError::InvalidParameter(
                    "lockunspent: transactions: which outputs to hold back?".into(),
                ));
            }
            node.hold_back(outputs, !unlock).await?;
            Ok(true.into())
        }
        WalletCall::ListLockUnspent => {
            let held = node.held_back().await?;
            Ok(held.iter().map(|output| value_of!({ "txid": Text(output.txid), "vout": output.index })).collect())
        }
        WalletCall::ListTransactions => history::list(node, args).await,
        WalletCall::ListSinceBlock => history::since_block(node, args).await,
        WalletCall::SetTxFee => Ok(true.into()),
        WalletCall::ValidateAddress => json(validate_address(args.text("address")?, network)),
    };
    value.map(Answer::Value)
}

async fn balance(node: &dyn NodeApi, args: &Args<'_>) -> Result<Value, RpcError> {
    let of = args.text_or("address")?.filter(|text| !["*", ""].contains(text));
    let of = of.map(|text| address(text, node.network())).transpose()?;
    match args.integer_or("minconf", 1)? {
        1 => json(node.balance(of).await?.spendable),
        0 => {
            let balance = node.balance(of).await?;
            json(total([balance.spendable.0, balance.pending.0]))
        }
        confirmations => {
            let found = node.unspent(of.into_iter().collect()).await?;
            let old = found.iter().filter(|unspent| unspent.is_spendable() && unspent.confirmations >= confirmations);
            json(total(old.map(|unspent| unspent.output.amount)))
        }
    }
}

async fn last_block(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let (height, hash) = tip(node).await?;
    Ok(value_of!({ "hash": Text(hash), "height": height.0 }))
}

async fn balances(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let balance = node.balance(None).await?;
    Ok(value_of!({
        "mine": {
            "trusted": balance.spendable,
            "untrusted_pending": balance.pending,
            "immature": JsonAmount::default(),
            "collateral": balance.collateral,
        },
        "lastprocessedblock": last_block(node).await?,
    }))
}

async fn wallet_info(node: &dyn NodeApi) -> Result<Value, RpcError> {
    let (balance, status) = (node.balance(None).await?, node.wallet_status());
    let [receive, change] = status.ahead;
    let scanning = match status.scan {
        None => Value::Bool(false),
        Some(scan) => {
            // Counts of blocks are far below 2⁵³.
            #[allow(clippy::cast_precision_loss)]
            let share = (scan.reached.0 - scan.first.0.min(scan.reached.0)) as f64
                / (scan.last.0.saturating_sub(scan.first.0)).max(1) as f64;
            value_of!({ "duration": scan.duration.as_secs(), "progress": share.min(1.0) })
        }
    };
    let mut info = value_of!({
        "walletname": status.name,
        "walletversion": 1,
        "format": "timed",
        "balance": balance.spendable,
        "unconfirmed_balance": balance.pending,
        "immature_balance": JsonAmount::default(),
        "collateral": balance.collateral,
        "txcount": 0,
        "keypoolsize": receive,
        "keypoolsize_hd_internal": change,
        "paytxfee": JsonAmount::default(),
        "private_keys_enabled": true,
        "avoid_reuse": false,
        "scanning": scanning,
        "descriptors": false,
        "external_signer": false,
        "blank": false,
        "lastprocessedblock": last_block(node).await?,
    });
    if let Some(until) = status.open_until {
        info["unlocked_until"] = until.into();
    }
    if let Some(made_at) = status.made_at {
        info["birthtime"] = made_at.seconds().into();
    }
    Ok(info)
}

fn address_info(node: &dyn NodeApi, address: &Address) -> Value {
    let is_mine = node.is_mine(address);
    value_of!({
        "address": Text(address),
        "scriptPubKey": hex::encode(encode(&address.lock())),
        "ismine": is_mine,
        "iswatchonly": false,
        "solvable": is_mine,
        "isscript": false,
        "iswitness": true,
        "witness_version": 0,
        "witness_program": address.key_hash.to_string(),
        "ischange": node.is_change(address),
        "labels": labels::of(node, address),
    })
}

/// Dash's number of coins that are the collateral of a masternode.
const COLLATERAL_COINS: u64 = 4;

/// Bounds of `listunspent` by amount, and which coins.
struct UnspentFilter {
    /// Only collateral; else none of it, since no payment can spend it.
    wants_collateral: bool,
    least: Amount,
    most: Amount,
    count: usize,
    enough: Option<Amount>,
}

impl UnspentFilter {
    fn read(args: &Args<'_>) -> Result<Self, RpcError> {
        let (least, most) = (Amount::ZERO, Amount(u64::MAX));
        let mut filter = Self { wants_collateral: false, least, most, count: usize::MAX, enough: None };
        for (name, value) in args.options("query_options")?.into_iter().flatten() {
            let amount = || {
                JsonAmount::read(value).and_then(Result::ok).map(|read| read.0).ok_or_else(|| {
                    RpcError::InvalidParameter(format!("listunspent: query_options: {name}: expected an amount"))
                })
            };
            match name.as_str() {
                "minimumAmount" => filter.least = amount()?,
                "maximumAmount" => filter.most = amount()?,
                // Bitcoin's default of 0 means that there is none.
                "minimumSumAmount" => filter.enough = Some(amount()?).filter(|enough| *enough > Amount::ZERO),
                "maximumCount" => {
                    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
                    filter.count = count.filter(|count| *count > 0).unwrap_or(usize::MAX);
                }
                "coinType" => match value.as_u64() {
                    Some(0) => filter.wants_collateral = false,
                    Some(COLLATERAL_COINS) => filter.wants_collateral = true,
                    _ => {
                        return Err(RpcError::InvalidParameter(
                            "listunspent: query_options: coinType: expected 0 (all that can be spent) or 4 (collateral of masternodes)"
                                .into(),
                        ));
                    }
                },
                "include_immature_coinbase" => {}
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(RpcError::InvalidParameter(format!(
                        "listunspent: query_options: there is no {other:?}"
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn apply<'a>(&self, found: impl Iterator<Item = &'a Unspent>) -> Vec<&'a Unspent> {
        let (mut sum, mut taken) = (Amount::ZERO, Vec::new());
        let is_wanted = |unspent: &&Unspent| {
            unspent.collateral.is_some() == self.wants_collateral
                && (self.least..=self.most).contains(&unspent.output.amount)
        };
        for unspent in found.filter(is_wanted) {
            if taken.len() >= self.count || self.enough.is_some_and(|enough| sum >= enough) {
                break;
            }
            sum = sum.plus(unspent.output.amount).unwrap_or(Amount(u64::MAX));
            taken.push(unspent);
        }
        taken
    }
}

async fn list_unspent(node: &dyn NodeApi, args: &Args<'_>) -> Result<Answer, RpcError> {
    let network = node.network();
    let confirmations = args.integer_or("minconf", 1)?..=args.integer_or("maxconf", 9_999_999)?;
    let filter = UnspentFilter::read(args)?;
    let found = node.unspent(args.addresses("addresses", network)?).await?;
    let held: BTreeSet<OutPoint> = node.held_back().await?.into_iter().collect();
    let free = found.iter().filter(|unspent| !held.contains(&unspent.outpoint));
    let within = free.filter(|unspent| confirmations.contains(&unspent.confirmations));
    let row = |unspent: &&Unspent| {
        let label = unspent.output.lock.key_hash().map(|key_hash| node.label(&Address { network, key_hash }));
        UnspentInfo { label: label.unwrap_or_default(), ..UnspentInfo::of(unspent, network) }
    };
    text(&Rows(&filter.apply(within), row))
}

fn validate_address(text: &str, network: Network) -> AddressInfo {
    let parsed = Address::parse(text);
    let error = match &parsed {
        Ok(found) if found.network == network => None,
        Ok(_) => Address::parse_for(text, network).err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let found = parsed.as_ref().ok();
    AddressInfo {
        isvalid: error.is_none(),
        address: found.map(Address::to_string),
        network: found.map(|address| address.network.name().to_owned()),
        script: found.map(|address| hex::encode(encode(&address.lock()))),
        isscript: found.map(|_| false),
        iswitness: found.map(|_| true),
        witness_version: found.map(|_| 0),
        witness_program: found.map(|address| address.key_hash.to_string()),
        error_locations: error.as_ref().map(|_| Vec::new()),
        error,
    }
}
