//! Who is connected, and whether they are a quorum.

use crate::key_use::{HeardReport, OtherSession, OurUse, REPEAT_TIME};
use crate::quorum::{is_more_than_third, power_of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_primitives::{BlockId, Height, Instant, PublicKey, Round, ValidatorSet};

/// Shortest time between two deliveries of known votes to the same peer out of turn.
const KNOWN_VOTES_GAP: Duration = Duration::from_millis(100);
/// Shortest time between two deliveries of the same block to the same peer.
const BLOCK_GAP: Duration = Duration::from_millis(500);
/// Shortest time between two deliveries of the same quorum of prevotes to the same peer out of turn.
const POLKA_GAP: Duration = Duration::from_secs(10);
/// How long a signer's messages are passed on after they were found lacking.
pub(crate) const RELAY_TIME: Duration = Duration::from_secs(60);

/// One connected peer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    up_since: Instant,
    validator: Option<PublicKey>,
    instance: u128,
    /// What it said of other nodes with our key.
    report: Option<HeardReport>,
    /// Whether we said last that another node has its key.
    knows_of_other: bool,
    height: Option<Height>,
    known_votes_sent: Option<Instant>,
    block_sent: Option<(BlockId, Instant)>,
    /// The quorum of prevotes that it was shown last.
    polka_sent: Option<(Height, Round, Instant)>,
    /// Validators whose messages do not reach this peer by themselves, and until when we pass them on.
    relayed: BTreeMap<PublicKey, Instant>,
}

impl Peer {
    /// Since when it is connected.
    pub(crate) fn up_since(&self) -> Instant {
        self.up_since
    }

    /// The consensus key that it proved.
    pub(crate) fn validator(&self) -> Option<PublicKey> {
        self.validator
    }
}

/// The connected peers. Bound: as many as the peer manager connects.
#[derive(Default)]
pub(crate) struct Peers {
    by_key: BTreeMap<PublicKey, Peer>,
}

impl Peers {
    pub(crate) fn up(&mut self, peer: PublicKey, validator: Option<PublicKey>, instance: u128, now: Instant) {
        let peer_up = Peer {
            up_since: now,
            validator,
            instance,
            report: None,
            knows_of_other: false,
            height: None,
            known_votes_sent: None,
            block_sent: None,
            polka_sent: None,
            relayed: BTreeMap::new(),
        };
        self.by_key.insert(peer, peer_up);
    }

    pub(crate) fn down(&mut self, peer: &PublicKey) -> Option<Peer> {
        self.by_key.remove(peer)
    }

    pub(crate) fn get(&self, peer: &PublicKey) -> Option<&Peer> {
        self.by_key.get(peer)
    }

    /// Whether a peer proved this consensus key.
    pub(crate) fn has_key(&self, peer: &PublicKey, validator: &PublicKey) -> bool {
        self.get(peer).is_some_and(|peer| peer.validator.as_ref() == Some(validator))
    }

    /// A peer reports its tip. False when it is not connected.
    pub(crate) fn on_height(&mut self, peer: &PublicKey, height: Height) -> bool {
        let known = self.by_key.get_mut(peer);
        known.map(|peer| peer.height = Some(height)).is_some()
    }

    /// A peer said who else has our key. Gives its own consensus key; the outer `None` when it is not connected.
    pub(crate) fn on_report(&mut self, peer: &PublicKey, report: HeardReport) -> Option<Option<PublicKey>> {
        let peer = self.by_key.get_mut(peer)?;
        peer.report = Some(report);
        Some(peer.validator)
    }

    /// Whether a peer is to be sent now whether another node `has` its key: while one has, when one had, and when it came just now.
    pub(crate) fn is_report_due(&mut self, peer: &PublicKey, has: bool, now: Instant) -> bool {
        let Some(peer) = self.by_key.get_mut(peer) else { return false };
        let had = std::mem::replace(&mut peer.knows_of_other, has);
        has || had || now < peer.up_since + REPEAT_TIME
    }

    /// A peer is sent which votes we know.
    pub(crate) fn on_known_votes_sent(&mut self, peer: &PublicKey, now: Instant) {
        if let Some(peer) = self.by_key.get_mut(peer) {
            peer.known_votes_sent = Some(now);
        }
    }

    /// Whether a peer may be sent them out of turn.
    pub(crate) fn may_send_known_votes(&self, peer: &PublicKey, now: Instant) -> bool {
        let sent = self.get(peer).and_then(|peer| peer.known_votes_sent);
        sent.is_none_or(|at| now >= at + KNOWN_VOTES_GAP)
    }

    /// Whether a peer that asks for this block is sent it: not again at once. True counts as sent.
    pub(crate) fn may_send_block(&mut self, peer: &PublicKey, id: BlockId, now: Instant) -> bool {
        let Some(peer) = self.by_key.get_mut(peer) else { return false };
        let is_repeated = peer.block_sent.is_some_and(|(sent, at)| sent == id && now < at + BLOCK_GAP);
        if !is_repeated {
            peer.block_sent = Some((id, now));
        }
        !is_repeated
    }

    /// Whether a peer is shown this quorum of prevotes: not again for [`POLKA_GAP`]. True counts as sent.
    pub(crate) fn may_send_polka(&mut self, peer: &PublicKey, height: Height, round: Round, now: Instant) -> bool {
        let Some(peer) = self.by_key.get_mut(peer) else { return false };
        let is_repeated =
            |(of, sent, at): (Height, Round, Instant)| (of, sent) == (height, round) && now < at + POLKA_GAP;
        let may = !peer.polka_sent.is_some_and(is_repeated);
        if may {
            peer.polka_sent = Some((height, round, now));
        }
        may
    }

