//! The form of batches before there were pages. It is read, so that a node goes on where an older version stopped, and never written: what
//! is found of the newest generation is written anew, in pages, into the other file.
//!
//! ```text
//! batch, at a multiple of 64 bytes; integers little endian:
//!   "TIMEjrnl" | generation u64 | sequence u64 | height u64 | payload length u32 | crc32 u32 | payload | zeros
//! ```
//! The checksum covers generation to length, and the payload.

use super::pages::Batch;
use timed_primitives::Height;

const MAGIC: &[u8; 8] = b"TIMEjrnl";
const HEADER: usize = 40;
const ALIGNMENT: usize = 64;

/// All intact batches of any generation, in order of position. What lies inside an intact batch is not searched.
pub(super) fn batches(content: &[u8]) -> Vec<Batch> {
    let (mut found, mut offset) = (Vec::new(), 0);
    while offset + HEADER <= content.len() {
        match batch_at(content, offset) {
            Some(batch) => {
                offset = batch.end;
                found.push(batch);
            }
            None => offset += ALIGNMENT,
        }
    }
    found
}

fn batch_at(content: &[u8], offset: usize) -> Option<Batch> {
    let header = content.get(offset..offset + HEADER)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let short = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let length = usize::try_from(short(32)?).ok()?;
    let start = offset + HEADER;
    let end = start.checked_add(length)?;
    let payload = content.get(start..end)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(8..36)?);
    hasher.update(payload);
    (hasher.finalize() == short(36)?).then_some(Batch {
        offset,
        end: end.next_multiple_of(ALIGNMENT),
        generation: number(8)?,
        sequence: number(16)?,
        height: Height(number(24)?),
        payload: payload.to_vec(),
    })
}

/// The batches of the highest generation in a file. The position where one is missing before a whole one.
pub(super) fn newest(content: &[u8]) -> Option<(u64, Result<Vec<Batch>, usize>)> {
    let found = batches(content);
    let generation = found.iter().map(|batch| batch.generation).max()?;
    let (mut chain, mut end): (Vec<Batch>, usize) = (Vec::new(), 0);
    for batch in found.into_iter().filter(|batch| batch.generation == generation) {
        if batch.offset != end || batch.sequence != chain.len() as u64 {
            return Some((generation, Err(end)));
        }
        end = batch.end;
        chain.push(batch);
    }
    Some((generation, Ok(chain)))
}
