//! The list of masternodes and the rules of its changes.

use crate::lock::LockOwner;
use crate::masternodes::entry::{Masternode, MasternodeStatus};
use crate::masternodes::error::MasternodeError;
use crate::masternodes::penalties::{PenaltyState, Punishment, RETIRED_KEYS_MAX, RetiredKey};
use crate::masternodes::power::{VOTERS_MAX, VOTERS_MIN, effective_powers};
use crate::masternodes::registration::RegistrationId;
use crate::masternodes::signers::{check_payload_witnesses, check_signers};
use crate::masternodes::tier::Tier;
use crate::masternodes::voting::{VotingMasternode, VotingMasternodes};
use crate::parameters::Parameters;
use crate::payload::{RegisterPayload, TransactionPayload};
use crate::transaction::{OutPoint, Transaction, Witness};
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Amount, Hash, Height, PublicKey, TxId, UnixTime, ValidatorSetError, merkle};

/// Most masternodes of the tier that does not vote.
const FREE_MAX: usize = 1_000;

/// All masternodes, in order of their names. Cheap to clone: unchanged ones are shared.
#[derive(Clone, Debug, Default)]
pub struct MasternodeList {
    pub(super) all: BTreeMap<RegistrationId, Arc<Masternode>>,
    /// Names by the outputs that are locked.
    collaterals: BTreeMap<OutPoint, RegistrationId>,
    /// Names by the keys that vote.
    operators: BTreeMap<PublicKey, RegistrationId>,
    /// What penalties depend on.
    pub(super) penalties: PenaltyState,
    /// Of the entries, in order, at the end of the block that changed them last.
    root: Hash,
}

/// What the rules depend on beside the list.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// The chain's numbers.
    pub parameters: &'a Parameters,
    /// Height of the block.
    pub height: Height,
    /// Its time.
    pub time: UnixTime,
    /// The voters two heights after the block before it, of which penalties are parts.
    pub voters: &'a VotingMasternodes,
}

impl RuleContext<'_> {
    /// When what happens in this block is the unbonding time ago.
    pub const fn unbonding_ends(&self) -> UnixTime {
        self.unbonded_from(self.time)
    }

    /// When what happened at a time is the unbonding time ago.
    pub const fn unbonded_from(&self, time: UnixTime) -> UnixTime {
        UnixTime(time.0.saturating_add(self.parameters.unbonding_ms))
    }
}

/// What one transaction does to the list, found to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// This masternode is new, or is so from now on.
    Put(Box<Masternode>),
    /// This one is no more.
    Remove(RegistrationId),
    /// It has another voting key from now on, and the old one is kept for a while.
    Rotate(Box<Masternode>, PublicKey, RetiredKey),
    /// It contradicted itself.
    Punish(Punishment),
}

impl MasternodeList {
    /// Of these masternodes.
    pub fn new(masternodes: impl IntoIterator<Item = Masternode>) -> Self {
        let mut list = Self::default();
        masternodes.into_iter().for_each(|one| list.insert(one));
        list.seal();
        list
    }

