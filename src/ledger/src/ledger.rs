//! The one writer of the chain's state.

use crate::block_log::{BlockLog, LogError};
use crate::check_block::BlockError;
use crate::error::{AssembleError, CommitError, StoreError, ValidationError};
use crate::flush::FlushJob;
use crate::overlay::{Layer, StateView};
use crate::reader::{LedgerReader, LedgerShared};
use crate::state::LedgerTip;
use crate::store::Store;
use crate::validate::{Assembled, Draft, Rules, Signatures, ValidatedBlock};
use crate::verified::VerifiedSignatures;
use std::collections::VecDeque;
use std::sync::Arc;
use timed_primitives::{Amount, Block, BlockId, CommitCertificate, Hash, Height, UnixTime};

/// Most validated blocks whose effect is kept until one of the height is final. At the bound the oldest is validated again if it returns.
const VALIDATED_MAX: usize = 4;

/// The state of the chain, and the right to change it. One per data folder.
///
/// A block goes [`Self::validate`] (or [`Self::assemble`], for our own) → decided by consensus → [`Self::commit`]: one append to the block
/// log and its sync, which is finality on this node. The store follows by [`Self::flush`], which is never on the path of a vote.
pub struct Ledger {
    pub(crate) shared: Arc<LedgerShared>,
    pub(crate) rules: Rules,
    pub(crate) log: BlockLog,
    pub(crate) store: Arc<dyn Store>,
    /// What is published, without asking for it.
    pub(crate) view: Arc<StateView>,
    validated: VecDeque<Arc<ValidatedBlock>>,
    flush: Option<FlushJob>,
    verified: Arc<VerifiedSignatures>,
    /// After a failed write nothing is written any more.
    stopped: bool,
}

/// A block that became final on this node.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Its time.
    pub time: UnixTime,
    /// Commitment to the state after it.
    pub state_commitment: Hash,
    /// Sum of its fees.
    pub fees: Amount,
    /// The block.
    pub block: Arc<Block>,
    /// Why it is final.
    pub certificate: Arc<CommitCertificate>,
}

impl Ledger {
    pub(crate) fn new(
        shared: Arc<LedgerShared>,
        rules: Rules,
        log: BlockLog,
        store: Arc<dyn Store>,
        view: Arc<StateView>,
    ) -> Self {
        let verified = Arc::default();
        Self { shared, rules, log, store, view, validated: VecDeque::new(), flush: None, verified, stopped: false }
    }

    /// The last final block.
    pub fn tip(&self) -> LedgerTip {
        self.view.tip()
    }

    /// A way to read, for any number of threads.
    pub fn reader(&self) -> LedgerReader {
        LedgerReader { shared: self.shared.clone() }
    }

    /// The set of checked signatures, to be shared with the pool: what either has checked, the other does not check again.
    pub fn verified(&self) -> Arc<VerifiedSignatures> {
        self.verified.clone()
    }

    /// Validates a block on top of the tip from the chain alone: everything but the quorum of its parent's certificate, the leader, and
    /// how far its time may be ahead of a clock. Remembers what it does, so that committing it costs no second look.
    ///
    /// # Errors
    /// [`ValidationError::Invalid`] names the rule the block breaks; [`ValidationError::NotNext`] says nothing about it; other errors are ours.
    pub fn validate(&mut self, block: &Arc<Block>) -> Result<(), ValidationError> {
        let id = block.id();
        if self
            .validated
            .iter()
            .any(|validated| validated.id == id && (Arc::ptr_eq(&validated.block, block) || validated.block == *block))
        {
            return Ok(());
        }
        let validated = self.rules.validate(&self.view, block, Signatures::Check(&self.verified))?;
        self.remember(validated);
        Ok(())
    }

