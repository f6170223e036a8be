//! The benchmarks of single parts, each at its smallest: the JSON holds what it promises. How fast something is, is not checked here.

use crate::{bench, report};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time for one of them: more than three times what the longest takes on a quiet machine.
const LIMIT: Duration = Duration::from_secs(150);

/// The report of one of them, which names it and what it was measured on.
fn measured(arguments: &[&str]) -> Value {
    let report = report(arguments, LIMIT);
    assert_eq!(report["benchmark"], arguments[0]);
    assert!(report["setting"]["cores"].as_u64() > Some(0), "{report}");
    report
}

/// Every one of these fields is a number above 0.
fn assert_measured(report: &Value, fields: &[&str]) {
    for field in fields {
        let value = report.pointer(field).and_then(Value::as_f64);
        assert!(value.is_some_and(|value| value > 0.0), "{field} is {value:?} in {report:#}");
    }
}

#[test]
fn bench_verify_counts_signatures_transactions_and_blocks() {
    let report = measured(&["verify", "--repetitions", "1", "--time", "10ms"]);
    let by_batch = ["1", "16", "64", "256", "1024"].map(|n| format!("/signatures_per_core_second_by_batch/{n}"));
    assert_measured(&report, &by_batch.each_ref().map(|field| &field[..]));
    assert_measured(
        &report,
        &[
            "/mempool/transactions_per_core_second",
            "/block/judge_known_ms",
            "/block/judge_unknown_ms",
            "/block/transactions_per_core_second_known",
        ],
    );
    let bytes = report["block"]["bytes"].as_u64().unwrap();
    assert!((1_000_000..=1_048_576).contains(&bytes), "a full block has {bytes} bytes");
}

#[test]
fn bench_wallet_measures_balance_choice_and_passphrase() {
    let report = measured(&["wallet", "--outputs", "1000", "--repetitions", "1"]);
    let fields = ["/balance_ms", "/choice_exact_ms", "/choice_none_ms", "/choice_many_ms", "/unlock_ms", "/derive_ms"];
    assert_measured(&report, &fields);
}

#[test]
fn bench_peers_compares_actors_with_plain_tasks() {
    let report = measured(&["peers", "--repetitions", "1", "--time", "20ms"]);
    for path in ["peer_actors", "plain_tasks", "actors_to_plain"] {
        let fields =
            ["messages_200b_per_second", "messages_64kib_per_second", "round_trip_p50_us", "round_trip_p99_us"];
        let fields = fields.map(|field| format!("/{path}/{field}"));
        assert_measured(&report, &fields.each_ref().map(|field| &field[..]));
    }
}

#[test]
fn bench_lanes_loses_no_ping_and_lets_votes_overtake_blocks() {
    let output = bench(&["lanes", "--rates", "10", "--time", "3s", "--idle", "1s", "--json"], LIMIT);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("bench lanes needs") {
        eprintln!("skipped: {errors}");
        return;
    }
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let link = &report["links"][0];
    assert_measured(
        link,
        &["/bulk_mbit_per_second", "/bound_ms", "/blocks", "/packets/carried", "/loaded/votes_overtook"],
    );
    for phase in ["idle", "loaded"] {
        for what in ["votes", "pings"] {
            let [sent, answered] = ["sent", "answered"].map(|of| link[phase][format!("{what}_{of}")].as_u64());
            assert!(sent > Some(0) && sent == answered, "{phase} {what}: {link:#}");
        }
    }
    assert_eq!(link["sessions_lost"], 0, "{link:#}");
    for times in ["votes_added_ms", "pings_added_ms"] {
        assert!(link[times]["max"].is_number(), "{link:#}");
    }
}

#[test]
fn bench_sync_fetches_a_chain_of_full_blocks() {
    let report = measured(&["sync", "--blocks", "2"]);
    assert_eq!(report["blocks"], 3, "two full ones above the one that makes their coins: {report:#}");
    assert!(report["transactions"].as_u64() > Some(8_000), "{report:#}");
    assert_measured(&report, &["/transactions_per_second", "/blocks_per_second", "/mib_per_second", "/seconds"]);
}

