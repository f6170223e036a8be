//! Names of masternodes.

use timed_primitives::hash_newtype;

hash_newtype! {
    /// Names a masternode for its whole life: the id of the transaction that registered it. Those of genesis have a hash of the genesis and their position.
    RegistrationId
}
