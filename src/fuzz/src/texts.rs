//! What people and programs write: addresses, amounts, keys, genesis files, settings.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;
use timed_ledger::{Address, Genesis};
use timed_peer::AddressClass;
use timed_peer::addresses::{check_address, join_address};
use timed_peer::subnet::{ip_of, machine_of, subnet_of};
use timed_primitives::{Amount, BlockId, Hash, Network, PublicKey, TxId};

/// What is read from a text is written in one way, and read again the same.
fn round_trip<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again, Some(value), "another value after writing and reading");
    }
}

/// Any of the short texts that commands and calls take.
pub(crate) fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    round_trip::<Amount>(text);
    round_trip::<PublicKey>(text);
    round_trip::<Hash>(text);
    round_trip::<TxId>(text);
    round_trip::<BlockId>(text);
    round_trip::<Network>(text);
    if let Ok(address) = Address::parse(text) {
        assert_eq!(address.to_string(), text.to_lowercase(), "an address has one text");
    }
    let class = AddressClass::of_address(text);
    match check_address(text) {
        Err(_) => assert!(class.is_err() && ip_of(text).is_none(), "what is no address has a class or an IP"),
        Ok(host) => {
            assert!(text.contains(host), "another host");
            if let (Some(ip), Some(port)) = (ip_of(text), text.rsplit(':').next().and_then(|port| port.parse().ok())) {
                // Written as we write it, it is the same place.
                let again = join_address(ip, port);
                assert_eq!(ip_of(&again), Some(ip));
                assert_eq!(subnet_of(machine_of(ip)), subnet_of(ip), "a machine outside its subnet");
            }
        }
    }
}

/// A genesis file.
pub(crate) fn genesis(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(genesis) = Genesis::from_json(text) {
        let again = Genesis::from_json(&genesis.to_json()).expect("a genesis that was read can be written and read");
        assert_eq!(again.hash(), genesis.hash(), "another genesis after writing and reading");
    }
}

/// A settings file. What is printed of it is a settings file again, with the same settings.
pub(crate) fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let load = |text: &str| {
        timed_config::load_text(Some((Path::new("/etc/timed.toml"), text)), [], &timed_config::Overrides::default())
    };
    match load(text) {
        Ok(loaded) => {
            let again = load(&loaded.print()).expect("what was printed can be loaded");
            let values = |loaded: &timed_config::Loaded| -> Vec<_> {
                loaded.settings.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect()
            };
            assert_eq!(values(&again), values(&loaded), "other settings after printing and loading");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "an error without words"),
    }
}

/// Settings by environment, a line for each.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("TIMED__{name}"), value.to_owned()));
    match timed_config::load(None, variables, &timed_config::Overrides::default()) {
        Ok(loaded) => assert!(!loaded.print().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty(), "an error without words"),
    }
}
