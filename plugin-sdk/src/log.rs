//! The gateway's log, and its access log. Always granted; volume is limited for each hook call.
//!
//! Promises: plugin name, route and request id are added by the gateway, control bytes are escaped there. The
//! macros [`trace!`](crate::trace), [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
//! [`error!`](crate::error) are the usual way in. Leaves out: levels that are switched off, which the gateway drops.

pub use crate::bindings::imports::gateway::plugin::log::Level;

/// Write a message with fields.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    crate::raw::log::write(level, message, fields);
}

/// Write one line to the gateway's access log as it is.
pub fn access(line: &str) {
    crate::raw::log::access(line);
}

/// Write to the gateway's log at a level: `log!(Level::Info, user = name, "text {}", more)`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($key:ident = $value:expr,)* $format:literal $($argument:tt)*) => {
        $crate::log::write(
            $level,
            &::std::format!($format $($argument)*),
            &[$((::std::string::String::from(::std::stringify!($key)), ::std::string::ToString::to_string(&$value))),*],
        )
    };
}

/// Every step: `trace!("text {}", more)`, with fields `trace!(user = name, "text")`.
#[macro_export]
macro_rules! trace {
    ($($all:tt)+) => { $crate::log!($crate::log::Level::Trace, $($all)+) };
}

/// For whoever debugs the plugin: `debug!("text {}", more)`, with fields `debug!(user = name, "text")`.
#[macro_export]
macro_rules! debug {
    ($($all:tt)+) => { $crate::log!($crate::log::Level::Debug, $($all)+) };
}

/// Worth knowing: `info!("text {}", more)`, with fields `info!(user = name, "text")`.
#[macro_export]
macro_rules! info {
    ($($all:tt)+) => { $crate::log!($crate::log::Level::Info, $($all)+) };
}

/// Something is odd, the exchange goes on: `warn!("text {}", more)`, with fields `warn!(user = name, "text")`.
#[macro_export]
macro_rules! warn {
    ($($all:tt)+) => { $crate::log!($crate::log::Level::Warn, $($all)+) };
}

/// Something is broken: `error!("text {}", more)`, with fields `error!(user = name, "text")`.
#[macro_export]
macro_rules! error {
    ($($all:tt)+) => { $crate::log!($crate::log::Level::Error, $($all)+) };
}
