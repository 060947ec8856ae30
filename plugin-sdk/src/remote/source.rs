//! [`Source`]: where a document is fetched, and how often, as it stands in a configuration.
//!
//! Promises: URL and times are checked when the configuration is read. Leaves out: the grant, which the gateway
//! checks when the document is fetched.

use std::time::Duration;

use serde::Deserialize;

/// Bytes of the URL, so that the names in `kv` stay below their limit.
const URL_BYTES_MAX: usize = 900;
/// What a fetch and the time between two of them take at least.
const SHORTEST: Duration = Duration::from_millis(100);
/// Documents that are older say little about today.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A URL and its times, in a configuration: `{ url = "https://example.com/list", refresh = "1h" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Source {
    /// An `http` or `https` URL.
    pub url: String,
    /// Age at which the document is fetched again: `10m` if not written.
    pub refresh: Duration,
    /// Time between two fetches, whatever the reason: `30s` if not written.
    pub cooldown: Duration,
    /// Time for one fetch: `2s` if not written. The plugin's own deadline stands in any case.
    pub timeout: Duration,
    /// How long the document serves while the URL does not answer: `24h` if not written.
    pub max_age: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    url: String,
    #[serde(default, with = "crate::duration::optional")]
    refresh: Option<Duration>,
    #[serde(default, with = "crate::duration::optional")]
    cooldown: Option<Duration>,
    #[serde(default, with = "crate::duration::optional")]
    timeout: Option<Duration>,
    #[serde(default, with = "crate::duration::optional")]
    max_age: Option<Duration>,
}

impl Source {
    /// A URL with the usual times.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            refresh: Duration::from_secs(10 * 60),
            cooldown: Duration::from_secs(30),
            timeout: Duration::from_secs(2),
            max_age: Duration::from_secs(24 * 60 * 60),
        }
    }

    /// The URL without its query, which may hold a secret.
    pub(super) fn place(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

impl TryFrom<Written> for Source {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let usual = Self::new(&written.url);
        let is_http = ["https://", "http://"]
            .iter()
            .any(|scheme| usual.url.starts_with(scheme));
        if !is_http || usual.url.len() > URL_BYTES_MAX {
            return Err(format!(
                "`url` is no http or https URL of at most {URL_BYTES_MAX} bytes"
            ));
        }
        let source = Self {
            refresh: written.refresh.unwrap_or(usual.refresh),
            cooldown: written.cooldown.unwrap_or(usual.cooldown),
            timeout: written.timeout.unwrap_or(usual.timeout),
            max_age: written.max_age.unwrap_or(usual.max_age),
            ..usual
        };
        let is_allowed = |time: &Duration| (SHORTEST..=LONGEST).contains(time);
        let times = [source.refresh, source.cooldown, source.timeout];
        if !times.iter().all(is_allowed) {
            return Err("`refresh`, `cooldown` and `timeout` are 100ms to 7d".to_owned());
        }
        if source.max_age < source.refresh {
            return Err("`max-age` is shorter than `refresh`".to_owned());
        }
        if source.max_age > LONGEST {
            return Err("`max-age` is over 7d".to_owned());
        }
        Ok(source)
    }
}
