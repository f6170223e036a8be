//! The table: 43 incidents of networks of this kind, and what is played for each.

use super::stage::{Failed, Stage};
use super::{chain, frames, operations, storage, transport, trust};
use std::future::Future;
use std::pin::Pin;

/// How many incidents there are.
pub const INCIDENTS_MAX: u8 = 43;

/// Something that once went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Incident {
    /// Its number, from 1.
    pub number: u8,
    /// What happened.
    pub what: &'static str,
    /// Why it cannot happen here, and what shows it; `None` when it is played.
    pub excluded: Option<&'static str>,
}

const fn played(number: u8, what: &'static str) -> Incident {
    Incident { number, what, excluded: None }
}

const fn excluded(number: u8, what: &'static str, why: &'static str) -> Incident {
    Incident { number, what, excluded: Some(why) }
}

/// What plays: an async function over a stage.
type PlayFn = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Result<(), Failed>> + 'a>>;

/// Something to play.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The number of its first incident, and a few words.
    pub name: &'static str,
    /// The incidents that it stands for.
    pub incidents: &'static [u8],
    /// What it promises, in a sentence. What makes it red stands at the function that plays it.
    pub promise: &'static str,
    pub(super) play: PlayFn,
}

/// Rows of scenarios: name, incidents, promise, function.
macro_rules! scenarios {
    ($($name:literal [$($incident:literal),+] $promise:literal => $play:path;)*) => {
        /// Everything that can be played, by name.
        pub const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: $name,
            incidents: &[$($incident),+],
            promise: $promise,
            play: |stage| Box::pin($play(stage)),
        },)*];
    };
}

/// All incidents, by number.
pub const INCIDENTS: &[Incident] = &[
    played(1, "Messages were handled on connections of one direction only, so half of all peers timed out."),
    played(2, "Sending and broadcasting sent nothing and reported success."),
    played(3, "Messages that came together were merged and long ones cut; senders were banned for it."),
    played(4, "Messages and pings before the handshake got peers onto the blacklist."),
    played(5, "Pongs did not match, since pings had been forgotten by their number."),
    played(
        6,
        "A read that was cancelled lost half a frame; what followed was read as a length of gigabytes, and friends banned each other.",
    ),
    played(7, "A second connection took the place of the first, and the end of the first cleaned up the second."),
    played(
        8,
        "Who may dial whom was ruled by address; nodes behind NAT, with unknown addresses or a silent dialler stayed alone.",
    ),
    played(9, "Two nodes that dialled each other dropped both connections and did it again, for ever."),
    played(10, "Wrong counts of peers stopped production or kept nodes from reconnecting."),
    played(11, "The wait before a reconnect grew to a day and stayed there."),
    played(12, "Missed ticks came all at once and counted as a flood of pings; pings and pongs shared one allowance."),
    played(13, "A dead peer was removed and its socket stayed open."),
    played(14, "For seven hours a node redialled in silence, and its process looked healthy."),
    played(15, "Regular announcements and the burst of a sync broke rate limits, and all nodes banned each other."),
    played(16, "Blocks larger than the receivers' bound got their producer dropped and banned by everybody."),
    played(17, "A node banned itself by its own address, and whole clouds by their network."),
    played(18, "A peer of another genesis reconnected hundreds of times; lifting a ban missed two of the ban lists."),
    played(19, "A forged proposal in a victim's name got the victim banned."),
    played(20, "A node in the minority got honest peers banned, and then itself."),
    played(21, "Each node made its own genesis, and the chain was begun anew several times."),
    played(22, "A slow answer about genesis counted as another genesis, and everybody was quarantined."),
    played(23, "A node that was behind or alone made blocks of its own: four hashes for one height."),
    played(24, "Weeks of patches to the choice between forks, each a new loop."),
    played(
        25,
        "A node's own vote did not count, votes bore random keys, and payments became final with no vote at all.",
    ),
    played(26, "The quorum was lowered step by step until one node could decide."),
    played(27, "A reorganisation erased the good chain before the other was checked."),
    played(28, "Blocks were validated by who was connected at the moment, so nodes disagreed."),
    played(29, "Being behind was measured by the clock, so a network that stood still never went on."),
    excluded(
        30,
        "A threshold that was ten times too high evicted every honest node every five minutes.",
        "no node is rated or evicted by a threshold: validators stand in genesis, `timed_ledger::Genesis::validators`, and `LedgerReader::validators` gives them for every height",
    ),
    played(31, "Votes were relayed in circles, and then the first copy was dropped and the others relayed."),
    played(32, "Blocks were flushed now and then, read back at once and deleted as damaged; one gap erased the chain."),
    excluded(
        33,
        "Fields were added to stored records and messages, and every node read the old ones shifted.",
        "every message and stored record has golden bytes that fail a test when they change: `src/wire/tests/golden.rs`, `src/ledger/tests/ledger/golden.rs`",
    ),
    played(34, "Storing a block changed its hash."),
    played(35, "Spent coins came back after a restart, or money was counted twice after a reindex."),
    played(36, "The flag for syncing stayed set, four times."),
    played(37, "The mempool was never emptied, and of two payments of one coin both became final."),
    played(38, "A full disk damaged the store, and its recovery deleted it."),
    played(39, "Connections that had proved nothing filled the memory until the process died, every twelve minutes."),
    played(40, "Slow disks held up everything else, connections first."),
    excluded(
        41,
        "A watchdog outside the process killed healthy nodes on false counts and slow answers.",
        "nothing outside checks a node: it answers `/health` itself and `timed healthcheck` only asks; false counts of peers are played as d10, and a dead actor ends the process, `timed_actors::FatalHandle`",
    ),
    played(42, "Gossip revived dead nodes and filled the registry with forged ones."),
    excluded(
        43,
        "Scripts that update and restart nodes installed the wrong build, hung or were killed.",
        "there is no updater: one binary, stopped by SIGTERM within 5 s, `tests/process/stop.rs`, and images that are built alike, `every_image_has_the_same_user_paths_and_entry`",
    ),
];

