//! Labels: each value is the name of a value of a closed set.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt::{self, Write as _};
use timed_actors::Component;
use timed_peer::{Direction, EndReason, Side};
use timed_wire::{Kind, Lane};

/// A value of a closed set, shown by its name.
#[derive(Debug)]
pub(crate) struct Label<T>(pub(crate) T);

/// Implements the label of each closed set by the names that logs have too, without spaces.
macro_rules! closed_sets {
    ($($set:ty),+) => {
        $(impl EncodeLabelValue for Label<$set> {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                encoder.write_str(&self.0.name().replace(' ', "_"))
            }
        })+
    };
}

closed_sets!(Component, Direction, EndReason, Side, Kind, Lane, Flow, UninspectedReason);

/// Where bytes and messages went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Sent,
    Received,
}

impl Flow {
    const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

/// Why a transaction was not inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UninspectedReason {
    Busy,
    QueueFull,
    Abandoned,
}

impl UninspectedReason {
    const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::QueueFull => "queue_full",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The name of a value that carries more than its name, from the list of all such names.
#[derive(Debug, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}
