//! Batches of the journal as pages of 4,096 bytes.
//!
//! ```text
//! page, at a multiple of 4,096 bytes; integers little endian:
//!   "TIMEjrn2" | generation u64 | sequence of the batch u64 | height u64 | length of the batch's payload u32
//!   | number of the page u32 | crc32 u32, of generation to number and of the part | part of the payload, 4,052 bytes at most | zeros
//! ```
//! A batch is as many pages as its payload needs, one at least, numbered from 0. One of [`DOUBLED_PAGES_MAX`] at most stands twice, the second
//! time with numbers that go on: written at once and synced once, in separate sectors, so that a sector that is spoiled later takes nothing.
//!
//! Only starts of pages are interpreted, and what stands there is ours: no payload that somebody else made can look like a batch.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use timed_primitives::Height;
use timed_primitives::planted::{Bug, is_planted};

/// Unit: bytes.
pub(super) const PAGE: usize = 4096;
const MAGIC: &[u8; 8] = b"TIMEjrn2";
const HEADER: usize = 44;
/// The largest batch that stands twice: with a block of some hundred payments. Writing a larger one again takes longer than another sync.
pub(super) const DOUBLED_PAGES_MAX: usize = 16;

/// Where a batch belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchPlace {
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) height: Height,
}

/// A batch that is whole, in one of its copies or both together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) offset: usize,
    /// Where the next one starts.
    pub(super) end: usize,
    pub(crate) generation: u64,
    pub(super) sequence: u64,
    pub(crate) height: Height,
    pub(crate) payload: Vec<u8>,
}

/// An intact page.
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) generation: u64,
    sequence: u64,
    height: Height,
    length: usize,
    number: usize,
    part: Range<usize>,
}

/// Pages of a payload that stands once.
fn pages_of(length: usize) -> usize {
    length.div_ceil(PAGE - HEADER).max(1)
}

/// Whether a payload of this length stands twice.
pub(super) fn is_doubled(length: usize) -> bool {
    pages_of(length) <= DOUBLED_PAGES_MAX
}

/// What a batch takes in the file. Unit: bytes.
pub(super) fn size_of(length: usize) -> usize {
    let copies = if is_doubled(length) { 2 } else { 1 };
    pages_of(length) * PAGE * copies
}

/// The bytes of a batch.
pub(super) fn encode(place: BatchPlace, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let size = size_of(payload.len());
    let written = if is_planted(Bug::JournalStandsOnce) { pages_of(payload.len()) * PAGE } else { size };
    let mut bytes = Vec::with_capacity(written);
    let empty: &[u8] = &[];
    while bytes.len() < written {
        let parts = payload.chunks(PAGE - HEADER).chain(payload.is_empty().then_some(empty));
        for part in parts {
            let start = bytes.len();
            bytes.extend(MAGIC);
            bytes.extend(place.generation.to_le_bytes());
            bytes.extend(place.sequence.to_le_bytes());
            bytes.extend(place.height.0.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend(u32::try_from(start / PAGE).map_err(io::Error::other)?.to_le_bytes());
            bytes.extend(checksum(&bytes[start + 8..], part).to_le_bytes());
            bytes.extend(part);
            bytes.resize(start + PAGE, 0);
        }
    }
    Ok(bytes)
}

fn checksum(head: &[u8], part: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(part);
    hasher.finalize()
}

/// All intact pages, in order of position.
pub(super) fn scan(content: &[u8]) -> Vec<Page> {
    (0..content.len()).step_by(PAGE).filter_map(|offset| page_at(content, offset)).collect()
}

fn page_at(content: &[u8], offset: usize) -> Option<Page> {
    let header = content.get(offset..offset + HEADER)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let short = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (length, page) = (usize::try_from(short(32)?).ok()?, usize::try_from(short(36)?).ok()?);
    let before = (page % pages_of(length)) * (PAGE - HEADER);
    let start = offset + HEADER;
    let part = start..start + length.checked_sub(before)?.min(PAGE - HEADER);
    let is_intact = checksum(header.get(8..40)?, content.get(part.clone())?) == short(40)?;
    is_intact.then_some(Page {
        offset,
        generation: number(8)?,
        sequence: number(16)?,
        height: Height(number(24)?),
        length,
        number: page,
        part,
    })
}

/// All whole batches of any generation, in order of position.
pub(super) fn batches(content: &[u8], pages: &[Page]) -> Vec<Batch> {
    let mut groups: BTreeMap<(u64, u64), Vec<&Page>> = BTreeMap::new();
    pages.iter().for_each(|page| groups.entry((page.generation, page.sequence)).or_default().push(page));
    let mut found: Vec<_> = groups.values().filter_map(|group| whole(content, group)).collect();
    found.sort_by_key(|batch| batch.offset);
    found
}

/// The batch of these pages, if each of its parts is there at least once, where it belongs.
fn whole(content: &[u8], group: &[&Page]) -> Option<Batch> {
    let first = group.first()?;
    let (length, height) = (first.length, first.height);
    let offset = first.offset.checked_sub(first.number.checked_mul(PAGE)?)?;
    let (once, size) = (pages_of(length), size_of(length));
    if once * PAGE > content.len() {
        return None;
    }
    let mut parts = vec![None; once];
    let belongs = |page: &&&Page| {
        (page.length, page.height) == (length, height)
            && page.number < size / PAGE
            && page.offset == offset + page.number * PAGE
    };
    group.iter().filter(belongs).for_each(|page| parts[page.number % once] = Some(&page.part));
    let mut payload = Vec::with_capacity(length);
    for part in parts {
        payload.extend(&content[part?.clone()]);
    }
    let (generation, sequence) = (first.generation, first.sequence);
    Some(Batch { offset, end: offset + size, generation, sequence, height, payload })
}

/// The batches of the highest generation in a file; `None` when only its first one is there, and torn. The position where one is not whole though
/// a later one has left something: that one was written after this one's sync.
pub(super) fn newest(content: &[u8], pages: &[Page]) -> Option<(u64, Result<Vec<Batch>, usize>)> {
    let generation = pages.iter().map(|page| page.generation).max()?;
    let (mut chain, mut end): (Vec<Batch>, usize) = (Vec::new(), 0);
    for batch in batches(content, pages).into_iter().filter(|batch| batch.generation == generation) {
        if batch.offset == end && batch.sequence == chain.len() as u64 {
            end = batch.end;
            chain.push(batch);
        }
    }
    let is_later = |page: &Page| page.generation == generation && page.sequence > chain.len() as u64;
    match pages.iter().any(is_later) {
        true => Some((generation, Err(end))),
        false if chain.is_empty() => None,
        false => Some((generation, Ok(chain))),
    }
}
