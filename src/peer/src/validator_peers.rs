//! Which peers are validators, which node each validator was last, and whether the voting power that is connected stays a quorum without
//! a peer.

use crate::misbehaviour::Connectivity;
use std::collections::{BTreeMap, BTreeSet};
use timed_primitives::{PublicKey, ValidatorSet};

/// Validators whose node is remembered beyond its session: more than a set ever has. At the bound, which proofs without end can reach
/// only before the first set is known, further ones are not remembered.
const PROVED_MAX: usize = 4096;

/// See the module. Nodes are named by node keys, validators by consensus keys.
#[derive(Debug, Default)]
pub struct ValidatorPeers {
    own: Option<PublicKey>,
    /// Who decides the next height, and the power of a quorum.
    known: Option<(ValidatorSet, u64)>,
    /// The node that last proved to be a validator of the set, by consensus key.
    proved: BTreeMap<PublicKey, PublicKey>,
}

impl ValidatorPeers {
    /// Of a node with this consensus key.
    pub fn new(own: Option<PublicKey>) -> Self {
        Self { own, ..Self::default() }
    }

    /// The set changed; `quorum` is the power of one.
    pub fn on_validators(&mut self, set: ValidatorSet, quorum: u64) {
        self.proved.retain(|validator, _| set.get(validator).is_some());
        self.known = Some((set, quorum));
    }

    /// Whether a peer that proved this consensus key is a validator. Anybody can make such a key: it counts while it decides. Before the
    /// first set is known, every proved key counts.
    pub fn is_validator(&self, proved: Option<&PublicKey>) -> bool {
        let decides = |key: &PublicKey| self.known.as_ref().is_none_or(|(set, _)| set.get(key).is_some());
        proved.is_some_and(decides)
    }

    /// A node proved this consensus key: that is remembered beyond its session, if the key counts.
    pub fn on_proof(&mut self, node: PublicKey, proved: Option<PublicKey>) {
        if let Some(validator) = proved.filter(|key| self.is_validator(Some(key)))
            && (self.proved.len() < PROVED_MAX || self.proved.contains_key(&validator))
        {
            self.proved.insert(validator, node);
        }
    }

    /// The other validators, each with its power and the node that proved its key last.
    pub fn others(&self) -> impl Iterator<Item = (PublicKey, u64)> {
        let others = self.proved.iter().filter(|(validator, _)| Some(**validator) != self.own);
        others.map(|(validator, node)| (*node, self.power(validator)))
    }

    /// Our own power and that of a quorum, once the set is known.
    pub fn own_and_quorum(&self) -> Option<(u64, u64)> {
        let (_, quorum) = self.known.as_ref()?;
        Some((self.own.as_ref().map_or(0, |own| self.power(own)), *quorum))
    }

    fn power(&self, validator: &PublicKey) -> u64 {
        let validator = self.known.as_ref().and_then(|(set, _)| set.get(validator));
        validator.map_or(0, |validator| validator.power)
    }

    /// The voting power that would stay connected without this peer, ourselves included, against the quorum. `up` are all peers that are
    /// up with the consensus keys that they proved. A fault is often counted when its session is over already: a validator is one also
    /// then, since a ban would keep it from coming back.
    pub fn connectivity_without(
        &self,
        peer: &PublicKey,
        up: impl IntoIterator<Item = (PublicKey, Option<PublicKey>)>,
    ) -> Connectivity {
        let mut proved_now = None;
        // A validator with two nodes votes once.
        let mut left: BTreeSet<PublicKey> = self.own.into_iter().collect();
        for (node, validator) in up {
            match node == *peer {
                true => proved_now = validator,
                false => left.extend(validator),
            }
        }
        let remembered = || self.proved.iter().find(|(_, node)| *node == peer).map(|(validator, _)| *validator);
        let Some(offender) = proved_now.or_else(remembered) else { return Connectivity::IRRELEVANT };
        let Some((set, quorum)) = &self.known else { return Connectivity { left: 0, floor: u64::MAX } };
        if set.get(&offender).is_none() {
            return Connectivity::IRRELEVANT;
        }
        let left = left.iter().filter_map(|key| set.get(key)).map(|validator| validator.power).sum();
        Connectivity { left, floor: *quorum }
    }

