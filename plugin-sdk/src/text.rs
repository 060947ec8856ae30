//! [`List`]: values of a configuration that are written as texts.
//!
//! Promises: one text stands for a list of one; empty texts and lists are refused, since whoever wrote them meant
//! something; what a text means is its type's `FromStr`. Leaves out: lists of tables or numbers, which serde reads.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A text or a list of texts in a configuration, such as `"a"` or `["a", "b"]`, each read by [`FromStr`]. With
/// `#[serde(default)]` it is empty if the key isn't there.
///
/// ```
/// use plugin_sdk::{Decision, Fault, List, OnRequest, Plugin, Request, testing::Harness};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     clients: List<std::net::IpAddr>,
///     #[serde(default)]
///     methods: List<String>,
/// }
/// # struct Access(Config);
/// # impl Plugin for Access {
/// #     type Config = Config;
/// #     fn new(config: Config) -> Result<Self, String> { Ok(Self(config)) }
/// # }
/// # impl OnRequest for Access {
/// #     fn on_request(&self, _: &mut Request) -> Result<Decision, Fault> { Ok(Decision::Next) }
/// # }
/// let access = Harness::<Access>::new(r#"clients = ["::1", "192.0.2.7"]"#)?;
/// # let access = &access.plugin().0;
/// assert_eq!((access.clients.0.len(), access.methods.0.len()), (2, 0));
/// # let error = |config| Harness::<Access>::new(config).err().unwrap_or_default();
/// assert_eq!(error("clients = 'nobody'"), "`clients`: invalid IP address syntax");
/// # assert_eq!(error("clients = []"), "`clients`: expected a text or a list of texts, not empty");
/// # assert_eq!(error("clients = ['']"), "`clients`: expected a text or a list of texts, not empty");
/// # assert!(error("clients = [7]").starts_with("`clients[0]`: expected a string"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts(PhantomData))
    }
}

struct Texts<T>(PhantomData<T>);

const EXPECTED: &str = "a text or a list of texts, not empty";

impl<'de, T: FromStr<Err: Display>> Visitor<'de> for Texts<T> {
    type Value = List<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        Ok(List(vec![element(text)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = texts.next_element::<String>()? {
            list.push(element(&text)?);
        }
        if list.is_empty() {
            return Err(empty());
        }
        Ok(List(list))
    }
}

fn element<T: FromStr<Err: Display>, E: Error>(text: &str) -> Result<T, E> {
    if text.is_empty() {
        return Err(empty());
    }
    text.parse().map_err(E::custom)
}

fn empty<E: Error>() -> E {
    E::custom(format_args!("expected {EXPECTED}"))
}

/// Read a value that is written as one text.
pub(crate) fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}
