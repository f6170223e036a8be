//! Why a call about wallets has no result.

/// A call about wallets has no result. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletFault {
    /// There is a choice.
    #[error("{} wallets are loaded ({}): choose one by the path /wallet/NAME of the request, or --wallet NAME of time-cli", .0.len(), names(.0))]
    Unspecified(Vec<String>),
    /// There is none.
    #[error("no wallet is loaded: `loadwallet` loads one, `createwallet` makes one")]
    NoneLoaded,
    /// It has this name already.
    #[error("the wallet {0:?} is loaded already")]
    AlreadyLoaded(String),
    /// See there.
    #[error("{0}")]
    Exists(String),
    /// See there.
    #[error("{0}")]
    Missing(String),
    /// What is asked for needs its keys.
    #[error(
        "the wallet is locked: give its passphrase first (walletpassphrase PASSPHRASE SECONDS, or `time-cli wallet unlock`, which asks for it)"
    )]
    Locked,
    /// The passphrase opens nothing.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The wallet is encrypted or not, and the call is for the other kind.
    #[error("{0}")]
    EncryptionState(String),
    /// A locked wallet has handed out all that it knows.
    #[error("the wallet is locked and knows no further address: unlock it (walletpassphrase), which derives more")]
    NoAddress,
    /// The words are none.
    #[error("{0}")]
    Phrase(String),
}

/// Some of these.
fn names(all: &[String]) -> String {
    let shown: Vec<_> = all.iter().take(5).map(|name| format!("{name:?}")).collect();
    format!("{}{}", shown.join(", "), if all.len() > shown.len() { ", …" } else { "" })
}

impl WalletFault {
    /// Bitcoin's number (`rpc/protocol.h`).
    pub(crate) const fn code(&self) -> i32 {
        match self {
            Self::Phrase(_) => -8,
            Self::NoAddress => -12,
            Self::Locked => -13,
            Self::WrongPassphrase => -14,
            Self::EncryptionState(_) => -15,
            Self::NoneLoaded | Self::Missing(_) => -18,
            Self::Unspecified(_) => -19,
            Self::AlreadyLoaded(_) => -35,
            Self::Exists(_) => -36,
        }
    }
}
