//! What journal and guard hold, read beside a node at rest: nothing is made, changed or cut.
//!
//! Everything intact is read, also what older generations left behind in the files. [`Statements`] gathers what keys signed, from
//! any number of folders and certificates, and finds the place for which a key signed two things.

use crate::certificate::polka_votes;
use crate::guard::{GUARD_FILE, GuardError, decode_slot, read_slots};
use crate::journal::{Batch, JOURNAL_FILES, JournalEntry, JournalError, batches, decode_entries, newest};
use crate::statement::{SignedRecord, SignedStep, Statement};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use timed_primitives::{ChainId, Disk, DiskFile, DoubleSign, Height, PayloadFormat, PublicKey, Round};

/// An intact batch of a journal file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalBatch {
    /// The file.
    pub file: &'static str,
    /// Where it lies. Unit: bytes.
    pub offset: u64,
    /// Its generation; the newest counts at a start.
    pub generation: u64,
    /// Its height.
    pub height: Height,
    /// Votes and proposals in order, those inside certificates included.
    pub statements: Vec<Statement>,
    /// How many undecided blocks it holds.
    pub blocks: usize,
}

/// What both journal files hold.
#[derive(Debug)]
pub struct JournalContents {
    /// All that is intact, by file and position.
    pub batches: Vec<JournalBatch>,
    /// Generation and height with which a node would start; `None` without any, and when that generation is damaged.
    pub newest: Option<(u64, Height)>,
    /// Why a node would refuse to start.
    pub damage: Option<JournalError>,
}

/// Reads both journal files. A missing file counts as empty.
///
/// # Errors
/// [`JournalError::Io`] when the disk refuses. Damage is no error here, but part of the answer.
pub fn read_journal(disk: &dyn Disk, format: PayloadFormat) -> Result<JournalContents, JournalError> {
    let content = |file| read_whole(disk, file).map_err(|source| JournalError::Io { file, source });
    let contents = [content(JOURNAL_FILES[0])?, content(JOURNAL_FILES[1])?];
    let (newest, damage) = match newest(&contents, format) {
        Ok(newest) => (newest.map(|n| (n.generation, n.height)), None),
        Err(damage) => (None, Some(damage)),
    };
    let read = |(file, content): (_, &Vec<u8>)| batches_in(file, content, format);
    let batches = JOURNAL_FILES.into_iter().zip(&contents).flat_map(read).collect();
    Ok(JournalContents { batches, newest, damage })
}

/// The intact batches in a piece of a journal file that begins where a batch may.
pub fn batches_in(file: &'static str, content: &[u8], format: PayloadFormat) -> Vec<JournalBatch> {
    let read = |batch: Batch| {
        let entries = decode_entries(&batch.payload, format)?;
        Some(JournalBatch {
            file,
            offset: batch.offset as u64,
            generation: batch.generation,
            height: batch.height,
            blocks: entries.iter().filter(|entry| matches!(entry, JournalEntry::Block(_))).count(),
            statements: entries.iter().flat_map(statements_in).collect(),
        })
    };
    batches(content).into_iter().filter_map(read).collect()
}

fn statements_in(entry: &JournalEntry) -> Vec<Statement> {
    match entry {
        JournalEntry::Polka(polka) => polka_votes(polka).map(Statement::Vote).collect(),
        other => other.statement().into_iter().collect(),
    }
}

/// Reads the guard: what its two slots hold, the newer one first; `None` for one that is empty or torn, or without a file.
///
/// # Errors
/// [`GuardError`] when the disk refuses.
pub fn read_guard(disk: &dyn Disk) -> Result<[Option<SignedRecord>; 2], GuardError> {
    let refused = |source| GuardError { source };
    let Some(file) = open(disk, GUARD_FILE).map_err(refused)? else { return Ok([None, None]) };
    let mut slots = match read_slots(&*file) {
        // A file that was only just made has no slots.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => [None, None],
        slots => slots.map_err(refused)?,
    };
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.as_ref().map(|slot| slot.sequence)));
    Ok(slots.map(|slot| slot.map(|slot| slot.record)))
}

/// What a slot of the guard holds, from its bytes; `None` when it is empty or torn.
pub fn guard_record(slot: &[u8]) -> Option<SignedRecord> {
    decode_slot(slot).map(|slot| slot.record)
}

