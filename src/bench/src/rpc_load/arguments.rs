//! The flags.

use super::flood::FloodKind;
use clap::{Args, ValueEnum as _};
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `timed-bench rpc-load`.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct RpcLoadArgs {
    /// How many masternodes to run. The first of them is read from.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    pub(super) nodes: u64,
    /// Clients that read, each with a connection.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) connections: u16,
    /// How long each run takes, such as 10s.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    pub(super) time: Duration,
    /// Payments per second while floods are compared.
    #[arg(long, default_value_t = 50.0, value_name = "R", value_parser = parse_rate)]
    pub(super) rate: f64,
    /// Payments per second that count as full load.
    #[arg(long, default_value_t = 2_000.0, value_name = "R", value_parser = parse_rate)]
    pub(super) full_rate: f64,
    /// What floods the node, each on its own.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...",
        default_values_t = FloodKind::value_variants().iter().copied())]
    pub(super) floods: Vec<FloodKind>,
    /// Runs with each flood, and as many without.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) repetitions: u16,
    /// Outputs of the address that floods ask about.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=190_000))]
    pub(super) outputs: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Folder for the nodes' data and logs, kept afterwards [default: one below ~/.timed that is removed].
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

/// Highest rate of payments that can be asked for. Unit: payments per second.
const RATE_MAX: f64 = 20_000.0;

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("expected a number from 1 to {RATE_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_within_bounds() {
        assert_eq!(parse_rate("2500"), Ok(2_500.0));
        for bad in ["0", "-1", "nan", "1e9", "fast"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
