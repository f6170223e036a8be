//! The one writer of a chain's state.

use crate::application::Application;
use crate::block_log::{BlockLog, LogError};
use crate::check_block::BlockError;
use crate::error::{AssembleError, CommitError, StoreError, ValidationError};
use crate::execute::{Assembled, Draft, Signatures, ValidatedBlock, assemble, validate};
use crate::flush::FlushJob;
use crate::reader::{ChainReader, Published};
use crate::state_view::{Layer, StateView, batch_of};
use crate::store::Store;
use crate::transaction::{TransactionFacts, bytes_of};
use crate::verified::VerifiedTransactions;
use std::collections::VecDeque;
use std::sync::Arc;
use timed_primitives::{Block, BlockId, CommitCertificate, Tip, ValidatorSet};

/// Most validated blocks whose effect is kept until one of the height is final. At the bound the oldest is validated again if it returns.
const VALIDATED_MAX: usize = 4;

/// The state of a chain, and the right to change it. One per data folder.
///
/// A block goes [`Self::validate`] (or [`Self::assemble`], for our own) → decided by consensus → [`Self::commit`]: one append to the block
/// log and its sync, which is finality on this node. The store follows by [`Self::flush`], which is never on the path of a vote.
pub struct Chain<A: Application> {
    published: Arc<Published<A>>,
    log: BlockLog,
    store: Arc<dyn Store>,
    /// What is published, without asking for it.
    view: Arc<StateView<A>>,
    validated: VecDeque<Arc<ValidatedBlock<A>>>,
    flush: Option<FlushJob>,
    verified: Arc<VerifiedTransactions>,
    /// After a failed write nothing is written any more.
    stopped: bool,
}

/// A block that became final on this node.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// Its id.
    pub id: BlockId,
    /// The block.
    pub block: Arc<Block>,
    /// Its transactions.
    pub transactions: Arc<[TransactionFacts]>,
    /// Why it is final.
    pub certificate: Arc<CommitCertificate>,
    /// Who decided it, who decides the height after it, and the one after that. By its own state: the tip may be higher already.
    pub validators: [ValidatorSet; 3],
}

impl<A: Application> Chain<A> {
    pub(crate) fn new(
        published: Arc<Published<A>>,
        log: BlockLog,
        store: Arc<dyn Store>,
        view: Arc<StateView<A>>,
    ) -> Self {
        let verified = Arc::default();
        Self { published, log, store, view, validated: VecDeque::new(), flush: None, verified, stopped: false }
    }

    /// The last final block.
    pub fn tip(&self) -> Tip {
        self.view.tip().clone()
    }

    /// A way to read, for any number of threads.
    pub fn reader(&self) -> ChainReader<A> {
        ChainReader::new(self.published.clone())
    }

    /// The transactions whose signatures are checked, to be shared with the pool: what either has checked, the other does not check again.
    pub fn verified(&self) -> Arc<VerifiedTransactions> {
        self.verified.clone()
    }

    /// Validates a block on top of the tip from the chain alone: everything but the quorum of its parent's certificate, the leader, and
    /// how far its time may be ahead of a clock. Remembers what it does, so that committing it costs no second look. Gives its transactions.
    ///
    /// # Errors
    /// [`ValidationError::Invalid`] names the rule the block breaks; [`ValidationError::NotNext`] says nothing about it; other errors are ours.
    pub fn validate(&mut self, block: &Arc<Block>) -> Result<Arc<[TransactionFacts]>, ValidationError> {
        let id = block.id();
        let is_same = |known: &&Arc<ValidatedBlock<A>>| {
            known.id == id && (Arc::ptr_eq(&known.block, block) || known.block == *block)
        };
        if let Some(known) = self.validated.iter().find(is_same) {
            return Ok(known.effects.transactions.clone());
        }
        let validated = validate(&self.view, block, Signatures::Check(&self.verified))?;
        let transactions = validated.effects.transactions.clone();
        self.remember(validated);
        Ok(transactions)
    }

    /// Makes a block on top of the tip of what applies and fits; it counts as validated.
    ///
    /// # Errors
    /// [`AssembleError::Header`] when the draft does not fit the tip; other errors are ours.
    pub fn assemble(&mut self, draft: Draft) -> Result<Assembled, AssembleError> {
        let (validated, left_out) = assemble(&self.view, draft, &self.verified)?;
        let (block, transactions) = (validated.block.clone(), validated.effects.transactions.clone());
        self.remember(validated);
        Ok(Assembled { block, transactions, left_out })
    }

