//! The addresses of a wallet with a phrase, as far as they are known without its keys: what a locked wallet sees of itself.

use crate::derive::{Branch, WalletKeys};
use std::collections::BTreeMap;
use timed_ledger::KeyHash;

/// Most addresses of a branch. Each lookup of coins costs the node one search per address.
pub const BRANCH_ADDRESSES_MAX: u32 = 10_000;
/// Addresses that are known ahead of the last that was handed out, in each branch: a locked wallet can give so many away, and what is paid to them
/// is found. Far above [`GAP_LIMIT`], so that a wallet which comes back from its phrase knows what it may have given away.
pub const ADDRESSES_AHEAD: u32 = 100;
/// After so many addresses of a branch that nobody used, none further on is looked for (BIP 44, "address gap limit").
pub const GAP_LIMIT: u32 = 20;

/// One branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchAddresses {
    /// Those that are known, in order.
    pub known: Vec<KeyHash>,
    /// How many of them were handed out, or were seen to be used.
    pub handed_out: u32,
}

impl BranchAddresses {
    fn known(&self) -> u32 {
        u32::try_from(self.known.len()).unwrap_or(u32::MAX)
    }
}

/// Both branches. What is here is no secret, but says which addresses belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DerivedAddresses {
    /// To receive money.
    pub receive: BranchAddresses,
    /// For change.
    pub change: BranchAddresses,
}

impl DerivedAddresses {
    /// The first of a new wallet.
    pub fn of(keys: &WalletKeys) -> Self {
        let mut addresses = Self::default();
        addresses.derive_ahead(keys, ADDRESSES_AHEAD);
        addresses
    }

    /// Derives as many as there must be ahead of those handed out. Whether there are more now.
    pub fn derive_ahead(&mut self, keys: &WalletKeys, ahead: u32) -> bool {
        let mut has_more = false;
        for (branch, addresses) in [(Branch::Receive, &mut self.receive), (Branch::Change, &mut self.change)] {
            let wanted = addresses.handed_out.saturating_add(ahead).min(BRANCH_ADDRESSES_MAX);
            let missing = addresses.known()..wanted;
            has_more |= !missing.is_empty();
            addresses.known.extend(missing.map(|number| keys.key_hash(branch, number)));
        }
        has_more
    }

    /// Whether all that are known come from these keys.
    pub fn are_of(&self, keys: &WalletKeys) -> bool {
        let is_right = |branch, addresses: &BranchAddresses| {
            (0..).zip(&addresses.known).all(|(number, known)| keys.key_hash(branch, number) == *known)
        };
        is_right(Branch::Receive, &self.receive) && is_right(Branch::Change, &self.change)
    }

    /// Where each stands.
    pub(crate) fn places(&self) -> BTreeMap<KeyHash, (Branch, u32)> {
        let of = |branch, addresses: &BranchAddresses| -> Vec<_> {
            (0..).zip(&addresses.known).map(|(number, known)| (*known, (branch, number))).collect()
        };
        of(Branch::Receive, &self.receive).into_iter().chain(of(Branch::Change, &self.change)).collect()
    }

    pub(crate) fn branch(&self, branch: Branch) -> &BranchAddresses {
        match branch {
            Branch::Receive => &self.receive,
            Branch::Change => &self.change,
        }
    }

    pub(crate) fn branch_mut(&mut self, branch: Branch) -> &mut BranchAddresses {
        match branch {
            Branch::Receive => &mut self.receive,
            Branch::Change => &mut self.change,
        }
    }
}
