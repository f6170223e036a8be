//! `timed simulate --scenario`: incidents of the past, played by name.

use super::arguments::SimulateArgs;
use crate::scenarios::{INCIDENTS, Incident, Played, SCENARIOS, Scenario, named, near, play};
use anyhow::bail;
use std::time::Duration;

/// Plays the scenario of this name, or all of them, or lists them.
pub(super) fn run(name: &str, arguments: &SimulateArgs) -> anyhow::Result<()> {
    match (name, named(name)) {
        ("list", _) => list(arguments.json),
        ("all", _) => play_in_turn(&SCENARIOS.iter().collect::<Vec<_>>(), arguments),
        (_, Some(scenario)) => play_in_turn(&[scenario], arguments),
        (_, None) => {
            let near = near(name).join(", ");
            bail!("there is no scenario {name:?}; did you mean one of {near}? --scenario list shows all")
        }
    }
}

/// Shows each incident, and what is played for it or why it cannot happen.
fn list(as_json: bool) -> anyhow::Result<()> {
    for row in INCIDENTS.iter().map(Incident::row) {
        if as_json {
            println!("{}", serde_json::to_string(&row)?);
            continue;
        }
        println!("D{:02}  {}", row.number, row.what);
        for scenario in row.scenarios.into_iter().filter_map(named) {
            println!("     {}: {}", scenario.name, scenario.promise);
        }
        if let Some(why) = row.excluded {
            println!("     cannot happen: {why}");
        }
    }
    Ok(())
}

/// Plays scenarios: a report of a single one; of several a line each, and the reports of those that fail.
fn play_in_turn(chosen: &[&Scenario], arguments: &SimulateArgs) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for scenario in chosen {
        #[allow(clippy::disallowed_methods, reason = "how long the machine took is not part of the simulation")]
        let started = std::time::Instant::now();
        let played = play(scenario, arguments.print());
        let wall = started.elapsed();
        match (arguments.json, chosen.len()) {
            (true, _) => println!("{}", serde_json::to_string(&played)?),
            (false, 1) => println!("{played}\nwall time     {:.1} s", wall.as_secs_f64()),
            (false, _) => println!("{}", line(&played, wall)),
        }
        broken.extend((!played.is_kept()).then_some(played.name));
    }
    if !broken.is_empty() {
        bail!("{} of {} promises are not kept: {}", broken.len(), chosen.len(), broken.join(", "));
    }
    Ok(())
}

fn line(played: &Played, wall: Duration) -> String {
    match &played.failed {
        None => format!("kept    {:5.1} s  {}: {}", wall.as_secs_f64(), played.name, played.promise),
        Some(_) => format!("{played}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct SimulateLine {
        #[command(flatten)]
        simulate: SimulateArgs,
    }

    fn parse(words: &[&str]) -> Result<SimulateArgs, clap::Error> {
        SimulateLine::try_parse_from(words).map(|line| line.simulate)
    }

    fn arguments(name: &str) -> SimulateArgs {
        parse(&["simulate", "--scenario", name, "--json"]).unwrap()
    }

    #[test]
    fn a_name_that_is_not_known_is_answered_with_those_that_are_near() {
        let error = run("d06-frame-spilt", &arguments("d06-frame-spilt")).unwrap_err().to_string();
        assert!(error.contains("\"d06-frame-spilt\"") && error.contains("d06-frame-split, "), "{error}");
    }

    #[test]
    fn the_list_and_a_scenario_are_given_by_name() {
        run("list", &arguments("list")).unwrap();
        run("d04-before-the-handshake", &arguments("d04-before-the-handshake")).unwrap();
        let both = ["simulate", "--scenario", "all", "--kill-anywhere"];
        assert!(parse(&both).is_err(), "one or the other");
    }
}
