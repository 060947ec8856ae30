//! [`export!`](crate::export) and what stands behind it: from the canonical ABI to the traits of `hooks.rs`.
//!
//! Promises: exactly the named hooks become exports; an error of a hook, and a panic, are logged and then trap.
//! Leaves out: native builds, where nothing is exported and only the traits are checked.

/// Make a plugin's hooks exports of the component. Write it once, beside the plugin:
/// `plugin_sdk::export!(MyPlugin: OnRequest, OnLog);`
///
/// In a native build it only checks that the traits are implemented.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        $(const _: fn() = || {
            fn implements<T: $crate::$hook>() {}
            implements::<$plugin>();
        };)+

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::component::Component for Component {
                type Plugin = $plugin;

                fn with_cell<R>(use_cell: impl FnOnce(&$crate::component::Cell<$plugin>) -> R) -> R {
                    ::std::thread_local! {
                        static INSTANCE: $crate::component::Cell<$plugin> = const { $crate::component::Cell::new() };
                    }
                    INSTANCE.with(use_cell)
                }
            }

            $crate::bindings::lifecycle::export!(Component with_types_in $crate::bindings::lifecycle);
            $($crate::__export_hook!($hook, Component);)+
        };
    };
}

/// The export macro that belongs to a hook's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (OnRequest, $component:ident) => {
        $crate::bindings::on_request::export!($component with_types_in $crate::bindings::on_request);
    };
    (OnRequestBody, $component:ident) => {
        $crate::bindings::on_request_body::export!($component with_types_in $crate::bindings::on_request_body);
    };
    (OnResponse, $component:ident) => {
        $crate::bindings::on_response::export!($component with_types_in $crate::bindings::on_response);
    };
    (OnResponseBody, $component:ident) => {
        $crate::bindings::on_response_body::export!($component with_types_in $crate::bindings::on_response_body);
    };
    (OnLog, $component:ident) => {
        $crate::bindings::on_log::export!($component with_types_in $crate::bindings::on_log);
    };
}