    /// Whether quorum needs a validator that comes back, so that a ban gives way.
    pub fn is_needed(&self, peer: &PublicKey, up: impl IntoIterator<Item = (PublicKey, Option<PublicKey>)>) -> bool {
        self.known.is_some() && !self.connectivity_without(peer, up).allows_ban()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Validator;

    fn key(id: u8) -> PublicKey {
        PublicKey([id; 32])
    }

    /// The node of a validator.
    fn node(id: u8) -> PublicKey {
        key(100 + id)
    }

    /// Of validator 1 among four equal ones.
    fn known() -> ValidatorPeers {
        let mut peers = ValidatorPeers::new(Some(key(1)));
        let members = (1..=4).map(|id| Validator { key: key(id), power: 10 }).collect();
        peers.on_validators(ValidatorSet::new(members).unwrap(), 30);
        peers
    }

    fn up(ids: &[u8]) -> Vec<(PublicKey, Option<PublicKey>)> {
        ids.iter().map(|id| (node(*id), Some(key(*id)))).collect()
    }

    #[test]
    fn a_validator_may_be_banned_while_the_others_are_a_quorum() {
        let peers = known();
        let without = |offender: u8, ids: &[u8]| peers.connectivity_without(&node(offender), up(ids));
        assert_eq!(without(2, &[2, 3, 4]), Connectivity { left: 30, floor: 30 });
        assert_eq!(without(2, &[2, 3]), Connectivity { left: 20, floor: 30 });
        assert!(without(2, &[2, 3, 4]).allows_ban() && !without(2, &[2, 3]).allows_ban());
        // Not of the set, or without a key: nobody needs it.
        assert_eq!(without(9, &[9, 3]), Connectivity::IRRELEVANT);
        assert_eq!(peers.connectivity_without(&node(2), [(node(2), None)]), Connectivity::IRRELEVANT);
    }

    #[test]
    fn a_validator_with_two_nodes_votes_once() {
        let twice = up(&[2, 3]).into_iter().chain([(node(33), Some(key(3)))]);
        assert_eq!(known().connectivity_without(&node(2), twice).left, 20);
    }

    #[test]
    fn a_validator_is_one_also_after_its_session_and_until_it_leaves_the_set() {
        let mut peers = known();
        peers.on_proof(node(2), Some(key(2)));
        assert!(peers.is_needed(&node(2), up(&[3])));
        assert!(!peers.is_needed(&node(2), up(&[3, 4])));
        let fewer = (3..=4).map(|id| Validator { key: key(id), power: 10 }).collect();
        peers.on_validators(ValidatorSet::new(fewer).unwrap(), 20);
        assert!(!peers.is_needed(&node(2), up(&[3])));
        assert_eq!(peers.others().count(), 0);
    }

    #[test]
    fn before_the_first_set_every_key_counts_and_nobody_with_one_is_banned() {
        let mut peers = ValidatorPeers::new(None);
        assert!(peers.is_validator(Some(&key(7))) && !peers.is_validator(None));
        peers.on_proof(node(7), Some(key(7)));
        assert!(!peers.connectivity_without(&node(7), []).allows_ban());
        assert!(!peers.is_needed(&node(7), []), "no ban gives way to it");
        assert_eq!(peers.own_and_quorum(), None);
        for id in 0..5000u16 {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&id.to_be_bytes());
            peers.on_proof(node(1), Some(PublicKey(bytes)));
        }
        assert_eq!(peers.others().count(), PROVED_MAX);
    }

    #[test]
    fn each_other_validator_counts_by_the_node_that_proved_its_key_last() {
        let mut peers = known();
        for (id, proved) in [(1, 1), (2, 2), (22, 2), (9, 9)] {
            peers.on_proof(node(id), Some(key(proved)));
        }
        assert_eq!(peers.others().collect::<Vec<_>>(), [(node(22), 10)]);
        assert_eq!(peers.own_and_quorum(), Some((10, 30)));
    }
}
