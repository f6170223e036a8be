//! What transactions do to the list: registering, changing, leaving, and taking the collateral back.

use crate::error::BrokenRule as Fault;
use crate::list::{Masternodes, name};
use crate::place::{AuditedBlock, unbonds_at};
use crate::power::{VOTERS_MIN, has_claim, has_ended, tier_collateral, tier_power};
use core::net::IpAddr;
use timed_ledger::{
    Lock, Masternode, MasternodeStatus as Status, OutPoint, Parameters, Payouts, RegisterPayload, RegistrationId,
    ServiceAddress, Tier, TransactionPayload, TxOutput, Witness,
};
use timed_primitives::{Amount, Height, PublicKey, TxId, UnixTime};

/// Most free masternodes.
const FREE_MAX: usize = 1_000;
/// Most replaced keys of one masternode.
const REPLACED_MAX: usize = 16;

impl Masternodes {
    /// A registration. `is_owner`: whether an input is signed by the owner of the collateral.
    pub(crate) fn add(
        &mut self,
        place: AuditedBlock<'_>,
        (id, txid): (RegistrationId, TxId),
        register: &RegisterPayload,
        (collateral, output): (OutPoint, TxOutput),
        is_owner: bool,
        signers: &[Witness],
    ) -> Result<(), Fault> {
        let tier = register.tier;
        let needed = tier_collateral(tier, place.parameters.free_deposit);
        if output.amount != needed || matches!(output.lock, Lock::NotBefore { .. }) {
            return Err(Fault::CollateralOutput(needed));
        }
        if !is_owner {
            return Err(Fault::CollateralNotSigned);
        }
        if let Some(key) = [register.owner, register.operator].into_iter().find(|key| !key.is_valid()) {
            return Err(Fault::NoKey(key));
        }
        check_service(&register.service)?;
        // Those that have left count until their deposit is released.
        if tier == Tier::Free && self.list.values().filter(|one| one.tier == Tier::Free).count() >= FREE_MAX {
            return Err(Fault::TooManyFree);
        }
        self.check_operator(register.operator, place.time)?;
        check_signer(signers, 0, register.owner)?;
        check_signer(signers, 1, register.operator)?;
        self.register(Masternode {
            id,
            tier,
            collateral,
            owner: register.owner,
            operator: register.operator,
            service: register.service,
            payouts: register.payouts.clone(),
            registered_at: place.height,
            status: Status::Active,
            last_change: txid,
            changed_at: place.height,
            expires: expires(tier, place.time, place.parameters),
            operator_since: place.height,
            penalty: Amount::ZERO,
        });
        Ok(())
    }

    /// A release: what its double sign is charged. `spent`: what it spends first.
    pub(crate) fn free(
        &mut self,
        place: AuditedBlock<'_>,
        registration: &RegistrationId,
        spent: Option<OutPoint>,
    ) -> Result<Amount, Fault> {
        let one = self.list.get(registration).ok_or(Fault::NoMasternode(*registration))?;
        let Status::Left { time, .. } = one.status else { return Err(wrong(one)) };
        if !place.unbonded(time) {
            return Err(Fault::Unbonding { from: unbonds_at(time, place.parameters) });
        }
        if spent != Some(one.collateral) {
            return Err(Fault::ReleaseSpends);
        }
        Ok(self.release(registration).map_or(Amount::ZERO, |one| one.penalty))
    }

    /// Any other change.
    pub(crate) fn change(
        &mut self,
        place: AuditedBlock<'_>,
        txid: TxId,
        payload: &TransactionPayload,
        signers: &[Witness],
    ) -> Result<(), Fault> {
        use TransactionPayload as P;
        let (registration, previous) = match payload {
            P::UpdateService { registration, previous, .. }
            | P::UpdateRegistrar { registration, previous, .. }
            | P::Pause { registration, previous }
            | P::Resume { registration, previous }
            | P::Revoke { registration, previous } => (registration, previous),
            _ => return Ok(()),
        };
        let one = self.list.get(registration).ok_or(Fault::NoMasternode(*registration))?;
        if one.last_change != *previous {
            return Err(Fault::Predecessor { named: *previous, last: one.last_change });
        }
        if one.changed_at == place.height {
            return Err(Fault::ChangedTwice(*registration));
        }
        let changed = Masternode { last_change: txid, changed_at: place.height, ..one.clone() };
        let changed = match payload {
            P::UpdateService { service, .. } => update_service(changed, *service, place, signers)?,
            P::UpdateRegistrar { operator, payouts, .. } => {
                self.update_registrar(changed, *operator, payouts, place, signers)?
            }
            P::Pause { .. } => self.pause(changed, signers)?,
            P::Resume { .. } => {
                check_signer(signers, 0, changed.operator)?;
                match changed.status {
                    Status::Paused | Status::Jailed { .. } => Masternode { status: Status::Active, ..changed },
                    _ => return Err(wrong(&changed)),
                }
            }
            _ => revoke(changed, place, signers)?,
        };
        self.list.insert(changed.id, changed);
        Ok(())
    }

