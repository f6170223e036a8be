//! More than the nodes can do: what they carry goes on becoming final, what is accepted becomes final soon, and no round fails.

use timed_simulator::overload::CompactBlocks;
use timed_simulator::{Machines, OverloadConfig, overload};

/// What four such machines carry where work takes four times as long. Unit: payments per second.
const ALIKE: u64 = 850;

#[track_caller]
fn keeps_its_promises(config: OverloadConfig) {
    let figures = overload::run(config).map_err(|error| error.to_string());
    let broken = figures.as_ref().map_or_else(|error| vec![error.as_str()], |figures| figures.broken());
    assert_eq!(broken, [""; 0], "{}", figures.as_ref().map(ToString::to_string).unwrap_or_default());
}

fn alike(times: u64) -> OverloadConfig {
    OverloadConfig { carries: ALIKE, ..OverloadConfig::new(1, times) }
}

/// Large blocks name what they hold, and of ten names that come to one of the three others nine are known there, also while each proposer
/// still learns how long transactions take.
#[test]
fn blocks_name_what_others_hold() {
    let CompactBlocks { sent, named, rebuilt, lacked, in_full } =
        CompactBlocks::sum(&overload::run(alike(2)).unwrap().compact);
    assert!(sent > 20 && rebuilt >= sent * 2 && named > 1_000, "{sent} sent, {rebuilt} rebuilt, {named} named");
    assert!(lacked < named * 3 / 10 && in_full < sent / 20, "{lacked} lacked of {named}, {in_full} in full of {sent}");
}

/// It gets whole blocks from all, and its own reach all.
#[test]
fn one_that_takes_no_names_keeps_up() {
    let figures = overload::run(OverloadConfig { plain: Some(4), ..alike(2) }).unwrap();
    assert_eq!(figures.broken(), [""; 0], "{figures}");
    let (plain, others) = figures.compact.split_last().unwrap();
    assert_eq!((plain.rebuilt, plain.lacked), (0, 0));
    assert!(plain.sent > 0 && others.iter().all(|one| one.sent > 0 && one.rebuilt > 0), "{:?}", figures.compact);
}

#[test]
fn what_is_carried_is_carried() {
    keeps_its_promises(alike(1));
}

#[test]
fn twice_as_much() {
    keeps_its_promises(alike(2));
}

#[test]
fn four_times_as_much() {
    keeps_its_promises(alike(4));
}

#[test]
fn ten_times_as_much() {
    keeps_its_promises(alike(10));
}

/// Without warning a block takes a leader longer to make than time-outs are by then.
#[test]
fn ten_times_as_much_on_slower_machines() {
    keeps_its_promises(OverloadConfig { carries: 340, cost: 10, ..alike(10) });
}

/// It follows, and leads in its turn.
#[test]
fn one_of_four_at_half_speed() {
    keeps_its_promises(OverloadConfig { machines: Machines::OneAtHalfSpeed, carries: 620, ..alike(4) });
}
