//! Transcripts of payload choice.

use super::*;

fn choose(pool: &Pool, bytes: usize, count: usize) -> Vec<TxId> {
    pool.build_payload(bytes, count).iter().map(|transaction| transaction.facts.id).collect()
}

#[test]
fn by_fee_rate_then_by_age() {
    let chain = MapChain::with_coins(4);
    let mut pool = pool(PoolLimits::default());
    let fees = [10, 30, 20, 30];
    let all: Vec<_> = (0..4).zip(fees).map(|(n, fee)| spend(&[coin(n)], &[VALUE - fee])).collect();
    for transaction in &all {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    let expected = [1, 3, 2, 0].map(|n: usize| all[n].facts.id);
    assert_eq!(choose(&pool, usize::MAX, usize::MAX), expected);
    assert_eq!(choose(&pool, usize::MAX, 2), expected[..2]);
    assert_eq!(choose(&pool, all[0].facts.size_bytes * 3 + 1, usize::MAX), expected[..3]);
    assert_eq!(choose(&pool, 0, usize::MAX), []);
    assert_eq!(choose(&pool, usize::MAX, 0), []);
}

#[test]
fn a_rich_child_pulls_its_parent_and_a_sibling_then_counts_alone() {
    let chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits::default());
    let parent = spend(&[coin(0)], &[VALUE / 2 - 1, VALUE / 2]);
    let child = spend(&[out(&parent, 0)], &[VALUE / 2 - 1_000]);
    let middle = spend(&[coin(1)], &[VALUE - 400]);
    let sibling = spend(&[out(&parent, 1)], &[VALUE / 2 - 450]);
    let last = spend(&[coin(2)], &[VALUE - 300]);
    for transaction in [&parent, &child, &middle, &sibling, &last] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    // Without its parent the sibling pays more than the middle one; with it, less.
    let expected = [&parent, &child, &sibling, &middle, &last].map(|transaction| transaction.facts.id);
    assert_eq!(choose(&pool, usize::MAX, usize::MAX), expected);
}

#[test]
fn what_does_not_fit_makes_way_for_what_does() {
    let chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits::default());
    let large = spend(&[coin(0)], &[100; 100]);
    let child = spend(&[out(&large, 0)], &[1]);
    let small = spend(&[coin(1)], &[VALUE - 1]);
    for transaction in [&large, &child, &small] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    assert_eq!(choose(&pool, large.facts.size_bytes - 1, usize::MAX), [small.facts.id]);
    assert_eq!(choose(&pool, large.facts.size_bytes, usize::MAX), [large.facts.id]);
}
