//! Calls a node by typed clients that others wrote for Bitcoin Core, and says of each call whether its answer is what their types hold.
//! Arguments: address, name, password, and the id of a final transaction whose output 0 is unspent.

use bitcoincore_rpc::bitcoin::hashes::Hash as _;
use bitcoincore_rpc::{RpcApi as _, bitcoin};
use corepc_client::client_sync::{Auth as CoreAuth, v28};
use std::fmt::Display;

fn say<T, E: Display>(client: &str, call: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{client} {call} yes"),
        Err(error) => println!("{client} {call} {}", error.to_string().replace('\n', " ")),
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().expect("URL USER PASSWORD TXID");
    let (url, user, password, txid) = (word(), word(), word(), word());
    let txid: bitcoin::Txid = txid.parse().expect("a transaction id");
    bitcoincore_rpc(&url, &user, &password, txid);
    corepc_client(&url, &user, &password, txid);
}

fn bitcoincore_rpc(url: &str, user: &str, password: &str, txid: bitcoin::Txid) {
    use bitcoincore_rpc::{Auth, Client};
    let rpc = Client::new(url, Auth::UserPass(user.into(), password.into())).expect("a client");
    let hash = rpc.get_block_hash(1).expect("the first block");
    let genesis = rpc.get_block_hash(0).expect("the genesis");
    let zero = bitcoin::Txid::all_zeros();
    macro_rules! calls { ($($name:literal: $call:expr),* $(,)?) => { $( say("bitcoincore-rpc", $name, $call); )* } }
    calls! {
        "version": rpc.version(),
        "get_network_info": rpc.get_network_info(),
        "get_index_info": rpc.get_index_info(),
        "list_wallets": rpc.list_wallets(),
        "get_wallet_info": rpc.get_wallet_info(),
        "get_difficulty": rpc.get_difficulty(),
        "get_connection_count": rpc.get_connection_count(),
        "get_block": rpc.get_block(&hash),
        "get_block_hex": rpc.get_block_hex(&hash),
        "get_block_hex.genesis": rpc.get_block_hex(&genesis),
        "get_block_info": rpc.get_block_info(&hash),
        "get_block_info.genesis": rpc.get_block_info(&genesis),
        "get_block_header": rpc.get_block_header(&hash),
        "get_block_header_info": rpc.get_block_header_info(&hash),
        "get_block_header_info.genesis": rpc.get_block_header_info(&genesis),
        "get_mining_info": rpc.get_mining_info(),
        "get_blockchain_info": rpc.get_blockchain_info(),
        "get_block_count": rpc.get_block_count(),
        "get_best_block_hash": rpc.get_best_block_hash(),
        "get_block_stats": rpc.get_block_stats(1),
        "get_block_stats.genesis": rpc.get_block_stats(0),
        "get_block_stats_fields": rpc.get_block_stats_fields(1, &[bitcoincore_rpc::json::BlockStatsFields::TotalFee]),
        "get_raw_transaction": rpc.get_raw_transaction(&txid, None),
        "get_raw_transaction_hex": rpc.get_raw_transaction_hex(&txid, None),
        "get_raw_transaction_info": rpc.get_raw_transaction_info(&txid, None),
        "get_balance": rpc.get_balance(Some(1), Some(false)),
        "get_balances": rpc.get_balances(),
        "get_transaction": rpc.get_transaction(&txid, None),
        "list_transactions": rpc.list_transactions(None, Some(5), None, None),
        "list_since_block": rpc.list_since_block(Some(&hash), None, None, None),
        "get_tx_out": rpc.get_tx_out(&txid, 0, None),
        "get_tx_out.none": rpc.get_tx_out(&zero, 0, None),
        "list_unspent": rpc.list_unspent(None, None, None, None, None),
        "unlock_unspent_all": rpc.unlock_unspent_all(),
        "get_new_address": rpc.get_new_address(None, None),
        "get_raw_change_address": rpc.get_raw_change_address(None),
        "get_mempool_info": rpc.get_mempool_info(),
        "get_raw_mempool": rpc.get_raw_mempool(),
        "get_raw_mempool_verbose": rpc.get_raw_mempool_verbose(),
        "get_chain_tips": rpc.get_chain_tips(),
        "add_node": rpc.add_node("127.0.0.1:9"),
        "get_added_node_info": rpc.get_added_node_info(None),
        "get_node_addresses": rpc.get_node_addresses(Some(10)),
        "list_banned": rpc.list_banned(),
        "clear_banned": rpc.clear_banned(),
        "set_network_active": rpc.set_network_active(true),
        "get_peer_info": rpc.get_peer_info(),
        "ping": rpc.ping(),
        "estimate_smart_fee": rpc.estimate_smart_fee(2, None),
        "wait_for_new_block": rpc.wait_for_new_block(1),
        "wait_for_block": rpc.wait_for_block(&hash, 1),
        "get_tx_out_set_info": rpc.get_tx_out_set_info(None, None, None),
        "get_net_totals": rpc.get_net_totals(),
        "get_network_hash_ps": rpc.get_network_hash_ps(None, None),
        "uptime": rpc.uptime(),
        "get_zmq_notifications": rpc.get_zmq_notifications(),
    }
}

