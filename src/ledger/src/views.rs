//! How a view of the chain answers questions about money.

use crate::application::{LedgerReader, LedgerView};
use crate::genesis::Genesis;
use crate::lock::KeyHash;
use crate::queries::{ConfirmedTransaction, LedgerQueries, LedgerTotals};
use crate::rewards::RewardReport;
use crate::state::{OutputEntry, Supply, outpoint_of_owner_key, output_key, owner_key};
use crate::tables::{OUTPUTS, OUTPUTS_BY_KEY, REWARD_REPORTS};
use crate::transaction::{OutPoint, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use timed_chain::{Location, ReadError, Table, transactions};
use timed_primitives::{TxId, decode};

impl LedgerQueries for LedgerView {
    fn genesis(&self) -> Arc<Genesis> {
        self.application().genesis().clone()
    }

    fn reward_report(&self, interval: u64) -> Result<Option<RewardReport>, ReadError> {
        let paid = self.layers().filter_map(|layer| layer.changes().payment.as_ref()).map(|payment| &payment.report);
        match paid.into_iter().find(|report| report.interval == interval) {
            Some(report) => Ok(Some(report.clone())),
            None => self.stored(REWARD_REPORTS, &interval.to_be_bytes()),
        }
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError> {
        for layer in self.layers().rev().filter(|layer| layer.changes().touched.may_hold(&outpoint.txid)) {
            if let Some(output) = layer.changes().created.get(outpoint) {
                return Ok(Some(OutputEntry { output: *output, height: layer.height() }));
            }
            if layer.changes().spent.contains_key(outpoint) {
                return Ok(None);
            }
        }
        match self.application().recent.get(outpoint, self.stored_height()) {
            Some(entry) => Ok(Some(entry)),
            None => self.stored(OUTPUTS, &output_key(outpoint)),
        }
    }

    fn outputs_of(
        &self,
        key: &KeyHash,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        let mut changes: BTreeMap<OutPoint, Option<OutputEntry>> = BTreeMap::new();
        for layer in self.layers() {
            let spent = layer.changes().spent.iter().filter(|(_, entry)| entry.output.lock.owner_hash() == *key);
            changes.extend(spent.map(|(outpoint, _)| (*outpoint, None)));
            let made = layer.changes().created_of(key);
            changes.extend(made.map(|(at, output)| (at, Some(OutputEntry { output, height: layer.height() }))));
        }
        let start = after.map(|outpoint| owner_key(key, outpoint));
        let enough = limit.saturating_add(changes.len());
        let mut found = BTreeMap::new();
        for (stored_key, value) in self.scan_stored(OUTPUTS_BY_KEY, &key.0.0, start.as_deref(), enough)? {
            let undecodable = || ReadError::Undecodable { table: OUTPUTS_BY_KEY.name() };
            let outpoint = outpoint_of_owner_key(&stored_key).ok_or_else(undecodable)?;
            found.insert(outpoint, decode(&value).map_err(|_| undecodable())?);
        }
        for (outpoint, change) in changes {
            match change {
                Some(entry) if after.is_none_or(|after| outpoint > *after) => drop(found.insert(outpoint, entry)),
                _ => drop(found.remove(&outpoint)),
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    fn transaction(&self, txid: &TxId) -> Result<Option<ConfirmedTransaction>, ReadError> {
        let Some(Location { height, index }) = self.location(txid)? else { return Ok(None) };
        let undecodable = ReadError::Undecodable { table: Table::TRANSACTIONS.name() };
        let Some(decided) = self.decided(height)? else { return Err(undecodable) };
        let found = transactions::<Transaction>(&decided.block.payload)
            .ok()
            .and_then(|all| all.into_iter().nth(usize::try_from(index).unwrap_or(usize::MAX)));
        match found {
            Some(transaction) => Ok(Some(ConfirmedTransaction { transaction, height, index })),
            None => Err(undecodable),
        }
    }

    fn supply(&self) -> Supply {
        self.state().supply()
    }

    fn totals(&self) -> LedgerTotals {
        LedgerTotals { transactions: self.state().transactions, outputs: self.state().outputs }
    }
}

/// Each at the newest tip.
impl LedgerQueries for LedgerReader {
    fn genesis(&self) -> Arc<Genesis> {
        self.view().genesis()
    }

    fn reward_report(&self, interval: u64) -> Result<Option<RewardReport>, ReadError> {
        self.view().reward_report(interval)
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<OutputEntry>, ReadError> {
        self.view().output(outpoint)
    }

    fn outputs_of(
        &self,
        key: &KeyHash,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, OutputEntry)>, ReadError> {
        self.view().outputs_of(key, after, limit)
    }

    fn transaction(&self, txid: &TxId) -> Result<Option<ConfirmedTransaction>, ReadError> {
        self.view().transaction(txid)
    }

    fn supply(&self) -> Supply {
        self.view().supply()
    }

    fn totals(&self) -> LedgerTotals {
        self.view().totals()
    }
}
