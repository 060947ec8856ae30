//! Which hooks a plugin wants, as a small set.

use super::bindings::WireInterest;

/// A set of hooks: what a component exports, what a plugin declared at `init`, or what it asked for one exchange.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// No hook.
    pub const NONE: Self = Self(0);
    /// `on-request.handle`.
    pub const REQUEST: Self = Self(1);
    /// `on-request-body.chunk`.
    pub const REQUEST_CHUNKS: Self = Self(1 << 1);
    /// `on-request-body.whole`.
    pub const REQUEST_WHOLE: Self = Self(1 << 2);
    /// `on-response.handle`.
    pub const RESPONSE: Self = Self(1 << 3);
    /// `on-response-body.chunk`.
    pub const RESPONSE_CHUNKS: Self = Self(1 << 4);
    /// `on-response-body.whole`.
    pub const RESPONSE_WHOLE: Self = Self(1 << 5);
    /// `on-log.handle`.
    pub const LOG: Self = Self(1 << 6);
    /// Everything on the way back.
    pub const ANY_RESPONSE: Self =
        Self(Self::RESPONSE.0 | Self::RESPONSE_CHUNKS.0 | Self::RESPONSE_WHOLE.0);

    /// Whether any hook of `other` is in this set.
    #[must_use]
    pub fn wants(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What is in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Names of the hooks, as the WIT has them.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [&str; 7] = [
            "request",
            "request-body-chunks",
            "request-body-whole",
            "response",
            "response-body-chunks",
            "response-body-whole",
            "log",
        ];
        let set = |bit: usize| self.0 & (1 << bit) != 0;
        NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| set(*bit))
            .map(|(_, name)| *name)
            .collect()
    }
}

impl std::fmt::Debug for Interest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl From<WireInterest> for Interest {
    fn from(wire: WireInterest) -> Self {
        [
            (WireInterest::REQUEST, Self::REQUEST),
            (WireInterest::REQUEST_BODY_CHUNKS, Self::REQUEST_CHUNKS),
            (WireInterest::REQUEST_BODY_WHOLE, Self::REQUEST_WHOLE),
            (WireInterest::RESPONSE, Self::RESPONSE),
            (WireInterest::RESPONSE_BODY_CHUNKS, Self::RESPONSE_CHUNKS),
            (WireInterest::RESPONSE_BODY_WHOLE, Self::RESPONSE_WHOLE),
            (WireInterest::LOG, Self::LOG),
        ]
        .into_iter()
        .filter(|(flag, _)| wire & *flag == *flag)
        .fold(Self::NONE, |set, (_, hook)| set.or(hook))
    }
}
