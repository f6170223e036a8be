//! What survives a crash: journal and guard, and the rule that nothing leaves the node before both are synced.

use crate::error::{CoreOpenError, FatalError};
use crate::guard::{Guard, Memory};
use crate::journal::{Journal, JournalEntry};
use crate::signing::TwinFound;
use crate::statement::{SignedRecord, SignedStep, Statement};
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{BlockId, Disk, Height, PayloadFormat, PublicKey};

/// Free bytes of the journal below which nothing more is signed at a height: one step writes at most a block and some votes.
const JOURNAL_RESERVE: u64 = 4 << 20;

/// See the module.
pub(crate) struct Durable {
    journal: Journal,
    guard: Guard,
    /// What the journal held at open of the height after the tip, until that height begins.
    replay: Vec<JournalEntry>,
    /// Whether something that this call gives out follows from what is not synced yet.
    is_flush_due: bool,
    reserve: u64,
}

/// What was found at open.
pub(crate) struct Opened {
    /// The last thing signed, with what the journal adds to it; `None` when the guard was missing, whatever the journal holds.
    pub(crate) signed: Option<SignedRecord>,
    /// Whether journal or chain explain the guard.
    pub(crate) is_explained: bool,
}

/// How the journal's files are made.
pub(crate) struct JournalSize {
    /// They grow in steps of this size. Unit: bytes.
    pub(crate) step_bytes: u64,
    /// The largest of one height. Unit: bytes.
    pub(crate) bytes_max: u64,
}

impl Durable {
    /// Opens both. `height` is the one after the tip, `me` the key with which this node signs.
    pub(crate) fn open(
        disk: &dyn Disk,
        size: JournalSize,
        format: PayloadFormat,
        height: Height,
        me: Option<PublicKey>,
    ) -> Result<(Self, Opened), CoreOpenError> {
        let (journal, recovered) = Journal::open(disk, size.step_bytes, size.bytes_max, format)?;
        let mut guard = Guard::open(disk)?;
        // Also of a height that is decided by now.
        let signed: Vec<_> = recovered.iter().flat_map(|r| &r.entries).filter_map(|e| signed_by(e, me)).collect();
        let found = recovered.as_ref().map(|r| r.height);
        let replay = recovered.filter(|r| r.height == height).map_or_else(Vec::new, |r| r.entries);
        let last = guard.last();
        let is_signed = |g: &SignedRecord| g.height == height && signed.contains(g);
        // What was signed at a decided height is in the journal, or what came after it.
        let is_behind =
            |g: &SignedRecord| g.height < height && (g.step == SignedStep::Decided || found >= Some(g.height));
        let is_explained = last.is_none_or(|g| !journal.is_new() && (is_signed(&g) || is_behind(&g)));
        // The journal is synced before the guard is written, so it may be ahead.
        signed.into_iter().for_each(|record| guard.note_signed(record));
        guard.secure()?;
        let opened = Opened { signed: last.and(guard.last()), is_explained };
        let reserve = JOURNAL_RESERVE.min(size.bytes_max / 4);
        Ok((Self { journal, guard, replay, is_flush_due: false, reserve }, opened))
    }

    /// For a step of the engine, which notes what it signs.
    pub(crate) fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }

    /// See [`Guard::is_original`].
    pub(crate) fn is_original(&self) -> bool {
        self.guard.is_original()
    }

    /// Who was found to sign with our key, until the operator clears it.
    pub(crate) fn twin(&self) -> Option<TwinFound> {
        self.guard.stop()
    }

    /// The last thing signed, as far as the guard knows.
    pub(crate) fn last_signed(&self) -> Option<SignedRecord> {
        self.guard.last()
    }

    /// Whether this process made the statement.
    pub(crate) fn remembers(&self, record: &SignedRecord) -> Memory {
        self.guard.remembers(record)
    }

    /// Remembers what was signed, or decided, by whomever, if it comes after the last one.
    pub(crate) fn note(&mut self, record: SignedRecord) {
        self.guard.note(record);
        self.flush_before_return();
    }

    /// This node signs from here on: the guard's file is its own.
    pub(crate) fn adopt(&mut self) {
        self.guard.adopt();
    }

    /// Memory is in doubt: nobody shall take the guard's file for an original.
    pub(crate) fn disown(&mut self) {
        self.guard.disown();
        self.flush_before_return();
    }

    /// Another node signs with our key.
    pub(crate) fn stop(&mut self, found: TwinFound) {
        self.guard.set_stop(found);
        self.flush_before_return();
    }

    /// A height begins: what was pending of another is dropped.
    pub(crate) fn begin(&mut self, height: Height) {
        if self.journal.height() != height {
            self.journal.begin(height);
        }
    }

    /// Adds an entry to the next batch.
    pub(crate) fn push(&mut self, entry: &JournalEntry) {
        self.journal.push(entry);
    }

    /// Whether a whole step fits into the journal.
    pub(crate) fn has_room(&self) -> bool {
        self.journal.room() >= self.reserve
    }

    /// Leaves out the blocks that are not needed. Whether there is room then.
    pub(crate) fn make_room(&mut self, is_needed: impl Fn(&BlockId) -> bool) -> Result<bool, FatalError> {
        // The other file may hold what was signed at the height before.
        self.guard.sync_written()?;
        self.journal.compact(is_needed)?;
        Ok(self.has_room())
    }

    /// What is pending is synced before this call of the core returns.
    pub(crate) fn flush_before_return(&mut self) {
        self.is_flush_due = true;
    }

    /// The journal first: see [`crate::guard`]. Where it begins a height, what was signed at the one before is durable in the guard.
    pub(crate) fn flush_if_due(&mut self) -> Result<(), FatalError> {
        if self.is_flush_due && !is_planted(Bug::PublishBeforeSync) {
            if is_planted(Bug::GuardBeforeJournal) {
                self.guard.flush()?;
            }
            if self.journal.begins() {
                self.guard.sync_written()?;
            }
            self.journal.flush()?;
            self.guard.flush()?;
            self.is_flush_due = false;
        }
        Ok(())
    }

    /// What the guard was given and need not have made durable yet.
    pub(crate) fn sync_guard(&mut self) -> Result<(), FatalError> {
        Ok(self.guard.sync_written()?)
    }

    /// What was found of the height that begins; the second time nothing.
    pub(crate) fn take_replay(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.replay)
    }

    /// The height whose entries were found is decided.
    pub(crate) fn on_committed(&mut self) {
        self.replay.clear();
    }

    /// What a validator signed, among what is still to be replayed.
    pub(crate) fn replayed_by(&self, signer: &PublicKey) -> impl Iterator<Item = Statement> {
        self.replay.iter().filter_map(JournalEntry::statement).filter(|statement| statement.signer() == *signer)
    }
}

/// What `me` signed, if this entry is it.
fn signed_by(entry: &JournalEntry, me: Option<PublicKey>) -> Option<SignedRecord> {
    entry.statement().filter(|statement| Some(statement.signer()) == me).map(|statement| statement.record())
}
