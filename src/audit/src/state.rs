//! What transactions change.

use crate::list::Masternodes;
use crate::money::Money;
use crate::participation::Participation;
use timed_primitives::Amount;

/// What transactions change.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) money: Money,
    pub(crate) masternodes: Masternodes,
    pub(crate) participation: Participation,
    pub(crate) double_signs: u64,
    pub(crate) penalties_paid: Amount,
}
