//! Whose clock is wrong, by what raw peers tell of theirs in their pongs.

use crate::common::*;
use crate::quorum::set;
use timed_primitives::{Clock as _, UnixTime};
use timed_test_support::MemoryNetwork;
use timed_wire::{ControlMessage, Incoming, Message};

const HOUR_MS: i64 = 3_600_000;

/// Node 1, a validator of seven with power 1 each, and peers whose clocks are so far ahead of its own; the first is validator 2.
async fn with_clocks(ahead_ms: &[i64]) -> Node {
    let network = MemoryNetwork::new();
    let node = Setup::new(1).start(&network).await;
    node.manager.do_send(set(1..=7));
    for (id, ahead_ms) in (2..).zip(ahead_ms) {
        let mut raw = Raw::established(&network, id, 1, id.into()).await;
        let (clock, ahead_ms) = (node.clock.clone(), *ahead_ms);
        tokio::task::spawn_local(async move {
            while let Some(incoming) = raw.next().await {
                let Incoming::Message { message: Message::Control(ControlMessage::Ping { nonce }), .. } = incoming
                else {
                    continue;
                };
                let UnixTime(time_ms) = UnixTime(clock.unix().0.saturating_add_signed(ahead_ms));
                raw.send(ControlMessage::Pong { nonce, time_ms }).await;
            }
        });
    }
    pass(10 * SECOND).await;
    node
}

/// Whether the node calls its own clock wrong, and how far the others are from it.
fn found(node: &Node) -> (bool, Option<i64>) {
    (node.view().is_clock_off, node.view().clock_offset_ms)
}

#[test]
fn validators_who_agree_show_a_node_that_its_clock_is_wrong() {
    run(async {
        for offset in [2_000, -2_000, HOUR_MS] {
            let node = with_clocks(&[offset; 6]).await;
            assert_eq!(found(&node), (true, Some(offset)));
        }
        assert_eq!(found(&with_clocks(&[400; 6]).await), (false, Some(400)), "within what is tolerated");
        assert_eq!(found(&with_clocks(&[2_000; 3]).await), (false, None), "four of seven are no quorum");
    });
}

/// With all of seven connected it takes half of them, with just a quorum of five three: more than a third in any case.
#[test]
fn a_third_of_the_power_cannot_make_a_node_call_its_clock_wrong() {
    run(async {
        for wrong in [HOUR_MS, -HOUR_MS] {
            let two = with_clocks(&[wrong, wrong, 0, 0, 0, 0]).await;
            assert_eq!(found(&two), (false, Some(0)));
            let two_of_a_quorum = with_clocks(&[wrong, wrong, 0, 0]).await;
            assert_eq!(found(&two_of_a_quorum), (false, Some(0)));
            let three_of_a_quorum = with_clocks(&[wrong, wrong, wrong, 0]).await;
            assert_eq!(found(&three_of_a_quorum), (true, Some(wrong)));
        }
    });
}
