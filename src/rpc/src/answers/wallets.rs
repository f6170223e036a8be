//! Answers about wallets with a phrase: to make, load, open, back up and restore them.

use super::shape::json;
use crate::error::{RpcError, WALLET_NAME};
use crate::methods::WalletsCall;
use crate::node::NodeApi;
use crate::params::Args;
use crate::wallets::{LoadedWallet, NewWallet, SecretText, WalletSource};
use serde_json::{Value, json as value_of};
use std::time::Duration;
use timed_primitives::Height;

/// Longest time that a wallet is open, as in Bitcoin. Unit: seconds.
const OPEN_SECONDS_MAX: u64 = 100_000_000;

pub(super) async fn answer(node: &dyn NodeApi, call: WalletsCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        WalletsCall::ListWallets => json(node.loaded_wallets()),
        WalletsCall::ListWalletDir => {
            let own = [String::new()].into_iter();
            let all: Vec<Value> =
                own.chain(node.stored_wallets().await?).map(|name| value_of!({ "name": name })).collect();
            Ok(value_of!({ "wallets": all, "warnings": [] }))
        }
        WalletsCall::CreateWallet => {
            let order = NewWallet {
                name: args.text("wallet_name")?.to_owned(),
                source: WalletSource::Fresh,
                passphrase: given_passphrase(args, "passphrase")?,
                load_on_startup: args.boolean_or("load_on_startup", false)?,
            };
            Ok(loaded(&node.make_wallet(order).await?))
        }
        WalletsCall::RestoreWallet => Ok(loaded(&node.make_wallet(restored(args)?).await?)),
        WalletsCall::LoadWallet => {
            let name = args.text("filename")?.to_owned();
            Ok(loaded(&node.load_wallet(name, at_startup(args)?).await?))
        }
        WalletsCall::UnloadWallet => {
            let given = args.text_or("wallet_name")?;
            let name = given.map_or_else(|| node.wallet_status().name, str::to_owned);
            let name = if name == WALLET_NAME { String::new() } else { name };
            node.unload_wallet(name, at_startup(args)?).await?;
            Ok(value_of!({ "warnings": [] }))
        }
        WalletsCall::WalletPassphrase => {
            let (passphrase, seconds) = (secret(args, "passphrase")?, args.integer("timeout")?);
            node.open_wallet(passphrase, Duration::from_secs(seconds.min(OPEN_SECONDS_MAX))).await?;
            Ok(Value::Null)
        }
        WalletsCall::WalletLock => node.lock_wallet().map(|()| Value::Null),
        WalletsCall::WalletPassphraseChange => {
            node.change_passphrase(secret(args, "oldpassphrase")?, given_passphrase(args, "newpassphrase")?).await?;
            Ok(Value::Null)
        }
        WalletsCall::BackupWallet => {
            node.back_up_wallet(args.text("destination")?.to_owned()).await?;
            Ok(Value::Null)
        }
        WalletsCall::KeypoolRefill => {
            let ahead = args.integer_or("newsize", 100)?;
            node.derive_ahead(u32::try_from(ahead).unwrap_or(u32::MAX)).await?;
            Ok(Value::Null)
        }
        WalletsCall::RescanBlockchain => {
            let last = args.is_given("stop_height").then(|| args.integer("stop_height")).transpose()?;
            let (first, last) = node.rescan(Height(args.integer_or("start_height", 0)?), last.map(Height)).await?;
            Ok(value_of!({ "start_height": first.0, "stop_height": last.0 }))
        }
        WalletsCall::AbortRescan => Ok(node.abort_rescan().into()),
    }
}

fn at_startup(args: &Args<'_>) -> Result<Option<bool>, RpcError> {
    args.is_given("load_on_startup").then(|| args.boolean("load_on_startup")).transpose()
}

fn secret(args: &Args<'_>, name: &str) -> Result<SecretText, RpcError> {
    args.secret(name).map(SecretText::new)
}

/// A passphrase for a file of keys.
fn given_passphrase(args: &Args<'_>, name: &'static str) -> Result<SecretText, RpcError> {
    let passphrase = if args.is_given(name) { args.secret(name)? } else { "" };
    if passphrase.is_empty() {
        return Err(RpcError::InvalidParameter(format!(
            "{name}: the keys of a wallet are always encrypted, so a passphrase is needed: a long one that nobody guesses"
        )));
    }
    Ok(SecretText::new(passphrase))
}

fn restored(args: &Args<'_>) -> Result<NewWallet, RpcError> {
    // All are read before they are compared, so that each wrong one is named.
    let optional = |name| args.is_given(name).then(|| secret(args, name)).transpose();
    let (words, passphrase) = (optional("phrase")?, optional("passphrase")?);
    let (name, file) = (args.text("wallet_name")?.to_owned(), args.text_or("backup_file")?.unwrap_or_default());
    let load_on_startup = args.boolean_or("load_on_startup", false)?;
    let gap = args.integer_or("gap_limit", 20)?;
    let gap = u32::try_from(gap)
        .ok()
        .filter(|gap| (1..=10_000).contains(gap))
        .ok_or_else(|| RpcError::InvalidParameter("restorewallet: gap_limit: expected 1 to 10000".into()))?;
    let refused = |text: &str| Err(RpcError::InvalidParameter(format!("restorewallet: {text}")));
    let (source, passphrase) = match (file, words) {
        ("", Some(words)) => (WalletSource::Phrase(words, gap), given_passphrase(args, "passphrase")?),
        ("", None) => {
            return refused("from what? Give backup_file, or phrase (the 24 words) and passphrase (a new one)");
        }
        (_, Some(_)) => return refused("give backup_file or phrase, not both"),
        (_, None) if passphrase.is_some() => {
            return refused(
                "passphrase: a backup has that of its wallet; after the restore `walletpassphrase` opens it with that",
            );
        }
        (file, None) => (WalletSource::Backup(file.to_owned()), SecretText::new("")),
    };
    Ok(NewWallet { name, source, passphrase, load_on_startup })
}

fn loaded(wallet: &LoadedWallet) -> Value {
    let mut answer = value_of!({ "name": wallet.name, "warnings": wallet.warnings });
    if let Some(words) = &wallet.words {
        answer["phrase"] = words.expose().into();
    }
    answer
}
