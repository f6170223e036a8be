//! Which coins to spend for a payment, and what it costs.
//!
//! 1. Coins that need no change, by branch and bound: their sum is what is needed, and above it less than change would cost and the dust limit.
//!    Looked for in so many steps at most (`TRIES`); of those found, the nearest.
//! 2. Else, if one coin alone suffices, the smallest that does: few inputs, small change.
//! 3. Else the largest first, until they suffice: fewest inputs.
//!
//! Where coins are given they are spent, and the first rule is left out.
//!
//! Change below the dust limit is not made but left to the fee; a coin that costs more to spend than it holds is never used.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use timed_ledger::{KeyHash, OutPoint};
use timed_primitives::Amount;

/// Steps of the search for coins that need no change: as many as Bitcoin's wallet takes, about a millisecond.
const TRIES: usize = 100_000;

/// A transfer without memo, inputs and outputs: version, chain id, payload, and four lengths. Unit: bytes.
const BASE_BYTES: u64 = 2 + 8 + 1 + 4 + 4 + 4 + 4;

/// One input with its witness: outpoint, kind of witness, key, signature. Unit: bytes.
const INPUT_BYTES: u64 = 36 + WITNESS_BYTES;

/// A witness of one key: its kind, the key, the signature. Unit: bytes.
pub(crate) const WITNESS_BYTES: u64 = 1 + 32 + 64;

/// One output: amount, kind of lock, key hash. Unit: bytes.
const OUTPUT_BYTES: u64 = 8 + 1 + 32;

/// Size of a signed transaction of this shape. Exact, since every part has a fixed length. Unit: bytes.
pub const fn size_bytes(inputs: u64, outputs: u64) -> u64 {
    BASE_BYTES.saturating_add(INPUT_BYTES.saturating_mul(inputs)).saturating_add(OUTPUT_BYTES.saturating_mul(outputs))
}

/// An unspent output that one of the wallet's keys can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coin {
    /// Its name.
    pub outpoint: OutPoint,
    /// What it holds.
    pub amount: Amount,
    /// Whose it is.
    pub key_hash: KeyHash,
}

/// What the chain and the sender demand of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Fee for each byte. Unit: 10⁻⁸ TIME.
    pub per_byte: u64,
    /// Smallest output the chain allows.
    pub dust_min: Amount,
    /// Largest transaction the chain allows. Unit: bytes.
    pub transaction_bytes_max: u64,
    /// What the transaction has beside inputs and outputs: its payload and the signatures of that. Unit: bytes.
    pub payload_bytes: u64,
}

impl Fees {
    /// Fee of a transaction of this shape at exactly the rate; saturates above any amount that exists.
    pub const fn of(&self, inputs: u64, outputs: u64) -> Amount {
        Amount(self.size_bytes(inputs, outputs).saturating_mul(self.per_byte))
    }

    /// Size of a transaction of this shape with its payload. Unit: bytes.
    pub(crate) const fn size_bytes(&self, inputs: u64, outputs: u64) -> u64 {
        size_bytes(inputs, outputs).saturating_add(self.payload_bytes)
    }

    /// Whether spending an input of this amount brings more than it costs.
    const fn is_worth_spending(&self, amount: Amount) -> bool {
        amount.0 > INPUT_BYTES.saturating_mul(self.per_byte)
    }
}

/// Coins that pay for something, exactly: their sum is the payment, the fee and the change. Where the fee is taken from the payment, that much
/// less arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What to spend.
    pub coins: Vec<Coin>,
    /// The fee: the rate times the size, plus less than one output's cost and the dust limit when change was too small to make.
    pub fee: Amount,
    /// What comes back, if it is worth an output.
    pub change: Option<Amount>,
}

/// The coins do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("insufficient funds: {available} TIME can be spent, {needed} TIME is needed including {fee} TIME of fee")]
pub struct InsufficientFunds {
    /// Sum of the coins that are worth spending.
    pub available: Amount,
    /// Payment and fee, if all of them were spent.
    pub needed: Amount,
    /// The fee in it.
    pub fee: Amount,
}