    /// Takes over a final block: when this returns, it is on disk. The caller has verified the certificate's signatures and quorum.
    ///
    /// # Errors
    /// As [`Self::commit_batch`], and [`CommitError::NotNext`] for a block that is final here already.
    pub fn commit(&mut self, block: Arc<Block>, certificate: CommitCertificate) -> Result<CommittedBlock, CommitError> {
        let height = block.height();
        let committed = self.commit_batch(vec![(block, certificate)])?.pop();
        committed.ok_or(CommitError::NotNext { height, tip: self.view.height() })
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
            if !self.view.has_room() {
                self.make_room()?;
                continue;
            }
            committed.extend(self.commit_chunk(&mut blocks)?);
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

    /// Hands out the work of writing the overlay to the store, or its oldest blocks up to [`crate::FLUSH_CHANGES_MAX`]; `None` when there is none, or when it is handed out already.
    ///
    /// Run it on any thread; commits go on meanwhile. Call [`Self::finish_flush`] after it, or let the next commit see it.
    pub fn begin_flush(&mut self) -> Option<FlushJob> {
        if self.flush.is_some() || self.view.layers.is_empty() || self.stopped {
            return None;
        }
        let (fixed, layers) = (self.view.fixed.clone(), self.view.next_for_store().to_vec());
        let blocks = layers.len();
        let batch = move || batch_of(&fixed.application, &layers);
        let job = FlushJob::new(self.store.clone(), blocks, batch);
        self.flush = Some(job.clone());
        Some(job)
    }

    /// Whether so much waits for the store that a commit may soon find no room: a flush is due at once.
    pub fn is_flush_due(&self) -> bool {
        self.view.is_half_full()
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

    fn remember(&mut self, validated: ValidatedBlock<A>) {
        if self.validated.len() >= VALIDATED_MAX {
            self.validated.pop_front();
        }
        self.validated.push_back(Arc::new(validated));
    }

    fn publish(&mut self, view: StateView<A>) {
        self.view = Arc::new(view);
        self.published.publish(self.view.clone());
    }

    /// Takes over the first of these blocks, as many as the overlay has room for.
    fn commit_chunk(
        &mut self,
        blocks: &mut VecDeque<(Arc<Block>, CommitCertificate)>,
    ) -> Result<Vec<CommittedBlock>, CommitError> {
        let mut ahead = (*self.view).clone();
        let mut accepted = Vec::new();
        while ahead.has_room()
            && let Some((block, certificate)) = blocks.pop_front()
        {
            if !self.is_next(&ahead, &block, &certificate)? {
                continue;
            }
            let validated = self.validated_on(&ahead, &block)?;
            let certificate = Arc::new(certificate);
            ahead = ahead.with(Arc::new(layer(&validated, certificate.clone(), (0, 0))));
            let height = block.height();
            let validators = [height, height.next(), height.next().next()].map(|height| ahead.validators(height));
            accepted.push((validated, certificate, validators));
        }
        if accepted.is_empty() {
            return Ok(Vec::new());
        }
        let records: Vec<_> =
            accepted.iter().map(|(validated, certificate, _)| (&*validated.block, &**certificate)).collect();
        let spans = self.log.append(&records).map_err(|error: LogError| {
            self.stopped = true;
            CommitError::Log(error)
        })?;
        let mut view = (*self.view).clone();
        let mut committed = Vec::with_capacity(accepted.len());
        for ((validated, certificate, validators), span) in accepted.into_iter().zip(spans) {
            committed.push(CommittedBlock {
                id: validated.id,
                block: validated.block.clone(),
                transactions: validated.effects.transactions.clone(),
                certificate: certificate.clone(),
                validators,
            });
            view = view.with(Arc::new(layer(&validated, certificate, span)));
        }
        self.validated.clear();
        for one in &committed {
            self.verified.forget(bytes_of(&one.block.payload, &one.transactions));
        }
        self.publish(view);
        self.view.application().on_committed(&self.view).map_err(CommitError::Read)?;
        Ok(committed)
    }

    /// True for the next block, false for one that is final here already.
    fn is_next(
        &self,
        ahead: &StateView<A>,
        block: &Block,
        certificate: &CommitCertificate,
    ) -> Result<bool, CommitError> {
        let (height, id, tip) = (block.height(), block.id(), ahead.height());
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
            Some(layer) => Some(layer.effects.state.id),
            None => self.view.block_id(height).map_err(CommitError::Read)?,
        };
        match ours {
            Some(ours) if ours == id => Ok(false),
            Some(ours) => Err(CommitError::Conflict { height, ours, theirs: id }),
            None => Err(CommitError::NotNext { height, tip }),
        }
    }

    /// What the block does, from the cache or validated now. The cache holds blocks on top of the tip only, and is used by id: the id
    /// names the header, which commits to the body that was validated, and that body is what is written.
    fn validated_on(&self, ahead: &StateView<A>, block: &Arc<Block>) -> Result<Arc<ValidatedBlock<A>>, CommitError> {
        let (id, height) = (block.id(), block.height());
        if let Some(validated) = self.validated.iter().find(|validated| validated.id == id) {
            return Ok(validated.clone());
        }
        validate(ahead, block, Signatures::CheckOnce(&self.verified)).map(Arc::new).map_err(|error| match error {
            ValidationError::NotNext { height, tip } => CommitError::NotNext { height, tip },
            ValidationError::Invalid(BlockError::StateCommitment { height, ours, theirs }) => {
                CommitError::StateDiffers { height, ours, theirs }
            }
            // Whoever certified it has a final block below it that is not ours.
            ValidationError::Invalid(BlockError::Parent { found, expected }) => {
                CommitError::Conflict { height: ahead.height(), ours: expected, theirs: found }
            }
            ValidationError::Invalid(source) => CommitError::Invalid { height, id, source: Box::new(source) },
            ValidationError::Read(error) => CommitError::Read(error),
        })
    }
}

pub(crate) fn layer<A: Application>(
    validated: &ValidatedBlock<A>,
    certificate: Arc<CommitCertificate>,
    (position, log_end): (u64, u64),
) -> Layer<A> {
    Layer { block: validated.block.clone(), certificate, effects: validated.effects.clone(), position, log_end }
}
