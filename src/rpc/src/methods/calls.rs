//! Which method, for the exhaustive `match` of its group that answers it.

/// A method, by its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// About the chain and its blocks.
    Chain(ChainCall),
    /// About transactions and the mempool.
    Transaction(TransactionCall),
    /// About fees, and what clients of a mined chain ask.
    Fee(FeeCall),
    /// About peers.
    Network(NetworkCall),
    /// About validators.
    Consensus(ConsensusCall),
    /// About masternodes.
    Masternode(MasternodeCall),
    /// About the node's wallet.
    Wallet(WalletCall),
    /// About wallets with a phrase.
    Wallets(WalletsCall),
    /// About any address.
    Address(AddressCall),
    /// About the node itself.
    Control(ControlCall),
}

/// Methods about the chain and its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum ChainCall {
    GetBlockchainInfo,
    GetBlockCount,
    GetBestBlockHash,
    GetBlock,
    GetBlockHeader,
    GetBlockHash,
    GetBlockStats,
    GetHistoryProof,
    VerifyHistoryProof,
    GetDifficulty,
    GetChainTips,
    GetChainTxStats,
    GetDeploymentInfo,
    GetTxOutSetInfo,
    GetSupply,
    GetTreasuryBalance,
    ScanTxOutSet,
    GetIndexInfo,
    WaitForNewBlock,
    WaitForBlock,
    WaitForBlockHeight,
}

/// Methods about transactions and the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum TransactionCall {
    GetTransaction,
    GetRawTransaction,
    GetTxOut,
    GetTxSpendingPrevout,
    SendRawTransaction,
    TestMempoolAccept,
    DecodeRawTransaction,
    DecodeScript,
    CreateRawTransaction,
    CombineRawTransaction,
    SignRawTransactionWithKey,
    GetMempoolInfo,
    GetRawMempool,
    GetMempoolEntry,
    GetMempoolAncestors,
    GetMempoolDescendants,
}

/// Methods about fees, and what clients of a mined chain ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum FeeCall {
    EstimateSmartFee,
    GetMiningInfo,
    GetNetworkHashPs,
    PrioritiseTransaction,
}

/// Methods about peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum NetworkCall {
    GetNetworkInfo,
    GetConnectionCount,
    GetNetTotals,
    GetPeerInfo,
    GetPeerHistory,
    Ping,
    PingPeer,
    AddNode,
    GetAddedNodeInfo,
    GetNodeAddresses,
    DisconnectNode,
    SetBan,
    ListBanned,
    ClearBanned,
    SetNetworkActive,
}

/// Methods about validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum ConsensusCall {
    GetConsensusInfo,
}

/// Methods about masternodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum MasternodeCall {
    MasternodeList,
    MasternodeStatus,
    GetMasternodeProof,
    VerifyMasternodeProof,
    ListLockedCollaterals,
    CheckCollateral,
    GetRewardReport,
    MasternodeWinners,
    MasternodeRewards,
    MasternodeHistory,
    Protx,
}

/// Methods about the node's wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum WalletCall {
    GetBalance,
    GetBalances,
    GetUnconfirmedBalance,
    GetWalletInfo,
    GetNewAddress,
    GetRawChangeAddress,
    GetAddressInfo,
    ListUnspent,
    SendToAddress,
    SendMany,
    FundRawTransaction,
    SetLabel,
    GetAddressesByLabel,
    ListLabels,
    SignRawTransactionWithWallet,
    SignMessage,
    VerifyMessage,
    LockUnspent,
    ListLockUnspent,
    ListTransactions,
    ListSinceBlock,
    SetTxFee,
    ValidateAddress,
}

/// Methods about wallets with a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum WalletsCall {
    ListWallets,
    ListWalletDir,
    CreateWallet,
    RestoreWallet,
    LoadWallet,
    UnloadWallet,
    WalletPassphrase,
    WalletLock,
    WalletPassphraseChange,
    BackupWallet,
    KeypoolRefill,
    RescanBlockchain,
    AbortRescan,
}

/// Methods about any address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum AddressCall {
    GetAddressBalance,
    GetAddressUtxos,
    GetAddressTxids,
    GetAddressDeltas,
    GetAddressMempool,
}

/// Methods about the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum ControlCall {
    Uptime,
    GetRpcInfo,
    GetMemoryInfo,
    Logging,
    GetZmqNotifications,
    RpcDiscover,
    Stop,
    Help,
}
