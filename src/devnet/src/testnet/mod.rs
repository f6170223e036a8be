//! `timed testnet`: writes a test network of one's own, with fresh keys, to be run in containers or as processes of one machine.
//!
//! ```text
//!   DIR/genesis.json  compose.yaml
//!   DIR/masternode-1/ config.toml  node.key  consensus.key  wallet.key  data/
//!   DIR/observer-1/   config.toml  node.key                 wallet.key  data/
//!   DIR/cold/         masternode-1.owner.key  masternode-1.collateral.key
//! ```
//!
//! What is in `cold` no node needs: it changes masternodes, ends them, and takes back what they lock.
//!
//! `config.toml` describes the node as a process of this machine. `compose.yaml` changes by the environment what is different in a
//! container: addresses to listen on and names to dial. A container runs as the user that owns the files, since nobody else may read them, and
//! has the same data folder, whose lock keeps a node from running twice.

mod member;
mod text;

use anyhow::{Context as _, bail};
use clap::Args;
use member::{MasternodeKeys, TestnetMember};
use rand::rand_core::UnwrapErr;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use timed_config::{DEVNET_P2P_PORT, DEVNET_RPC_PORT};
use timed_ledger::{Address, Genesis, GenesisMasternode, GenesisOutput, KeyHash, Parameters, Payouts, Tier};
use timed_primitives::{Amount, ChainId, Network, SecretKey, UnixTime};
use timed_store::write_durably;

/// Money of each node's wallet at the start, as this many outputs, so that as many payments can run side by side.
const OUTPUTS_EACH: usize = 100;
/// Amount of each of them.
const OUTPUT: Amount = Amount::whole(1_000);
/// Chain ids below are those of development networks.
const CHAIN_ID_MIN: u64 = 10_000;
/// Largest chain id that is drawn: every reader of JSON keeps such a number exactly.
const CHAIN_ID_MAX: u64 = (1 << 53) - 1;
/// Closed to other users of this machine: below are keys and a password.
const FOLDER_MODE: u32 = 0o700;
/// Of the genesis, which is no secret, and which containers read where they are not its owner.
const GENESIS_MODE: u32 = 0o644;
/// User and group of the image (`docker/Dockerfile`), as which containers run where root writes the network: none of them runs as root.
const IMAGE_USER: (u32, u32) = (10_001, 10_001);

/// Flags of `timed testnet`.
#[derive(Clone, Debug, Args)]
pub struct TestnetArgs {
    /// How many masternodes vote.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub masternodes: u16,
    /// How many further nodes follow without a vote.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=100))]
    pub observers: u16,
    /// Folder to write into; it must be empty or new.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Port of the first node for other nodes; the next node has the next port.
    #[arg(long, default_value_t = DEVNET_P2P_PORT, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub p2p_port: u16,
    /// Port of the first node for clients; the next node has the next port.
    #[arg(long, default_value_t = DEVNET_RPC_PORT, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: u16,
}

/// Writes the network and says how to start it.
///
/// # Errors
/// When the folder holds something, cannot be written, or the ports do not suffice. Keys that are there are never written over.
pub fn run(arguments: &TestnetArgs) -> anyhow::Result<()> {
    let members = members(arguments)?;
    let genesis = genesis(&members, now());
    genesis.validate()?;
    let folder = prepare(&arguments.output)?;
    let password = hex::encode(rand::random::<[u8; 16]>());
    let user = user();
    let genesis_file = folder.join("genesis.json");
    put(&genesis_file, &genesis.to_json())?;
    permit(&genesis_file, GENESIS_MODE)?;
    for member in &members {
        write_member(member, &folder, &text::config(member, &members, &password), user)?;
    }
    write_cold(&members, &folder, user)?;
    // Last: a folder that has it is complete.
    put(&folder.join("compose.yaml"), &text::compose(&members, user))?;
    let said = text::written(&folder, &genesis, &members, Amount(OUTPUT.0 * OUTPUTS_EACH as u64));
    // Whoever asked may have gone; the network is written.
    let _ = std::io::stdout().write_all(said.as_bytes());
    Ok(())
}

/// The keys that belong on no node, which only this user may read.
fn write_cold(members: &[TestnetMember], folder: &Path, user: (u32, u32)) -> anyhow::Result<()> {
    let cold = folder.join("cold");
    fs::create_dir(&cold).with_context(|| format!("cannot make {}", cold.display()))?;
    permit(&cold, FOLDER_MODE)?;
    let mut written = vec![cold.clone()];
    for (member, keys) in members.iter().filter_map(|member| Some((member, member.masternode.as_ref()?))) {
        for (name, key) in [("owner", &keys.owner), ("collateral", &keys.collateral)] {
            let file = cold.join(format!("{}.{name}.key", member.name));
            put(&file, &key_text(key))?;
            written.push(file);
        }
    }
    give(&written, user)
}

/// How a key file looks.
fn key_text(key: &SecretKey) -> String {
    format!("{}\n", hex::encode(key.seed()))
}

/// Gives files to the user as which nodes run.
fn give(files: &[PathBuf], (user, group): (u32, u32)) -> anyhow::Result<()> {
    files.iter().try_for_each(|path| {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("cannot give {} to user {user}, as which its container runs", path.display()))
    })
}