/// What the expansion of [`export!`](crate::export) is made of.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component {
    use std::cell::OnceCell;
    use std::fmt::Display;

    use crate::bindings::imports::gateway::plugin::types::{
        BodyDecision as WireBodyDecision, Decision as WireDecision, LocalResponse,
        Request as RawRequest, Response as RawResponse,
    };
    use crate::bindings::{
        lifecycle, on_log, on_request, on_request_body, on_response, on_response_body,
    };
    use crate::log::{self, Level};
    use crate::{
        BodyDecision, ChunkDecision, Decision, Fault, Interest, LogEntry, OnLog, OnRequest,
        OnRequestBody, OnResponse, OnResponseBody, Plugin, Request, Response, config,
    };

    /// Where the one plugin of a component stands. Leaked: it lives as long as the instance, and a destructor would
    /// only add code that never runs.
    pub type Cell<P> = OnceCell<&'static P>;

    /// The type that carries the exports; made by the macro in the plugin's crate.
    pub trait Component {
        /// The plugin behind them.
        type Plugin: Plugin;

        /// Use the plugin's cell.
        fn with_cell<R>(use_cell: impl FnOnce(&Cell<Self::Plugin>) -> R) -> R;
    }

    fn plugin<C: Component>() -> &'static C::Plugin {
        C::with_cell(|cell| cell.get().copied())
            .expect("the gateway calls lifecycle.init before any hook")
    }

    /// Give the value back, or log the error and end the call as a fault.
    fn or_trap<T>(result: Result<T, Fault>) -> T {
        result.unwrap_or_else(|fault| trap(&fault))
    }

    /// What crosses the border: a response goes before it, in a call of its own.
    fn decided(request: &RawRequest, decision: Result<Decision, Fault>) -> WireDecision {
        match or_trap(decision) {
            Decision::Next => WireDecision::Next,
            Decision::NextWith(interest) => WireDecision::NextWith(interest),
            Decision::NextPreset(number) => WireDecision::NextPreset(number),
            Decision::Respond(response) => {
                respond(request, &response);
                WireDecision::Respond
            }
        }
    }

    /// The same, for a whole body.
    fn decided_body(
        request: &RawRequest,
        decision: Result<BodyDecision, Fault>,
    ) -> WireBodyDecision {
        match or_trap(decision) {
            BodyDecision::Pass => WireBodyDecision::Pass,
            BodyDecision::Replace(body) => WireBodyDecision::Replace(body),
            BodyDecision::Respond(response) => {
                respond(request, &response);
                WireBodyDecision::Respond
            }
        }
    }

    #[cold]
    fn respond(request: &RawRequest, response: &LocalResponse) {
        if let Err(error) = request.respond(response) {
            trap(&error);
        }
    }

    /// Not a panic: there is nothing to unwind or to say twice.
    fn trap(fault: &dyn Display) -> ! {
        log::write(Level::Error, &fault.to_string(), &[]);
        core::arch::wasm32::unreachable()
    }

    impl<C: Component> lifecycle::exports::gateway::plugin::lifecycle::Guest for C {
        fn init(config: String) -> Result<Interest, String> {
            // Panics would otherwise go to standard error, which wasm32-unknown-unknown doesn't have.
            std::panic::set_hook(Box::new(|panic| {
                log::write(Level::Error, &panic.to_string(), &[])
            }));
            let plugin = C::Plugin::new(config::parse(&config)?)?;
            let interest = plugin.interest();
            C::with_cell(|cell| cell.set(Box::leak(Box::new(plugin))))
                .map_err(|_| String::from("lifecycle.init was called twice"))?;
            Ok(interest)
        }
    }

    impl<C: Component<Plugin: OnRequest>> on_request::exports::gateway::plugin::on_request::Guest
        for C
    {
        fn handle(request: &RawRequest) -> WireDecision {
            decided(
                request,
                plugin::<C>().on_request(&mut Request::new(request)),
            )
        }
    }

    impl<C: Component<Plugin: OnRequestBody>>
        on_request_body::exports::gateway::plugin::on_request_body::Guest for C
    {
        fn chunk(request: &RawRequest, data: Vec<u8>, end: bool) -> ChunkDecision {
            or_trap(plugin::<C>().request_chunk(&Request::new(request), data, end))
        }

        fn whole(request: &RawRequest, body: Vec<u8>) -> WireBodyDecision {
            decided_body(
                request,
                plugin::<C>().request_whole(&mut Request::new(request), body),
            )
        }
    }

    impl<C: Component<Plugin: OnResponse>> on_response::exports::gateway::plugin::on_response::Guest
        for C
    {
        fn handle(request: &RawRequest, response: &RawResponse) -> WireDecision {
            decided(
                request,
                plugin::<C>().on_response(&Request::new(request), &mut Response::new(response)),
            )
        }
    }

    impl<C: Component<Plugin: OnResponseBody>>
        on_response_body::exports::gateway::plugin::on_response_body::Guest for C
    {
        fn chunk(
            request: &RawRequest,
            response: &RawResponse,
            data: Vec<u8>,
            end: bool,
        ) -> ChunkDecision {
            or_trap(plugin::<C>().response_chunk(
                &Request::new(request),
                &Response::new(response),
                data,
                end,
            ))
        }

        fn whole(request: &RawRequest, response: &RawResponse, body: Vec<u8>) -> WireBodyDecision {
            decided_body(
                request,
                plugin::<C>().response_whole(
                    &Request::new(request),
                    &mut Response::new(response),
                    body,
                ),
            )
        }
    }

    impl<C: Component<Plugin: OnLog>> on_log::exports::gateway::plugin::on_log::Guest for C {
        fn handle(request: &RawRequest, entry: LogEntry) {
            or_trap(plugin::<C>().on_log(&Request::new(request), &entry));
        }
    }
}
