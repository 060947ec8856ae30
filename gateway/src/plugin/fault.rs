//! What can go wrong in one plugin call. A closed list: each kind has a stable word for metrics and logs.

use std::time::Duration;

use thiserror::Error;

/// One plugin call went wrong. The exchange's fate is decided by the plugin entry's `on-fault`.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// The guest trapped: a panic, an out-of-bounds access, `unreachable`.
    #[error("trapped: {0}")]
    Trap(String),
    /// The guest used up its CPU time.
    #[error("used up its CPU time of {0:?}")]
    Time(Duration),
    /// The guest, or a host call it waits for, did not come back in time.
    #[error("did not return within {0:?} (limits.wall-time)")]
    WallTime(Duration),
    /// The guest wanted more memory than it may have, and gave up over that.
    #[error("wanted more than {0} bytes of memory (limits.memory)")]
    Memory(usize),
    /// The guest recursed too deep.
    #[error("exhausted its call stack")]
    Stack,
    /// The guest made too many calls into the gateway.
    #[error("made more than {0} host calls (limits.host-calls)")]
    HostCalls(u32),
    /// The guest handed over more than it may, or something that is no HTTP.
    #[error("bad output: {0}")]
    Output(String),
    /// A fresh instance could not be made or refused its configuration, which it had accepted at load.
    #[error("could not start an instance: {0}")]
    Start(String),
    /// Every instance was busy for too long.
    #[error("all {0} instances were busy (limits.instances)")]
    Busy(usize),
    /// Too many calls in a row ran into a time or memory limit; the plugin is left alone for a moment.
    #[error("is suspended after repeated time or memory faults")]
    Suspended,
}

impl Fault {
    /// Every kind, for metrics.
    pub const KINDS: [&'static str; 10] = [
        "trap",
        "time",
        "wall-time",
        "memory",
        "stack",
        "host-calls",
        "output",
        "start",
        "busy",
        "suspended",
    ];

    /// The stable word for this kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.index()]
    }

    /// The place of this kind in [`Self::KINDS`].
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::Trap(_) => 0,
            Self::Time(_) => 1,
            Self::WallTime(_) => 2,
            Self::Memory(_) => 3,
            Self::Stack => 4,
            Self::HostCalls(_) => 5,
            Self::Output(_) => 6,
            Self::Start(_) => 7,
            Self::Busy(_) => 8,
            Self::Suspended => 9,
        }
    }

    /// Whether the fault cost the worker so much that the plugin should pause if it goes on like this.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        match self {
            Self::Time(_) | Self::WallTime(_) | Self::Memory(_) => true,
            Self::Trap(_)
            | Self::Stack
            | Self::HostCalls(_)
            | Self::Output(_)
            | Self::Start(_)
            | Self::Busy(_)
            | Self::Suspended => false,
        }
    }
}
