//! What can be seen from outside: numbers, access-log lines, the gateway's own log.
//!
//! In reading order: how text becomes safe for a log ([`escape`]); the gateway's own log ([`logging`]); lines for
//! the access log ([`access_log`]); counters, gauges and histograms ([`metrics`]).
//!
//! Promises: observing never blocks a request and never fails it. What is too much is dropped and counted. Labels of
//! metrics come from the configuration or are words of this program, never from a request.

pub mod access_log;
pub mod escape;
pub mod logging;
pub mod metrics;

pub use access_log::AccessLog;
pub use metrics::Metrics;
