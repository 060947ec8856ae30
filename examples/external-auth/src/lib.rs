//! Asks another service whether a request may pass, and as whom.
//!
//! Promises: fails closed; what a client says about who it is never reaches the upstream. Leaves out: a memory for
//! answers (`kv` would be its place), and bodies.

use std::time::Duration;

use plugin_sdk::{Decision, Fault, LocalResponse, OnRequest, Plugin, Request, header, http_client};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// The header field in which the service names the user.
const ANSWER: &str = "x-auth-user";

/// Time for the service to answer; the plugin's own limit (`limits.wall-time`, 5 s) is further away.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The `config` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where to ask; its origin must be granted.
    url: String,
    /// The header field with the user for the upstream.
    #[serde(default = "default_user_header")]
    user_header: String,
}

fn default_user_header() -> String {
    "x-user".to_owned()
}

/// The plugin.
#[derive(Debug)]
pub struct ExternalAuth {
    url: String,
    user_header: String,
}

impl Plugin for ExternalAuth {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let user_header = header::check_name(&config.user_header)
            .map_err(|error| format!("`user-header`: {error}"))?;
        Ok(Self {
            url: config.url,
            user_header,
        })
    }
}

impl OnRequest for ExternalAuth {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let mut question = http_client::get(&self.url)
            .header("x-original-method", request.method())
            .header("x-original-path", request.original_path())
            .timeout(TIMEOUT);
        if let Some(credentials) = request.header("authorization") {
            question = question.header("authorization", credentials);
        }
        // The call takes its time in the gateway: no thread waits, and other requests have other instances.
        let answer = match question.fetch() {
            Ok(answer) => answer,
            Err(error) => return Ok(unavailable(&error.to_string())),
        };
        match (answer.status, answer.header(ANSWER)) {
            (200, Some(user)) => {
                request.set_header(&self.user_header, user)?;
                request.set_attribute("consumer", &String::from_utf8_lossy(user))?;
                Ok(Decision::Next)
            }
            (200, None) => Ok(unavailable("it names no user")),
            (401 | 403, _) => {
                let response = LocalResponse::new(answer.status).body(answer.body.as_slice());
                let challenge = answer.header("www-authenticate");
                Ok(challenge
                    .into_iter()
                    .fold(response, |response, value| {
                        response.header("www-authenticate", value)
                    })
                    .into())
            }
            (status, _) => Ok(unavailable(&format!("status {status}"))),
        }
    }
}

plugin_sdk::export!(ExternalAuth: OnRequest);

/// The client learns that it isn't its fault; the cause is in the log.
fn unavailable(cause: &str) -> Decision {
    plugin_sdk::error!("the auth service gave no answer: {cause}");
    LocalResponse::new(503)
        .header("retry-after", "1")
        .body("try again later\n")
        .into()
}
