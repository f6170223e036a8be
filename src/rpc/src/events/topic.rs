//! What can be subscribed to, and how a subscription says what of it.

use super::cursor::EventCursor;
use crate::error::RpcError;
use crate::params::{address, shown};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use timed_ledger::{KeyHash, OutPoint};
use timed_primitives::{Network, TxId};

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Final blocks.
    Blocks,
    /// Payments to and from addresses: in the mempool, proposed, final, declined.
    Payments,
    /// The states of outputs.
    Outputs,
    /// Who connects, who is gone and why.
    Peers,
    /// Steps of consensus.
    Consensus,
    /// What becomes of masternodes.
    Masternodes,
}

impl Topic {
    /// All, in the order of documents.
    pub const ALL: [Self; 6] =
        [Self::Blocks, Self::Payments, Self::Outputs, Self::Peers, Self::Consensus, Self::Masternodes];

    /// Its name in calls and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Payments => "payments",
            Self::Outputs => "outputs",
            Self::Peers => "peers",
            Self::Consensus => "consensus",
            Self::Masternodes => "masternodes",
        }
    }

    /// The topic of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Whether it can be read again from the block log.
    pub(crate) const fn is_of_blocks(self) -> bool {
        matches!(self, Self::Blocks | Self::Payments | Self::Outputs)
    }

    /// Whether it needs to know what waits in the mempool.
    pub(crate) const fn is_of_pool(self) -> bool {
        matches!(self, Self::Payments | Self::Outputs)
    }
}

/// Some topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSet(u8);

impl TopicSet {
    /// With this topic.
    #[must_use]
    pub fn with(self, topic: Topic) -> Self {
        Self(self.0 | (1 << topic as u8))
    }

    /// Whether this topic is one of them.
    pub fn contains(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u8) != 0
    }

    /// Whether what waits in the mempool is wanted.
    pub fn needs_pool(self) -> bool {
        Topic::ALL.into_iter().any(|topic| topic.is_of_pool() && self.contains(topic))
    }

    /// Whether final blocks are wanted, for themselves or for what is in them.
    pub(crate) fn needs_blocks(self) -> bool {
        Topic::ALL.into_iter().any(|topic| topic.is_of_blocks() && self.contains(topic))
    }
}

/// How much of a block is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlockDetail {
    /// The header.
    #[default]
    Header,
    /// With the ids of its transactions.
    Ids,
    /// With its transactions.
    Full,
}

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventFilter {
    pub(crate) topic: Topic,
    pub(crate) detail: BlockDetail,
    /// Owners of the addresses. Bound: `addresses_max` of [`super::EventLimits`].
    pub(crate) owners: BTreeSet<KeyHash>,
    /// Whether all addresses of the node's wallet are meant beside these, those that it makes later included.
    pub(crate) wallet: bool,
    /// Bound: as for `owners`, together with them.
    pub(crate) outpoints: BTreeSet<OutPoint>,
}

impl EventFilter {
    /// Addresses and outputs, which is what a filter costs.
    pub(crate) fn size(&self) -> usize {
        self.owners.len() + self.outpoints.len()
    }

    /// Whether an output of this owner is meant.
    pub(crate) fn has_owner(&self, owner: Option<KeyHash>, is_mine: bool) -> bool {
        (self.wallet && is_mine) || owner.is_some_and(|owner| self.owners.contains(&owner))
    }

    /// What `subscribe` asks for, and from where on: `["topic", {…}]`, or one object.
    pub(crate) fn read(
        params: Option<&Value>,
        network: Network,
        size_max: usize,
    ) -> Result<(Self, Option<EventCursor>), RpcError> {
        let none = Map::new();
        let (topic, options) = match params {
            Some(Value::Array(list)) => match &list[..] {
                [topic] => (Some(topic), &none),
                [topic, Value::Object(options)] => (Some(topic), options),
                _ => return Err(invalid("expected a topic, and an object with options".into())),
            },
            Some(Value::Object(options)) => (options.get("topic"), options),
            _ => (None, &none),
        };
        let known = || Topic::ALL.map(Topic::name).join(", ");
        let topic = topic.ok_or_else(|| invalid(format!("name a topic: {}", known())))?;
        let topic = topic
            .as_str()
            .and_then(Topic::find)
            .ok_or_else(|| invalid(format!("there is no topic {}: {}", shown(topic), known())))?;
        let mut filter = Self {
            topic,
            detail: BlockDetail::Header,
            owners: BTreeSet::new(),
            wallet: false,
            outpoints: BTreeSet::new(),
        };
        let mut after = None;
        for (name, value) in options.iter().filter(|(_, value)| !value.is_null()) {
            let refuse = |expected: &str| invalid(format!("{name}: expected {expected}, got {}", shown(value)));
            match (name.as_str(), topic) {
                ("topic", _) => {}
                ("after", topic) if topic.is_of_blocks() => {
                    let read = EventCursor::read(value);
                    after = Some(read.ok_or_else(|| refuse("a height, or the cursor of an event"))?);
                }
                ("verbosity", Topic::Blocks) => {
                    filter.detail = match value.as_u64() {
                        Some(0) => BlockDetail::Header,
                        Some(1) => BlockDetail::Ids,
                        Some(2) => BlockDetail::Full,
                        _ => return Err(refuse("0, 1 or 2")),
                    };
                }
                ("wallet", Topic::Payments | Topic::Outputs) => {
                    filter.wallet = value.as_bool().ok_or_else(|| refuse("true or false"))?;
                }
                ("addresses", Topic::Payments | Topic::Outputs) => {
                    let list = value.as_array().ok_or_else(|| refuse("a list of addresses"))?;
                    for text in list {
                        let text = text.as_str().ok_or_else(|| refuse("a list of addresses"))?;
                        filter.owners.insert(address(text, network)?.key_hash);
                    }
                }
                ("outputs", Topic::Outputs) => {
                    let list = value.as_array().ok_or_else(|| refuse("a list of TXID:NUMBER"))?;
                    for text in list {
                        let output = text.as_str().and_then(outpoint).ok_or_else(|| refuse("a list of TXID:NUMBER"))?;
                        filter.outpoints.insert(output);
                    }
                }
                _ => return Err(invalid(format!("{} has no option {name:.40}", topic.name()))),
            }
        }
        if topic.is_of_pool() && filter.size() == 0 && !filter.wallet {
            return Err(invalid(format!("{} of whom? Give addresses, or \"wallet\": true", topic.name())));
        }
        if filter.size() > size_max {
            return Err(RpcError::TooLarge { what: "the subscription", size: filter.size(), max: size_max });
        }
        Ok((filter, after))
    }
}