scenarios! {
    "d01-both-directions" [1]
        "every kind of message is handled alike, whoever dialled" => frames::both_directions;
    "d02-bytes-on-the-wire" [2]
        "what was sent arrives, message by message and byte by byte" => frames::bytes_on_the_wire;
    "d03-split-and-merged" [3]
        "4 MiB of messages, cut and joined anywhere, are each read once" => frames::split_and_merged;
    "d04-before-the-handshake" [4]
        "what comes before the handshake ends the connection and is held against nobody" => frames::before_the_handshake;
    "d05-late-pongs" [5]
        "a pong that is eight pings late matches its own ping" => transport::late_pongs;
    "d06-frame-split" [6]
        "a frame that comes byte by byte, while others leave, is read whole" => frames::frame_split;
    "d06-frame-bomb" [6, 17]
        "a length beyond its bound ends the session at once, bans no key the first time and never an address" => frames::frame_bomb;
    "d07-old-session-ends" [7]
        "the end of an old session never touches the new one" => transport::old_session_ends;
    "d08-not-dialable" [8]
        "a node that cannot be dialled is connected to all that can" => transport::not_dialable;
    "d08-silent-dialler" [8]
        "a pair is connected when only one of the two dials, whichever it is" => transport::silent_dialler;
    "d09-collision" [9]
        "of two connections made at one moment both ends keep the same one" => transport::collision;
    "d10-who-is-counted" [10]
        "sessions of both directions count while they live, and no longer" => transport::who_is_counted;
    "d11-two-days-away" [11]
        "peers that were away for 48 hours are back within 35 s" => transport::two_days_away;
    "d12-pings-after-a-pause" [12]
        "after a pause of its own a node sends one ping and drops nobody" => transport::pings_after_a_pause;
    "d12-ping-flood" [12]
        "a flood of pings is answered in part, held against nobody, and holds up nothing" => transport::ping_flood;
    "d13-given-up-is-closed" [13]
        "a silent peer is given up by its deadline, and its socket is closed" => transport::given_up_is_closed;
    "d14-seven-silent-hours" [14]
        "a node that reaches nobody says so all the time, and is back as soon as it can" => transport::seven_silent_hours;
    "d15-sync-burst" [15]
        "an hour of normal life and several syncs at once are held against nobody" => trust::sync_burst;
    "d16-full-blocks" [16]
        "blocks of the largest size become final everywhere, and nobody is blamed for them" => trust::full_blocks;
    "d17-own-address" [17]
        "a node that reaches itself says so and blames nobody, and bans have a bound" => trust::own_address;
    "d18-wrong-genesis" [18]
        "a peer of another genesis is refused by name each time, banned never, and tried seldom" => trust::wrong_genesis;
    "d18-one-ban-list" [18]
        "there is one list of bans, and who is taken off it is welcome at once" => trust::one_ban_list;
    "d19-forged-proposal" [19]
        "a forgery is held against who sent it, never against who is named in it" => trust::forged_proposal;
    "d20-minority" [20]
        "a minority blames nobody, is blamed by nobody, and catches up" => trust::minority;
    "d21-one-genesis" [21]
        "one configuration has one genesis, and the chain of another is refused" => chain::one_genesis;
    "d22-slow-handshake" [22]
        "a handshake that comes too late is no other genesis: it costs no point and can be made again" => chain::slow_handshake;
    "d23-alone" [23]
        "a node alone makes no block, however long it lasts, and returns to the one chain" => chain::alone;
    "d24-longer-chain" [24, 27]
        "nothing final is given up for a chain that is said to be longer" => chain::longer_chain;
    "d24-newcomer" [24, 23]
        "who knows nobody believes no chain without the votes of a quorum" => chain::newcomer;
    "d25-every-vote-counts" [25]
        "every vote counts, one's own as well, and without enough of them nothing is final" => chain::every_vote_counts;
    "d26-two-and-two" [26]
        "two of four never decide, for any length of time" => chain::two_and_two;
    "d28-without-peers" [28]
        "blocks are validated by the chain alone: with no peers the outcome is the same" => chain::without_peers;
    "d29-stalled-day" [29]
        "a network that stood still for a day goes on by itself" => chain::stalled_day;
    "d31-one-vote" [31]
        "one vote of N nodes is delivered N - 1 times" => chain::one_vote;
    "d32-power-loss" [32]
        "what was final on a node is there after a loss of power at any moment, and after a stop" => storage::power_loss;
    "d32-damaged-log" [32]
        "damage to stored blocks is named, nothing is erased, and the blocks come back from the others" => storage::damaged_log;
    "d34-hash-of-stored-blocks" [34]
        "a stored block has the hash that was voted for" => storage::hash_of_stored_blocks;
    "d35-spent-stays-spent" [35]
        "a spent coin stays spent, and all money is counted once" => storage::spent_stays_spent;
    "d36-sync-ends" [36]
        "a node that has caught up says so and takes part again" => storage::sync_ends;
    "d37-mempool-empties" [37]
        "of two payments of one coin one is final, and nothing stays in a mempool" => storage::mempool_empties;
    "d38-full-disk" [38]
        "a full disk ends a node with its reason and costs nothing that is final" => storage::full_disk;
    "d39-unauthenticated" [39]
        "connections that prove nothing are few, short, and keep nobody out" => operations::unauthenticated;
    "d40-slow-disk" [40]
        "a slow disk costs no session and holds up nobody else" => operations::slow_disk;
    "d40-delaying-leader" [40]
        "a leader that delays as long as is allowed costs its own turns at most the default time-outs, and others nothing" => operations::delaying_leader;
    "d42-forged-addresses" [42]
        "gossip changes no validator, and an address counts only when its node signed it" => operations::forged_addresses;
}