fn corepc_client(url: &str, user: &str, password: &str, txid: bitcoin::Txid) {
    let rpc = v28::Client::new_with_auth(url, CoreAuth::UserPass(user.into(), password.into())).expect("a client");
    let hash: bitcoin::BlockHash = rpc.get_block_hash(1).expect("the first block").0.parse().expect("a hash");
    macro_rules! calls { ($($name:literal: $call:expr),* $(,)?) => { $( say("corepc-client", $name, $call); )* } }
    calls! {
        "get_best_block_hash": rpc.get_best_block_hash(),
        "get_block_verbose_zero": rpc.get_block_verbose_zero(hash),
        "get_block_verbose_one": rpc.get_block_verbose_one(hash),
        "get_blockchain_info": rpc.get_blockchain_info(),
        "get_block_count": rpc.get_block_count(),
        "get_block_header": rpc.get_block_header(&hash),
        "get_block_header_verbose": rpc.get_block_header_verbose(&hash),
        "get_block_stats_by_height": rpc.get_block_stats_by_height(1, None),
        "get_block_stats_by_block_hash": rpc.get_block_stats_by_block_hash(&hash, None),
        "get_chain_tips": rpc.get_chain_tips(),
        "get_chain_tx_stats": rpc.get_chain_tx_stats(),
        "get_deployment_info": rpc.get_deployment_info(&hash),
        "get_difficulty": rpc.get_difficulty(),
        "get_mempool_info": rpc.get_mempool_info(),
        "get_raw_mempool": rpc.get_raw_mempool(),
        "get_raw_mempool_verbose": rpc.get_raw_mempool_verbose(),
        "get_tx_out": rpc.get_tx_out(txid, 0),
        "get_tx_out_set_info": rpc.get_tx_out_set_info(),
        "get_memory_info": rpc.get_memory_info(),
        "get_rpc_info": rpc.get_rpc_info(),
        "help": rpc.help(),
        "logging": rpc.logging(),
        "uptime": rpc.uptime(),
        "get_mining_info": rpc.get_mining_info(),
        "get_network_hash_ps": rpc.get_network_hash_ps(),
        "clear_banned": rpc.clear_banned(),
        "get_added_node_info": rpc.get_added_node_info(),
        "get_connection_count": rpc.get_connection_count(),
        "get_net_totals": rpc.get_net_totals(),
        "get_network_info": rpc.get_network_info(),
        "get_node_addresses": rpc.get_node_addresses(),
        "get_peer_info": rpc.get_peer_info(),
        "list_banned": rpc.list_banned(),
        "ping": rpc.ping(),
        "set_network_active": rpc.set_network_active(true),
        "get_raw_transaction": rpc.get_raw_transaction(txid),
        "get_raw_transaction_verbose": rpc.get_raw_transaction_verbose(txid),
        "estimate_smart_fee": rpc.estimate_smart_fee(2),
        "get_index_info": rpc.get_index_info(),
        "get_balance": rpc.get_balance(),
        "get_balances": rpc.get_balances(),
        "get_transaction": rpc.get_transaction(txid),
        "get_unconfirmed_balance": rpc.get_unconfirmed_balance(),
        "get_wallet_info": rpc.get_wallet_info(),
        "list_labels": rpc.list_labels(),
        "list_lock_unspent": rpc.list_lock_unspent(),
        "list_since_block": rpc.list_since_block(),
        "list_transactions": rpc.list_transactions(),
        "list_unspent": rpc.list_unspent(),
        "list_wallets": rpc.list_wallets(),
        "get_addresses_by_label": rpc.get_addresses_by_label(""),
    }
}
