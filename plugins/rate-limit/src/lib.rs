//! Stock plugin `rate-limit`: so many requests in a time, by client, consumer, route or header value.
//!
//! Promises: one token bucket for each key, shared by all workers; passing and refused responses say where the client
//! stands (draft-ietf-httpapi-ratelimit-headers); a header value is kept as a digest only. If the limiter can't be
//! reached it is a fault, so `on-fault` decides. Leaves out: limits on bandwidth or on concurrent requests.

use std::net::Ipv6Addr;
use std::time::Duration;

use plugin_sdk::limiter::{self, Bucket, Verdict};
use plugin_sdk::{
    Decision, Edit, Fault, Interest, LocalResponse, OnRequest, Plugin, Request, header,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[cfg(test)]
mod tests;

const LIMIT: &str = "ratelimit";
const POLICY: &str = "ratelimit-policy";
/// What `by` may be.
const BY: &str = r#""client", "consumer", "route" or "header:NAME""#;
/// Structured field integers have at most 15 digits (RFC 9651 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// The `config` table; the README explains the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    rate: u64,
    #[serde(with = "plugin_sdk::duration")]
    per: Duration,
    burst: Option<u64>,
    cost: Option<u64>,
    by: Option<String>,
    ipv6_prefix: Option<u8>,
    headers: Option<bool>,
    name: Option<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct RateLimit {
    bucket: Bucket,
    cost: u64,
    by: By,
    ipv6_prefix: u8,
    headers: bool,
    name: String,
    policy: String,
}

/// What requests are counted by.
#[derive(Debug)]
enum By {
    Client,
    Consumer,
    Route,
    Header(String),
}

impl Plugin for RateLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let Config { rate, per, .. } = config;
        let (burst, cost) = (config.burst.unwrap_or(rate), config.cost.unwrap_or(1));
        let ipv6_prefix = config.ipv6_prefix.unwrap_or(64);
        let name = config.name.unwrap_or_else(|| "default".to_owned());
        for (key, number) in [("rate", rate), ("burst", burst), ("cost", cost)] {
            if !(1..=INTEGER_MAX).contains(&number) {
                return Err(format!(
                    "`{key}`: expected 1 to {INTEGER_MAX}, found {number}"
                ));
            }
        }
        if cost > burst {
            return Err(format!("`cost`: {cost} is over the burst of {burst}"));
        }
        if per.as_millis() == 0 {
            return Err("`per`: expected at least 1ms".to_owned());
        }
        if ipv6_prefix > 128 {
            return Err(format!("`ipv6-prefix`: {ipv6_prefix} is over 128"));
        }
        if !header::is_token(&name) {
            return Err(format!("`name`: expected one word, found \"{name}\""));
        }
        let policy = policy(&name, rate, per);
        let bucket = Bucket {
            rate,
            period: per,
            burst,
        };
        let by = By::parse(config.by.as_deref().unwrap_or("client"))?;
        let headers = config.headers.unwrap_or(true);
        Ok(Self {
            bucket,
            cost,
            by,
            ipv6_prefix,
            headers,
            name,
            policy,
        })
    }

    fn interest(&self) -> Interest {
        Interest::REQUEST
    }
}

impl OnRequest for RateLimit {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let verdict = limiter::take(&self.key(request), self.bucket, self.cost)?;
        if !verdict.allowed {
            return Ok(self.refuse(request, verdict));
        }
        if self.headers {
            // Appended: other limits of the chain, and the upstream's own, are members of the same lists.
            request.edit_response_headers(&[
                Edit::append(POLICY, &self.policy),
                Edit::append(LIMIT, self.limit(verdict.remaining, verdict.reset)),
            ])?;
        }
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(RateLimit: OnRequest);

impl RateLimit {
    /// What the request is counted by. Kinds are kept apart, so that no consumer can be named like an address. A
    /// request without the consumer or header is counted by its client.
    fn key(&self, request: &Request) -> String {
        let named = match &self.by {
            By::Client => None,
            By::Route => Some(format!("route {}", request.route())),
            By::Consumer => request
                .attribute("consumer")
                .map(|name| format!("consumer {name}")),
            By::Header(name) => request
                .header(name)
                .map(|value| format!("header {}", hex(&value))),
        };
        named.unwrap_or_else(|| format!("client {}", self.client(request.client_ip())))
    }

    /// What counts as one client: an IPv6 host has a whole network to choose its addresses from.
    fn client(&self, ip: String) -> String {
        match ip.parse::<Ipv6Addr>() {
            Ok(address) => {
                let host_bits = 128 - u32::from(self.ipv6_prefix);
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                format!("{:x}", address.to_bits() & mask)
            }
            Err(_) => ip,
        }
    }

    fn refuse(&self, request: &Request, verdict: Verdict) -> Decision {
        let wait = verdict.retry_after.max(Duration::from_millis(1));
        let mut response = LocalResponse::failure(429, "rate-limited", request)
            .header("retry-after", seconds(wait).to_string());
        if self.headers {
            // `t` is the wait here: Retry-After should not be earlier than its end (section 6).
            let limit = self.limit(verdict.remaining, wait);
            response = response.header(POLICY, &self.policy).header(LIMIT, limit);
        }
        response.into()
    }

    /// The value of `RateLimit`: what is left, and for how many seconds.
    fn limit(&self, remaining: u64, window: Duration) -> String {
        let Self { name, .. } = self;
        format!("\"{name}\";r={remaining};t={}", seconds(window))
    }
}

impl By {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "client" => Ok(Self::Client),
            "consumer" => Ok(Self::Consumer),
            "route" => Ok(Self::Route),
            _ => match text
                .strip_prefix("header:")
                .filter(|name| header::is_token(name))
            {
                Some(name) => Ok(Self::Header(name.to_ascii_lowercase())),
                None => Err(format!("`by`: expected {BY}, found \"{text}\"")),
            },
        }
    }
}

/// The value of `RateLimit-Policy`. Its window is in whole seconds, so that of a shorter or odd period is the next
/// whole second, with the quota to match.
fn policy(name: &str, rate: u64, period: Duration) -> String {
    let window = seconds(period);
    let milliseconds = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    // At most a second, so that 64 bits are enough for what the rate gives in it.
    let longer_by = (window * 1000).saturating_sub(milliseconds);
    let quota = (rate + rate * longer_by / milliseconds).min(INTEGER_MAX);
    format!("\"{name}\";q={quota};w={window}")
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The digest of a value in hexadecimal digits.
fn hex(value: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(value);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