/// What coins are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinTarget<'a> {
    /// Sum of what is paid.
    pub amount: Amount,
    /// To how many outputs, change not among them.
    pub outputs: u64,
    /// Whether the fee is taken from `amount` or comes on top.
    pub has_fee_inside: bool,
    /// Coins that are spent whatever else is, ahead of the others. One that is given twice counts once.
    pub given: &'a [Coin],
}

impl CoinTarget<'_> {
    /// What so many inputs must bring.
    fn cost(&self, inputs: u64, fees: &Fees) -> Option<Amount> {
        let fee = if self.has_fee_inside { Amount::ZERO } else { fees.of(inputs, self.outputs) };
        self.amount.plus(fee)
    }
}

/// Chooses coins for a target. The same coins in any order give the same selection.
///
/// # Errors
/// [`InsufficientFunds`] with what there is and what it would take.
pub fn select(coins: &[Coin], target: &CoinTarget<'_>, fees: &Fees) -> Result<Selection, InsufficientFunds> {
    let mut given = BTreeSet::new();
    let mut chosen: Vec<Coin> = target.given.iter().copied().filter(|coin| given.insert(coin.outpoint)).collect();
    let may_be_chosen = |coin: &Coin| fees.is_worth_spending(coin.amount) && !given.contains(&coin.outpoint);
    let mut worth: Vec<Coin> = coins.iter().copied().filter(may_be_chosen).collect();
    worth.sort_by_key(|c| (c.amount, c.outpoint));
    worth.dedup_by_key(|c| c.outpoint);
    let mut inputs = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
    let mut sum = Amount::sum(chosen.iter().map(|c| c.amount)).unwrap_or(Amount(u64::MAX));
    if inputs > 0 && target.cost(inputs, fees).is_some_and(|cost| sum >= cost) {
        return Ok(settle(chosen, sum, target, fees));
    }
    if inputs == 0
        && let Some(coins) = without_change(&worth, target, fees)
    {
        let sum = Amount::sum(coins.iter().map(|c| c.amount)).unwrap_or(Amount(u64::MAX));
        return Ok(settle(coins, sum, target, fees));
    }
    if inputs == 0
        && let Some(cost) = target.cost(1, fees)
        && let Some(single) = worth.iter().find(|c| c.amount >= cost)
    {
        return Ok(settle(vec![*single], single.amount, target, fees));
    }
    for coin in worth.iter().rev() {
        // No chain holds more than the largest amount; a list that claims so is cut there.
        let Some(more) = sum.plus(coin.amount) else { break };
        chosen.push(*coin);
        (sum, inputs) = (more, inputs.saturating_add(1));
        if target.cost(inputs, fees).is_some_and(|cost| sum >= cost) {
            return Ok(settle(chosen, sum, target, fees));
        }
    }
    let fee = fees.of(inputs.max(1), target.outputs);
    Err(InsufficientFunds { available: sum, needed: target.cost(inputs.max(1), fees).unwrap_or(Amount(u64::MAX)), fee })
}

/// Coins whose sum needs no change, if the search finds some that fit one transaction.
fn without_change(worth: &[Coin], target: &CoinTarget<'_>, fees: &Fees) -> Option<Vec<Coin>> {
    // What a coin brings beside what it costs; the fee of all else is part of what is needed.
    let (cost, needed, spare) = match target.has_fee_inside {
        true => (0, target.amount, fees.dust_min),
        false => {
            let rest = fees.of(0, target.outputs);
            let change = fees.of(0, target.outputs.saturating_add(1)).minus(rest)?;
            (INPUT_BYTES.saturating_mul(fees.per_byte), target.amount.plus(rest)?, change.plus(fees.dust_min)?)
        }
    };
    let mut coins: Vec<&Coin> = worth.iter().collect();
    coins.sort_by_key(|coin| Reverse((coin.amount, coin.outpoint)));
    let values: Vec<u64> = coins.iter().map(|coin| coin.amount.0.saturating_sub(cost)).collect();
    let room = fees.transaction_bytes_max.saturating_sub(fees.size_bytes(0, target.outputs)) / INPUT_BYTES;
    let inputs_max = usize::try_from(room).unwrap_or(usize::MAX);
    let found = nearest_sum(&values, needed.0, spare.0, inputs_max)?;
    Some(found.into_iter().filter_map(|at| coins.get(at).copied().copied()).collect())
}

