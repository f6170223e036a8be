//! Who is connected, and whether they are a quorum.

use crate::key_use::{HeardReport, OtherSession, REPEAT_TIME, other_of};
use crate::quorum::{is_more_than_third, power_of};
use std::collections::{BTreeMap, BTreeSet};
use timed_primitives::{BlockId, Height, Instant, PublicKey, ValidatorSet};

/// One connected peer.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) up_since: Instant,
    pub(crate) validator: Option<PublicKey>,
    pub(crate) instance: u128,
    /// What it said of other nodes with our key.
    pub(crate) report: Option<HeardReport>,
    /// Whether we said last that another node has its key.
    pub(crate) knows_of_other: bool,
    pub(crate) height: Option<Height>,
    pub(crate) known_votes_sent: Option<Instant>,
    pub(crate) block_sent: Option<(BlockId, Instant)>,
    /// Validators whose messages do not reach this peer by themselves, and until when we pass them on.
    pub(crate) relayed: BTreeMap<PublicKey, Instant>,
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
            relayed: BTreeMap::new(),
        };
        self.by_key.insert(peer, peer_up);
    }

    pub(crate) fn down(&mut self, peer: &PublicKey) -> Option<Peer> {
        self.by_key.remove(peer)
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
    pub(crate) fn reports_of(&self, validator: &PublicKey) -> impl Iterator<Item = HeardReport> {
        let peers = self.by_key.values().filter(move |peer| peer.validator.as_ref() == Some(validator));
        peers.filter_map(|peer| peer.report)
    }

    /// Another node with our key, whichever validator says so.
    pub(crate) fn any_report_of_other(&self, set: &ValidatorSet) -> Option<OtherSession> {
        let votes = |peer: &&Peer| peer.validator.is_some_and(|key| set.get(&key).is_some());
        self.by_key.values().filter(votes).find_map(|peer| other_of(&peer.report?))
    }

    /// True when a connected peer with this consensus key said who else has ours.
    pub(crate) fn has_reported_key(&self, validator: &PublicKey) -> bool {
        self.reports_of(validator).next().is_some()
    }

    pub(crate) fn get(&self, peer: &PublicKey) -> Option<&Peer> {
        self.by_key.get(peer)
    }

    pub(crate) fn get_mut(&mut self, peer: &PublicKey) -> Option<&mut Peer> {
        self.by_key.get_mut(peer)
    }

    pub(crate) fn is_connected(&self, validator: &PublicKey) -> bool {
        self.by_key.values().any(|p| p.validator.as_ref() == Some(validator))
    }

    /// True when a connected peer with this consensus key reported its height.
    pub(crate) fn has_reported_height(&self, validator: &PublicKey) -> bool {
        self.by_key.values().any(|p| p.validator.as_ref() == Some(validator) && p.height.is_some())
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