/// Folder, keys and configuration of one node, which only this user may read.
fn write_member(member: &TestnetMember, folder: &Path, config: &str, user: (u32, u32)) -> anyhow::Result<()> {
    let own = folder.join(&member.name);
    let keys = [
        ("node.key", Some(&member.node_key)),
        ("wallet.key", Some(&member.wallet_key)),
        ("consensus.key", member.masternode.as_ref().map(|keys| &keys.consensus)),
    ];
    let mut written = vec![own.clone(), own.join("data")];
    for folder in &written {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        permit(folder, FOLDER_MODE)?;
    }
    let keys = keys.into_iter().filter_map(|(name, key)| Some((name, key_text(key?))));
    for (name, text) in keys.chain([("config.toml", config.to_owned())]) {
        let file = own.join(name);
        put(&file, &text)?;
        written.push(file);
    }
    give(&written, user)
}

/// User and group that own the files of nodes, and as which containers run.
fn user() -> (u32, u32) {
    match rustix::process::getuid() {
        user if user.is_root() => IMAGE_USER,
        user => (user.as_raw(), rustix::process::getgid().as_raw()),
    }
}

#[allow(clippy::disallowed_methods, reason = "a program at the edge: the network begins now")]
fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn members(arguments: &TestnetArgs) -> anyhow::Result<Vec<TestnetMember>> {
    let (first_p2p, first_rpc) = (arguments.p2p_port, arguments.rpc_port);
    let count = arguments.masternodes + arguments.observers;
    let last = |first: u16| {
        first
            .checked_add(count - 1)
            .with_context(|| format!("{count} ports from {first} on are too many: choose a lower one"))
    };
    let (last_p2p, last_rpc) = (last(first_p2p)?, last(first_rpc)?);
    if first_p2p <= last_rpc && first_rpc <= last_p2p {
        bail!(
            "ports {first_p2p} to {last_p2p} for nodes and {first_rpc} to {last_rpc} for clients overlap: choose others with \
             --p2p-port and --rpc-port"
        );
    }
    let generate = || SecretKey::generate(&mut UnwrapErr(rand::rngs::SysRng));
    let member = |offset: u16| {
        let votes = offset < arguments.masternodes;
        let (kind, number, of) = match votes {
            true => ("Masternode", offset + 1, arguments.masternodes),
            false => ("Observer", offset - arguments.masternodes + 1, arguments.observers),
        };
        TestnetMember {
            name: format!("{}-{number}", kind.to_lowercase()),
            title: format!("{kind} {number} of {of}"),
            p2p_port: first_p2p + offset,
            rpc_port: first_rpc + offset,
            node_key: generate(),
            masternode: votes.then(|| MasternodeKeys {
                consensus: generate(),
                owner: generate(),
                collateral: generate(),
            }),
            wallet_key: generate(),
        }
    };
    Ok((0..count).map(member).collect())
}

/// Every masternode is a bronze one, every node's wallet owns the same money.
fn genesis(members: &[TestnetMember], now: UnixTime) -> Genesis {
    let network = Network::Testnet;
    let parameters = Parameters::of(network);
    let address = |key: &SecretKey| Address { network, key_hash: KeyHash::of(&key.public()) };
    let output = |member: &TestnetMember| GenesisOutput { address: address(&member.wallet_key), amount: OUTPUT };
    let mut outputs: Vec<_> =
        members.iter().flat_map(|member| std::iter::repeat_n(output(member), OUTPUTS_EACH)).collect();
    let mut masternodes = Vec::new();
    for member in members {
        let Some(keys) = &member.masternode else { continue };
        masternodes.push(GenesisMasternode {
            operator: keys.consensus.public(),
            owner: keys.owner.public(),
            collateral: u32::try_from(outputs.len()).unwrap_or(u32::MAX),
            // In containers and on one machine it differs, and the genesis is one.
            service: None,
            payouts: Payouts::one(address(&member.wallet_key).lock().owner()),
        });
        let amount = Tier::Bronze.collateral(parameters.free_deposit);
        outputs.push(GenesisOutput { address: address(&keys.collateral), amount });
    }
    Genesis {
        network,
        chain_id: ChainId(rand::random_range(CHAIN_ID_MIN..=CHAIN_ID_MAX)),
        // So far in the past that the first block is due at once.
        time: UnixTime(now.0.saturating_sub(parameters.empty_block_interval_ms)),
        masternodes,
        outputs,
        parameters,
    }
}

/// The folder to write into, made or found empty, closed to others.
fn prepare(folder: &Path) -> anyhow::Result<PathBuf> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => bail!(
            "the folder {} is not empty, and keys are never written over: choose another with --output DIR",
            folder.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot use the folder {}", folder.display())),
    }
    permit(folder, FOLDER_MODE)?;
    fs::canonicalize(folder).with_context(|| format!("cannot use the folder {}", folder.display()))
}

/// Readable by its owner only.
fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    write_durably(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn permit(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the permissions of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_the_user_that_files_are_given_to() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/Dockerfile");
        let (user, group) = IMAGE_USER;
        let line = format!("USER {user}:{group}\n");
        assert!(fs::read_to_string(path).unwrap().contains(&line), "docker/Dockerfile has no line {line:?}");
    }
}
