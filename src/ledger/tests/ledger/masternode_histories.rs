//! Random histories of masternodes against a second, plain implementation of the rules, which shares nothing with the list but the formats.

use crate::chain::{genesis, locked};
use proptest::prelude::*;
use std::collections::BTreeMap;
use timed_ledger::{
    KeyHash, LockOwner, MasternodeList, MasternodeStatus, OutPoint, Payouts, RegisterPayload, RegistrationId,
    RuleContext, Tier, Transaction, TransactionBody, TransactionPayload as P, TxInput, Witness,
};
use timed_primitives::{Amount, Hash, Height, PublicKey, SecretKey, Signature, TxId, UnixTime, decode, encode};

/// What somebody tries. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Try {
    Register(Tier, u8),
    Rotate(u8, u8),
    Service(u8),
    Pause(u8),
    Resume(u8),
    Revoke(u8),
    Release(u8),
    /// Names an old change.
    Stale(u8),
    /// The end of a block, and the seconds until the next.
    Block(u16),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let tier = proptest::sample::select(Tier::ALL.to_vec());
    let one = prop_oneof![
        3 => (tier, any::<u8>()).prop_map(|(tier, operator)| Try::Register(tier, operator)),
        2 => any::<(u8, u8)>().prop_map(|(who, operator)| Try::Rotate(who, operator)),
        2 => any::<u8>().prop_map(Try::Service),
        3 => any::<u8>().prop_map(Try::Pause),
        2 => any::<u8>().prop_map(Try::Resume),
        3 => any::<u8>().prop_map(Try::Revoke),
        2 => any::<u8>().prop_map(Try::Release),
        1 => any::<u8>().prop_map(Try::Stale),
        6 => (1_u16..400).prop_map(Try::Block),
    ];
    proptest::collection::vec(one, 1..80)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Active,
    Paused,
    Leaving(u64),
    Left(u64),
}

/// A masternode as the rules describe it.
#[derive(Clone, Debug)]
struct Plain {
    id: RegistrationId,
    tier: Tier,
    operator: PublicKey,
    life: Life,
    since: u64,
    last: TxId,
    changed: u64,
    ends: Option<u64>,
}

impl Plain {
    fn has_claim(&self) -> bool {
        self.tier != Tier::Free && matches!(self.life, Life::Active | Life::Leaving(_))
    }
}

struct Model {
    all: Vec<Plain>,
    /// Replaced keys, whose they were, and until when nobody can take them.
    replaced: Vec<(PublicKey, RegistrationId, u64)>,
    height: u64,
    seconds: u64,
}

impl Model {
    fn claims(&self) -> usize {
        self.all.iter().filter(|one| one.has_claim()).count()
    }

    /// Whether nobody can take this key.
    fn is_taken(&self, key: &PublicKey) -> bool {
        let is_replaced = |(other, _, until): &(PublicKey, RegistrationId, u64)| other == key && *until > self.seconds;
        self.all.iter().any(|one| one.operator == *key) || self.replaced.iter().any(is_replaced)
    }

    /// Whether a masternode may replace one more key.
    fn may_rotate(&self, who: RegistrationId) -> bool {
        self.replaced.iter().filter(|(_, other, until)| *other == who && *until > self.seconds).count() < 16
    }

    /// Who votes, with which power, straight from the rules.
    fn voters(&self) -> BTreeMap<PublicKey, u64> {
        let mut claims: Vec<_> = self.all.iter().filter(|one| one.has_claim()).collect();
        claims.sort_by_key(|one| (one.since, one.id));
        claims.truncate(150);
        let power = |one: &&Plain| match one.tier {
            Tier::Free => 0,
            Tier::Bronze => 1,
            Tier::Silver => 10,
            Tier::Gold => 100,
        };
        let powers: Vec<u64> = claims.iter().map(power).collect();
        let capped = |cap: u64| powers.iter().map(|power| (*power).min(cap)).collect::<Vec<_>>();
        let fair = |cap: &u64| {
            let capped = capped(*cap);
            capped.iter().all(|power| power * 3 < capped.iter().sum())
        };
        let effective = if powers.len() < 4 { powers.clone() } else { capped((1..=100).filter(fair).max().unwrap()) };
        claims.iter().map(|one| one.operator).zip(effective).collect()
    }