/// Places of values, the largest first, whose sum is `needed` or above it by less than `spare`: the nearest that [`TRIES`] steps find. Each step
/// takes the next value or leaves it; what cannot lead to a sum is left alone, and of equal values in a row one that was left leaves the others.
fn nearest_sum(values: &[u64], needed: u64, spare: u64, inputs_max: usize) -> Option<Vec<usize>> {
    let needed = u128::from(needed);
    let end = needed + u128::from(spare.max(1));
    let value = |at: usize| values.get(at).copied().map_or(0, u128::from);
    let mut left: u128 = values.iter().copied().map(u128::from).sum();
    let (mut taken, mut sum): (Vec<usize>, u128) = (Vec::new(), 0);
    let mut best: Option<(u128, Vec<usize>)> = None;
    let mut at = 0;
    for _ in 0..TRIES {
        let is_found = (needed..end).contains(&sum);
        if is_found && best.as_ref().is_none_or(|(nearest, _)| sum < *nearest) {
            best = Some((sum, taken.clone()));
        }
        if is_found || sum >= end || sum + left < needed || taken.len() >= inputs_max {
            if best.as_ref().is_some_and(|(nearest, _)| *nearest == needed) {
                break;
            }
            // The last one taken is left, and all behind it are before us again.
            let Some(last) = taken.pop() else { break };
            left += (last + 1..at).map(value).sum::<u128>();
            sum -= value(last);
            at = last + 1;
            continue;
        }
        left -= value(at);
        let is_like_one_left = at > 0 && taken.last() != Some(&(at - 1)) && value(at) == value(at - 1);
        if !is_like_one_left {
            taken.push(at);
            sum += value(at);
        }
        at += 1;
    }
    best.map(|(_, taken)| taken)
}

