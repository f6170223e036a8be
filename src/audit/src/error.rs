//! What the audit finds wrong.

use std::fmt;
use timed_ledger::{OutPoint, RegistrationId};
use timed_primitives::{Amount, BlockId, ChainId, Hash, Height, PublicKey, Round, TxId, UnixTime};

/// The first difference between the blocks and the rules. Whatever is audited after it means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("height {height}: {fault}")]
pub struct AuditError {
    /// Height of the block; 0 for the genesis.
    pub height: Height,
    /// What differs.
    pub fault: AuditFault,
}

/// A hash in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// Id of the block before.
    Parent,
    /// Hash of the certificate of the block before.
    ParentCertificate,
    /// Root over the transactions.
    Transactions,
    /// Root over the statements about behaviour.
    Evidence,
    /// Who decides the height.
    Validators,
    /// Who decides the next height.
    NextValidators,
    /// Root over the masternodes.
    Masternodes,
    /// Root over the outputs of an earlier state.
    Outputs,
    /// The chain's parameters.
    Parameters,
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parent => "parent",
            Self::ParentCertificate => "parent certificate hash",
            Self::Transactions => "transaction root",
            Self::Evidence => "evidence root",
            Self::Validators => "validators hash",
            Self::NextValidators => "next validators hash",
            Self::Masternodes => "masternode root",
            Self::Outputs => "output root",
            Self::Parameters => "parameters hash",
        })
    }
}

/// What the audit made its state commitment of: the masternodes have a root of their own in the header, so the difference is in one of the
/// others, or the state commitment is of nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateParts {
    /// Unspent outputs.
    pub outputs: u64,
    /// What they hold.
    pub unspent: Amount,
    /// Hash of the 2,048 bytes over them.
    pub output_hash: Hash,
    /// Hash over all that is in no output.
    pub accounts_root: Hash,
    /// Fees that are not paid out yet.
    pub fees: Amount,
    /// The treasury's.
    pub treasury: Amount,
    /// Made since genesis.
    pub issued: Amount,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// The genesis makes no chain.
    #[error("masternode {0} of the genesis locks no output with the amount of a tier that votes")]
    GenesisCollateral(u32),
    /// More money than can be counted, or less than none.
    #[error("money leaves the range of 2^64 units")]
    MoneyRange,
    /// Nobody would vote.
    #[error("nobody is left who votes two heights later")]
    NoVoters,
    /// Not the block after the last.
    #[error("the block has height {found}")]
    NotNext {
        /// What it says.
        found: Height,
    },
    /// Of another chain.
    #[error("the block is for chain {found}, the genesis is of chain {expected}")]
    Chain {
        /// What it says.
        found: ChainId,
        /// What the genesis says.
        expected: ChainId,
    },
    /// Time stands still or runs back.
    #[error("the block's time {found} is not after {parent}, the time before it")]
    Time {
        /// What it says.
        found: UnixTime,
        /// Time of the block before.
        parent: UnixTime,
    },
    /// Made by somebody who does not vote.
    #[error("proposer {0} does not vote at this height")]
    Proposer(PublicKey),
    /// A hash of the header is not what the audit finds.
    #[error("the header's {what} is {block}, the audit found {audit}")]
    Header {
        /// Which.
        what: Commitment,
        /// What the block says.
        block: Hash,
        /// What the audit found.
        audit: Hash,
    },
    /// The state after the block is another one.
    #[error(
        "the header's state commitment is {block}, the audit found {audit}, with {} outputs of {} TIME (hash {}), treasury {}, fees {}, issued {} (accounts root {})",
        parts.outputs, parts.unspent, parts.output_hash, parts.treasury, parts.fees, parts.issued, parts.accounts_root
    )]
    State {
        /// What the block says.
        block: Hash,
        /// What the audit found.
        audit: Hash,
        /// What of.
        parts: Box<StateParts>,
    },
    /// Outputs, fees and treasury are not what genesis and rewards made.
    #[error("{found} TIME are in outputs, fees and treasury, genesis and rewards made {made} TIME")]
    Sum {
        /// In outputs, fees and treasury.
        found: Amount,
        /// Of genesis and rewards.
        made: Amount,
    },
    /// A certificate that is not of the block it comes with.
    #[error("a certificate is for height {height} and block {block}, it comes with block {expected}")]
    CertificateOf {
        /// What it says.
        height: Height,
        /// What it says.
        block: BlockId,
        /// What it comes with.
        expected: BlockId,
    },
    /// No certificate in a block above 1, or one in block 1.
    #[error("the block has {} certificate of its parent", if *.has { "a" } else { "no" })]
    CertificatePresence {
        /// Whether it has one.
        has: bool,
    },
    /// Somebody signed who does not vote, or twice.
    #[error("the certificate of height {height} lists {key} out of order or without a vote")]
    CertificateSigner {
        /// Of which height.
        height: Height,
        /// Who.
        key: PublicKey,
    },
    /// Too few signed.
    #[error("the certificate of height {height} has power {signed} of {total}, more than two thirds are needed")]
    CertificatePower {
        /// Of which height.
        height: Height,
        /// Of those that signed.
        signed: u64,
        /// Of all.
        total: u64,
    },
    /// No list of transactions.
    #[error("the payload is no list of transactions")]
    Payload,
    /// A transaction that the rules do not allow.
    #[error("transaction {index} ({txid}): {fault}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Its id.
        txid: TxId,
        /// The rule.
        fault: Box<BrokenRule>,
    },
    /// A number of voters without an emission.
    #[error("no emission is known for {0} voters")]
    Emission(u32),
}