    fn end_block(&mut self, unbonding: u64) {
        let mut leaving: Vec<_> =
            (0..self.all.len()).filter(|n| matches!(self.all[*n].life, Life::Leaving(_))).collect();
        leaving.sort_by_key(|n| match self.all[*n].life {
            Life::Leaving(asked) => (asked, self.all[*n].id),
            _ => unreachable!(),
        });
        for n in leaving {
            if !self.all[n].has_claim() || self.claims() > 4 {
                self.all[n].life = Life::Left(self.seconds);
            }
        }
        for one in &mut self.all {
            let is_over = one.ends.is_some_and(|ends| ends <= self.seconds);
            if is_over && matches!(one.life, Life::Active | Life::Paused) {
                one.life = Life::Left(self.seconds);
            }
        }
        let now = self.seconds;
        let is_over = |one: &Plain| matches!(one.life, Life::Left(at) if at + unbonding <= now);
        self.all.retain(|one| one.tier != Tier::Free || !is_over(one));
    }
}

fn operator_key(n: u8) -> PublicKey {
    SecretKey::development("operator", u64::from(n % 24)).public()
}

fn owner_key() -> PublicKey {
    SecretKey::development("owner", 1).public()
}

/// Not signed: signatures are checked apart. The collateral belongs to wallet 1.
fn transaction(payload: P, spent: OutPoint, amount: u64, signers: &[PublicKey]) -> Transaction {
    let wallet = crate::chain::wallet(1).public();
    let body = TransactionBody {
        payload,
        ..TransactionBody::transfer(genesis().chain_id, vec![TxInput { previous: spent }], vec![locked(amount, 1)])
    };
    let witness = |key: &PublicKey| Witness::Key { key: *key, signature: Signature([0; 64]) };
    Transaction { body, witnesses: [wallet].iter().chain(signers).map(witness).collect() }
}

fn play(tries: &[Try]) {
    let genesis = genesis();
    let parameters = genesis.parameters.clone();
    let (unbonding, expiry) = (parameters.unbonding_ms / 1_000, parameters.free_expiry_ms / 1_000);
    let mut list = MasternodeList::new(genesis.masternodes());
    let plain = |one: &timed_ledger::Masternode| Plain {
        id: one.id,
        tier: one.tier,
        operator: one.operator,
        life: Life::Active,
        since: 0,
        last: one.last_change,
        changed: 0,
        ends: None,
    };
    let mut model = Model { all: list.iter().map(plain).collect(), replaced: vec![], height: 1, seconds: 1_000 };
    for (n, attempt) in tries.iter().enumerate() {
        let time = UnixTime(model.seconds * 1_000);
        let voters = list.voters().unwrap();
        let rules = RuleContext { parameters: &parameters, height: Height(model.height), time, voters: &voters };
        let somewhere = OutPoint { txid: TxId(Hash([7; 32])), index: u32::try_from(n).unwrap() };
        let pick = |who: u8| (!model.all.is_empty()).then(|| usize::from(who) % model.all.len());
        if let Try::Block(seconds) = attempt {
            list.carry_out_exits(&list.exits(rules, &[]), rules);
            list.forget(&list.forgettable(rules));
            list.seal();
            model.end_block(unbonding);
            model.height += 1;
            model.seconds += u64::from(*seconds);
        } else if let Try::Register(tier, operator) = *attempt {
            let (operator, service) = (operator_key(operator), "203.0.113.7:7000".parse().unwrap());
            let payouts = Payouts::one(LockOwner::KeyHash(KeyHash::of(&owner_key())));
            let payload = RegisterPayload { tier, owner: owner_key(), operator, service, payouts };
            let amount = [Amount::ONE, Amount::whole(1_000), Amount::whole(10_000), Amount::whole(100_000)];
            let signers = [owner_key(), operator];
            let made = transaction(P::Register(payload), somewhere, amount[tier as usize].0, &signers);
            let (planned, is_allowed) = (list.plan(made.id(), &made, rules), !model.is_taken(&operator));
            assert_eq!(planned.is_ok(), is_allowed, "{n}: {attempt:?}: {planned:?}");
            if let Ok(change) = planned {
                list.carry_out(change, rules);
                let (id, ends) = (RegistrationId(made.id().0), (tier == Tier::Free).then(|| model.seconds + expiry));
                let (since, last, changed) = (model.height, made.id(), model.height);
                model.all.push(Plain { id, tier, operator, life: Life::Active, since, last, changed, ends });
            }
        } else if let Try::Release(who) = *attempt {
            let Some(at) = pick(who) else { continue };
            let (one, collateral) = (model.all[at].clone(), list.get(&model.all[at].id).unwrap().collateral);
            let made = transaction(P::Release { registration: one.id }, collateral, 1_000, &[]);
            let planned = list.plan(made.id(), &made, rules);
            let is_allowed = matches!(one.life, Life::Left(left) if left + unbonding <= model.seconds);
            assert_eq!(planned.is_ok(), is_allowed, "{n}: {attempt:?} {one:?}: {planned:?}");
            if let Ok(change) = planned {
                list.carry_out(change, rules);
                model.all.remove(at);
            }
        } else {
            change(&mut list, &mut model, *attempt, somewhere, rules, expiry);
        }
        compare(&list, &model);
    }
}

