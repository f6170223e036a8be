//! The address book over restarts: one file, written whole, and read as what somebody else may have written.

use crate::peer_files::{PeerFileError, PeerFiles};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use timed_peer::AddressRecord;
use timed_peer::addresses::{KeptAddress, RecordSource};
use timed_primitives::{ChainId, PublicKey, UnixTime};
use timed_rpc::Text;
use timed_store::write_durably;

/// Where other nodes can be reached, as JSON.
const ADDRESSES: &str = "peers.json";
/// Where a file goes that cannot be read. The one before it is overwritten.
const ADDRESSES_DAMAGED: &str = "peers.json.damaged";
/// Longest file that is read; a full address book takes some 9,200 records of seven hundred. Unit: bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// An address record as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptLine {
    /// Canonical bytes with the signature, in hexadecimal digits.
    record: String,
    source_key: Text<PublicKey>,
    source_ip: IpAddr,
    /// Unit: milliseconds since 1970. None: not reached yet.
    reached_ms: Option<u64>,
    is_validator: bool,
}

/// What was found in the file.
#[derive(Debug, Default)]
pub struct FoundAddresses {
    /// Records with good signatures.
    pub kept: Vec<KeptAddress>,
    /// Records that are none, are of another chain, or were not signed by the node they name.
    pub bad: usize,
}

/// The file is no list of records.
#[derive(Debug, thiserror::Error)]
enum AddressFileDamage {
    #[error("it is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl PeerFiles {
    /// The address book of earlier runs. A file that cannot be understood is put aside and said so: the node starts without it, and
    /// finds its neighbours by its configured peers.
    ///
    /// # Errors
    /// [`PeerFileError::Io`] when the system refuses to read or move the file.
    pub fn addresses(&self, chain_id: ChainId) -> Result<FoundAddresses, PeerFileError> {
        let path = self.file(ADDRESSES);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FoundAddresses::default()),
            Err(error) => return Err(self.failed(ADDRESSES)(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(self.failed(ADDRESSES))?;
        match read(chain_id, &bytes) {
            Ok(found) => {
                if found.bad > 0 {
                    tracing::warn!(
                        file = %path.display(), bad = found.bad, good = found.kept.len(),
                        "addresses that are not signed by their nodes were left out"
                    );
                }
                Ok(found)
            }
            Err(damage) => {
                let aside = self.file(ADDRESSES_DAMAGED);
                tracing::error!(
                    file = %path.display(), aside = %aside.display(), %damage,
                    "the address book is damaged and put aside; starting with an empty one"
                );
                fs::rename(&path, &aside).map_err(self.failed(ADDRESSES))?;
                Ok(FoundAddresses::default())
            }
        }
    }

    /// Keeps this address book in place of the last.
    ///
    /// # Errors
    /// [`PeerFileError::Io`]; the file is as it was.
    pub fn keep_addresses(&self, kept: &[KeptAddress]) -> Result<(), PeerFileError> {
        if self.is_left() {
            return Ok(());
        }
        let lines = kept.iter().map(|kept| KeptLine {
            record: hex::encode(kept.record.encode()),
            source_key: kept.source.key.into(),
            source_ip: kept.source.ip,
            reached_ms: kept.reached.map(|at| at.0),
            is_validator: kept.is_validator,
        });
        let text =
            serde_json::to_string_pretty(&lines.collect::<Vec<_>>()).map_err(|e| self.failed(ADDRESSES)(e.into()))?;
        write_durably(&self.file(ADDRESSES), &text).map_err(self.failed(ADDRESSES))
    }
}

fn read(chain_id: ChainId, bytes: &[u8]) -> Result<FoundAddresses, AddressFileDamage> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(AddressFileDamage::TooLong);
    }
    let lines: Vec<KeptLine> = serde_json::from_slice(bytes)?;
    let count = lines.len();
    let kept: Vec<_> = lines
        .into_iter()
        .filter_map(|line| {
            let record = AddressRecord::decode(chain_id, &hex::decode(&line.record).ok()?).ok()?;
            let source = RecordSource { key: line.source_key.0, ip: line.source_ip };
            Some(KeptAddress {
                record,
                source,
                reached: line.reached_ms.map(UnixTime),
                is_validator: line.is_validator,
            })
        })
        .collect();
    Ok(FoundAddresses { bad: count - kept.len(), kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::SecretKey;

    const CHAIN: ChainId = ChainId(9);

    fn kept(id: u64, reached: Option<u64>) -> KeptAddress {
        let key = SecretKey::development("node", id);
        let record =
            AddressRecord::sign(&key, CHAIN, &format!("10.0.0.{id}:7000"), UnixTime(1_700_000_000_000)).unwrap();
        let source = RecordSource { key: SecretKey::development("node", 99).public(), ip: [10, 0, 0, 99].into() };
        KeptAddress { record, source, reached: reached.map(UnixTime), is_validator: id == 1 }
    }

    #[test]
    fn the_address_book_comes_back_and_what_nobody_signed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = PeerFiles::new(folder.path());
        assert!(files.addresses(CHAIN).unwrap().kept.is_empty());
        let all = [kept(1, Some(7)), kept(2, None), kept(3, None)];
        files.keep_addresses(&all).unwrap();
        assert_eq!(files.addresses(CHAIN).unwrap().kept, all);
        let other = files.addresses(ChainId(8)).unwrap();
        assert_eq!((other.kept.len(), other.bad), (0, 3), "records of another chain");
        // Somebody sends us elsewhere: 10.0.0.2 becomes 10.0.0.7.
        let text = fs::read_to_string(files.file(ADDRESSES)).unwrap();
        let forged = text.replace(&hex::encode("10.0.0.2:"), &hex::encode("10.0.0.7:"));
        assert_ne!(forged, text);
        fs::write(files.file(ADDRESSES), forged).unwrap();
        let found = files.addresses(CHAIN).unwrap();
        assert_eq!((found.kept, found.bad), (vec![kept(1, Some(7)), kept(3, None)], 1));
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let files = PeerFiles::new(folder.path());
        files.keep_addresses(&[kept(1, None)]).unwrap();
        let whole = fs::read(files.file(ADDRESSES)).unwrap();
        let mut broken =
            vec![whole[..whole.len() / 2].to_vec(), b"[{\"record\": 7}]".to_vec(), vec![0xff; 100], Vec::new()];
        // All of it is sound, but there is too much.
        let blanks = FILE_BYTES_MAX as usize + 1 - whole.len();
        broken.push([&whole[..], &vec![b' '; blanks]].concat());
        for bytes in broken {
            fs::write(files.file(ADDRESSES), &bytes).unwrap();
            assert!(files.addresses(CHAIN).unwrap().kept.is_empty());
            assert_eq!(fs::read(files.file(ADDRESSES_DAMAGED)).unwrap(), bytes);
            assert!(!files.file(ADDRESSES).exists());
        }
        files.keep_addresses(&[kept(1, None)]).unwrap();
        assert_eq!(files.addresses(CHAIN).unwrap().kept.len(), 1);
    }
}
