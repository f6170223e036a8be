//! How the node ends when it must not go on.
//!
//! A failed journal write, a failed commit, or a panic in any actor but a peer ends the process with its reason: going on could sign
//! twice or lose what is final. The service manager starts it again, and recovery is what the tests practise.

use std::sync::Arc;

/// Why the node must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatalReason {
    /// Which actor gave up.
    pub component: &'static str,
    /// What happened and what to do, for the operator.
    pub text: String,
}

/// Asks the process to end; may be called from any thread, more than once.
#[derive(Clone)]
pub struct FatalReporter(Arc<dyn Fn(FatalReason) + Send + Sync>);

impl FatalReporter {
    /// `end` is called with each reason; the daemon logs the first and exits, a test records it.
    pub fn new(end: impl Fn(FatalReason) + Send + Sync + 'static) -> Self {
        Self(Arc::new(end))
    }

    /// Reports why the node must stop.
    pub fn report(&self, component: &'static str, text: impl Into<String>) {
        (self.0)(FatalReason { component, text: text.into() });
    }
}

/// Held by an actor that the node cannot live without: a panic that drops it ends the process.
pub struct FatalHandle {
    component: &'static str,
    fatal: FatalReporter,
}

impl FatalHandle {
    /// Guards the actor named `component`.
    pub const fn new(component: &'static str, fatal: FatalReporter) -> Self {
        Self { component, fatal }
    }

    /// Reports why this actor cannot go on.
    pub fn fail(&self, text: impl Into<String>) {
        self.fatal.report(self.component, text);
    }
}

impl Drop for FatalHandle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fatal.report(self.component, "panicked; the message and place are in the log above");
        }
    }
}
