//! `timed simulate --overload`.

use super::arguments::SimulateArgs;
use crate::overload::{self, OverloadConfig};
use std::time::Duration;

/// Plays it and prints the figures.
pub(super) fn run(arguments: &SimulateArgs, times: u64) -> anyhow::Result<()> {
    let started = super::machine::now();
    let figures = overload::run(OverloadConfig {
        nodes: arguments.nodes,
        machines: arguments.machines,
        cost: arguments.cost.max(1),
        carries: arguments.carries,
        length: Duration::from_secs(arguments.seconds),
        print: arguments.print(),
        ..OverloadConfig::new(arguments.seed, times)
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        println!("{figures}\nwall time     {:.1} s", started.elapsed().as_secs_f64());
    }
    anyhow::ensure!(figures.broken().is_empty(), "not kept: {}", figures.broken().join(", "));
    Ok(())
}
