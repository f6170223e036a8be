//! Small chains with short times.

use super::dice::Dice;
use super::play::Theme;
use timed_ledger::{Address, Genesis, GenesisMasternode, GenesisOutput, KeyHash, LockOwner, Payout, Payouts};
use timed_primitives::{Amount, Network, SecretKey};

/// Coins of wallet 0.
const COINS: u32 = 24;

pub(crate) fn key(purpose: &str, id: u64) -> SecretKey {
    SecretKey::development(purpose, id)
}

pub(crate) fn hash_of(purpose: &str, id: u64) -> KeyHash {
    KeyHash::of(&key(purpose, id).public())
}

/// One to three payees of uneven shares; the first is wallet 0.
pub(crate) fn payouts(dice: &mut Dice) -> Payouts {
    let shares: &[u16] = match dice.below(4) {
        0 => &[3_333, 6_600, 67],
        1 => &[9_999, 1],
        _ => &[10_000],
    };
    let payee = |(id, share): (u64, &u16)| Payout { to: LockOwner::KeyHash(hash_of("wallet", id)), share: *share };
    Payouts::new((0..).zip(shares).map(payee).collect()).unwrap()
}

/// Four to nine masternodes of all tiers that vote, and money for more.
pub(crate) fn genesis(dice: &mut Dice, theme: Theme) -> Genesis {
    let mut genesis = Genesis::devnet_with_coins(0, 0);
    let address = |purpose, id| Address { network: Network::Devnet, key_hash: hash_of(purpose, id) };
    let coin = GenesisOutput { address: address("wallet", 0), amount: Amount::whole(150_000) };
    genesis.outputs = (0..COINS).map(|_| coin).collect();
    let count = match theme {
        Theme::Crowd => 150,
        Theme::Blame => 14,
        Theme::All | Theme::Keys => 4 + dice.below(6),
    };
    for (id, collateral) in (1..=count).zip(COINS..) {
        let amount = Amount::whole([1_000, 1_000, 10_000, 100_000][usize::try_from(dice.below(4)).unwrap()]);
        genesis.outputs.push(GenesisOutput { address: address("wallet", 0), amount });
        let [operator, owner] = ["operator", "owner"].map(|purpose| key(purpose, id).public());
        let payouts = payouts(dice);
        genesis.masternodes.push(GenesisMasternode { operator, owner, collateral, service: None, payouts });
    }
    if dice.one_in(6) {
        // So little room below 2^64 units that rewards meet it.
        let sum: u64 = genesis.outputs.iter().map(|output| output.amount.0).sum();
        let amount = Amount(u64::MAX - sum - Amount::whole(dice.below(1_500)).0);
        genesis.outputs.push(GenesisOutput { address: address("wallet", 9), amount });
    }
    let parameters = &mut genesis.parameters;
    parameters.unbonding_ms = [1, 9_000, 40_000, 400_000][usize::try_from(dice.below(4)).unwrap()];
    parameters.free_expiry_ms = [5_000, 60_000, 10_000_000][usize::try_from(dice.below(3)).unwrap()];
    parameters.reward_interval_ms = [1, 4_000, 15_000, 60_000][usize::try_from(dice.below(4)).unwrap()];
    parameters.output_root_interval = 4 + dice.below(9);
    parameters.participation_min_bp = [0, 5_000, 8_000, 10_000][usize::try_from(dice.below(4)).unwrap()];
    if theme == Theme::Keys {
        parameters.unbonding_ms = 1_000 * (20 + dice.below(60));
    }
    if theme == Theme::Blame {
        parameters.unbonding_ms = 3_000 + dice.below(9_000);
    }
    if dice.one_in(4) {
        parameters.dust_min = Amount::ONE;
    }
    genesis
}