#[test]
fn bench_start_reports_first_block_idle_cost_and_return() {
    let report = measured(&["start", "--repetitions", "1", "--idle", "1s", "--missed-blocks", "5"]);
    assert_measured(&report, &["/first_block_ms/median", "/idle/rss_mib_per_node/3", "/restart/votes_s"]);
    assert!(report["restart"]["missed_blocks"].as_u64() >= Some(5), "{report:#}");
}

#[test]
fn bench_join_sees_a_newcomer_vote_two_heights_after_its_registration() {
    let report = measured(&["join", "--newcomers", "1"]);
    assert_measured(&report, &["/final_ms", "/votes_ms", "/heights"]);
    assert!(report["heights_max"].as_u64() >= Some(2), "{report:#}");
}

#[test]
fn bench_faults_compares_phases() {
    let report = measured(&["faults", "--time", "1s", "--warm-up-heights", "10"]);
    for phase in ["healthy", "killed", "frozen"] {
        assert!(report[phase]["longest_gap_ms"].is_number(), "{phase}: {report:#}");
    }
    assert_measured(&report, &["/healthy/heights_per_s", "/accepted_tps"]);
}

#[test]
fn bench_hostile_serves_newcomers_and_keeps_peers_while_attackers_hold_every_place() {
    let names = ["quiet", "half-open", "slow-drip", "connect-close", "recorded-hello", "mute-tls"];
    let report = measured(&["hostile", "--time", "1s", "--peers", "4", "--scenarios", &names.join(",")]);
    let scenarios = report["scenarios"].as_array().unwrap();
    let found: Vec<_> = scenarios.iter().map(|of| of["scenario"].as_str().unwrap()).collect();
    assert_eq!(found, names);
    for of in scenarios {
        let is_quiet = of["scenario"] == "quiet";
        let count =
            |field: &str| of.pointer(field).and_then(Value::as_f64).unwrap_or_else(|| panic!("{field}: {of:#}"));
        assert_eq!(count("/connections") > 0.0, !is_quiet, "{of:#}");
        assert_eq!(count("/peers_dropped"), 0.0, "{of:#}");
        let [came, served, closed, late] =
            ["came", "served", "closed", "late"].map(|field| count(&format!("/newcomers/{field}")));
        assert!(served > 0.0 && came == served + closed + late, "{of:#}");
        assert!(!is_quiet || came == served, "{of:#}");
        assert_measured(of, &["/newcomers/ready_ms/p50", "/before/memory_mib", "/after/memory_mib"]);
        assert!(of["peer_ping_ms"]["p50"].is_number(), "{of:#}");
        assert!(count("/peak/memory_mib") >= count("/before/memory_mib"), "{of:#}");
        assert!(count("/peak/open_files") >= count("/before/open_files"), "{of:#}");
        // The newcomers and peers began as well. Connections of this machine are not refused, and the places are 256.
        assert!(count("/handshakes/begun") >= served + 4.0, "{of:#}");
        assert_eq!(count("/handshakes/refused"), 0.0, "{of:#}");
        assert!(count("/handshakes/peak") <= 256.0, "{of:#}");
        let holds_all = ["half-open", "slow-drip", "mute-tls"].contains(&of["scenario"].as_str().unwrap());
        assert!(!holds_all || count("/handshakes/gave_way") > 0.0, "{of:#}");
    }
}

#[test]
fn bench_hostile_holds_no_more_than_the_lanes_bound_for_peers_that_never_read() {
    let report =
        measured(&["hostile", "--time", "1s", "--peers", "4", "--scenarios", "never-reads", "--attackers", "2"]);
    let of = &report["scenarios"][0];
    assert_eq!(
        (&of["scenario"], &of["attackers"], &of["peers_dropped"]),
        (&json!("never-reads"), &json!(2), &json!(0))
    );
    // One of 128 KiB, one of 8 MiB, one of 16 MiB.
    let queued = of["queued_mib"].as_f64().unwrap();
    assert!((8.0..=2.0 * 24.2).contains(&queued), "{of:#}");
    assert_eq!(of["newcomers"]["served"], of["newcomers"]["came"], "{of:#}");
}

