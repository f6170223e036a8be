//! What the audit found, as JSON.

use serde_json::{Value, json};
use timed_audit::{AuditError, Summary};
use timed_rpc::JsonAmount;

/// All blocks are as the rules say, and that is what they lead to.
pub fn audit_report(summary: &Summary) -> Value {
    json!({
        "blocks": summary.height.0,
        "time": summary.time.seconds(),
        "transactions": summary.transactions,
        "outputs": summary.outputs,
        "unspent": JsonAmount(summary.unspent),
        "fees": JsonAmount(summary.fees),
        "treasury": JsonAmount(summary.treasury),
        "issued": JsonAmount(summary.issued),
        "intervals_paid": summary.intervals_paid,
        "masternodes": summary.masternodes,
        "warnings": summary.warnings,
        "jailings": summary.jailings,
        "double_signs": summary.double_signs,
        "penalties_due": JsonAmount(summary.penalties_due),
        "penalties_paid": JsonAmount(summary.penalties_paid),
        "difference": null,
    })
}

/// A block differs from the rules; those before it do not.
pub fn difference_report(error: &AuditError) -> Value {
    json!({
        "blocks": error.height.0.saturating_sub(1),
        "difference": { "height": error.height.0, "what": error.fault.to_string() },
    })
}
