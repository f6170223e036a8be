//! The texts of a test network: its files, and what is said about them.

use super::member::TestnetMember;
use std::fmt::Write as _;
use std::path::Path;
use timed_ledger::Genesis;
use timed_primitives::{Amount, counted};

/// Name that clients use with the password in the configuration.
const RPC_USER: &str = "operator";

/// `config.toml` of one node: a process on this machine, beside the others. Relative paths count from the file.
pub(super) fn config(member: &TestnetMember, members: &[TestnetMember], password: &str) -> String {
    let others = members.iter().filter(|other| other.name != member.name);
    let peers: Vec<_> = others.map(|other| format!("\"127.0.0.1:{}\"", other.p2p_port)).collect();
    let consensus_key = match member.masternode {
        Some(_) => "consensus_key = \"consensus.key\"\n",
        None => "",
    };
    format!(
        "# {title}, written by `timed testnet`. compose.yaml, beside this folder, sets other addresses for containers.\n\
         network = \"testnet\"\n\n\
         [node]\n\
         data_dir = \"data\"\n\
         genesis = \"../genesis.json\"\n\
         node_key = \"node.key\"\n\
         {consensus_key}\
         wallet_key = \"wallet.key\"\n\n\
         [p2p]\n\
         listen = \"127.0.0.1\"\n\
         port = {p2p_port}\n\
         peers = [{peers}]\n\n\
         [rpc]\n\
         listen = \"127.0.0.1\"\n\
         port = {rpc_port}\n\
         user = \"{RPC_USER}\"\n\
         password = \"{password}\"\n",
        title = member.title,
        p2p_port = member.p2p_port,
        peers = peers.join(", "),
        rpc_port = member.rpc_port,
    )
}

/// `compose.yaml`: a service for each node, none waiting for another. Each dials all by name; one that dials itself notices.
///
/// Containers run as the user that owns the files of the nodes. `TIMED_USER` is for engines that run without root, where another number of a
/// container is that user.
pub(super) fn compose(members: &[TestnetMember], (user, group): (u32, u32)) -> String {
    let peers: Vec<_> = members.iter().map(|member| format!("{}:{}", member.name, member.p2p_port)).collect();
    let mut text = format!(
        "# A test network in containers, written by `timed testnet`. Start it with: docker compose up -d\n\
         # Clients reach the nodes on this machine only, with the name and password in each config.toml.\n\
         # With a container engine that runs without root: TIMED_USER=0:0 docker compose up -d\n\
         x-node: &node\n  \
           image: ${{TIMED_IMAGE:-timed}}\n  \
           user: \"${{TIMED_USER:-{user}:{group}}}\"\n  \
           command: [--config, /etc/timed/node/config.toml]\n  \
           restart: unless-stopped\n  \
           networks: [timed]\n  \
           environment:\n    \
             TIMED__P2P__LISTEN: 0.0.0.0\n    \
             TIMED__P2P__PEERS: {peers}\n    \
             TIMED__RPC__LISTEN: 0.0.0.0\n\n\
         services:\n",
        peers = peers.join(","),
    );
    for TestnetMember { name, rpc_port, .. } in members {
        let _ = write!(
            text,
            "  {name}:\n    \
               <<: *node\n    \
               ports: [\"127.0.0.1:{rpc_port}:{rpc_port}\"]\n    \
               volumes:\n      \
                 - ./genesis.json:/etc/timed/genesis.json:ro\n      \
                 - ./{name}:/etc/timed/node:ro\n      \
                 - ./{name}/data:/var/lib/timed\n"
        );
    }
    text.push_str("\nnetworks:\n  timed: {}\n");
    text
}

/// What was written, and what to do next.
pub(super) fn written(folder: &Path, genesis: &Genesis, members: &[TestnetMember], each: Amount) -> String {
    let votes = members.iter().filter(|member| member.masternode.is_some()).count();
    let (folder, first) = (folder.display(), &members[0].name);
    let mut text = format!(
        "{masternodes} and {observers} of a new test network are in {folder}\n\n",
        masternodes = counted(votes, "masternode"),
        observers = counted(members.len() - votes, "observer"),
    );
    let mut row = |name: &str, meaning: String| {
        let _ = writeln!(text, "  {name:<16} {meaning}");
    };
    row("genesis.json", format!("chain {}, genesis {}", genesis.chain_id, genesis.hash().short()));
    row("compose.yaml", "the network in containers".into());
    for member in members {
        let key = if member.masternode.is_some() { "consensus key, " } else { "" };
        row(&format!("{}/", member.name), format!("config.toml, node key, {key}wallet key with {each} TIME, data"));
    }
    row("cold/", "owner and collateral keys: no node needs them, keep them elsewhere".into());
    let _ = write!(
        text,
        "\nThe folder is closed to other users of this machine, because every key is in it. \
         {masternodes} {go} on while {faults} missing.\n\n\
         In containers:     docker compose -f {folder}/compose.yaml up -d\n                   \
           docker compose -f {folder}/compose.yaml exec {first} time-cli status\n\
         Or as processes:   for config in {folder}/*/config.toml; do timed --config \"$config\" & done\n                   \
           time-cli --data-dir {folder}/{first}/data status\n\
         Not both: a masternode that runs twice signs twice.\n",
        masternodes = counted(votes, "masternode"),
        go = if votes == 1 { "goes" } else { "go" },
        faults = match (votes - 1) / 3 {
            0 => "none is".to_owned(),
            1 => "1 is".to_owned(),
            faults => format!("{faults} are"),
        },
    );
    text
}