/// A rule that a transaction breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// Another format.
    #[error("version {0} is not 2")]
    Version(u16),
    /// For another chain.
    #[error("it is for chain {0}")]
    Chain(ChainId),
    /// Too large.
    #[error("it has {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// How many.
        bytes: u64,
        /// The bound.
        max: u32,
    },
    /// No inputs or no outputs.
    #[error("a payment has inputs and outputs")]
    Empty,
    /// Inputs, outputs, a memo or signatures where there must be none.
    #[error("a statement has no inputs, outputs, memo or signatures of its own")]
    NotBare,
    /// Another number of witnesses.
    #[error("it has {found} witnesses, {needed} are due")]
    Witnesses {
        /// How many.
        found: usize,
        /// How many must be.
        needed: usize,
    },
    /// An input that is not there.
    #[error("{0} is spent already or was never made")]
    NoOutput(OutPoint),
    /// Collateral that no release frees.
    #[error("{outpoint} is the collateral of masternode {registration}")]
    Collateral {
        /// The output.
        outpoint: OutPoint,
        /// Whose.
        registration: RegistrationId,
    },
    /// Too early.
    #[error("{outpoint} cannot be spent below height {height}")]
    NotBefore {
        /// The output.
        outpoint: OutPoint,
        /// From when on it can.
        height: Height,
    },
    /// Somebody else's money.
    #[error("witness {0} is not of the key or the set that its output is locked to")]
    WrongOwner(usize),
    /// Not the signatures that a set of keys demands.
    #[error("witness {0} has not exactly the signatures that its set of keys demands, in order")]
    KeySet(usize),
    /// An output that is too small.
    #[error("output {index} of {amount} TIME is dust")]
    Dust {
        /// Which.
        index: usize,
        /// How much.
        amount: Amount,
    },
    /// More than can be counted.
    #[error("amounts leave the range of 2^64 units")]
    Range,
    /// More goes out than comes in.
    #[error("{inputs} TIME come in, {outputs} TIME go out beside a charge of {penalty} TIME")]
    Uncovered {
        /// Sum of the inputs.
        inputs: Amount,
        /// Sum of the outputs.
        outputs: Amount,
        /// Charged for a double sign.
        penalty: Amount,
    },
    /// Too small a fee.
    #[error("the fee of {fee} TIME is below {min} TIME")]
    Fee {
        /// What is left.
        fee: Amount,
        /// What is due.
        min: Amount,
    },
    /// A registration that locks another amount than its tier's, or locks it until a height.
    #[error("output 0 is no collateral of {0} TIME for the tier")]
    CollateralOutput(Amount),
    /// The collateral's key did not sign.
    #[error("no input is signed by the key of the collateral")]
    CollateralNotSigned,
    /// A key that is no key.
    #[error("{0} is no key")]
    NoKey(PublicKey),
    /// An address that nobody has.
    #[error("the service address is that of nobody")]
    Service,
    /// A voting key of another masternode.
    #[error("operator key {key} is or was that of masternode {registration}")]
    OperatorTaken {
        /// The key.
        key: PublicKey,
        /// Whose.
        registration: RegistrationId,
    },
    /// Too many replaced keys are kept.
    #[error("sixteen replaced keys of masternode {0} are kept")]
    TooManyKeys(RegistrationId),
    /// Too many free ones.
    #[error("there are 1000 free masternodes")]
    TooManyFree,
    /// No such masternode.
    #[error("masternode {0} is not on the list")]
    NoMasternode(RegistrationId),
    /// It follows another change than the last.
    #[error("the change follows {named}, the last was {last}")]
    Predecessor {
        /// What it names.
        named: TxId,
        /// What is there.
        last: TxId,
    },
    /// A second change in one block.
    #[error("masternode {0} was changed in this block before")]
    ChangedTwice(RegistrationId),
    /// It does not do what the change would end.
    #[error("masternode {registration} is {status}")]
    Status {
        /// Which.
        registration: RegistrationId,
        /// What it does.
        status: &'static str,
    },
    /// A change that changes nothing.
    #[error("the change leaves everything as it is")]
    NoChange,
    /// Too few would vote.
    #[error("{0} masternodes would be left that vote")]
    TooFewVoters(usize),
    /// Signed by another key.
    #[error("signature {position} of the payload must be by {expected}")]
    Signer {
        /// Position among the payload's.
        position: usize,
        /// Who must sign.
        expected: PublicKey,
    },
    /// A release before its time.
    #[error("the collateral is free from {from} on")]
    Unbonding {
        /// From when on.
        from: UnixTime,
    },
    /// A release that spends something else first.
    #[error("a release spends the collateral first")]
    ReleaseSpends,
    /// Two statements that do not contradict each other, in the one order.
    #[error("the two statements are no double sign")]
    NoConflict,
    /// A free one is accused.
    #[error("free masternode {0} has no vote that it could contradict")]
    NeverVotes(RegistrationId),
    /// Punished before.
    #[error("masternode {0} was punished already")]
    PunishedAlready(RegistrationId),
    /// Not its key at that height.
    #[error("{key} was not the key of masternode {registration} at height {height}")]
    NotItsKey {
        /// Who is accused.
        registration: RegistrationId,
        /// Who signed.
        key: PublicKey,
        /// For which height.
        height: Height,
    },
    /// A signature of a statement is not good.
    #[error("a signature in the statement is not good")]
    StatementSignature,
    /// Late precommits of a height that takes none.
    #[error("height {0} takes no late precommits")]
    LateHeight(Height),
    /// Late precommits for another block or round.
    #[error("block {block} was decided in round {round}")]
    LateBlock {
        /// What was decided.
        block: BlockId,
        /// When.
        round: Round,
    },
    /// None, not in order, without a vote, or counted already.
    #[error("late precommits: {key:?} is nobody's, out of order, without a vote, or counted already")]
    LateKey {
        /// Who; nobody when there are none.
        key: Option<PublicKey>,
    },
    /// Nobody was asked.
    #[error(
        "masternode {witness} was not drawn for {free} in interval {interval}, which must be open or wait, or has stated already"
    )]
    NotAsked {
        /// The interval.
        interval: u64,
        /// Whose reachability.
        free: RegistrationId,
        /// Who states it.
        witness: RegistrationId,
    },
}
