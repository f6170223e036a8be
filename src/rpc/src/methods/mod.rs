//! The table of methods: its name for the code, and one row that is the whole knowledge of its name, parameters and purpose. The server checks
//! parameters by it, `help` prints it, docs/rpc.md and the OpenRPC document show it, and the client makes its own help from it.
//! `catalogue.rs` finds the rows.

mod address;
mod calls;
mod chain;
mod consensus;
mod control;
mod fees;
mod masternodes;
mod method;
mod network;
mod transactions;
mod wallet;
mod wallets;

pub use calls::{
    AddressCall, Call, ChainCall, ConsensusCall, ControlCall, FeeCall, MasternodeCall, NetworkCall, TransactionCall,
    WalletCall, WalletsCall,
};
pub use method::Method;

const GROUPS: [&[Method]; 10] = [
    chain::ROWS,
    transactions::ROWS,
    fees::ROWS,
    network::ROWS,
    consensus::ROWS,
    masternodes::ROWS,
    wallet::ROWS,
    wallets::ROWS,
    address::ROWS,
    control::ROWS,
];

/// All methods, in the order in which `help` shows them.
pub const METHODS: &[Method] = &ALL;

const ALL: [Method; count()] = joined();

const fn count() -> usize {
    let (mut group, mut count) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
}

const fn joined() -> [Method; count()] {
    let mut all = [GROUPS[0][0]; count()];
    let (mut group, mut row, mut at) = (0, 0, 0);
    while group < GROUPS.len() {
        if row == GROUPS[group].len() {
            (group, row) = (group + 1, 0);
        } else {
            all[at] = GROUPS[group][row];
            (row, at) = (row + 1, at + 1);
        }
    }
    all
}