    /// All, in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Masternode> {
        self.all.values().map(Arc::as_ref)
    }

    /// How many, with those that have left and whose collateral is still locked.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one with this name.
    pub fn get(&self, id: &RegistrationId) -> Option<&Masternode> {
        self.all.get(id).map(Arc::as_ref)
    }

    /// Whose collateral this output is.
    pub fn of_collateral(&self, outpoint: &OutPoint) -> Option<&Masternode> {
        self.collaterals.get(outpoint).and_then(|id| self.get(id))
    }

    /// Whose voting key this is.
    pub fn of_operator(&self, key: &PublicKey) -> Option<&Masternode> {
        self.operators.get(key).and_then(|id| self.get(id))
    }

    /// Merkle root (RFC 6962 shape) of the entries in order of names; of the empty tree without any. As it was when the list was sealed.
    pub fn root(&self) -> Hash {
        if self.all.is_empty() { merkle::root(&[]) } else { self.root }
    }

    /// Who has a claim to vote, the longest registered first; the first [`VOTERS_MAX`] do vote, the others wait for a place.
    pub fn candidates(&self) -> Vec<&Masternode> {
        let mut found: Vec<_> = self.iter().filter(|one| one.wants_to_vote()).collect();
        found.sort_by_key(|one| (one.registered_at, one.id));
        found
    }

    /// Who decides the blocks two heights after the block with this list.
    ///
    /// # Errors
    /// When nobody votes, which the rules exclude.
    pub fn voters(&self) -> Result<VotingMasternodes, ValidatorSetError> {
        let voters: Vec<_> = self.candidates().into_iter().take(VOTERS_MAX).collect();
        let powers: Vec<_> = voters.iter().map(|one| one.tier.power()).collect();
        let voters = voters.iter().zip(effective_powers(&powers)).map(|(one, power)| VotingMasternode {
            validator: (one.operator, power),
            registration: one.id,
            tier: one.tier,
        });
        VotingMasternodes::new(voters.collect())
    }

    /// What penalties depend on beside the list.
    pub const fn penalties(&self) -> &PenaltyState {
        &self.penalties
    }

    /// What a transaction with this id does to the list, if it is allowed after those before it in its block. That its witnesses open what it
    /// spends, and all signatures, are checked apart.
    ///
    /// # Errors
    /// [`MasternodeError`] names the rule.
    pub fn plan(&self, id: TxId, transaction: &Transaction, rules: RuleContext<'_>) -> Result<Change, MasternodeError> {
        let (released, payload) = (self.check_collaterals(transaction)?, &transaction.body.payload);
        let (registration, previous) = match payload {
            TransactionPayload::Transfer => return Ok(Change::Nothing),
            TransactionPayload::Register(register) => return self.register(id, transaction, register, rules),
            TransactionPayload::Release { registration } => return self.release(*registration, released, rules),
            TransactionPayload::DoubleSign { registration, proof } => {
                return self.punishment(*registration, proof, rules).map(Change::Punish);
            }
            TransactionPayload::LatePrecommits(_) | TransactionPayload::Reachability { .. } => {
                return Ok(Change::Nothing);
            }
            TransactionPayload::UpdateService { registration, previous, .. }
            | TransactionPayload::UpdateRegistrar { registration, previous, .. }
            | TransactionPayload::Pause { registration, previous }
            | TransactionPayload::Resume { registration, previous }
            | TransactionPayload::Revoke { registration, previous } => (*registration, *previous),
        };
        let before = self.get(&registration).ok_or(MasternodeError::Unknown(registration))?;
        if before.last_change != previous {
            return Err(MasternodeError::Predecessor { registration, named: previous, last: before.last_change });
        }
        if before.changed_at == rules.height {
            return Err(MasternodeError::ChangedInBlock { registration, height: rules.height });
        }
        let after = self.changed(before, payload, rules)?;
        check_signers(transaction, before, payload)?;
        let mut after = Box::new(Masternode { last_change: id, changed_at: rules.height, ..after });
        if after.operator == before.operator {
            return Ok(Change::Put(after));
        }
        after.operator_since = rules.height;
        let (first, last, until) = (before.votes_from(), rules.height.next(), rules.unbonding_ends());
        Ok(Change::Rotate(after, before.operator, RetiredKey { registration, first, last, until }))
    }

    /// Makes a change. The block under way makes all of its changes before [`Self::seal`].
    pub fn carry_out(&mut self, change: Change, rules: RuleContext<'_>) {
        match change {
            Change::Nothing => {}
            Change::Put(one) => self.put(*one),
            Change::Remove(id) => self.remove(&id),
            Change::Rotate(one, key, retired) => {
                self.put(*one);
                self.penalties.retire(key, retired, rules.time);
            }
            Change::Punish(punishment) => self.punish(punishment, rules),
        }
    }

    /// The block under way changes nothing more: computes the root over all entries, once.
    pub fn seal(&mut self) {
        let leaves: Vec<_> = self.iter().map(|one| one.entry().leaf()).collect();
        self.root = merkle::root(&leaves);
    }

    /// What of the collateral that a transaction releases goes to the treasury.
    pub fn penalty_of(&self, transaction: &Transaction) -> Amount {
        match &transaction.body.payload {
            TransactionPayload::Release { registration } => {
                self.get(registration).map_or(Amount::ZERO, |one| one.penalty)
            }
            _ => Amount::ZERO,
        }
    }

    /// Nothing that is locked is spent but by its release. Which collateral the transaction spends.
    fn check_collaterals(&self, transaction: &Transaction) -> Result<Option<OutPoint>, MasternodeError> {
        let released = match &transaction.body.payload {
            TransactionPayload::Release { registration } => self.get(registration).map(|one| one.collateral),
            _ => None,
        };
        let inputs = transaction.body.inputs.iter().map(|input| input.previous);
        for outpoint in inputs.filter(|outpoint| Some(*outpoint) != released) {
            if let Some(registration) = self.collaterals.get(&outpoint).copied() {
                return Err(MasternodeError::CollateralLocked { outpoint, registration });
            }
        }
        Ok(transaction.body.inputs.first().map(|input| input.previous).filter(|first| Some(*first) == released))
    }

    fn register(
        &self,
        id: TxId,
        transaction: &Transaction,
        register: &RegisterPayload,
        rules: RuleContext<'_>,
    ) -> Result<Change, MasternodeError> {
        let (tier, needed) = (register.tier, register.tier.collateral(rules.parameters.free_deposit));
        let output = transaction.body.outputs.first();
        let found = output.map_or(Amount::ZERO, |output| output.amount);
        let lock = match output {
            Some(output) if found == needed => output.lock,
            _ => return Err(MasternodeError::CollateralAmount { tier, needed, found }),
        };
        if lock.not_before() != Height::GENESIS {
            return Err(MasternodeError::CollateralNotBefore);
        }
        let inputs = transaction.body.inputs.len();
        let mut owners = transaction.witnesses.iter().take(inputs).map(Witness::owner);
        if !owners.any(|owner: LockOwner| owner == lock.owner()) {
            return Err(MasternodeError::CollateralNotSigned);
        }
        register.service.check()?;
        self.check_operator(&register.operator, None, rules.time)?;
        check_key(&register.owner)?;
        let free = || self.iter().filter(|one| one.tier == Tier::Free).count();
        if tier == Tier::Free && free() >= FREE_MAX {
            let bronze = Tier::Bronze.collateral(rules.parameters.free_deposit);
            return Err(MasternodeError::TooManyFree { max: FREE_MAX, bronze });
        }
        let signers = [("owner", register.owner), ("operator", register.operator)];
        check_payload_witnesses(transaction, &signers)?;
        Ok(Change::Put(Box::new(Masternode {
            id: RegistrationId(id.0),
            tier,
            collateral: OutPoint { txid: id, index: 0 },
            owner: register.owner,
            operator: register.operator,
            service: register.service,
            payouts: register.payouts.clone(),
            registered_at: rules.height,
            status: MasternodeStatus::Active,
            last_change: id,
            changed_at: rules.height,
            expires: Masternode::expiry(tier, rules.time, rules.parameters),
            operator_since: rules.height,
            penalty: Amount::ZERO,
        })))
    }

    fn release(
        &self,
        registration: RegistrationId,
        released: Option<OutPoint>,
        rules: RuleContext<'_>,
    ) -> Result<Change, MasternodeError> {
        let one = self.get(&registration).ok_or(MasternodeError::Unknown(registration))?;
        let MasternodeStatus::Left { time, .. } = one.status else {
            return Err(MasternodeError::Status {
                registration,
                status: one.status.name(),
                wanted: "release its collateral before it has left: revoke it first",
            });
        };
        if released.is_none() {
            return Err(MasternodeError::ReleaseSpends(one.collateral));
        }
        let from = rules.unbonded_from(time);
        if rules.time < from && !is_planted(Bug::ReleaseWithoutUnbonding) {
            return Err(MasternodeError::Unbonding { registration, from, now: rules.time });
        }
        Ok(Change::Remove(registration))
    }

    /// What a change makes of a masternode, apart from who asks for it.
    fn changed(
        &self,
        before: &Masternode,
        payload: &TransactionPayload,
        rules: RuleContext<'_>,
    ) -> Result<Masternode, MasternodeError> {
        use MasternodeStatus as S;
        let registration = before.id;
        let refused = |wanted| MasternodeError::Status { registration, status: before.status.name(), wanted };
        let mut after = before.clone();
        match payload {
            TransactionPayload::UpdateService { service, .. } => {
                service.check()?;
                if matches!(before.status, S::Left { .. } | S::Ended { .. }) {
                    return Err(refused("change its address"));
                }
                after.service = *service;
                after.expires = Masternode::expiry(before.tier, rules.time, rules.parameters);
            }
            TransactionPayload::UpdateRegistrar { operator, payouts, .. } => {
                if matches!(before.status, S::Left { .. } | S::Ended { .. }) {
                    return Err(refused("change its keys"));
                }
                self.check_operator(operator, Some(registration), rules.time)?;
                if *operator != before.operator {
                    self.check_rotations(registration, rules.time)?;
                }
                if *operator == before.operator && *payouts == before.payouts {
                    return Err(MasternodeError::Nothing(registration));
                }
                (after.operator, after.payouts) = (*operator, payouts.clone());
            }
            TransactionPayload::Pause { .. } => {
                if before.status != S::Active {
                    return Err(refused("pause"));
                }
                let left = self.candidates().len().saturating_sub(usize::from(before.wants_to_vote()));
                if before.wants_to_vote() && left < VOTERS_MIN {
                    return Err(MasternodeError::TooFewVoters { left });
                }
                after.status = S::Paused;
            }
            TransactionPayload::Resume { .. } => {
                if !matches!(before.status, S::Paused | S::Jailed { .. }) {
                    return Err(refused("resume"));
                }
                after.status = S::Active;
            }
            TransactionPayload::Revoke { .. } => {
                if !matches!(before.status, S::Active | S::Paused | S::Jailed { .. }) {
                    return Err(refused("leave once more"));
                }
                // One that is paused or jailed has no power, so nobody has to wait for its exit.
                after.status = match before.status {
                    S::Paused | S::Jailed { .. } => S::Left { at: rules.height, time: rules.time },
                    _ => S::Leaving { asked_at: rules.height },
                };
            }
            TransactionPayload::Transfer
            | TransactionPayload::Register(_)
            | TransactionPayload::Release { .. }
            | TransactionPayload::DoubleSign { .. }
            | TransactionPayload::LatePrecommits(_)
            | TransactionPayload::Reachability { .. } => {}
        }
        Ok(after)
    }

    fn check_operator(
        &self,
        key: &PublicKey,
        of: Option<RegistrationId>,
        time: UnixTime,
    ) -> Result<(), MasternodeError> {
        check_key(key)?;
        if let Some(RetiredKey { registration, until, .. }) = self.penalties.retired_key(key, time).copied() {
            return Err(MasternodeError::OperatorRetired { operator: *key, registration, until });
        }
        match self.operators.get(key).copied() {
            Some(registration) if Some(registration) != of => {
                Err(MasternodeError::OperatorTaken { operator: *key, registration })
            }
            _ => Ok(()),
        }
    }

    /// Another key would have to be remembered.
    fn check_rotations(&self, registration: RegistrationId, time: UnixTime) -> Result<(), MasternodeError> {
        if self.penalties.retired_of(&registration, time) < RETIRED_KEYS_MAX {
            return Ok(());
        }
        let kept = self.penalties.retired.values().filter(|one| one.registration == registration && one.until > time);
        let until = kept.map(|one| one.until).min().unwrap_or(time);
        Err(MasternodeError::TooManyKeys { registration, max: RETIRED_KEYS_MAX, until })
    }

    fn put(&mut self, one: Masternode) {
        self.remove(&one.id);
        self.insert(one);
    }

    /// Changes what no index depends on.
    pub(super) fn alter(&mut self, id: &RegistrationId, change: impl FnOnce(&mut Masternode)) {
        if let Some(one) = self.all.get_mut(id) {
            change(Arc::make_mut(one));
        }
    }

    fn insert(&mut self, one: Masternode) {
        self.collaterals.insert(one.collateral, one.id);
        self.operators.insert(one.operator, one.id);
        self.all.insert(one.id, Arc::new(one));
    }

    pub(super) fn remove(&mut self, id: &RegistrationId) {
        if let Some(one) = self.all.remove(id) {
            self.collaterals.remove(&one.collateral);
            self.operators.remove(&one.operator);
        }
    }
}

fn check_key(key: &PublicKey) -> Result<(), MasternodeError> {
    if key.is_valid() { Ok(()) } else { Err(MasternodeError::Key(*key)) }
}

impl PartialEq for MasternodeList {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all && self.penalties == other.penalties
    }
}

impl Eq for MasternodeList {}

/// The masternodes in order of their names, and what penalties depend on.
impl BorshSerialize for MasternodeList {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        u32::try_from(self.all.len()).map_err(|_| io::ErrorKind::InvalidData)?.serialize(writer)?;
        self.iter().try_for_each(|one| one.serialize(writer))?;
        self.penalties.serialize(writer)
    }
}

/// Refuses masternodes out of order.
impl BorshDeserialize for MasternodeList {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let all: Vec<Masternode> = Vec::deserialize_reader(reader)?;
        if all.iter().zip(all.iter().skip(1)).any(|(before, after)| before.id >= after.id) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "masternodes out of order"));
        }
        Ok(Self { penalties: PenaltyState::deserialize_reader(reader)?, ..Self::new(all) })
    }
}