    /// Makes a block on top of the tip of what applies and fits; it counts as validated.
    ///
    /// # Errors
    /// [`AssembleError::Header`] when the draft does not fit the tip; other errors are ours.
    pub fn assemble(&mut self, draft: Draft) -> Result<Assembled, AssembleError> {
        let (validated, left_out) = self.rules.assemble(&self.view, draft, &self.verified)?;
        let block = validated.block.clone();
        self.remember(validated);
        Ok(Assembled { block, left_out })
    }

    /// Takes over a final block: when this returns, it is on disk. The caller has verified the certificate's signatures and quorum.
    ///
    /// # Errors
    /// As [`Self::commit_batch`], and [`CommitError::NotNext`] for a block that is final here already.
    pub fn commit(&mut self, block: Arc<Block>, certificate: CommitCertificate) -> Result<CommittedBlock, CommitError> {
        let height = block.height();
        let committed = self.commit_batch(vec![(block, certificate)])?.pop();
        committed.ok_or(CommitError::NotNext { height, tip: self.view.state.height })
    }

    /// Takes over final blocks of consecutive heights with one sync for as many as fit into the overlay; those that are final here already
    /// are skipped. The caller has verified the certificates' signatures and quorums.
    ///
    /// # Errors
    /// [`CommitError`]; see [`CommitError::is_fatal`]. [`Self::tip`] then says how far it came.
    pub fn commit_batch(
        &mut self,
        blocks: Vec<(Arc<Block>, CommitCertificate)>,
    ) -> Result<Vec<CommittedBlock>, CommitError> {
        let mut committed = Vec::with_capacity(blocks.len());
        let mut blocks = VecDeque::from(blocks);
        while !blocks.is_empty() {
            if self.stopped {
                return Err(CommitError::Stopped);
            }
            self.finish_flush()?;
            let room = self.view.room_for(blocks.iter().map(|(block, _)| &**block));
            if room == 0 {
                self.make_room()?;
                continue;
            }
            committed.extend(self.commit_chunk(blocks.drain(..room).collect())?);
        }
        Ok(committed)
    }

