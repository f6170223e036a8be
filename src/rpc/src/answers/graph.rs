//! The mempool as clients see it: who needs whom.

use super::shape::{json, object, total, with_fields};
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::result::MempoolEntry;
use crate::text::Text;
use serde_json::{Value, json as value_of};
use std::collections::{BTreeMap, BTreeSet};
use timed_primitives::TxId;

/// All that waits, in the pool's order, with both directions of need. Bound: the pool's own.
pub(super) struct PoolGraph {
    entries: Vec<MempoolEntry>,
    position: BTreeMap<TxId, usize>,
    children: BTreeMap<TxId, Vec<TxId>>,
    height: u64,
}

impl PoolGraph {
    pub(super) async fn of(node: &dyn NodeApi) -> Result<Self, RpcError> {
        let entries = node.raw_mempool().await?;
        let position = entries.iter().enumerate().map(|(i, entry)| (entry.txid.0, i)).collect();
        let mut children: BTreeMap<TxId, Vec<TxId>> = BTreeMap::new();
        for entry in &entries {
            for parent in &entry.depends {
                children.entry(parent.0).or_default().push(entry.txid.0);
            }
        }
        Ok(Self { entries, position, children, height: node.tip().await?.0.0 })
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = TxId> + '_ {
        self.entries.iter().map(|entry| entry.txid.0)
    }

    fn find(&self, txid: TxId) -> Result<&MempoolEntry, RpcError> {
        let entry = self.position.get(&txid).and_then(|at| self.entries.get(*at));
        entry.ok_or(RpcError::NotInMempool(txid))
    }

    /// Everything that can be reached from one, itself not included.
    fn reached(&self, from: TxId, next: impl Fn(TxId) -> Vec<TxId>) -> Result<Vec<TxId>, RpcError> {
        self.find(from)?;
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(txid) = open.pop() {
            open.extend(next(txid).into_iter().filter(|id| self.position.contains_key(id) && seen.insert(*id)));
        }
        seen.remove(&from);
        Ok(seen.into_iter().collect())
    }

    pub(super) fn ancestors(&self, txid: TxId) -> Result<Vec<TxId>, RpcError> {
        let parents = |id| self.find(id).map_or_else(|_| Vec::new(), |e| e.depends.iter().map(|p| p.0).collect());
        self.reached(txid, parents)
    }

    pub(super) fn descendants(&self, txid: TxId) -> Result<Vec<TxId>, RpcError> {
        self.reached(txid, |id| self.children.get(&id).cloned().unwrap_or_default())
    }

    /// The ids, or an object for each.
    pub(super) fn show(&self, ids: &[TxId], is_verbose: bool) -> Result<Value, RpcError> {
        if !is_verbose {
            return json(ids.iter().copied().map(Text).collect::<Vec<_>>());
        }
        let rows = ids.iter().map(|id| Ok((id.to_string(), self.entry(*id)?)));
        Ok(object(rows.collect::<Result<BTreeMap<_, _>, RpcError>>()?))
    }

    /// One transaction, with sums over those it needs and those that need it, itself included.
    pub(super) fn entry(&self, txid: TxId) -> Result<Value, RpcError> {
        let entry = self.find(txid)?;
        let (ancestors, descendants) = (self.ancestors(txid)?, self.descendants(txid)?);
        let sums = |ids: &[TxId]| {
            let all = || ids.iter().filter_map(|id| self.find(*id).ok()).chain([entry]);
            (ids.len() + 1, all().map(|e| e.size).sum::<u64>(), total(all().map(|e| e.fee.0)))
        };
        let (before, after) = (sums(&ancestors), sums(&descendants));
        let spent_by = self.children.get(&txid).into_iter().flatten().copied().map(Text).collect::<Vec<_>>();
        let fields = value_of!({
            "vsize": entry.size,
            "weight": entry.size.saturating_mul(4),
            "height": self.height,
            "descendantcount": after.0,
            "descendantsize": after.1,
            "ancestorcount": before.0,
            "ancestorsize": before.1,
            "wtxid": entry.fullid,
            "fees": { "base": entry.fee, "modified": entry.fee, "ancestor": before.2, "descendant": after.2 },
            "spentby": spent_by,
            "bip125-replaceable": false,
            "unbroadcast": false,
        });
        with_fields(entry, fields)
    }
}
