//! The one writer of the chain's state.

use crate::block_log::{BlockLog, LogError};
use crate::check_block::BlockError;
use crate::error::{AssembleError, CommitError, JudgeError, StoreError};
use crate::flush::FlushJob;
use crate::judge::{Assembled, Draft, Judged, Rules, Signatures};
use crate::overlay::{Layer, View};
use crate::reader::{LedgerReader, Shared};
use crate::state::Tip;
use crate::store::Store;
use crate::verified::VerifiedSignatures;
use std::collections::VecDeque;
use std::sync::Arc;
use timed_primitives::{Amount, Block, BlockId, CommitCertificate, Hash, Height, UnixTime};

/// Most judged blocks whose effect is kept until one of the height is final. At the bound the oldest is judged again if it returns.
const JUDGED_MAX: usize = 4;

/// The state of the chain, and the right to change it. One per data folder.
///
/// A block goes [`Self::judge`] (or [`Self::assemble`], for our own) → decided by consensus → [`Self::commit`]: one append to the block
/// log and its sync, which is finality on this node. The store follows by [`Self::flush`], which is never on the path of a vote.
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
    pub(crate) rules: Rules,
    pub(crate) log: BlockLog,
    pub(crate) store: Arc<dyn Store>,
    /// What is published, without asking for it.
    pub(crate) view: Arc<View>,
    judged: VecDeque<Arc<Judged>>,
    flush: Option<FlushJob>,
    verified: Arc<VerifiedSignatures>,
    /// After a failed write nothing is written any more.
    stopped: bool,
}

/// A block that became final on this node.
#[derive(Clone, Debug)]
pub struct Committed {
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
        shared: Arc<Shared>,
        rules: Rules,
        log: BlockLog,
        store: Arc<dyn Store>,
        view: Arc<View>,
    ) -> Self {
        let verified = Arc::default();
        Self { shared, rules, log, store, view, judged: VecDeque::new(), flush: None, verified, stopped: false }
    }

    /// The last final block.
    pub fn tip(&self) -> Tip {
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

    /// Judges a block on top of the tip from the chain alone: everything but the quorum of its parent's certificate, the leader, and
    /// how far its time may be ahead of a clock. Remembers what it does, so that committing it costs no second look.
    ///
    /// # Errors
    /// [`JudgeError::Invalid`] names the rule the block breaks; [`JudgeError::NotNext`] says nothing about it; other errors are ours.
    pub fn judge(&mut self, block: &Arc<Block>) -> Result<(), JudgeError> {
        let id = block.id();
        if self
            .judged
            .iter()
            .any(|judged| judged.id == id && (Arc::ptr_eq(&judged.block, block) || judged.block == *block))
        {
            return Ok(());
        }
        let judged = self.rules.judge(&self.view, block, Signatures::Check(&self.verified))?;
        self.remember(judged);
        Ok(())
    }

    /// Makes a block on top of the tip of what applies and fits; it counts as judged.
    ///
    /// # Errors
    /// [`AssembleError::Header`] when the draft does not fit the tip; other errors are ours.
    pub fn assemble(&mut self, draft: Draft) -> Result<Assembled, AssembleError> {
        let (judged, left_out) = self.rules.assemble(&self.view, draft, &self.verified)?;
        let block = judged.block.clone();
        self.remember(judged);
        Ok(Assembled { block, left_out })
    }

    /// Takes over a final block: when this returns, it is on disk. The caller has verified the certificate's signatures and quorum.
    ///
    /// # Errors
    /// As [`Self::commit_batch`], and [`CommitError::NotNext`] for a block that is final here already.
    pub fn commit(&mut self, block: Arc<Block>, certificate: CommitCertificate) -> Result<Committed, CommitError> {
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
    ) -> Result<Vec<Committed>, CommitError> {
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

    fn remember(&mut self, judged: Judged) {
        if self.judged.len() >= JUDGED_MAX {
            self.judged.pop_front();
        }
        self.judged.push_back(Arc::new(judged));
    }

    pub(crate) fn publish(&mut self, view: View) {
        self.view = Arc::new(view);
        self.shared.publish(self.view.clone());
    }

    fn commit_chunk(&mut self, chunk: Vec<(Arc<Block>, CommitCertificate)>) -> Result<Vec<Committed>, CommitError> {
        let mut ahead = (*self.view).clone();
        let mut accepted = Vec::with_capacity(chunk.len());
        for (block, certificate) in chunk {
            if !self.is_next(&ahead, &block, &certificate)? {
                continue;
            }
            let judged = self.judged_on(&ahead, &block)?;
            let certificate = Arc::new(certificate);
            ahead = ahead.with(Arc::new(layer(&judged, certificate.clone(), (0, 0))));
            accepted.push((judged, certificate));
        }
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let records: Vec<_> = accepted.iter().map(|(judged, certificate)| (&*judged.block, &**certificate)).collect();
        let spans = self.log.append(&records).map_err(|error: LogError| {
            self.stopped = true;
            CommitError::Log(error)
        })?;
        let mut view = (*self.view).clone();
        let mut committed = Vec::with_capacity(accepted.len());
        for ((judged, certificate), span) in accepted.into_iter().zip(spans) {
            committed.push(Committed {
                height: judged.state.height,
                id: judged.id,
                time: judged.state.time,
                state_commitment: judged.block.header.state_commitment,
                fees: judged.delta.fees,
                block: judged.block.clone(),
                certificate: certificate.clone(),
            });
            view = view.with(Arc::new(layer(&judged, certificate, span)));
        }
        self.judged.clear();
        self.publish(view);
        Ok(committed)
    }

    /// True for the next block, false for one that is final here already.
    fn is_next(&self, ahead: &View, block: &Block, certificate: &CommitCertificate) -> Result<bool, CommitError> {
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

    /// What the block does, from the cache or judged now. The cache holds blocks on top of the tip only, and is used by id: the id
    /// names the header, which commits to the body that was judged, and that body is what is written.
    fn judged_on(&self, ahead: &View, block: &Arc<Block>) -> Result<Arc<Judged>, CommitError> {
        let (id, height) = (block.id(), block.height());
        if let Some(judged) = self.judged.iter().find(|judged| judged.id == id) {
            return Ok(judged.clone());
        }
        self.rules.judge(ahead, block, Signatures::Check(&self.verified)).map(Arc::new).map_err(|error| match error {
            JudgeError::NotNext { height, tip } => CommitError::NotNext { height, tip },
            JudgeError::Invalid(BlockError::StateCommitment { height, ours, theirs }) => {
                CommitError::StateDiffers { height, ours, theirs }
            }
            JudgeError::Invalid(source) => CommitError::Invalid { height, id, source: Box::new(source) },
            JudgeError::Read(error) => CommitError::Read(error),
        })
    }
}

pub(crate) fn layer(judged: &Judged, certificate: Arc<CommitCertificate>, (position, log_end): (u64, u64)) -> Layer {
    Layer {
        block: judged.block.clone(),
        certificate,
        delta: judged.delta.clone(),
        state: judged.state.clone(),
        position,
        log_end,
    }
}
