//! The words that a wallet comes back from: BIP 39, its English list, 24 of them.

use bip39::{Language, Mnemonic};
use std::fmt;
use zeroize::Zeroizing;

/// How many words a phrase has. Twelve, which BIP 39 allows too, are not taken: one length means one thing to count.
pub const PHRASE_WORDS: usize = 24;
/// Random bytes that a phrase stands for. Unit: bytes.
pub const ENTROPY_BYTES: usize = 32;
/// Most words that are offered in place of a wrong one.
const NEAR_MAX: usize = 3;
/// Words of more changed letters are not offered.
const EDITS_MAX: usize = 2;

/// What all keys of a wallet come from. Wiped from memory when it is dropped, and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Phrase {
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
}

/// The text is no phrase. Wrong words are not repeated: they are almost right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// There are too few or too many.
    #[error("the phrase has {0} words, and must have {PHRASE_WORDS}: one is missing, or two are written as one")]
    Count(usize),
    /// A word that no phrase has.
    #[error("word {position} of {PHRASE_WORDS} is not in the list of words{}", offered(near))]
    Word {
        /// Which, from 1.
        position: usize,
        /// Words of the list that are nearest to it, the nearest first; none when none is near.
        near: Vec<&'static str>,
    },
    /// Every word is one, and they are not those of a phrase.
    #[error(
        "all {PHRASE_WORDS} words are in the list, and their checksum is wrong: one of them is another word, or two have changed places"
    )]
    Checksum,
}

/// What may have been meant.
fn offered(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!("; near to it: {}", near.join(", ")) }
}

impl Phrase {
    /// The phrase of these random bytes.
    pub fn from_entropy(entropy: [u8; ENTROPY_BYTES]) -> Self {
        Self { entropy: Zeroizing::new(entropy) }
    }

    /// Reads words with blanks between them, in any case.
    ///
    /// # Errors
    /// [`PhraseError`] says which word is wrong.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let text = Zeroizing::new(text.to_lowercase());
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != PHRASE_WORDS {
            return Err(PhraseError::Count(words.len()));
        }
        for (position, word) in (1..).zip(&words) {
            if Language::English.word_list().binary_search(word).is_err() {
                return Err(PhraseError::Word { position, near: near(word) });
            }
        }
        let text = Zeroizing::new(words.join(" "));
        let read = Mnemonic::parse_in_normalized(Language::English, &text).map_err(|_| PhraseError::Checksum)?;
        let (bytes, _) = read.to_entropy_array();
        let bytes = Zeroizing::new(bytes);
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        entropy.copy_from_slice(&bytes[..ENTROPY_BYTES]);
        Ok(Self { entropy })
    }

    /// The words with a blank between them.
    pub fn words(&self) -> Zeroizing<String> {
        let words: Vec<&str> = self.mnemonic().words().collect();
        Zeroizing::new(words.join(" "))
    }

    /// The bytes that it stands for.
    pub fn entropy(&self) -> &[u8; ENTROPY_BYTES] {
        &self.entropy
    }

    /// What BIP 39 makes keys from. `passphrase` is that of BIP 39, which wallets of a node leave empty. Unit of the result: bytes.
    pub(crate) fn seed(&self, passphrase: &str) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.mnemonic().to_seed_normalized(passphrase))
    }

    fn mnemonic(&self) -> Mnemonic {
        Mnemonic::from_entropy(&*self.entropy).expect("32 bytes are one of the lengths of BIP 39")
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(secret)")
    }
}

/// Words of the list that begin with the same four letters, which distinguish the words of the list, and then those that differ by few letters; of
/// equally near ones those that begin alike come first.
fn near(word: &str) -> Vec<&'static str> {
    let word: String = word.chars().take(20).collect();
    let alike = |known: &str| word.chars().zip(known.chars()).take_while(|(a, b)| a == b).count();
    let mut found: Vec<_> = Language::English
        .word_list()
        .iter()
        .map(|known| (alike(known) < 4, strsim::damerau_levenshtein(&word, known), usize::MAX - alike(known), *known))
        .filter(|(differs, edits, ..)| !differs || *edits <= EDITS_MAX)
        .collect();
    found.sort_unstable();
    found.into_iter().take(NEAR_MAX).map(|(.., known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entropy, words and seed, with "TREZOR" as passphrase: those of 32 bytes in the vectors that BIP 39 names
    /// (github.com/trezor/python-mnemonic, vectors.json).
    const VECTORS: [(&str, &str, &str); 4] = [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
             abandon abandon abandon abandon abandon abandon abandon art",
            "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
        ),
        (
            "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave \
             sausage worth title",
            "bc09fca1804f7e69da93c2f2028eb238c227f2e9dda30cd63699232578480a4021b146ad717fbb7e451ce9eb835f43620bf5c514db0f8add49f5d121449d3e87",
        ),
        (
            "8080808080808080808080808080808080808080808080808080808080808080",
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage \
             absurd amount doctor acoustic bless",
            "c0c519bd0e91a2ed54357d9d1ebef6f5af218a153624cf4f2da911a0ed8f7a09e2ef61af0aca007096df430022f7a2b6fb91661a9589097069720d015e4e982f",
        ),
        (
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
            "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
        ),
    ];

    #[test]
    fn the_vectors_of_bip_39() {
        for (entropy, words, seed) in VECTORS {
            let phrase = Phrase::from_entropy(hex::decode(entropy).unwrap().try_into().unwrap());
            assert_eq!(*phrase.words(), words);
            assert_eq!(Phrase::parse(words).unwrap(), phrase);
            assert_eq!(hex::encode(phrase.seed("TREZOR").as_slice()), seed);
        }
    }

    #[test]
    fn wrong_words_are_named_by_their_place_and_what_is_near() {
        let good = VECTORS[1].1;
        let parse = |text: &str| Phrase::parse(text).unwrap_err();
        assert_eq!(parse("zoo zoo"), PhraseError::Count(2));
        assert_eq!(parse(&format!("{good} zoo")), PhraseError::Count(25));
        let wrong = good.replacen("sausage", "sausge", 1);
        assert_eq!(
            parse(&wrong).to_string(),
            "word 6 of 24 is not in the list of words; near to it: sausage, sauce, surge"
        );
        let far = good.replacen("legal", "xxxxxxxxxx", 1);
        assert_eq!(parse(&far).to_string(), "word 1 of 24 is not in the list of words");
        let begun = good.replacen("winner", "winn", 1);
        assert!(matches!(parse(&begun), PhraseError::Word { position: 2, near } if near.first() == Some(&"winner")));
        let swapped = good.replacen("legal winner", "winner legal", 1);
        assert_eq!(parse(&swapped), PhraseError::Checksum);
        assert_eq!(parse(&good.replacen("title", "zoo", 1)), PhraseError::Checksum);
        let spaced = good.to_uppercase().replace(' ', "\n  ");
        assert!(Phrase::parse(&spaced).is_ok(), "case and blanks mean nothing");
    }

    #[test]
    fn no_word_is_shown_by_debug() {
        assert_eq!(format!("{:?}", Phrase::from_entropy([7; 32])), "Phrase(secret)");
    }
}
