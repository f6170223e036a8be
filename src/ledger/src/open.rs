//! Opening: the store is brought up to date from the block log, which is the truth.

use crate::block_log::{BlockLog, FILE_HEADER_BYTES, LogError, LogReader, LogScan};
use crate::error::{LedgerOpenError, StoreError, ValidationError};
use crate::genesis::Genesis;
use crate::ledger::{Ledger, layer};
use crate::overlay::{StateView, put_output};
use crate::reader::LedgerShared;
use crate::state::{Applied, ChainState, GENESIS_KEY, OutputEntry};
use crate::store::{Store, StoreBatch, StoreView, Table};
use crate::validate::{Rules, Signatures};
use std::sync::Arc;
use timed_primitives::{Amount, Disk, Hash, Height, decode};

/// How much of the log behind the store's height is verified at each start, newest part: about a second's work. Older records are
/// verified whenever they are read. Unit: bytes.
const VERIFIED_AT_OPEN_BYTES: u64 = 256 * 1024 * 1024;

impl Ledger {
    /// Opens the ledger of a genesis: replays what the log holds beyond the store, starts both when they are empty, and rebuilds the
    /// store wholly from the log when only the store is. Cuts a torn tail of the log; overwrites nothing else.
    ///
    /// # Errors
    /// [`LedgerOpenError`] says which file is at fault, where, and what to do.
    pub fn open(genesis: Genesis, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Self, LedgerOpenError> {
        genesis.validate()?;
        let hash = genesis.hash();
        let stored = stored(&*store, hash)?;
        let may_start = stored.as_ref().is_none_or(|applied| applied.state.height == Height::GENESIS);
        let mut log = BlockLog::open(disk, hash, may_start)?;
        let applied = match stored {
            Some(applied) => applied,
            None => write_genesis(&*store, &genesis, hash)?,
        };
        let snapshot = store.snapshot().map_err(StoreError::from)?;
        let view = caught_up_to(applied, &genesis, snapshot, log.reader())?;
        let rules = Rules {
            chain_id: genesis.chain_id,
            parameters: genesis.parameters.clone(),
            validators: genesis.validator_set().map_err(crate::GenesisError::from)?,
            supply: genesis.supply()?,
        };
        let reader = log.reader().clone();
        let mut view = Arc::new(view);
        let shared = Arc::new(LedgerShared::new(genesis, rules.validators.clone(), reader, view.clone()));
        log.secure_last_batch(view.log_end, view.state.height.next())?;
        view = replay(&rules, &log, &store, view)?;
        log.set_end(view.log_end)?;
        shared.publish(view.clone());
        let mut ledger = Self::new(shared, rules, log, store, view);
        ledger.flush()?;
        Ok(ledger)
    }
}

/// What the store holds; `None` when it is empty.
fn stored(store: &dyn Store, expected: Hash) -> Result<Option<Applied>, LedgerOpenError> {
    let snapshot = store.snapshot().map_err(StoreError::from)?;
    let get = |key: &[u8]| snapshot.get(Table::Meta, key).map_err(StoreError::from);
    match (get(GENESIS_KEY)?, get(Applied::KEY)?) {
        (None, None) => Ok(None),
        (Some(genesis), Some(applied)) => {
            let found = Hash(genesis.try_into().map_err(|_| LedgerOpenError::StoreIncomplete)?);
            if found != expected {
                return Err(LedgerOpenError::OtherGenesis { found, expected });
            }
            decode(&applied).map(Some).map_err(|_| LedgerOpenError::StoreIncomplete)
        }
        _ => Err(LedgerOpenError::StoreIncomplete),
    }
}

/// Writes the state of genesis.
fn write_genesis(store: &dyn Store, genesis: &Genesis, hash: Hash) -> Result<Applied, LedgerOpenError> {
    let mut batch = StoreBatch::default();
    for (outpoint, output) in genesis.unspent() {
        put_output(&mut batch, &outpoint, &OutputEntry { output, height: Height::GENESIS });
    }
    let applied = Applied { state: ChainState::genesis(genesis)?, log_end: FILE_HEADER_BYTES };
    batch.put(Table::Meta, GENESIS_KEY.to_vec(), hash.0.to_vec());
    batch.put(Table::Meta, Applied::KEY.to_vec(), applied.to_bytes());
    store.write(batch).map_err(StoreError::from)?;
    Ok(applied)
}

/// The state of the store, after checking that the log holds the blocks it was made of, and that the last one commits to it.
fn caught_up_to(
    applied: Applied,
    genesis: &Genesis,
    snapshot: Arc<dyn StoreView>,
    log: &LogReader,
) -> Result<StateView, LedgerOpenError> {
    let (height, id, log_end) = (applied.state.height, applied.state.id, applied.log_end);
    let state = Arc::new(applied.state);
    let (applied, recent) = (state.clone(), Arc::default());
    let mut view = StateView { snapshot, applied, recent, layers: Vec::new(), state, certificate: None, log_end };
    if height == Height::GENESIS {
        // No block commits to it. A height that turned to 0 would otherwise start the chain anew behind the blocks of the log.
        let is_start = *view.state == ChainState::genesis(genesis)? && log_end == FILE_HEADER_BYTES;
        return if is_start { Ok(view) } else { Err(LedgerOpenError::StoreDamaged { height }) };
    }
    let len = log.len()?;
    if len < log_end {
        return Err(LedgerOpenError::LogShort { log_end: len, applied: height, applied_end: log_end });
    }
    let mismatch = || LedgerOpenError::StoreMismatch { height, stored: id };
    let verified = verify(&view, log, height).and_then(|position| Ok(log.read(position, height)?));
    match verified {
        Ok(record) if record.end == log_end && record.certificate.block == id => {
            let header = &record.block.header;
            let is_committed = header.state_commitment == view.state.commitment() && header.time == view.state.time;
            let money = Amount::sum([view.state.unspent, view.state.fees]);
            if !is_committed || money != Some(genesis.supply()?) {
                return Err(LedgerOpenError::StoreDamaged { height });
            }
            view.certificate = Some(Arc::new(record.certificate));
            Ok(view)
        }
        Ok(_) => Err(mismatch()),
        // Either the log is damaged, or it is sound and the store was made from another one.
        Err(LedgerOpenError::Log(LogError::Damaged { .. })) => match log.verify_from_start(height) {
            Ok(()) => Err(mismatch()),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

/// Verifies the newest records up to `height`, and says where that one starts.
fn verify(view: &StateView, log: &LogReader, height: Height) -> Result<u64, LedgerOpenError> {
    let position = |height| {
        let position = view.position(height).map_err(LedgerOpenError::Read)?;
        position.ok_or(LedgerOpenError::StoreIncomplete)
    };
    let from = view.log_end.saturating_sub(VERIFIED_AT_OPEN_BYTES);
    let (mut low, mut high) = (Height::FIRST, height);
    while low < high {
        let middle = Height(low.0 + (high.0 - low.0) / 2);
        if position(middle)? < from { low = middle.next() } else { high = middle }
    }
    let mut at = position(low)?;
    while low < height {
        at = log.verify(at, low)?;
        low = low.next();
    }
    if at == position(height)? { Ok(at) } else { Err(LedgerOpenError::StoreMismatch { height, stored: view.state.id }) }
}

/// Applies what the log holds beyond the store, keeping the overlay within its bound.
fn replay(
    rules: &Rules,
    log: &BlockLog,
    store: &Arc<dyn Store>,
    view: Arc<StateView>,
) -> Result<Arc<StateView>, LedgerOpenError> {
    let mut view = (*view).clone();
    while let LogScan::Record(record) = log.reader().scan(view.log_end, view.state.height.next())? {
        let (position, height) = (view.log_end, view.state.height.next());
        if view.room_for(std::iter::once(&record.block)) == 0 {
            store.write(crate::overlay::batch_of(&view.layers)).map_err(StoreError::from)?;
            view = view.flushed(view.layers.len(), store.snapshot().map_err(StoreError::from)?);
        }
        let validated = rules.validate(&view, &Arc::new(record.block), Signatures::Trusted);
        let validated = validated.map_err(|error| match error {
            ValidationError::Invalid(source) => LedgerOpenError::Replay { height, source: Box::new(source) },
            ValidationError::Read(error) => LedgerOpenError::Read(error),
            ValidationError::NotNext { .. } => {
                LogError::Damaged { offset: position, height, damage: crate::Damage::Height }.into()
            }
        })?;
        view = view.with(Arc::new(layer(&validated, Arc::new(record.certificate), (position, record.end))));
    }
    Ok(Arc::new(view))
}
