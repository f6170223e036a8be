//! What a wallet costs the machine: the balance of an address with many outputs, as the node reads them from its store; choosing among so many coins;
//! and trying a passphrase. Everything runs on one thread and is measured in real time.

use super::report::{self, median, ms, rounded};
use super::usage::memory_mib;
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use timed_chain::tables_of;
use timed_ledger::{Address, Genesis, GenesisOutput, KeyHash, LedgerQueries as _, LedgerView, PaymentApplication};
use timed_primitives::{Amount, SecretKey, UnixTime};
use timed_store::DataDir;
use timed_wallet::{
    Coin, CoinTarget, DerivedAddresses, Fees, KdfCost, KeystoreParts, Phrase, SealedKeys, WalletKeys, select,
};

/// Outputs that the node reads at a time.
const PAGE: usize = 2_000;
/// What the smallest output holds; each has one unit more than the one before. Unit: 10⁻⁸ TIME.
const SMALLEST: u64 = 1_000_000;

/// Flags of `timed-bench wallet`.
#[derive(Clone, Debug, Args)]
pub(super) struct WalletArgs {
    /// Outputs of the address; a genesis has 100,000 at most, some of which are others'.
    #[arg(long, default_value_t = 98_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=98_000))]
    outputs: u32,
    /// How often each thing is measured; the median is shown.
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    repetitions: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Medians over the repetitions. Unit: milliseconds, of memory MiB.
struct WalletFigures {
    balance: f64,
    choice_exact: f64,
    choice_none: f64,
    choice_many: f64,
    unlock: f64,
    unlock_memory: f64,
    derive: f64,
}

/// Measures and prints.
pub(super) fn run(arguments: &WalletArgs) -> anyhow::Result<()> {
    let figures = super::in_temporary_folder(|folder| measure(arguments, folder))?;
    match arguments.json {
        true => report::print_json(&figures.as_json(arguments)),
        false => figures.print(),
    }
    Ok(())
}

fn measure(arguments: &WalletArgs, folder: &Path) -> anyhow::Result<WalletFigures> {
    let owner = KeyHash::of(&SecretKey::development("benchmark", 0).public());
    // First, so that nothing else has touched so much memory.
    let (unlock, unlock_memory, derive) = passphrase(arguments)?;
    report::progress(format!("writing a genesis with {} outputs ...", arguments.outputs));
    let mut genesis = Genesis::devnet(4);
    let address = Address { network: genesis.network, key_hash: owner };
    let outputs = (0..u64::from(arguments.outputs)).map(|n| GenesisOutput { address, amount: Amount(SMALLEST + n) });
    genesis.outputs.extend(outputs);
    let data = DataDir::open(folder, genesis.hash())?;
    let store = Arc::new(data.open_store(&tables_of::<PaymentApplication>())?);
    let ledger = timed_ledger::open(genesis.clone(), &data.disk(), store)?;
    let (reader, parameters) = (ledger.reader(), &genesis.parameters);
    let fees = Fees {
        per_byte: parameters.fee_per_byte_min,
        dust_min: parameters.dust_min,
        transaction_bytes_max: parameters.transaction_bytes_max.into(),
        payload_bytes: 0,
    };
    let view = reader.view();
    let mut coins = Vec::new();
    let balance = timed(arguments, || {
        coins = read_coins(&view, owner)?;
        black_box(Amount::sum(coins.iter().map(|coin| coin.amount)));
        Ok(())
    })?;
    anyhow::ensure!(coins.len() >= usize::try_from(arguments.outputs)?, "{} outputs were read", coins.len());
    let choice = |amount: u64| {
        let target = CoinTarget { amount: Amount(amount), outputs: 1, has_fee_inside: false, given: &[] };
        timed(arguments, || {
            // What does not suffice takes as long to see.
            let _ = black_box(select(&coins, &target, &fees));
            Ok(())
        })
    };
    let all: u64 = coins.iter().map(|coin| coin.amount.0).sum();
    Ok(WalletFigures {
        balance,
        choice_exact: choice(SMALLEST * 5)?,
        choice_none: choice(SMALLEST / 3)?,
        choice_many: choice(all / 4)?,
        unlock,
        unlock_memory,
        derive,
    })
}

/// All outputs of a key, as the node's wallet reads them.
fn read_coins(view: &LedgerView, owner: KeyHash) -> anyhow::Result<Vec<Coin>> {
    let mut coins: Vec<Coin> = Vec::new();
    loop {
        let page = view.outputs_of(&owner, coins.last().map(|coin| &coin.outpoint), PAGE)?;
        if page.is_empty() {
            return Ok(coins);
        }
        let coin = |(outpoint, entry): (_, timed_ledger::OutputEntry)| Coin {
            outpoint,
            amount: entry.output.amount,
            key_hash: owner,
        };
        coins.extend(page.into_iter().map(coin));
    }
}

/// Time and memory of trying a passphrase, and time of deriving the addresses of a wallet.
fn passphrase(arguments: &WalletArgs) -> anyhow::Result<(f64, f64, f64)> {
    let phrase = Phrase::from_entropy([7; 32]);
    let network = timed_primitives::Network::Devnet;
    let parts = KeystoreParts { network, made_at: UnixTime(0), cost: KdfCost::STANDARD, salt: [1; 16], nonce: [2; 24] };
    let before = memory_mib(std::process::id()).context("the system does not say how much memory is used")?;
    let sealed = SealedKeys::seal(&phrase, "a long passphrase", &parts)?;
    let unlock = timed(arguments, || {
        black_box(sealed.open("a long passphrase")?);
        Ok(())
    })?;
    let after = memory_mib(std::process::id()).context("the system does not say how much memory is used")?;
    let derive = timed(arguments, || {
        black_box(DerivedAddresses::of(&WalletKeys::of(&phrase, network)));
        Ok(())
    })?;
    Ok((unlock, after.1 - before.0, derive))
}

fn timed(arguments: &WalletArgs, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..arguments.repetitions {
        let start = Instant::now();
        work()?;
        times.push(ms(start.elapsed()));
    }
    Ok(median(times))
}

impl WalletFigures {
    fn as_json(&self, arguments: &WalletArgs) -> Value {
        json!({
            "benchmark": "wallet",
            "setting": report::setting(),
            "outputs": arguments.outputs,
            "repetitions": arguments.repetitions,
            "balance_ms": rounded(self.balance, 2),
            "choice_exact_ms": rounded(self.choice_exact, 2),
            "choice_none_ms": rounded(self.choice_none, 2),
            "choice_many_ms": rounded(self.choice_many, 2),
            "unlock_ms": rounded(self.unlock, 1),
            "unlock_memory_mib": rounded(self.unlock_memory, 1),
            "derive_ms": rounded(self.derive, 2),
        })
    }

    fn print(&self) {
        let time = |ms: f64| format!("{ms:.1} ms");
        report::print_rows(&[
            ("balance", time(self.balance), "of the outputs of one address, from the store"),
            ("choice", time(self.choice_exact), "of coins that need no change"),
            ("choice, one coin", time(self.choice_none), "where none fits without change"),
            ("choice, many coins", time(self.choice_many), "for a fourth of all, the largest first"),
            ("passphrase", time(self.unlock), "argon2id, the standard cost"),
            ("memory for it", format!("{:.0} MiB", self.unlock_memory), ""),
            ("addresses", time(self.derive), "from the words to the first 200"),
        ]);
    }
}