fn open(disk: &dyn Disk, name: &str) -> io::Result<Option<Arc<dyn DiskFile>>> {
    match disk.open(name) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_whole(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let Some(file) = open(disk, name)? else { return Ok(Vec::new()) };
    let mut content = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_at(0, &mut content)?;
    Ok(content)
}

/// A statement whose signature is not by its alleged signer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature of {signer} under a {record} is invalid: what held it is damaged or forged")]
pub struct ForgedStatement {
    /// The alleged signer.
    pub signer: PublicKey,
    /// What it is said to have signed.
    pub record: SignedRecord,
}

/// What keys signed, from wherever it was read: one value for each key and place. Grows with what is added; the caller bounds that.
#[derive(Clone, Debug)]
pub struct Statements {
    chain: ChainId,
    held: BTreeMap<(PublicKey, Height, Round, SignedStep), Statement>,
}

impl Statements {
    /// None yet, of one chain.
    pub const fn new(chain: ChainId) -> Self {
        Self { chain, held: BTreeMap::new() }
    }

    /// Adds a statement. Two different ones of a key for one place are returned as evidence against it.
    ///
    /// # Errors
    /// [`ForgedStatement`]; it is not added.
    pub fn add(&mut self, statement: Statement) -> Result<Option<DoubleSign>, ForgedStatement> {
        let (signer, record) = (statement.signer(), statement.record());
        let held = self.held.get(&(signer, record.height, record.round, record.step));
        if held.is_some_and(|held| held.record() == record) {
            return Ok(None);
        }
        if !statement.is_signed(self.chain) {
            return Err(ForgedStatement { signer, record });
        }
        let evidence = match (held, statement) {
            (None, statement) => {
                self.held.insert((signer, record.height, record.round, record.step), statement);
                None
            }
            (Some(Statement::Vote(held)), Statement::Vote(other)) => Some(DoubleSign::of_votes(held.clone(), other)),
            (Some(Statement::Proposal(held)), Statement::Proposal(other)) => {
                Some(DoubleSign::of_proposals(held.clone(), other))
            }
            // The step is part of the place, and distinguishes votes from proposals.
            (Some(_), _) => None,
        };
        Ok(evidence)
    }

    /// What a key signed at a place.
    pub fn get(&self, signer: PublicKey, height: Height, round: Round, step: SignedStep) -> Option<&Statement> {
        self.held.get(&(signer, height, round, step))
    }

    /// Forgets what a key signed at a place: with the only disk that held it, it is gone.
    pub fn forget(&mut self, signer: PublicKey, height: Height, round: Round, step: SignedStep) {
        self.held.remove(&(signer, height, round, step));
    }

    /// All, by signer and place.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Statement> {
        self.held.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guard;
    use crate::journal::Journal;
    use timed_primitives::vote::{proposal_signing_bytes, vote_signing_bytes};
    use timed_primitives::{
        BlockId, CommitSignature, Hash, MemoryDisk, PolkaCertificate, Proposal, SecretKey, Signature, Vote, VoteKind,
    };

    const CHAIN: ChainId = ChainId(9);

    fn vote(id: u64, height: u64, kind: VoteKind, block: Option<u8>) -> Vote {
        let key = SecretKey::development("consensus", id);
        let (height, round, block) = (Height(height), Round(0), block.map(|b| BlockId(Hash([b; 32]))));
        let signature = key.sign(&vote_signing_bytes(CHAIN, kind, height, round, block, &key.public()));
        Vote { kind, height, round, block, validator: key.public(), signature }
    }

    fn proposal(block: u8, valid_round: Option<u32>) -> Proposal {
        let key = SecretKey::development("consensus", 1);
        let (height, round, block) = (Height(5), Round(3), BlockId(Hash([block; 32])));
        let (valid_round, proposer) = (valid_round.map(Round), key.public());
        let signature = key.sign(&proposal_signing_bytes(CHAIN, height, round, block, valid_round, &proposer));
        Proposal { height, round, block, valid_round, proposer, signature }
    }

    /// Heights 5 and 6, the second with two batches.
    fn written() -> MemoryDisk {
        let disk = MemoryDisk::default();
        let (mut journal, _) = Journal::open(&disk, 8192, 1 << 20, PayloadFormat::EMPTY).unwrap();
        let prevote = vote(2, 6, VoteKind::Prevote, Some(1));
        let polka = PolkaCertificate {
            height: Height(6),
            round: Round(0),
            block: prevote.block.unwrap(),
            signatures: vec![CommitSignature { validator: prevote.validator, signature: prevote.signature }],
        };
        for (height, entry) in [
            (5, JournalEntry::Vote(vote(1, 5, VoteKind::Precommit, None))),
            (6, JournalEntry::Proposal(proposal(1, None))),
            (6, JournalEntry::Polka(polka)),
        ] {
            if journal.height() != Height(height) {
                journal.begin(Height(height));
            }
            journal.push(&entry);
            journal.flush().unwrap();
        }
        disk
    }

    fn contents(disk: &MemoryDisk) -> Vec<Vec<u8>> {
        JOURNAL_FILES.iter().map(|file| read_whole(disk, file).unwrap()).collect()
    }

    #[test]
    fn a_journal_is_read_with_all_its_generations_and_left_as_it_is() {
        let disk = written();
        let before = contents(&disk);
        let read = read_journal(&disk, PayloadFormat::EMPTY).unwrap();
        assert_eq!(read.newest, Some((2, Height(6))));
        assert!(read.damage.is_none());
        let found: Vec<_> = read.batches.iter().map(|b| (b.file, b.offset == 0, b.generation, b.height.0)).collect();
        assert_eq!(found, [("journal-a", true, 2, 6), ("journal-a", false, 2, 6), ("journal-b", true, 1, 5)]);
        assert_eq!(read.batches[1].statements, [Statement::Vote(vote(2, 6, VoteKind::Prevote, Some(1)))]);
        assert_eq!(contents(&disk), before);
    }

    #[test]
    fn damage_and_a_torn_tail_are_distinguished_and_nothing_is_cut() {
        let disk = written();
        let second = read_journal(&disk, PayloadFormat::EMPTY).unwrap().batches[1].offset as usize;
        // One copy of two, then both.
        disk.damage(JOURNAL_FILES[0], |bytes| bytes[second + 45] ^= 1).unwrap();
        assert_eq!(read_journal(&disk, PayloadFormat::EMPTY).unwrap().batches.len(), 3);
        disk.damage(JOURNAL_FILES[0], |bytes| bytes[second + 4096 + 45] ^= 1).unwrap();
        let before = contents(&disk);
        let torn = read_journal(&disk, PayloadFormat::EMPTY).unwrap();
        assert_eq!((torn.newest, torn.batches.len()), (Some((2, Height(6))), 2));
        assert!(torn.damage.is_none());

        disk.damage(JOURNAL_FILES[0], |bytes| {
            bytes[second + 45] ^= 1;
            [45, 4096 + 45].iter().for_each(|at| bytes[*at] ^= 1);
        })
        .unwrap();
        let damaged = read_journal(&disk, PayloadFormat::EMPTY).unwrap();
        assert!(matches!(damaged.damage, Some(JournalError::Damaged { file: "journal-a", offset: 0 })));
        assert_eq!((damaged.newest, damaged.batches.len()), (None, 2));
        assert_eq!(contents(&disk)[1], before[1]);
    }

    #[test]
    fn the_guard_is_read_newest_first() {
        let disk = MemoryDisk::default();
        assert_eq!(read_guard(&disk).unwrap(), [None, None]);
        let mut guard = Guard::open(&disk).unwrap();
        assert_eq!(read_guard(&disk).unwrap(), [None, None]);
        let records = [5, 6, 7].map(|height| SignedRecord::of_vote(&vote(1, height, VoteKind::Prevote, None)));
        for (known, record) in records.iter().enumerate() {
            guard.note(*record);
            guard.flush().unwrap();
            let before = known.checked_sub(1).map(|at| records[at]);
            assert_eq!(read_guard(&disk).unwrap(), [Some(*record), before]);
        }
    }

    #[test]
    fn a_second_value_for_a_place_is_evidence_and_a_forgery_is_not() {
        let mut statements = Statements::new(CHAIN);
        let first = vote(1, 5, VoteKind::Prevote, Some(1));
        let others = [
            vote(1, 5, VoteKind::Precommit, Some(2)),
            vote(2, 5, VoteKind::Prevote, None),
            vote(1, 6, VoteKind::Prevote, None),
        ];
        for fine in [first.clone(), first.clone()].into_iter().chain(others) {
            assert_eq!(statements.add(Statement::Vote(fine)), Ok(None));
        }
        assert_eq!(statements.iter().len(), 4);
        for second in [vote(1, 5, VoteKind::Prevote, Some(2)), vote(1, 5, VoteKind::Prevote, None)] {
            let evidence = DoubleSign::of_votes(first.clone(), second.clone());
            assert_eq!(statements.add(Statement::Vote(second.clone())), Ok(Some(evidence)));
            let forged = Vote { signature: Signature([1; 64]), ..second };
            let record = SignedRecord::of_vote(&forged);
            assert_eq!(
                statements.add(Statement::Vote(forged)),
                Err(ForgedStatement { signer: first.validator, record })
            );
        }
        assert_eq!(statements.add(Statement::Proposal(proposal(1, None))), Ok(None));
        for second in [proposal(2, None), proposal(1, Some(1))] {
            assert!(matches!(statements.add(Statement::Proposal(second)), Ok(Some(DoubleSign::Proposals(..)))));
        }
        let held = statements.get(first.validator, Height(5), Round(0), SignedStep::Prevote);
        assert_eq!(held, Some(&Statement::Vote(first)));
    }
}
