//! What the sample says of wallets with a phrase: there is one, called savings, whose passphrase is "pass".

use super::{Sample, address};
use async_trait::async_trait;
use std::time::Duration;
use timed_ledger::Address;
use timed_primitives::Height;
use timed_rpc::{LoadedWallet, NewWallet, RpcError, SecretText, WalletFault, WalletSource, WalletsApi};

fn savings(name: String) -> Result<LoadedWallet, RpcError> {
    match &name[..] {
        "savings" => Ok(LoadedWallet { name, ..LoadedWallet::default() }),
        _ => {
            Err(WalletFault::Missing(format!("there is no wallet {:?}", name.chars().take(60).collect::<String>()))
                .into())
        }
    }
}

fn check(passphrase: &SecretText) -> Result<(), RpcError> {
    if passphrase.expose() == "pass" { Ok(()) } else { Err(WalletFault::WrongPassphrase.into()) }
}

#[async_trait]
impl WalletsApi for Sample {
    async fn stored_wallets(&self) -> Result<Vec<String>, RpcError> {
        Ok(vec!["savings".into()])
    }

    async fn make_wallet(&self, order: NewWallet) -> Result<LoadedWallet, RpcError> {
        let made = savings(order.name)?;
        Ok(match order.source {
            WalletSource::Fresh => LoadedWallet { words: Some(SecretText::new("abandon ability")), ..made },
            WalletSource::Phrase(..) => made,
            WalletSource::Backup(_) => LoadedWallet { warnings: vec!["it is locked".into()], ..made },
        })
    }

    async fn load_wallet(&self, name: String, _at_startup: Option<bool>) -> Result<LoadedWallet, RpcError> {
        savings(name)
    }

    async fn unload_wallet(&self, _name: String, _at_startup: Option<bool>) -> Result<(), RpcError> {
        Ok(())
    }

    async fn open_wallet(&self, passphrase: SecretText, _time: Duration) -> Result<(), RpcError> {
        check(&passphrase)
    }

    fn lock_wallet(&self) -> Result<(), RpcError> {
        Ok(())
    }

    async fn change_passphrase(&self, old: SecretText, _new: SecretText) -> Result<(), RpcError> {
        check(&old)
    }

    async fn back_up_wallet(&self, _destination: String) -> Result<(), RpcError> {
        Ok(())
    }

    async fn derive_ahead(&self, _ahead: u32) -> Result<(), RpcError> {
        Ok(())
    }

    async fn new_change_address(&self) -> Result<Address, RpcError> {
        Ok(address(1))
    }

    async fn rescan(&self, first: Height, last: Option<Height>) -> Result<(Height, Height), RpcError> {
        Ok((first, last.unwrap_or(Height(2))))
    }
}
