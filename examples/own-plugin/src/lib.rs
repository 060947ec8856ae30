//! A plugin of one's own: turns away clients by their `User-Agent`, and tells the others how long the upstream took.
//!
//! Shows typed configuration, an answer in place of the upstream's, and state that one hook leaves for the next.
//! Leaves out: what `User-Agent` is worth as a proof (nothing).

use std::time::SystemTime;

use plugin_sdk::{
    Decision, Fault, LocalResponse, OnRequest, OnResponse, Plugin, Request, Response, clock,
};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// The `config` table. A misspelt key is an error at load, thanks to `deny_unknown_fields`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Words; a client whose `User-Agent` has one of them is turned away.
    turn_away: Vec<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct Doorman {
    words: Vec<String>,
}

impl Plugin for Doorman {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        if config.turn_away.iter().any(String::is_empty) {
            return Err(
                "`turn-away` has an empty word, which everybody has in their name".to_owned(),
            );
        }
        let mut words = config.turn_away;
        for word in &mut words {
            word.make_ascii_lowercase();
        }
        Ok(Self { words })
    }
}

impl OnRequest for Doorman {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let mut agent = request.header_str("user-agent").unwrap_or_default();
        agent.make_ascii_lowercase();
        if let Some(word) = self.words.iter().find(|word| agent.contains(*word)) {
            plugin_sdk::info!(word = word, "turns a client away");
            return Ok(LocalResponse::new(403)
                .body("not with this client\n")
                .into());
        }
        // Not into `self`: another request may come before this one's response.
        request.set_state(microseconds().to_le_bytes())?;
        Ok(Decision::Next)
    }
}

impl OnResponse for Doorman {
    fn on_response(&self, request: &Request, response: &mut Response) -> Result<Decision, Fault> {
        // There is none if the request was turned away: then this response is our own.
        if let Some(began) = request.state() {
            let began = u64::from_le_bytes(began.as_slice().try_into()?);
            let micros = microseconds().saturating_sub(began);
            let milliseconds = format!("{}.{:03}", micros / 1_000, micros % 1_000);
            response.append_header("server-timing", format!("upstream;dur={milliseconds}"))?;
        }
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(Doorman: OnRequest, OnResponse);

/// What time it is, counted from 1970.
fn microseconds() -> u64 {
    let since_1970 = clock::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_1970 = since_1970.unwrap_or_default();
    since_1970.as_secs() * 1_000_000 + u64::from(since_1970.subsec_micros())
}