    /// Writes the whole overlay to the store. Waits for the store; [`Self::begin_flush`] lets another thread do so.
    ///
    /// # Errors
    /// [`StoreError`], after which nothing is written any more.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        while !self.view.layers.is_empty() && !self.stopped {
            self.make_room()?;
        }
        Ok(())
    }

    /// Waits for what is being written to the store, or writes what is in the overlay. No more than that: who votes waits for it.
    fn make_room(&mut self) -> Result<(), StoreError> {
        if let Some(job) = self.flush.clone().or_else(|| self.begin_flush()) {
            let _ = job.run();
        }
        self.finish_flush()
    }

    /// Hands out the work of writing the overlay to the store; `None` when there is none, or when it is handed out already.
    ///
    /// Run it on any thread; commits go on meanwhile. Call [`Self::finish_flush`] after it, or let the next commit see it.
    pub fn begin_flush(&mut self) -> Option<FlushJob> {
        if self.flush.is_some() || self.view.layers.is_empty() || self.stopped {
            return None;
        }
        let job = FlushJob::new(self.store.clone(), self.view.layers.clone());
        self.flush = Some(job.clone());
        Some(job)
    }

    /// Takes blocks out of the overlay if the work handed out is done. Never waits.
    ///
    /// # Errors
    /// [`StoreError`] when the work failed, after which nothing is written any more.
    pub fn finish_flush(&mut self) -> Result<(), StoreError> {
        let Some(job) = &self.flush else { return Ok(()) };
        let Some(outcome) = job.outcome() else { return Ok(()) };
        let blocks = job.blocks();
        self.flush = None;
        match outcome {
            Ok(snapshot) => {
                self.publish(self.view.flushed(blocks, snapshot));
                Ok(())
            }
            Err(error) => {
                self.stopped = true;
                Err(error)
            }
        }
    }

    fn remember(&mut self, validated: ValidatedBlock) {
        if self.validated.len() >= VALIDATED_MAX {
            self.validated.pop_front();
        }
        self.validated.push_back(Arc::new(validated));
    }

    pub(crate) fn publish(&mut self, view: StateView) {
        self.view = Arc::new(view);
        self.shared.publish(self.view.clone());
    }

    fn commit_chunk(
        &mut self,
        chunk: Vec<(Arc<Block>, CommitCertificate)>,
    ) -> Result<Vec<CommittedBlock>, CommitError> {
        let mut ahead = (*self.view).clone();
        let mut accepted = Vec::with_capacity(chunk.len());
        for (block, certificate) in chunk {
            if !self.is_next(&ahead, &block, &certificate)? {
                continue;
            }
            let validated = self.validated_on(&ahead, &block)?;
            let certificate = Arc::new(certificate);
            ahead = ahead.with(Arc::new(layer(&validated, certificate.clone(), (0, 0))));
            accepted.push((validated, certificate));
        }
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let records: Vec<_> =
            accepted.iter().map(|(validated, certificate)| (&*validated.block, &**certificate)).collect();
        let spans = self.log.append(&records).map_err(|error: LogError| {
            self.stopped = true;
            CommitError::Log(error)
        })?;
        let mut view = (*self.view).clone();
        let mut committed = Vec::with_capacity(accepted.len());
        for ((validated, certificate), span) in accepted.into_iter().zip(spans) {
            committed.push(CommittedBlock {
                height: validated.state.height,
                id: validated.id,
                time: validated.state.time,
                state_commitment: validated.block.header.state_commitment,
                fees: validated.delta.fees,
                block: validated.block.clone(),
                certificate: certificate.clone(),
            });
            view = view.with(Arc::new(layer(&validated, certificate, span)));
        }
        self.validated.clear();
        self.publish(view);
        Ok(committed)
    }

    /// True for the next block, false for one that is final here already.
    fn is_next(&self, ahead: &StateView, block: &Block, certificate: &CommitCertificate) -> Result<bool, CommitError> {
        let (height, id, tip) = (block.height(), block.id(), ahead.state.height);
        if certificate.height != height || certificate.block != id {
            return Err(CommitError::OtherBlock {
                height: certificate.height,
                certified: certificate.block,
                block: id,
            });
        }
        if height == tip.next() {
            return Ok(true);
        }
        let ours = match ahead.layer(height) {
            Some(layer) => Some(layer.state.id),
            None => self.reader().block_id(height).map_err(CommitError::Read)?,
        };
        match ours {
            Some(ours) if ours == id => Ok(false),
            Some(ours) => Err(CommitError::Conflict { height, ours, theirs: id }),
            None => Err(CommitError::NotNext { height, tip }),
        }
    }

    /// What the block does, from the cache or validated now. The cache holds blocks on top of the tip only, and is used by id: the id
    /// names the header, which commits to the body that was validated, and that body is what is written.
    fn validated_on(&self, ahead: &StateView, block: &Arc<Block>) -> Result<Arc<ValidatedBlock>, CommitError> {
        let (id, height) = (block.id(), block.height());
        if let Some(validated) = self.validated.iter().find(|validated| validated.id == id) {
            return Ok(validated.clone());
        }
        self.rules.validate(ahead, block, Signatures::Check(&self.verified)).map(Arc::new).map_err(
            |error| match error {
                ValidationError::NotNext { height, tip } => CommitError::NotNext { height, tip },
                ValidationError::Invalid(BlockError::StateCommitment { height, ours, theirs }) => {
                    CommitError::StateDiffers { height, ours, theirs }
                }
                ValidationError::Invalid(source) => CommitError::Invalid { height, id, source: Box::new(source) },
                ValidationError::Read(error) => CommitError::Read(error),
            },
        )
    }
}

pub(crate) fn layer(
    validated: &ValidatedBlock,
    certificate: Arc<CommitCertificate>,
    (position, log_end): (u64, u64),
) -> Layer {
    Layer {
        block: validated.block.clone(),
        certificate,
        delta: validated.delta.clone(),
        state: validated.state.clone(),
        position,
        log_end,
    }
}