    /// The messages of these validators do not reach a peer: they are passed on to it for [`RELAY_TIME`].
    pub(crate) fn on_cut_off(&mut self, peer: &PublicKey, signers: Vec<PublicKey>, now: Instant) {
        if let Some(peer) = self.by_key.get_mut(peer) {
            peer.relayed.extend(signers.into_iter().map(|signer| (signer, now + RELAY_TIME)));
        }
    }

    /// Node keys and instance ids of those with this consensus key.
    pub(crate) fn with_validator(&self, validator: &PublicKey) -> Vec<(PublicKey, u128)> {
        let has_it = |peer: &Peer| peer.validator.as_ref() == Some(validator);
        self.by_key.iter().filter(|(_, peer)| has_it(peer)).map(|(key, peer)| (*key, peer.instance)).collect()
    }

    /// Consensus keys of those to whom we said last that another node has their key, or who came just now.
    pub(crate) fn validators_to_report_to(&self, now: Instant) -> BTreeSet<PublicKey> {
        let is_one = |peer: &&Peer| peer.knows_of_other || now < peer.up_since + REPEAT_TIME;
        self.by_key.values().filter(is_one).filter_map(|peer| peer.validator).collect()
    }

    /// What those with this consensus key said of other nodes with ours.
    fn reports_of(&self, validator: &PublicKey) -> impl Iterator<Item = HeardReport> {
        let peers = self.by_key.values().filter(move |peer| peer.validator.as_ref() == Some(validator));
        peers.filter_map(|peer| peer.report)
    }

    /// Other sessions with our key that keep us from signing, as validators with more than a third of the power say.
    pub(crate) fn sessions_that_keep(&self, ours: &OurUse, set: &ValidatorSet, me: &PublicKey) -> Vec<OtherSession> {
        let mut said = Vec::new();
        let power = power_of(set, |key| {
            let kept = self.reports_of(key).find_map(|heard| ours.kept_by(&heard)).filter(|_| key != me);
            said.extend(kept);
            kept.is_some()
        });
        if !is_more_than_third(power, set.total_power()) {
            said.clear();
        }
        said
    }

    /// Another node with our key, whichever validator says so.
    pub(crate) fn any_report_of_other(&self, set: &ValidatorSet) -> Option<OtherSession> {
        let votes = |peer: &&Peer| peer.validator.is_some_and(|key| set.get(&key).is_some());
        self.by_key.values().filter(votes).find_map(|peer| peer.report?.other())
    }

    pub(crate) fn is_connected(&self, validator: &PublicKey) -> bool {
        self.by_key.values().any(|p| p.validator.as_ref() == Some(validator))
    }

    /// Power of the other validators that reported their heights and, if asked `with_key`, also whether our key is live elsewhere.
    pub(crate) fn power_reported(&self, set: &ValidatorSet, me: Option<PublicKey>, with_key: bool) -> u64 {
        power_of(set, |key| {
            let mut sessions = self.by_key.values().filter(|p| p.validator.as_ref() == Some(key));
            let has_height = sessions.any(|p| p.height.is_some());
            Some(*key) != me && has_height && (!with_key || self.reports_of(key).next().is_some())
        })
    }

    /// The greatest height that validators with more than a third of the power, so at least one honest one, say they have reached.
    pub(crate) fn height_of_more_than_third(&self, set: &ValidatorSet, me: Option<PublicKey>) -> Height {
        let reported: BTreeMap<_, _> = self.by_key.values().filter_map(|p| Some((p.validator?, p.height?))).collect();
        let mut heights: Vec<_> = reported.values().copied().collect();
        heights.sort();
        let is_reached = |height: &Height| {
            let power = power_of(set, |key| Some(*key) != me && reported.get(key).is_some_and(|h| h >= height));
            is_more_than_third(power, set.total_power())
        };
        heights.into_iter().rev().find(is_reached).unwrap_or(Height::GENESIS)
    }

    /// The greatest height that another validator of the set reported; `None` while none did.
    pub(crate) fn reported_height(&self, set: &ValidatorSet, me: Option<PublicKey>) -> Option<Height> {
        let is_other = |peer: &&Peer| peer.validator.is_some_and(|key| Some(key) != me && set.get(&key).is_some());
        self.by_key.values().filter(is_other).filter_map(|peer| peer.height).max()
    }

    /// Node keys of connected validators.
    pub(crate) fn validators(&self) -> Vec<PublicKey> {
        self.by_key.iter().filter(|(_, p)| p.validator.is_some()).map(|(key, _)| *key).collect()
    }

    /// Peers to whom messages of `signer` are passed on.
    pub(crate) fn relayed(&self, signer: &PublicKey, now: Instant) -> Vec<PublicKey> {
        let is_relayed = |p: &Peer| p.relayed.get(signer).is_some_and(|until| *until > now);
        self.by_key.iter().filter(|(_, p)| is_relayed(p)).map(|(key, _)| *key).collect()
    }

    /// Node keys of all.
    pub(crate) fn all(&self) -> Vec<PublicKey> {
        self.by_key.keys().copied().collect()
    }

    /// The highest tip that any reported.
    pub(crate) fn height_max(&self) -> Option<Height> {
        self.by_key.values().filter_map(|p| p.height).max()
    }
}
