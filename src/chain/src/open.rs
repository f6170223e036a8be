//! Opening: the store is brought up to date from the block log, which is the truth.

use crate::application::Application;
use crate::block_log::{BlockLog, LogError, LogReader, LogScan};
use crate::chain::{Chain, layer};
use crate::error::{ChainOpenError, StoreError, ValidationError};
use crate::execute::{Signatures, validate};
use crate::history_row::row;
use crate::log_header::FILE_HEADER_BYTES;
use crate::reader::Published;
use crate::state_view::{APPLIED_KEY, Applied, ChainState, Fixed, GENESIS_KEY, StateView, batch_of};
use crate::store::{Store, StoreBatch, StoreView, Table};
use std::sync::Arc;
use timed_primitives::{BlockId, Disk, Hash, Height, Tip, decode, encode};

/// How much of the log behind the store's height is verified at each start, newest part: about a second's work. Older records are
/// verified whenever they are read. Unit: bytes.
const VERIFIED_AT_OPEN_BYTES: u64 = 256 * 1024 * 1024;

impl<A: Application> Chain<A> {
    /// Opens the chain of an application: replays what the log holds beyond the store, starts both when they are empty, and rebuilds the
    /// store wholly from the log when only the store is. Cuts a torn tail of the log; overwrites nothing else.
    ///
    /// # Errors
    /// [`ChainOpenError`] says which file is at fault, where, and what to do.
    pub fn open(application: A, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Self, ChainOpenError> {
        let hash = application.genesis().hash;
        let stored = stored(&*store, hash)?;
        let may_start = stored.as_ref().is_none_or(|applied| applied.state.height == Height::GENESIS);
        let mut log = BlockLog::open(disk, hash, may_start)?;
        let applied = match stored {
            Some(applied) => applied,
            None => write_genesis(&*store, &application)?,
        };
        let snapshot = store.snapshot().map_err(StoreError::from)?;
        let fixed = Arc::new(Fixed { application, log: log.reader().clone() });
        let view = caught_up_to(applied, &fixed, snapshot)?;
        log.secure_last_batch(view.log_end, view.height().next())?;
        let view = Arc::new(replay(&log, &store, view)?);
        log.set_end(view.log_end)?;
        let mut chain = Self::new(Arc::new(Published::new(view.clone())), log, store, view);
        chain.flush()?;
        Ok(chain)
    }
}

/// What the store holds; `None` when it is empty.
fn stored<S: borsh::BorshDeserialize>(store: &dyn Store, expected: Hash) -> Result<Option<Applied<S>>, ChainOpenError> {
    let snapshot = store.snapshot().map_err(StoreError::from)?;
    let get = |key: &[u8]| snapshot.get(Table::META, key).map_err(StoreError::from);
    match (get(GENESIS_KEY)?, get(APPLIED_KEY)?) {
        (None, None) => Ok(None),
        (Some(genesis), Some(applied)) => {
            let found = Hash(genesis.try_into().map_err(|_| ChainOpenError::StoreIncomplete)?);
            if found != expected {
                return Err(ChainOpenError::OtherGenesis { found, expected });
            }
            decode(&applied).map(Some).map_err(|_| ChainOpenError::StoreIncomplete)
        }
        _ => Err(ChainOpenError::StoreIncomplete),
    }
}

/// The state before the first block.
fn genesis_state<A: Application>(application: &A, batch: &mut StoreBatch) -> ChainState<A::State> {
    let (genesis, state) = (application.genesis(), application.genesis_state(batch));
    ChainState { height: Height::GENESIS, id: BlockId::default(), time: genesis.time, application: state }
}

/// Writes the state of genesis.
fn write_genesis<A: Application>(store: &dyn Store, application: &A) -> Result<Applied<A::State>, ChainOpenError> {
    let mut batch = StoreBatch::default();
    let applied = Applied { state: genesis_state(application, &mut batch), log_end: FILE_HEADER_BYTES };
    batch.put(Table::META, GENESIS_KEY.to_vec(), application.genesis().hash.0.to_vec());
    batch.put(Table::META, APPLIED_KEY.to_vec(), encode(&applied));
    store.write(batch).map_err(StoreError::from)?;
    Ok(applied)
}

/// The state of the store, after checking that the log holds the blocks it was made of, and that the last one commits to it.
fn caught_up_to<A: Application>(
    applied: Applied<A::State>,
    fixed: &Arc<Fixed<A>>,
    snapshot: Arc<dyn StoreView>,
) -> Result<StateView<A>, ChainOpenError> {
    let (height, id, log_end) = (applied.state.height, applied.state.id, applied.log_end);
    let (state, log, fixed) = (Arc::new(applied.state), &fixed.log, fixed.clone());
    let state_commitment = fixed.application.commitment(&state.application, height);
    let mut tip = Tip { height, id, time: state.time, state_commitment, certificate: None };
    let (layers, history, kept) = (Vec::new(), Arc::default(), Arc::new(tip.clone()));
    let mut view = StateView { fixed, snapshot, applied: height, layers, state, history, tip: kept, log_end };
    if height == Height::GENESIS {
        // No block commits to it. A height that turned to 0 would otherwise start the chain anew behind the blocks of the log.
        let start = genesis_state(view.application(), &mut StoreBatch::default());
        let is_start = *view.state == start && log_end == FILE_HEADER_BYTES;
        return if is_start { Ok(view) } else { Err(ChainOpenError::StoreDamaged { height }) };
    }
    let len = log.len()?;
    if len < log_end {
        return Err(ChainOpenError::LogShort { log_end: len, applied: height, applied_end: log_end });
    }
    let mismatch = || ChainOpenError::StoreMismatch { height, stored: id };
    let verified = verify(&view, log, height).and_then(|position| Ok(log.read(position, height)?));
    match verified {
        Ok(record) if record.end == log_end && record.certificate.block == id => {
            let header = &record.block.header;
            let is_committed = header.state_commitment == state_commitment
                && header.time == view.state.time
                && header.masternode_root == view.application().masternode_root(view.state())
                && header.validators_hash == view.validators(height).hash()
                && header.next_validators_hash == view.validators(height.next()).hash();
            let mut history = view.stored_history(Height(header.blocks_before())).map_err(ChainOpenError::Read)?;
            let is_history = history.root() == header.history_root
                && row(&history.append(&id)) == view.stored_row(height).map_err(ChainOpenError::Read)?;
            if !is_committed || !is_history || !view.application().is_sound(view.state()) {
                return Err(ChainOpenError::StoreDamaged { height });
            }
            view.history = Arc::new(history);
            tip.certificate = Some(record.certificate);
            view.tip = Arc::new(tip);
            Ok(view)
        }
        Ok(_) => Err(mismatch()),
        Err(ChainOpenError::Log(LogError::Damaged { offset, .. })) if log.is_end(offset)? => {
            Err(ChainOpenError::LogShort { log_end: offset, applied: height, applied_end: log_end })
        }
        // Either the log is damaged, or it is sound and the store was made from another one.
        Err(ChainOpenError::Log(LogError::Damaged { .. })) => match log.verify_from_start(height) {
            Ok(()) => Err(mismatch()),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

/// Verifies the newest records up to `height`, and says where that one starts.
fn verify<A: Application>(view: &StateView<A>, log: &LogReader, height: Height) -> Result<u64, ChainOpenError> {
    let position = |height| {
        let position = view.position(height).map_err(ChainOpenError::Read)?;
        position.ok_or(ChainOpenError::StoreIncomplete)
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
    if at == position(height)? { Ok(at) } else { Err(ChainOpenError::StoreMismatch { height, stored: view.state.id }) }
}

/// Applies what the log holds beyond the store, keeping the overlay within its bound.
fn replay<A: Application>(
    log: &BlockLog,
    store: &Arc<dyn Store>,
    mut view: StateView<A>,
) -> Result<StateView<A>, ChainOpenError> {
    while let LogScan::Record(record) = log.reader().scan(view.log_end, view.height().next())? {
        let (position, height) = (view.log_end, view.height().next());
        if !view.has_room() {
            store.write(batch_of(view.application(), &view.layers)).map_err(StoreError::from)?;
            view = view.flushed(view.layers.len(), store.snapshot().map_err(StoreError::from)?);
        }
        let validated = validate(&view, &Arc::new(record.block), Signatures::Trusted);
        let validated = validated.map_err(|error| match error {
            ValidationError::Invalid(source) => ChainOpenError::Replay { height, source: Box::new(source) },
            ValidationError::Read(error) => ChainOpenError::Read(error),
            ValidationError::NotNext { .. } => {
                LogError::Damaged { offset: position, height, damage: crate::Damage::Height }.into()
            }
        })?;
        view = view.with(Arc::new(layer(&validated, Arc::new(record.certificate), (position, record.end))));
        view.application().on_committed(&view).map_err(ChainOpenError::Read)?;
    }
    Ok(view)
}