    fn update_registrar(
        &mut self,
        one: Masternode,
        operator: PublicKey,
        payouts: &Payouts,
        place: AuditedBlock<'_>,
        signers: &[Witness],
    ) -> Result<Masternode, Fault> {
        check_signer(signers, 0, one.owner)?;
        check_signer(signers, 1, operator)?;
        check_goes_on(&one)?;
        if operator == one.operator {
            if *payouts == one.payouts {
                return Err(Fault::NoChange);
            }
            return Ok(Masternode { payouts: payouts.clone(), ..one });
        }
        if !operator.is_valid() {
            return Err(Fault::NoKey(operator));
        }
        self.check_operator(operator, place.time)?;
        if self.penalties.replaced_of(&one.id, place.time) >= REPLACED_MAX {
            return Err(Fault::TooManyKeys(one.id));
        }
        self.penalties.replace(&one, place);
        Ok(Masternode { payouts: payouts.clone(), operator, operator_since: place.height, ..one })
    }

    fn pause(&self, one: Masternode, signers: &[Witness]) -> Result<Masternode, Fault> {
        check_signer(signers, 0, one.operator)?;
        if one.status != Status::Active {
            return Err(wrong(&one));
        }
        let left = self.claims().saturating_sub(usize::from(has_claim(&one)));
        if tier_power(one.tier) > 0 && left < VOTERS_MIN {
            return Err(Fault::TooFewVoters(left));
        }
        Ok(Masternode { status: Status::Paused, ..one })
    }

    /// Nobody else has the key, nor had it a short while ago.
    fn check_operator(&self, key: PublicKey, now: UnixTime) -> Result<(), Fault> {
        let has_it = self.list.values().find(|one| one.operator == key).map(|one| one.id);
        let had_it = self.penalties.replaced(&key, now).map(|kept| kept.registration);
        match has_it.or(had_it) {
            Some(registration) => Err(Fault::OperatorTaken { key, registration }),
            None => Ok(()),
        }
    }
}

fn update_service(
    one: Masternode,
    service: ServiceAddress,
    place: AuditedBlock<'_>,
    signers: &[Witness],
) -> Result<Masternode, Fault> {
    check_signer(signers, 0, one.operator)?;
    check_service(&service)?;
    check_goes_on(&one)?;
    let expires = expires(one.tier, place.time, place.parameters);
    Ok(Masternode { service, expires, ..one })
}

fn revoke(one: Masternode, place: AuditedBlock<'_>, signers: &[Witness]) -> Result<Masternode, Fault> {
    check_signer(signers, 0, one.owner)?;
    let left = Status::Left { at: place.height, time: place.time };
    let status = match one.status {
        Status::Active => Status::Leaving { asked_at: place.height },
        Status::Paused | Status::Jailed { .. } => left,
        _ => return Err(wrong(&one)),
    };
    Ok(Masternode { status, ..one })
}

fn wrong(one: &Masternode) -> Fault {
    Fault::Status { registration: one.id, status: name(one.status) }
}

/// Who has left or ended changes no more.
fn check_goes_on(one: &Masternode) -> Result<(), Fault> {
    let is_over = has_ended(one) || matches!(one.status, Status::Left { .. });
    if is_over { Err(wrong(one)) } else { Ok(()) }
}

/// Until when one is there that is registered or renewed now.
pub(crate) const fn expires(tier: Tier, now: UnixTime, parameters: &Parameters) -> UnixTime {
    match tier {
        Tier::Free => UnixTime(now.0.saturating_add(parameters.free_expiry_ms)),
        Tier::Bronze | Tier::Silver | Tier::Gold => UnixTime(u64::MAX),
    }
}

fn check_service(service: &ServiceAddress) -> Result<(), Fault> {
    let address = service.socket_address();
    let ip = address.ip();
    let is_of_all = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) || ip.is_multicast();
    if ip.is_unspecified() || is_of_all || address.port() == 0 { Err(Fault::Service) } else { Ok(()) }
}

/// The payload's signature at this position is by this key alone.
pub(crate) fn check_signer(signers: &[Witness], position: usize, expected: PublicKey) -> Result<(), Fault> {
    match signers.get(position) {
        Some(Witness::Key { key, .. }) if *key == expected => Ok(()),
        _ => Err(Fault::Signer { position, expected }),
    }
}

/// A masternode of genesis.
pub(crate) fn of_genesis(
    id: RegistrationId,
    tier: Tier,
    collateral: OutPoint,
    one: &timed_ledger::GenesisMasternode,
) -> Masternode {
    Masternode {
        id,
        tier,
        collateral,
        owner: one.owner,
        operator: one.operator,
        service: one.service.unwrap_or(ServiceAddress::UNKNOWN),
        payouts: one.payouts.clone(),
        registered_at: Height::GENESIS,
        status: Status::Active,
        last_change: TxId(id.0),
        changed_at: Height::GENESIS,
        expires: UnixTime(u64::MAX),
        operator_since: Height::GENESIS,
        penalty: Amount::ZERO,
    }
}
