//! Resources and the operator's side.

use super::stage::{
    ELSEWHERE, Failed, MINUTE, SECOND, Stage, all_reach, is_meshed, mesh, nobody_is_blamed, node, node_key, pay,
    payment, peer, promise, quiet, view,
};
use crate::gate::{Crash, DiskPace};
use crate::world::WorldConfig;
use std::time::Duration;
use timed_peer::AddressRecord;
use timed_primitives::{Height, SecretKey, UnixTime};
use timed_wire::ControlMessage;
use timed_wire::message::Opaque;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Red when sockets that prove nothing are kept, or keep others out.
pub(super) async fn unauthenticated(stage: &Stage) -> Result<(), Failed> {
    const SOCKETS: usize = 1_000;
    let world = stage.network(4).await?;
    let unknown = world.unknown(ELSEWHERE, 1);
    let (mut sockets, mut refused) = (Vec::new(), 0);
    for number in 0..SOCKETS {
        match unknown.connect(1).await {
            Ok(mut socket) => {
                if number % 2 == 0 {
                    // Half of them say something; the node may have closed already.
                    let _ = socket.write_all(&[number.to_le_bytes()[0]; 600]).await;
                }
                sockets.push(socket);
            }
            Err(_) => refused += 1,
        }
        if number % 100 == 0 {
            world.run_for(Duration::from_millis(300)).await;
            pay(&world, number / 100, 1).await?;
        }
    }
    // A validator must get in while they are there.
    let four = node(&world, 4)?;
    four.kill(Crash::Process);
    four.start()?;
    let back = mesh(&world, 15 * SECOND).await?;
    world.run_for(15 * SECOND).await;
    // The unknown peers keep their ends open, and hear that the node's are closed.
    let mut open = 0;
    for socket in &mut sockets {
        let mut said = Vec::new();
        let end = tokio::time::timeout(Duration::from_millis(1), socket.read_to_end(&mut said)).await;
        open += usize::from(end.is_err());
    }
    promise(open == 0, format_args!("{open} of {SOCKETS} sockets that proved nothing are open after 15 s"))?;
    let named = view(&node(&world, 1)?).peers.len();
    promise(named == 3, format_args!("{named} peers are up"))?;
    stage.show(format_args!(
        "of {SOCKETS} sockets that proved nothing {refused} were refused, and none is open 15 s later"
    ));
    stage.show(format_args!("a validator that was restarted among them was back within {back:?}"));
    Ok(())
}

/// Red when a slow disk costs a session, or holds up those whose disks are fast.
pub(super) async fn slow_disk(stage: &Stage) -> Result<(), Failed> {
    let world = stage.network_of(WorldConfig { disk: DiskPace::GOOD, ..WorldConfig::instant(4, 1) }).await?;
    node(&world, 4)?.set_disk(&DiskPace { sync_micros: 400_000..=900_000, room_bytes: None });
    let mut slowest = Duration::ZERO;
    for number in 0..40 {
        let began = tokio::time::Instant::now();
        let txid = node(&world, 1)?.submit(super::stage::payment(&world, number)?).await?;
        for fast in 1..=3 {
            node(&world, fast)?.wait_for_payment(txid, MINUTE).await?;
        }
        slowest = slowest.max(began.elapsed());
        world.run_for(5 * SECOND).await;
    }
    all_reach(&world, world.heights().1, MINUTE).await?;
    for node in world.nodes() {
        let lost = view(node).ended.iter().filter(|end| end.up_for > 10 * SECOND).count();
        promise(lost == 0, format_args!("node {} lost {lost} sessions", node.id()))?;
    }
    promise(is_meshed(&world), format_args!("a slow disk cost a session"))?;
    nobody_is_blamed(&world)?;
    stage.show(format_args!(
        "syncs of 400 to 900 ms on one of four for minutes: no session ended, and no vote was missed for long"
    ));
    stage.show(format_args!("the slowest of 40 payments was final on the other three within {slowest:?}"));
    Ok(())
}

/// A record that says where somebody with this key is. Forged when another key signs it.
fn record(
    key: &SecretKey,
    chain: timed_primitives::ChainId,
    address: &str,
    at: UnixTime,
) -> Result<AddressRecord, Failed> {
    AddressRecord::sign(key, chain, address, at).map_err(|error| Failed::Broken(error.to_string()))
}

