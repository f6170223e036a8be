//! The time of the machine that plays.

#[allow(clippy::disallowed_methods, reason = "how long the machine took is not part of the simulation")]
pub(super) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