/// Divides what is left of the sum between fee and change. The sum covers what the target costs without change.
fn settle(coins: Vec<Coin>, sum: Amount, target: &CoinTarget<'_>, fees: &Fees) -> Selection {
    let rest = sum.minus(target.amount).unwrap_or_default();
    let inputs = u64::try_from(coins.len()).unwrap_or(u64::MAX);
    let with_change = fees.of(inputs, target.outputs.saturating_add(1));
    let left = if target.has_fee_inside { Some(rest) } else { rest.minus(with_change) };
    let change = left.filter(|c| *c >= fees.dust_min && *c > Amount::ZERO);
    let fee = if change.is_some() { with_change } else { rest.max(fees.of(inputs, target.outputs)) };
    Selection { coins, fee, change }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use timed_primitives::{Hash, TxId};

    fn coin(n: u32, amount: u64) -> Coin {
        let outpoint = OutPoint { txid: TxId(Hash([1; 32])), index: n };
        Coin { outpoint, amount: Amount(amount), key_hash: KeyHash::default() }
    }

    fn coins(amounts: &[u64]) -> Vec<Coin> {
        (0..).zip(amounts).map(|(n, amount)| coin(n, *amount)).collect()
    }

    fn fees(per_byte: u64, dust: u64) -> Fees {
        Fees { per_byte, dust_min: Amount(dust), transaction_bytes_max: 65_536, payload_bytes: 0 }
    }

    /// One output, with the fee on top.
    fn select(coins: &[Coin], amount: Amount, fees: &Fees) -> Result<Selection, InsufficientFunds> {
        super::select(coins, &CoinTarget { amount, outputs: 1, has_fee_inside: false, given: &[] }, fees)
    }

    fn amounts(selection: &Selection) -> Vec<u64> {
        selection.coins.iter().map(|c| c.amount.0).collect()
    }

    #[test]
    fn the_smallest_single_coin_that_suffices_else_the_largest_first() {
        // One input and one output: 27 + 133 + 41 = 201 bytes; with change 242.
        let fees = fees(1, 50);
        let all = coins(&[5_000, 1_000, 10_000, 3_000]);
        let single = select(&all, Amount(2_000), &fees).unwrap();
        assert_eq!((amounts(&single), single.fee, single.change), (vec![3_000], Amount(242), Some(Amount(758))));
        let exact = select(&all, Amount(3_000 - 201), &fees).unwrap();
        assert_eq!((amounts(&exact), exact.fee, exact.change), (vec![3_000], Amount(201), None));
        let next = select(&all, Amount(3_000 - 200), &fees).unwrap();
        assert_eq!(amounts(&next), [5_000]);
        let several = select(&all, Amount(14_000), &fees).unwrap();
        assert_eq!((amounts(&several), several.change), (vec![10_000, 5_000], Some(Amount(1_000 - 375))));
        let everything = select(&all, Amount(19_000 - size_bytes(4, 1)), &fees).unwrap();
        assert_eq!((amounts(&everything).len(), everything.change), (4, None));
    }

    #[test]
    fn coins_that_need_no_change_come_first() {
        let fees = fees(1, 50);
        let all = coins(&[50_000, 1_000, 7_000, 3_000, 900, 4_000]);
        // 3,000 and 4,000 with two inputs and one output, 334 bytes; and up to 90 more go to the fee.
        for (spare, expected) in [(0, vec![4_000, 3_000]), (90, vec![4_000, 3_000])] {
            let exact = select(&all, Amount(7_000 - 334 - spare), &fees).unwrap();
            assert_eq!((amounts(&exact), exact.change, exact.fee), (expected, None, Amount(334 + spare)));
        }
        let single = select(&all, Amount(7_000 - 334 - 91), &fees).unwrap();
        assert_eq!((amounts(&single), single.change), (vec![7_000], Some(Amount(7_000 - 6_575 - 242))));
        // The nearest of those that fit: 900 + 1,000 before 4,000 with less to spare.
        let near = select(&coins(&[2_050, 1_000, 900]), Amount(1_900 - 334 - 1), &fees).unwrap();
        assert_eq!((amounts(&near), near.fee), (vec![1_000, 900], Amount(335)));
        let inside = CoinTarget { amount: Amount(7_000), outputs: 1, has_fee_inside: true, given: &[] };
        assert_eq!(amounts(&super::select(&coins(&[9_000, 3_000, 4_000]), &inside, &fees).unwrap()), [4_000, 3_000]);
    }

    #[test]
    fn the_search_finds_what_there_is_and_ends() {
        assert_eq!(nearest_sum(&[10, 7, 5, 3, 1], 9, 1, 9), Some(vec![2, 3, 4]));
        assert_eq!(nearest_sum(&[10, 7, 5, 3, 1], 9, 2, 9), Some(vec![2, 3, 4]), "9 is nearer than 10");
        assert_eq!(nearest_sum(&[10, 7, 5, 3, 1], 9, 2, 2), Some(vec![0]), "at most two");
        assert_eq!(nearest_sum(&[4, 4, 4], 8, 1, 9), Some(vec![0, 1]));
        assert_eq!(nearest_sum(&[5, 4, 4, 4], 12, 1, 9), Some(vec![1, 2, 3]), "equal ones can be taken together");
        assert_eq!((nearest_sum(&[4, 4, 4], 9, 1, 9), nearest_sum(&[], 1, 1, 9)), (None, None));
        // Nothing fits, and there are 2¹⁰⁰ ways to see that.
        let even: Vec<u64> = (1..=100).map(|n| 2 * (1_000 - n)).collect();
        assert_eq!(nearest_sum(&even, 50_001, 1, 100), None);
    }

    #[test]
    fn dust_change_goes_to_the_fee() {
        let fees = fees(1, 50);
        let at_limit = select(&coins(&[1_000]), Amount(1_000 - 242 - 50), &fees).unwrap();
        assert_eq!((at_limit.fee, at_limit.change), (Amount(242), Some(Amount(50))));
        let below = select(&coins(&[1_000]), Amount(1_000 - 242 - 49), &fees).unwrap();
        assert_eq!((below.fee, below.change), (Amount(291), None));
    }

    #[test]
    fn coins_that_cost_more_than_they_hold_are_left_alone() {
        let fees = fees(10, 1);
        let refused = select(&coins(&[1_330, 1_331, 100]), Amount(10), &fees).unwrap_err();
        assert_eq!(refused, InsufficientFunds { available: Amount(1_331), needed: Amount(2_020), fee: Amount(2_010) });
        assert_eq!(
            refused.to_string(),
            "insufficient funds: 0.00001331 TIME can be spent, 0.00002020 TIME is needed including 0.00002010 TIME of fee"
        );
        let nothing = select(&[], Amount(u64::MAX), &fees).unwrap_err();
        assert_eq!((nothing.available, nothing.needed), (Amount::ZERO, Amount(u64::MAX)));
    }

    #[test]
    fn a_coin_listed_twice_is_spent_once() {
        let refused = select(&[coin(1, 1_000), coin(1, 1_000)], Amount(1_500), &fees(1, 1)).unwrap_err();
        assert_eq!(refused.available, Amount(1_000));
    }

    #[test]
    fn a_fee_inside_is_taken_from_what_is_paid() {
        let fees = fees(1, 50);
        let inside = |amount| CoinTarget { amount: Amount(amount), outputs: 1, has_fee_inside: true, given: &[] };
        let whole = super::select(&coins(&[1_000]), &inside(1_000), &fees).unwrap();
        assert_eq!((whole.fee, whole.change), (Amount(201), None));
        let part = super::select(&coins(&[1_000]), &inside(900), &fees).unwrap();
        assert_eq!((part.fee, part.change), (Amount(242), Some(Amount(100))));
        // What is too small to come back pays a part of the fee.
        let dust = super::select(&coins(&[1_000]), &inside(960), &fees).unwrap();
        assert_eq!((dust.fee, dust.change), (Amount(201), None));
        let short = super::select(&coins(&[1_000]), &inside(1_001), &fees).unwrap_err();
        assert_eq!((short.available, short.needed), (Amount(1_000), Amount(1_001)));
    }

    #[test]
    fn coins_that_are_given_are_spent_and_others_only_when_they_do_not_suffice() {
        let fees = fees(1, 50);
        let all = coins(&[5_000, 1_000, 10_000]);
        let given = [all[1], all[1]];
        let target = |amount| CoinTarget { amount: Amount(amount), outputs: 2, has_fee_inside: false, given: &given };
        let enough = super::select(&all, &target(500), &fees).unwrap();
        assert_eq!((amounts(&enough), enough.fee, enough.change), (vec![1_000], Amount(283), Some(Amount(217))));
        let more = super::select(&all, &target(1_000), &fees).unwrap();
        assert_eq!((amounts(&more), more.change), (vec![1_000, 10_000], Some(Amount(10_000 - 416))));
        let short = super::select(&all, &target(16_000), &fees).unwrap_err();
        assert_eq!(short.available, Amount(16_000), "what is given is no second coin among the others");
    }

    proptest! {
        #[test]
        fn sums_are_exact_and_the_fee_is_what_the_size_asks(
            held in proptest::collection::vec(0u64..100_000, 0..30), amount in 1u64..1_000_000, per_byte in 0u64..20,
            dust in 0u64..5_000,
        ) {
            let fees = fees(per_byte, dust);
            let all = coins(&held);
            match select(&all, Amount(amount), &fees) {
                Ok(selection) => {
                    let inputs = selection.coins.len() as u64;
                    let sum: u64 = selection.coins.iter().map(|c| c.amount.0).sum();
                    prop_assert_eq!(sum, amount + selection.fee.0 + selection.change.map_or(0, |c| c.0));
                    let outputs = 1 + u64::from(selection.change.is_some());
                    let due = fees.of(inputs, outputs).0;
                    prop_assert!(selection.fee.0 >= due);
                    match selection.change {
                        Some(change) => {
                            prop_assert_eq!(selection.fee.0, due);
                            prop_assert!(change.0 >= dust && change.0 > 0);
                        }
                        None => prop_assert!(selection.fee.0 <= fees.of(inputs, 2).0 + dust.saturating_sub(1)),
                    }
                    let mut reversed = all;
                    reversed.reverse();
                    prop_assert_eq!(select(&reversed, Amount(amount), &fees), Ok(selection));
                }
                Err(error) => {
                    let worth: Vec<u64> = held.iter().copied().filter(|c| *c > INPUT_BYTES * per_byte).collect();
                    let sum: u64 = worth.iter().sum();
                    prop_assert_eq!(error.available.0, sum);
                    prop_assert!(sum < amount + fees.of(worth.len().max(1) as u64, 1).0);
                    prop_assert_eq!(error.needed.0, amount + error.fee.0);
                }
            }
        }
    }
}
