//! The stock plugins as WebAssembly components, for the gateway to embed: `component = "stock:api-key"`.
//!
//! Promises: every folder beside `src` that has a `Cargo.toml` is a stock plugin by the folder's name, compiled from
//! these very sources by `build.rs`. Leaves out: any privilege; a stock plugin is a component like everybody's.

include!(concat!(env!("OUT_DIR"), "/stock.rs"));

/// The component of a stock plugin.
#[must_use]
pub fn stock(name: &str) -> Option<&'static [u8]> {
    let found = STOCK.iter().find(|(known, _)| *known == name);
    found.map(|(_, component)| *component)
}

/// The names of the stock plugins, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    STOCK.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::{names, stock};

    /// Magic number, then version 13 in the layer of components.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn every_stock_plugin_is_a_component() {
        for name in ["access-log", "api-key", "headers", "rate-limit"] {
            assert!(names().any(|known| known == name), "{name}");
        }
        assert!(names().all(|name| stock(name).is_some_and(|bytes| bytes.starts_with(COMPONENT))));
        assert_eq!(stock("nope"), None);
    }

    #[test]
    fn a_header_only_plugin_has_at_most_100_kb() {
        for name in ["access-log", "api-key", "headers", "rate-limit"] {
            let bytes = stock(name).unwrap().len();
            assert!(bytes <= 100_000, "{name}: {bytes} bytes");
        }
    }

    #[test]
    fn no_component_gives_away_where_it_was_built() {
        let root = env!("CARGO_MANIFEST_DIR").as_bytes();
        for name in names() {
            let component = stock(name).unwrap();
            assert!(
                !component.windows(root.len()).any(|bytes| bytes == root),
                "{name}"
            );
        }
    }
}
