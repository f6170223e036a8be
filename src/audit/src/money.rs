//! Where all money is.

use crate::error::{AuditFault, BrokenRule};
use crate::output_hash::OutputHash;
use std::collections::BTreeMap;
use timed_ledger::{OutPoint, TxOutput};
use timed_primitives::{Amount, Domain, Hash, Height, encode, merkle};

/// Unspent outputs and money that is in none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Money {
    /// Each with the height of the block that made it.
    unspent: BTreeMap<OutPoint, (TxOutput, Height)>,
    hash: OutputHash,
    /// Sum of the outputs; above 64 bits only when a rule is broken.
    sum: u128,
    pub(crate) fees: Amount,
    pub(crate) treasury: Amount,
    pub(crate) issued: Amount,
    /// Of genesis.
    pub(crate) start: Amount,
}

impl Money {
    /// An unspent output.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Result<TxOutput, BrokenRule> {
        self.unspent.get(outpoint).map(|(output, _)| *output).ok_or(BrokenRule::NoOutput(*outpoint))
    }

    pub(crate) fn make(&mut self, outpoint: OutPoint, output: TxOutput, height: Height) {
        self.hash.add(&outpoint, &output, height);
        self.sum = self.sum.saturating_add(output.amount.0.into());
        self.unspent.insert(outpoint, (output, height));
    }

    pub(crate) fn spend(&mut self, outpoint: &OutPoint) -> Result<TxOutput, BrokenRule> {
        let (output, height) = self.unspent.remove(outpoint).ok_or(BrokenRule::NoOutput(*outpoint))?;
        self.hash.subtract(outpoint, &output, height);
        self.sum = self.sum.saturating_sub(output.amount.0.into());
        Ok(output)
    }

    /// One of the outputs, for tests.
    #[cfg(test)]
    pub(crate) fn any(&self) -> Option<(OutPoint, TxOutput)> {
        self.unspent.iter().next().map(|(outpoint, (output, _))| (*outpoint, *output))
    }

    pub(crate) fn outputs(&self) -> u64 {
        u64::try_from(self.unspent.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn unspent(&self) -> Result<Amount, AuditFault> {
        u64::try_from(self.sum).map(Amount).map_err(|_| AuditFault::MoneyRange)
    }

    pub(crate) fn hash_bytes(&self) -> Vec<u8> {
        self.hash.to_bytes()
    }

    /// In outputs, fees and treasury.
    pub(crate) fn total(&self) -> Result<Amount, AuditFault> {
        sum([self.unspent()?, self.fees, self.treasury])
    }

    /// Whether it is what genesis and rewards made.
    pub(crate) fn check_sum(&self) -> Result<(), AuditFault> {
        let (found, made) = (self.total()?, sum([self.start, self.issued])?);
        if found == made { Ok(()) } else { Err(AuditFault::Sum { found, made }) }
    }

    /// The root over all outputs, as headers have it of an earlier state.
    pub(crate) fn output_root(&self) -> Hash {
        let leaf = |(outpoint, (output, height)): (&OutPoint, &(TxOutput, Height))| {
            Hash::of(Domain::OutputLeaf, &encode(&(outpoint, output, height)))
        };
        merkle::root(&self.unspent.iter().map(leaf).collect::<Vec<_>>())
    }
}

/// The sum of amounts.
pub(crate) fn sum(amounts: impl IntoIterator<Item = Amount>) -> Result<Amount, AuditFault> {
    let sum: u128 = amounts.into_iter().map(|amount| u128::from(amount.0)).sum();
    u64::try_from(sum).map(Amount).map_err(|_| AuditFault::MoneyRange)
}
