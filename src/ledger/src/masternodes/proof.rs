//! One entry of the list, proved by a header alone.

use crate::masternodes::entry::ListEntry;
use crate::masternodes::list::MasternodeList;
use crate::masternodes::registration::RegistrationId;
use borsh::{BorshDeserialize, BorshSerialize};
use timed_primitives::{Hash, merkle};

/// An entry and its place in the list whose root a header names. Size: 116 bytes of the entry, and 32·⌈log2 n⌉ for n masternodes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MasternodeProof {
    /// The entry.
    pub entry: ListEntry,
    /// Its position, from 0.
    pub position: u32,
    /// How many entries the list has.
    pub count: u32,
    /// The hashes beside the path to the root, from the entry upward.
    pub path: Vec<Hash>,
}

/// The proof does not lead to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {id} at position {position} of {count} does not lead to masternode root {root}")]
pub struct MasternodeProofError {
    /// Whose entry.
    pub id: RegistrationId,
    /// Where it would be.
    pub position: u32,
    /// Of how many.
    pub count: u32,
    /// What the header names.
    pub root: Hash,
}

impl MasternodeProof {
    /// Of a masternode of the list.
    pub fn of(list: &MasternodeList, id: &RegistrationId) -> Option<Self> {
        let entries: Vec<_> = list.iter().map(super::entry::Masternode::entry).collect();
        let position = entries.iter().position(|entry| entry.id == *id)?;
        let leaves: Vec<_> = entries.iter().map(ListEntry::leaf).collect();
        Some(Self {
            entry: entries[position],
            position: u32::try_from(position).ok()?,
            count: u32::try_from(entries.len()).ok()?,
            path: merkle::path(&leaves, position)?,
        })
    }

    /// Whether the list with this root has the entry.
    ///
    /// # Errors
    /// [`MasternodeProofError`].
    pub fn verify(&self, root: &Hash) -> Result<(), MasternodeProofError> {
        let [position, count] = [self.position, self.count].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        if merkle::verify_path(&self.entry.leaf(), position, count, &self.path, root) {
            return Ok(());
        }
        Err(MasternodeProofError { id: self.entry.id, position: self.position, count: self.count, root: *root })
    }
}
