//! A transaction that several sign, in a file: what the node answered, with signatures that come one after the other.

use crate::connect::Failure;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use timed_ledger::{Address, KeyHash, Lock, Payouts, RegisterPayload, Transaction, TransactionPayload, Witness};
use timed_primitives::{Network, PublicKey, SecretKey, Signature, decode, encode};

/// Stands where a signature is not there yet.
const NOT_SIGNED: Witness = Witness::Key { key: PublicKey([0; 32]), signature: Signature([0; 64]) };

/// Whose signature a place of the witnesses needs.
struct SignerPlace {
    /// `coin`, `owner` or `operator`.
    role: String,
    /// The hash of the key; `None` where the node did not know it.
    owner: Option<KeyHash>,
    /// The key or the address, for people.
    name: String,
}

/// A draft.
pub(super) struct MasternodeDraft {
    /// As the node answered, and as it is written.
    value: Value,
    network: Network,
    transaction: Transaction,
    places: Vec<SignerPlace>,
}

impl MasternodeDraft {
    /// From a node's answer.
    pub(super) fn of(value: Value) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Usage(format!("this is no draft of a masternode: {what}"));
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let network = text("network").and_then(|text| text.parse().ok()).ok_or_else(|| wrong("it names no network"))?;
        let bytes = text("hex").and_then(|text| hex::decode(text).ok()).ok_or_else(|| wrong("its hex is none"))?;
        let mut transaction: Transaction =
            decode(&bytes).map_err(|error| wrong(&format!("its hex is no transaction: {error}")))?;
        if text("txid") != Some(&transaction.id().to_string()) {
            return Err(wrong("its hex is another transaction than its txid says"));
        }
        let signers = value.get("signers").and_then(Value::as_array).ok_or_else(|| wrong("it names no signers"))?;
        let needed = transaction.body.inputs.len() + transaction.body.payload.signers();
        if signers.len() != needed || transaction.witnesses.len() > needed {
            return Err(wrong("it names other signers than the transaction needs"));
        }
        transaction.witnesses.resize(needed, NOT_SIGNED);
        let places = signers.iter().map(|signer| place(signer, network)).collect();
        Ok(Self { value, network, transaction, places })
    }

    /// From a file.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let failed = |why: String| Failure::Usage(format!("the draft {}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        Self::of(serde_json::from_str(&text).map_err(|error| failed(format!("it is not JSON: {error}")))?)
    }

    /// Writes a new file.
    pub(super) fn write_new(&self, file: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Usage(format!("cannot write {}: {error}", file.display()));
        let mut made = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
        made.write_all(self.text().as_bytes()).and_then(|()| made.sync_all()).map_err(failed)
    }

    /// Writes the signatures into the file that it was read from.
    pub(super) fn write_back(&self, file: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Usage(format!("cannot write {}: {error}", file.display()));
        std::fs::write(file, self.text()).map_err(failed)
    }

    fn text(&self) -> String {
        format!("{:#}\n", self.value)
    }

    /// As it is written.
    pub(super) const fn value(&self) -> &Value {
        &self.value
    }

    /// Its encoding.
    pub(super) fn hex(&self) -> String {
        hex::encode(encode(&self.transaction))
    }

    /// Signs wherever the key is wanted; in how many places.
    pub(super) fn sign(&mut self, key: &SecretKey) -> usize {
        let (public, message) = (key.public(), self.transaction.body.signing_message());
        let (hash, witness) = (KeyHash::of(&public), Witness::Key { key: public, signature: key.sign(&message) });
        let mut count = 0;
        for (place, slot) in self.places.iter().zip(&mut self.transaction.witnesses) {
            if place.owner == Some(hash) {
                *slot = witness.clone();
                count += 1;
            }
        }
        self.value["hex"] = self.hex().into();
        self.value["complete"] = self.missing().is_empty().into();
        let signed: Vec<bool> = self.transaction.witnesses.iter().map(|witness| *witness != NOT_SIGNED).collect();
        if let Some(signers) = self.value.get_mut("signers").and_then(Value::as_array_mut) {
            signers.iter_mut().zip(signed).for_each(|(signer, signed)| signer["signed"] = json!(signed));
        }
        count
    }

    /// Whose signatures are missing.
    pub(super) fn missing(&self) -> Vec<String> {
        let places = self.places.iter().zip(&self.transaction.witnesses);
        places
            .filter(|(_, witness)| **witness == NOT_SIGNED)
            .map(|(place, _)| format!("{} {}", place.role, place.name))
            .collect()
    }

    /// What is signed, for people: from the bytes that signatures cover, apart from what the coins are worth.
    pub(super) fn words(&self) -> String {
        let body = &self.transaction.body;
        let mut lines = vec![("what".to_owned(), format!("{} on {}", self.deed(), self.network.name()))];
        let mut outputs = body.outputs.iter();
        if let TransactionPayload::Register(register) = &body.payload {
            let RegisterPayload { tier, owner, operator, service, payouts } = register;
            if let Some(locked) = outputs.next() {
                let to = self.lock(locked.lock);
                lines.push(("locks".into(), format!("{} TIME of {to} as collateral of tier {tier}", locked.amount)));
            }
            lines.extend([("owner".into(), owner.to_string()), ("operator".into(), operator.to_string())]);
            lines.push(("service".into(), service.to_string()));
            lines.extend(self.payees(payouts));
        }
        if let TransactionPayload::UpdateRegistrar { operator, payouts, .. } = &body.payload {
            lines.push(("operator".into(), operator.to_string()));
            lines.extend(self.payees(payouts));
        }
        if let TransactionPayload::UpdateService { service, .. } = &body.payload {
            lines.push(("service".into(), service.to_string()));
        }
        lines.extend(
            outputs.map(|output| ("pays".into(), format!("{} TIME to {}", output.amount, self.lock(output.lock)))),
        );
        let fee = self.value.get("fee").map(ToString::to_string).unwrap_or_default();
        lines.push(("fee".into(), format!("{fee} TIME, as the node says that prepared it")));
        for (place, witness) in self.places.iter().zip(&self.transaction.witnesses) {
            let state = if *witness == NOT_SIGNED { "missing" } else { "signed" };
            lines.push((state.into(), format!("{} {}", place.role, place.name)));
        }
        lines.iter().map(|(name, text)| format!("{name:<9} {text}\n")).collect()
    }

    /// What it does, in words.
    fn deed(&self) -> String {
        let of = |id: &timed_ledger::RegistrationId| format!("masternode {id}");
        match &self.transaction.body.payload {
            TransactionPayload::Transfer => "moves money".into(),
            TransactionPayload::Register(register) => format!("registers a {} masternode", register.tier),
            TransactionPayload::UpdateService { registration, .. } => format!("moves {}", of(registration)),
            TransactionPayload::UpdateRegistrar { registration, .. } => {
                format!("changes operator or payees of {}", of(registration))
            }
            TransactionPayload::Pause { registration, .. } => format!("pauses {}", of(registration)),
            TransactionPayload::Resume { registration, .. } => {
                format!("ends the pause or the jailing of {}", of(registration))
            }
            TransactionPayload::Revoke { registration, .. } => format!("makes {} leave", of(registration)),
            TransactionPayload::Release { registration } => format!("frees the collateral of {}", of(registration)),
            TransactionPayload::DoubleSign { registration, .. } => {
                format!("shows that {} contradicted itself", of(registration))
            }
            TransactionPayload::LatePrecommits(late) => format!("adds precommits for height {}", late.height),
            TransactionPayload::Reachability { free, witness, .. } => {
                format!("states that {} reached {}", of(witness), of(free))
            }
        }
    }

    fn payees(&self, payouts: &Payouts) -> Vec<(String, String)> {
        let shown = |payout: &timed_ledger::Payout| {
            let percent = format!("{}.{:02} %", payout.share / 100, payout.share % 100);
            ("payee".to_owned(), format!("{percent} to {}", self.lock(payout.to.lock())))
        };
        payouts.as_slice().iter().map(shown).collect()
    }

    fn lock(&self, lock: Lock) -> String {
        let address = lock.key_hash().map(|key_hash| Address { network: self.network, key_hash }.to_string());
        address.unwrap_or_else(|| lock.to_string())
    }
}

/// A row of the signers.
fn place(signer: &Value, network: Network) -> SignerPlace {
    let text = |name: &str| signer.get(name).and_then(Value::as_str).unwrap_or_default();
    let of_key = text("key").parse::<PublicKey>().ok().map(|key| KeyHash::of(&key));
    let of_address = Address::parse_for(text("address"), network).ok().map(|address| address.key_hash);
    let name = if of_key.is_some() { text("key") } else { text("address") };
    let name = timed_primitives::printable(name).into_owned();
    SignerPlace { role: timed_primitives::printable(text("role")).into_owned(), owner: of_key.or(of_address), name }
}
