//! How the block log begins: which format it has, and of which genesis it is.

use timed_primitives::Hash;

/// Its last character is the format.
const FILE_MAGIC: &[u8; 8] = b"TIMEBLK2";
/// What every format begins with. Format 1 had blocks without a history root.
const FILE_MAGIC_NAME: &[u8; 7] = b"TIMEBLK";

/// Bytes of the header: magic, genesis, checksum.
pub(crate) const FILE_HEADER_BYTES: u64 = 44;

/// The header of a genesis.
pub(crate) fn file_header(genesis: Hash) -> Vec<u8> {
    let mut header = FILE_MAGIC.to_vec();
    header.extend(genesis.0);
    header.extend(crc32fast::hash(&header).to_be_bytes());
    header
}

/// The genesis a whole file header names.
pub(crate) fn genesis_of(header: &[u8]) -> Option<Hash> {
    let genesis = Hash(header.get(8..40)?.try_into().ok()?);
    (header == file_header(genesis)).then_some(genesis)
}

/// The format of a whole header of another format, and ours; `None` for what is no such header.
pub(crate) fn other_format(header: &[u8]) -> Option<(char, char)> {
    let (covered, crc) = header.split_last_chunk::<4>()?;
    let format = |magic: &[u8]| magic.strip_prefix(FILE_MAGIC_NAME)?.first().map(|format| char::from(*format));
    let (found, expected) = (format(covered)?, format(FILE_MAGIC)?);
    let is_whole = *crc == crc32fast::hash(covered).to_be_bytes();
    (is_whole && found != expected).then_some((found, expected))
}
