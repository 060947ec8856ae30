//! Why the gateway does not do what a plugin asks for: [`EditError`] and the errors of
//! [`http_client`](crate::http_client), [`kv`](crate::kv) and [`limiter`](crate::limiter).
//!
//! Promises: the bindings use these types in place of the contract's, with the same cases in the same order; both
//! texts, `Display` and `Debug`, are sentences, since the one that an operator or a failing test shows depends on the
//! way that it took. A derived `Debug` would cost a plugin 10 KB, mostly for escapes. Leaves out: causes behind causes.

use std::fmt;

/// Why an edit was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EditError {
    /// The name is not an RFC 9110 token.
    InvalidName,
    /// The value holds CR, LF, NUL or another control byte, or it is a status outside of 200 to 599.
    InvalidValue,
    /// Framing, hop-by-hop or connection-level fields (`content-length`, `transfer-encoding`, `connection`, `upgrade`,
    /// `te`, `trailer`, `host`, ...) belong to the gateway.
    Forbidden,
    /// It would exceed what the gateway allows: header fields or their bytes, the bytes of a path, query, state or
    /// attribute.
    TooLarge,
    /// The message can no longer be changed, such as the request in a response hook.
    ReadOnly,
}

impl EditError {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidName => "invalid-name",
            Self::InvalidValue => "invalid-value",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too-large",
            Self::ReadOnly => "read-only",
        }
    }

    /// For the bindings: from the number that crossed the border. Others than these the border does not let through.
    #[doc(hidden)]
    pub fn _lift(case: u8) -> Self {
        match case {
            0 => Self::InvalidName,
            1 => Self::InvalidValue,
            2 => Self::Forbidden,
            3 => Self::TooLarge,
            _ => Self::ReadOnly,
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => "this is no name of a header field",
            Self::InvalidValue => "the value or status can't stand there",
            Self::Forbidden => "the header field or method belongs to the gateway",
            Self::TooLarge => "the message would be larger than the gateway allows",
            Self::ReadOnly => "the message can no longer be changed",
        })
    }
}

/// Why a call to another service failed.
#[derive(Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The URL's origin or its address is not granted, or the calls of this hook are used up.
    Denied(String),
    /// The call is not well-formed.
    Invalid(String),
    /// No connection could be made.
    Connect(String),
    /// The time was up.
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    Protocol(String),
    /// The answer's body exceeds 1 MiB.
    TooLarge,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, why) = match self {
            Self::Denied(why) => ("the call is not allowed: ", why.as_str()),
            Self::Invalid(why) => ("the call is not well-formed: ", why.as_str()),
            Self::Connect(why) => ("no connection could be made: ", why.as_str()),
            Self::Protocol(why) => ("the connection broke: ", why.as_str()),
            Self::Timeout => ("the call took too long", ""),
            Self::TooLarge => ("the answer is larger than 1 MiB", ""),
        };
        f.write_str(what)?;
        f.write_str(why)
    }
}

/// Why the store of [`kv`](crate::kv) refused.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Key (1 KiB) or value (1 MiB) is too long.
    TooLarge,
    /// The store is full and nothing can be evicted.
    Full,
    /// The store can't be reached.
    Unavailable(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, why) = match self {
            Self::TooLarge => ("the key or the value is too long", ""),
            Self::Full => ("the store is full", ""),
            Self::Unavailable(why) => ("the store can't be reached: ", why.as_str()),
        };
        f.write_str(what)?;
        f.write_str(why)
    }
}

/// Why the [`limiter`](crate::limiter) could not answer.
#[derive(Clone, PartialEq, Eq)]
pub enum LimiterError {
    /// Key over 1 KiB, or a bucket with a zero in it, or a cost over the burst.
    Invalid(String),
    /// The store can't be reached.
    Unavailable(String),
}

impl fmt::Display for LimiterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, why) = match self {
            Self::Invalid(why) => ("the call is not well-formed: ", why),
            Self::Unavailable(why) => ("the limiter can't be reached: ", why),
        };
        f.write_str(what)?;
        f.write_str(why)
    }
}

macro_rules! errors {
    ($($error:ident),+) => {
        $(
            impl fmt::Debug for $error {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl std::error::Error for $error {}
        )+
    };
}

errors!(EditError, FetchError, StoreError, LimiterError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_sentences_by_both_texts() {
        let forbidden = "the header field or method belongs to the gateway";
        assert_eq!(EditError::_lift(2).to_string(), forbidden);
        assert_eq!(format!("{:?}", EditError::Forbidden), forbidden);
        let denied = FetchError::Denied("no grant".to_owned());
        assert_eq!(denied.to_string(), "the call is not allowed: no grant");
        assert_eq!(
            format!("{:?}", FetchError::Timeout),
            "the call took too long"
        );
        let lost = || "no route".to_owned();
        let texts = [
            StoreError::Unavailable(lost()).to_string(),
            LimiterError::Unavailable(lost()).to_string(),
        ];
        assert_eq!(
            texts,
            ["store", "limiter"].map(|it| format!("the {it} can't be reached: no route"))
        );
    }

    #[test]
    fn the_cases_are_in_the_contract_s_order() {
        let words: Vec<_> = (0..5).map(|case| EditError::_lift(case).name()).collect();
        let contract = include_str!("../../wit/types.wit");
        let (_, cases) = contract.split_once("enum edit-error {").unwrap();
        let (cases, _) = cases.split_once('}').unwrap();
        let lines = cases.lines().map(str::trim);
        let written: Vec<_> = lines
            .filter(|line| !line.is_empty() && !line.starts_with("///"))
            .collect();
        assert_eq!(
            written,
            words
                .iter()
                .map(|word| format!("{word},"))
                .collect::<Vec<_>>()
        );
    }
}