/// A change of a masternode that is there.
fn change(
    list: &mut MasternodeList,
    model: &mut Model,
    attempt: Try,
    spent: OutPoint,
    rules: RuleContext<'_>,
    expiry: u64,
) {
    let (Try::Rotate(who, _)
    | Try::Service(who)
    | Try::Pause(who)
    | Try::Resume(who)
    | Try::Revoke(who)
    | Try::Stale(who)) = attempt
    else {
        return;
    };
    let Some(at) = (!model.all.is_empty()).then(|| usize::from(who) % model.all.len()) else { return };
    let one = model.all[at].clone();
    let (registration, previous) = (one.id, one.last);
    let is_first = one.changed != model.height;
    let is_here = !matches!(one.life, Life::Left(_));
    let (payload, signers, is_allowed) = match attempt {
        Try::Rotate(_, key) => {
            let (operator, payouts) = (operator_key(key), list.get(&registration).unwrap().payouts.clone());
            let payload = P::UpdateRegistrar { registration, previous, operator, payouts };
            (payload, vec![owner_key(), operator], {
                is_here && !model.is_taken(&operator) && model.may_rotate(registration)
            })
        }
        Try::Service(_) => {
            let service = "203.0.113.8:7000".parse().unwrap();
            (P::UpdateService { registration, previous, service }, vec![one.operator], is_here)
        }
        Try::Pause(_) => {
            let is_possible = one.tier == Tier::Free || model.claims() > 4;
            (P::Pause { registration, previous }, vec![one.operator], one.life == Life::Active && is_possible)
        }
        Try::Resume(_) => (P::Resume { registration, previous }, vec![one.operator], one.life == Life::Paused),
        Try::Stale(_) => {
            let previous = TxId(Hash([9; 32]));
            (P::Resume { registration, previous }, vec![one.operator], false)
        }
        _ => {
            let is_possible = matches!(one.life, Life::Active | Life::Paused);
            let owner = list.get(&registration).unwrap().owner;
            (P::Revoke { registration, previous }, vec![owner], is_possible)
        }
    };
    let signers = match (&payload, list.get(&registration).unwrap().owner) {
        (P::UpdateRegistrar { operator, .. }, owner) => vec![owner, *operator],
        _ => signers,
    };
    let made = transaction(payload, spent, 1_000, &signers);
    let planned = list.plan(made.id(), &made, rules);
    assert_eq!(planned.is_ok(), is_allowed && is_first, "{attempt:?} {one:?}: {planned:?}");
    let Ok(planned) = planned else { return };
    list.carry_out(planned, rules);
    let (height, seconds) = (model.height, model.seconds);
    let changed = &mut model.all[at];
    (changed.last, changed.changed) = (made.id(), height);
    match attempt {
        Try::Rotate(_, key) => {
            let until = seconds + rules.parameters.unbonding_ms / 1_000;
            model.replaced.push((changed.operator, registration, until));
            changed.operator = operator_key(key);
        }
        Try::Service(_) => changed.ends = changed.ends.map(|_| seconds + expiry),
        Try::Pause(_) => changed.life = Life::Paused,
        Try::Resume(_) => changed.life = Life::Active,
        _ if changed.life == Life::Paused => changed.life = Life::Left(seconds),
        _ => changed.life = Life::Leaving(height),
    }
}

fn compare(list: &MasternodeList, model: &Model) {
    assert_eq!(list.len(), model.all.len());
    for one in &model.all {
        let found = list.get(&one.id).unwrap();
        let life = match found.status {
            MasternodeStatus::Active => Life::Active,
            MasternodeStatus::Paused => Life::Paused,
            MasternodeStatus::Leaving { asked_at } => Life::Leaving(asked_at.0),
            MasternodeStatus::Left { time, .. } => Life::Left(time.0 / 1_000),
            status @ (MasternodeStatus::Jailed { .. } | MasternodeStatus::Ended { .. }) => panic!("{status:?}"),
        };
        assert_eq!((life, found.operator, found.tier), (one.life, one.operator, one.tier));
        assert_eq!(list.of_operator(&one.operator).map(|found| found.id), Some(one.id));
        assert_eq!(list.of_collateral(&found.collateral).map(|found| found.id), Some(one.id));
    }
    let voters = list.voters().unwrap();
    let voters = voters.validators();
    let found: BTreeMap<_, _> = voters.iter().map(|voter| (voter.key, voter.power)).collect();
    assert_eq!(found, model.voters());
    assert!(found.len() >= 4 && found.values().all(|power| power * 3 < voters.total_power()), "{found:?}");
    assert_eq!(decode::<MasternodeList>(&encode(list)).unwrap(), *list);
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn any_history_is_that_of_a_second_implementation(tries in tries()) {
        play(&tries);
    }
}