#[test]
fn bench_overload_counts_what_was_offered_taken_and_made_final() {
    let arguments = ["overload", "--rate", "40", "--factors", "1,2", "--time", "1s", "--slow-node"];
    let report = measured(&arguments);
    assert_eq!((&report["kind"], &report["slow_node"]), (&json!("normal"), &json!(true)));
    assert_measured(&report, &["/light_finality_ms/p50", "/highest_per_s"]);
    for (phase, offered) in report["phases"].as_array().unwrap().iter().zip([40.0, 80.0]) {
        assert_overload(phase, offered);
        assert_eq!(phase["finalized"].as_f64(), Some(offered), "{phase:#}");
    }
}

/// What was due became something, and the figures are there.
fn assert_overload(phase: &Value, offered: f64) {
    let count = |field: &str| phase[field].as_f64().unwrap_or_else(|| panic!("{field}: {phase:#}"));
    assert_eq!(count("offered"), offered, "{phase:#}");
    let outcomes = ["accepted", "busy", "refused", "unanswered", "unsent"].map(count);
    assert_eq!(outcomes.iter().sum::<f64>(), offered, "{phase:#}");
    assert_measured(phase, &["/finality_ms/p50", "/answer_ms/p50", "/blocks", "/rss_max_mib_per_node/3"]);
    assert!(phase["light_after_finality_ms"]["p50"].is_number(), "{phase:#}");
}

#[test]
fn bench_rpc_load_compares_runs_with_and_without_each_flood() {
    let arguments = ["rpc-load", "--time", "1s", "--repetitions", "1", "--outputs", "2000", "--full-rate", "100"];
    let report = measured(&arguments);
    let reads = report["reads"].as_array().unwrap();
    let named: Vec<_> =
        reads.iter().map(|read| (read["state"].as_str().unwrap(), read["method"].as_str().unwrap())).collect();
    let both = |state| [(state, "getblockcount"), (state, "gettxout")];
    assert_eq!(named, [both("idle"), both("full load")].concat());
    for read in reads {
        assert_measured(read, &["/per_s", "/answer_ms/p50"]);
        assert_eq!(read["failed"], 0, "{read:#}");
    }
    assert_measured(&report, &["/full_block/getblock_2_ms/p50", "/flood_block/bytes"]);
    assert!(report["full_block"]["bytes"].as_u64() > Some(1_000_000), "{report:#}");
    let floods = report["floods"].as_array().unwrap();
    let names: Vec<_> = floods.iter().map(|flood| flood["flood"].as_str().unwrap()).collect();
    assert_eq!(names, ["blocks", "sums", "unspent", "scans", "unread"]);
    for flood in floods {
        assert_measured(flood, &["/finality_p99_without_ms", "/finality_p99_with_ms", "/factor", "/rss_max_mib"]);
        let run = &flood["runs"][0];
        let asked = if flood["flood"] == "unread" { "sent_unread" } else { "answered" };
        assert!(run[asked].as_u64() > Some(0), "{flood:#}");
        for payments in ["without", "with"] {
            assert_eq!((&run[payments]["offered"], &run[payments]["finalized"]), (&json!(50), &json!(50)), "{flood:#}");
        }
    }
}

#[test]
fn bench_overload_offers_forgeries_that_are_refused() {
    let report = measured(&["overload", "--kind", "invalid", "--rate", "40", "--factors", "1", "--time", "1s"]);
    assert_eq!(report["valid_share"], 0.5);
    let phase = &report["phases"][0];
    assert_overload(phase, 40.0);
    assert_eq!((phase["refused"].as_f64(), phase["finalized"].as_f64()), (Some(20.0), Some(20.0)), "{phase:#}");
}