/// An incident and what stands for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IncidentRow {
    /// Its number.
    pub number: u8,
    /// What happened.
    pub what: &'static str,
    /// Names of what is played for it.
    pub scenarios: Vec<&'static str>,
    /// Why it cannot happen here.
    pub excluded: Option<&'static str>,
}

impl Incident {
    /// What stands for it.
    pub fn row(&self) -> IncidentRow {
        let stands_for = |scenario: &&Scenario| scenario.incidents.contains(&self.number);
        let scenarios = SCENARIOS.iter().filter(stands_for).map(|scenario| scenario.name).collect();
        IncidentRow { number: self.number, what: self.what, scenarios, excluded: self.excluded }
    }
}

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// Names that somebody who wrote `name` may have meant, the likeliest first: those of its number or with its words, else those spelt
/// most alike.
pub fn near(name: &str) -> Vec<&'static str> {
    const NEAR_MAX: usize = 4;
    let wanted = name.to_ascii_lowercase();
    let words: Vec<&str> = wanted.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 2).collect();
    let shares_word = |scenario: &Scenario| words.iter().any(|word| scenario.name.split('-').any(|own| own == *word));
    let mut names: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| (!shares_word(scenario), distance(scenario.name, &wanted), scenario.name))
        .collect();
    names.sort();
    names.into_iter().take(NEAR_MAX).map(|(_, _, name)| name).collect()
}

/// How many letters must be added, left out or changed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_incident_has_a_row_and_something_to_show_for_it() {
        let numbers: Vec<u8> = INCIDENTS.iter().map(|incident| incident.number).collect();
        assert_eq!(numbers, (1..=INCIDENTS_MAX).collect::<Vec<_>>(), "one row for each incident, in order");
        for row in INCIDENTS.iter().map(Incident::row) {
            assert!(
                row.excluded.is_some() == row.scenarios.is_empty(),
                "incident {} needs a scenario, or else a line why it cannot happen here",
                row.number
            );
            assert!(row.what.ends_with('.') && row.what.len() > 20, "incident {} needs a sentence", row.number);
            let shows = row.excluded.is_none_or(|why| why.matches('`').count() >= 2);
            assert!(shows, "say what shows that incident {} cannot happen", row.number);
        }
    }

    #[test]
    fn names_are_unique_and_begin_with_their_first_incident() {
        let names: BTreeSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len(), "two scenarios share a name");
        for scenario in SCENARIOS {
            let Some(first) = scenario.incidents.first() else { panic!("{} stands for nothing", scenario.name) };
            assert!(scenario.name.starts_with(&format!("d{first:02}-")), "{} is not d{first:02}", scenario.name);
            assert!(scenario.incidents.iter().all(|number| (1..=INCIDENTS_MAX).contains(number)), "{}", scenario.name);
            assert!(named(scenario.name).is_some());
        }
    }

    #[test]
    fn a_name_that_is_not_quite_right_finds_those_that_are_near() {
        assert_eq!(near("d06-frame-slpit")[0], "d06-frame-split");
        assert!(near("D06")[..2].iter().all(|name| name.starts_with("d06")), "{:?}", near("D06"));
        assert_eq!(near("flood")[0], "d12-ping-flood");
        assert!(named("d99-nothing").is_none());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