/// Red when what one leader delays stretches the time-outs of all beyond the genesis default.
pub(super) async fn delaying_leader(stage: &Stage) -> Result<(), Failed> {
    // The default time-outs of proposals and of prevotes together.
    const BOUND: Duration = Duration::from_millis(1_500);
    let world = stage.network(7).await?;
    let slowest = async |numbers: std::ops::Range<usize>| {
        let mut slowest = Duration::ZERO;
        for number in numbers {
            let began = tokio::time::Instant::now();
            let txid = node(&world, 2)?.submit(payment(&world, number)?).await?;
            node(&world, 3)?.wait_for_payment(txid, MINUTE).await?;
            slowest = slowest.max(began.elapsed());
        }
        Ok::<_, Failed>(slowest)
    };
    let quiet = slowest(0..120).await?;
    let late = timed_test_support::LinkQuality { latency: Duration::from_millis(430), ..Default::default() };
    (1..=6).for_each(|other| world.slow_down(7, other, late));
    let delayed = slowest(120..420).await?;
    promise(delayed <= BOUND, format_args!("one leader delays, and a payment took {delayed:?}"))?;
    // A dead leader shows how long the time-outs have become.
    node(&world, 1)?.kill(Crash::Process);
    let dead = slowest(420..480).await?;
    promise(dead <= BOUND, format_args!("after a leader that delayed, a dead one cost {dead:?}"))?;
    stage.show(format_args!(
        "the slowest payment took {quiet:?} in a quiet period, {delayed:?} with one leader of seven that delays, {dead:?} when another died"
    ));
    Ok(())
}

/// Red when gossip changes who decides, when a record counts that its node did not sign, or when records have no bound.
pub(super) async fn forged_addresses(stage: &Stage) -> Result<(), Failed> {
    let mut world = stage.network_of(quiet(4)).await?;
    let chain = world.genesis().chain_id;
    let before = world.links().dials();
    let (mut sent, mut forged) = (0, 0);
    for number in 1..=6 {
        let unknown = world.unknown(ELSEWHERE, number);
        let mut channel = unknown.shake_hands(1).await?;
        for answer in 0..20 {
            let mut records: Vec<Opaque> = Vec::new();
            for entry in 0..50 {
                let nobody = SecretKey::development("ghost", number * 10_000 + answer * 100 + entry);
                let address = format!("10.0.1.{entry}:{}", 7000 + answer);
                let mut record = record(&nobody, chain, &address, world.unix())?;
                if entry % 2 == 0 {
                    // In the name of a validator, who is elsewhere.
                    record.key = node_key(1 + entry % 4);
                    forged += 1;
                }
                records.push(record.encode());
                sent += 1;
            }
            channel.send(ControlMessage::Addr { records }).await?;
            world.run_for(SECOND).await;
        }
    }
    world.run_for(10 * MINUTE).await;
    let dials = world.links().dials() - before;
    // Each node dials one subnet 16 times at once and then once in 30 s; six dials are the unknown peers' own.
    promise(
        dials <= 4 * (16 + 24) + 6,
        format_args!("unknown peers made four nodes dial {dials} times in twelve minutes"),
    )?;
    let validators = node(&world, 1)?.handles().history.validators(Height(1)).iter().count();
    promise(validators == 4, format_args!("gossip made {validators} validators of 4"))?;
    promise(is_meshed(&world), format_args!("forged addresses cost a session"))?;
    for id in 1..=4 {
        let at = node(&world, id)?;
        let targets = view(&at).targets;
        let is_forged = |address: &str| address.starts_with("10.0.1.");
        let names = |key| (1..=4).any(|other| key == Some(node_key(other)));
        let misled = targets.iter().filter(|target| is_forged(&target.address) && names(target.key)).count();
        promise(misled == 0, format_args!("node {id} looks for a validator at {misled} forged addresses"))?;
    }
    // Among all that, a node that really is there is found by who learns of it.
    let newcomer = world.add_with(9, vec![2], crate::Skew::default());
    newcomer.start()?;
    world.run_for(2 * MINUTE).await;
    let found = peer(&newcomer, node_key(1)).is_some() && peer(&newcomer, node_key(4)).is_some();
    promise(found, format_args!("a newcomer that knows one node did not find the others"))?;
    pay(&world, 0, 1).await?;
    stage.show(format_args!("of {sent} address records {forged} were forged; no validator was looked for elsewhere"));
    stage.show(format_args!("the others cost {dials} dials in twelve minutes; a newcomer found everybody"));
    Ok(())
}
