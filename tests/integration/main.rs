//! The integration tests: everything that the gateway promises, seen from outside.
//!
//! One file for each area. The harness beside it makes upstreams, clients and gateways; here stands what is right.

mod admin;
mod bodies;
mod cli;
mod connections;
mod corpus;
mod costs;
mod drain;
mod examples;
mod expect;
mod faults;
mod floods;
mod floods_memory;
mod framing;
mod grants;
mod headers;
mod host_calls;
mod http2;
mod isolation;
mod later;
mod limits;
mod loading;
mod neighbours;
mod on_log;
mod output;
mod plugin_logs;
mod plugins;
mod presets;
mod proxy_protocol;
mod raw_guests;
mod regressions;
mod reload;
mod reload_load;
mod routing;
mod shedding;
mod slow;
mod stock;
mod streaming;
mod tidy;
mod timeouts;
mod tls;
mod tls_clients;
mod tls_reload;