fn invalid(text: String) -> RpcError {
    RpcError::InvalidParameter(format!("subscribe: {text}"))
}

/// `TXID:NUMBER`.
fn outpoint(text: &str) -> Option<OutPoint> {
    let (txid, index) = text.split_once(':')?;
    Some(OutPoint { txid: txid.parse::<TxId>().ok()?, index: index.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use timed_ledger::Address;
    use timed_primitives::SecretKey;

    fn read(params: Value) -> Result<(EventFilter, Option<EventCursor>), String> {
        EventFilter::read(Some(&params), Network::Devnet, 2).map_err(|error| error.to_string())
    }

    #[test]
    fn a_subscription_is_read_by_position_and_by_name() {
        let key_hash = KeyHash::of(&SecretKey::development("wallet", 1).public());
        let text = Address { network: Network::Devnet, key_hash }.to_string();
        let (filter, after) = read(json!(["payments", { "addresses": [text], "after": "12-3" }])).unwrap();
        assert_eq!((filter.topic, filter.owners.contains(&key_hash), filter.wallet), (Topic::Payments, true, false));
        assert_eq!(after, EventCursor::read(&json!("12-3")));
        assert_eq!(
            read(json!({ "topic": "payments", "addresses": [text], "after": "12-3" })).unwrap(),
            (filter, after)
        );
        let (filter, after) = read(json!(["blocks", { "verbosity": 2, "after": 7 }])).unwrap();
        assert_eq!((filter.detail, after), (BlockDetail::Full, EventCursor::read(&json!(7))));
        let output = format!("{}:3", TxId::default());
        let (filter, _) = read(json!(["outputs", { "outputs": [output], "wallet": true, "addresses": null }])).unwrap();
        assert!(filter.wallet && filter.outpoints.len() == 1);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let outputs: Vec<String> = (0..3).map(|n| format!("{}:{n}", TxId::default())).collect();
        for (params, part) in [
            (json!([]), "expected a topic"),
            (json!(["blocks", 7]), "expected a topic"),
            (json!({}), "name a topic: blocks, payments"),
            (json!(["block"]), "there is no topic \"block\""),
            (json!([7]), "there is no topic 7"),
            (json!(["payments"]), "payments of whom?"),
            (json!(["payments", { "wallet": false }]), "payments of whom?"),
            (json!(["payments", { "wallet": 1 }]), "wallet: expected true or false, got 1"),
            (json!(["payments", { "addresses": ["x"] }]), "invalid address"),
            (json!(["payments", { "addresses": [7] }]), "a list of addresses"),
            (json!(["payments", { "verbosity": 1, "wallet": true }]), "payments has no option verbosity"),
            (json!(["blocks", { "verbosity": 3 }]), "0, 1 or 2"),
            (json!(["blocks", { "after": "3-" }]), "after: expected a height"),
            (json!(["peers", { "after": 3 }]), "peers has no option after"),
            (json!(["outputs", { "outputs": ["x:1"] }]), "a list of TXID:NUMBER"),
            (json!(["outputs", { "outputs": outputs }]), "the subscription is too large: 3, at most 2"),
        ] {
            let error = read(params.clone()).unwrap_err();
            assert!(error.contains(part), "{params}: {error}");
        }
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let set = TopicSet::default().with(Topic::Peers);
        assert!(set.contains(Topic::Peers) && !set.contains(Topic::Blocks) && !set.needs_blocks());
        assert!(set.with(Topic::Outputs).needs_pool() && set.with(Topic::Blocks).needs_blocks());
        assert!(!set.with(Topic::Blocks).needs_pool());
    }
}
