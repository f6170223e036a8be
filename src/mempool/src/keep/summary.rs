//! What the file holds, for the operator of a stopped node.

use super::{KeepTrouble, KeptRecord, POOL_FILE, ParseTransaction, read_records};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use timed_primitives::{Disk, Hash, TxId};

/// What the file of a stopped node holds.
#[derive(Debug)]
pub struct PoolFileSummary {
    /// Its length. Unit: bytes.
    pub bytes: u64,
    /// The genesis in its header; `None` when that is not whole.
    pub genesis: Option<Hash>,
    /// Whole records: of one transaction there may be several.
    pub records: u64,
    /// Transactions that wait.
    pub transactions: usize,
    /// How many of these clients handed in.
    pub of_clients: usize,
    /// Size of these transactions. Unit: bytes.
    pub transaction_bytes: usize,
    /// Transactions that were lost.
    pub losses: usize,
    /// What is wrong with it. The node starts all the same, and puts aside a file that has more than a torn end.
    pub trouble: Option<KeepTrouble>,
}

impl PoolFileSummary {
    /// Reads the file and changes nothing. `genesis` is that of the chain, when it is known. `None` when there is no file.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(disk: &dyn Disk, genesis: Option<Hash>, parse: ParseTransaction<'_>) -> io::Result<Option<Self>> {
        let file = match disk.open(POOL_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let (mut records, mut waiting, mut losses) = (0, BTreeMap::<TxId, (bool, usize)>::new(), BTreeSet::new());
        let reading = read_records(&*file, genesis, u64::MAX, parse, |record| {
            records += 1;
            match record {
                KeptRecord::Waiting(kept) => {
                    let txid = kept.transaction.facts.id;
                    losses.remove(&txid);
                    let entry = waiting.entry(txid).or_default();
                    *entry = (entry.0 | kept.is_ours, kept.transaction.facts.size_bytes);
                }
                KeptRecord::Lost(loss) => {
                    waiting.remove(&loss.txid);
                    losses.insert(loss.txid);
                }
            }
        })?;
        Ok(Some(Self {
            bytes: reading.length,
            genesis: reading.genesis,
            records,
            transactions: waiting.len(),
            of_clients: waiting.values().filter(|(is_ours, _)| *is_ours).count(),
            transaction_bytes: waiting.values().map(|(_, size)| size).sum(),
            losses: losses.len(),
            trouble: reading.trouble,
        }))
    }

    /// What a crash tore off its end. Unit: bytes.
    pub const fn torn_bytes(&self) -> u64 {
        match self.trouble {
            Some(KeepTrouble::TornTail { bytes }) => bytes,
            _ => 0,
        }
    }
}
