//! Errors that any question of a client can end with.

use timed_chain::ReadError;
use timed_rpc::RpcError;

/// The chain cannot be read.
pub(crate) fn unreadable(error: ReadError) -> RpcError {
    RpcError::Internal(error.to_string())
}

/// The actor that was asked has ended.
pub(crate) fn gone<E>(_error: E) -> RpcError {
    RpcError::Warmup("the node is shutting down".into())
}
