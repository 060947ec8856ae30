//! What wit-bindgen makes of the contract in `wit/`. Hidden: the public types are re-exported by the crate root.
//!
//! One `generate!` holds the imports and the shared types, then there is one for each exported interface, mapped
//! onto the first. `pub_export_macro` puts the type section of an export into its export macro, so that a
//! component exports just those hooks for which `export!` called that macro. The worlds of `wit/` can't be used for
//! that: each brings its own `lifecycle`, and a plugin with two hooks would export that twice.

/// Types and host functions.
pub mod imports {
    wit_bindgen::generate!({
        path: "../wit",
        world: "imports",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        with: {
            "gateway:plugin/types@0.1.0/edit-error": crate::error::EditError,
            "gateway:plugin/http-client@0.1.0/error": crate::error::FetchError,
            "gateway:plugin/kv@0.1.0/error": crate::error::StoreError,
            "gateway:plugin/limiter@0.1.0/error": crate::error::LimiterError,
        },
    });
}

/// The time of day, by WASI. Not from the standard library, whose way to it has 20 KB for errors that don't happen.
pub mod wall_clock {
    wit_bindgen::generate!({
        inline: "package plugin-sdk:imports;
            world clock { import wasi:clocks/wall-clock@0.2.0; }
            package wasi:clocks@0.2.0 {
                interface wall-clock {
                    record datetime { seconds: u64, nanoseconds: u32 }
                    now: func() -> datetime;
                    resolution: func() -> datetime;
                }
            }",
        generate_all,
    });
}

macro_rules! exports {
    ($($(#[$doc:meta])* $module:ident = $world:literal),+ $(,)?) => {
        $(
            $(#[$doc])*
            pub mod $module {
                wit_bindgen::generate!({
                    path: "../wit",
                    inline: $world,
                    with: { "gateway:plugin/types@0.1.0": crate::bindings::imports::gateway::plugin::types },
                    pub_export_macro: true,
                });
            }
        )+
    };
}

exports! {
    /// `lifecycle`, which every plugin exports.
    lifecycle = "package plugin-sdk:exports; world lifecycle { export gateway:plugin/lifecycle@0.1.0; }",
    /// The head of a request.
    on_request = "package plugin-sdk:exports; world on-request { export gateway:plugin/on-request@0.1.0; }",
    /// The body of a request.
    on_request_body = "package plugin-sdk:exports; world on-request-body { export gateway:plugin/on-request-body@0.1.0; }",
    /// The head of a response.
    on_response = "package plugin-sdk:exports; world on-response { export gateway:plugin/on-response@0.1.0; }",
    /// The body of a response.
    on_response_body = "package plugin-sdk:exports; world on-response-body { export gateway:plugin/on-response-body@0.1.0; }",
    /// The end of an exchange.
    on_log = "package plugin-sdk:exports; world on-log { export gateway:plugin/on-log@0.1.0; }",
}
