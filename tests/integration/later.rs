//! Edits of the response that a request hook orders: at their place of the chain, checked at once, bounded.

use gateway_tests::{Reply, Setup, Upstream, post};

use crate::output::edited;

/// Fields of a response that request hooks may ask for.
const LATER: &str = "{ later = [{ name = \"x-kept\", value = \"later\" }, { name = \"host\", value = \"2\" }, { name = \"x-3\", value = \"3\" }] }";

#[test]
fn a_request_hook_edits_the_response_that_will_come_whoever_makes_it() {
    for hook in ["request", "request-whole"] {
        let (answer, refused) = edited(hook, &[LATER.to_owned(), LATER.to_owned()]);
        assert_eq!(answer.headers("x-kept"), "later", "{hook}");
        assert_eq!(
            answer.header("x-3"),
            None,
            "{hook}: behind one that is refused"
        );
        assert_eq!(refused, "later=forbidden;later=forbidden;", "{hook}");
        assert_eq!(answer.echoed("x-kept").as_deref(), Some("client"), "{hook}");
    }
    let origin = format!("http://{}", Upstream::nobody());
    let set = "{ hook = \"request\", act = { later = [{ name = \"x-seen\", value = \"yes\" }] } }";
    let stop = "{ hook = \"request\", act = { respond = { status = 418 } } }";
    for (plugins, status, seen) in [
        ("\"edit\"", 502, Some("yes")),
        ("\"edit\", \"stop\"", 418, Some("yes")),
        ("\"stop\", \"edit\"", 418, None),
    ] {
        let gateway = Setup::new()
            .upstream_at("up", &origin, "")
            .route("/*", &format!("plugins = [{plugins}]"))
            .acts("edit", set)
            .acts("stop", stop)
            .start();
        let answer = gateway.get("/");
        assert_eq!(
            (answer.status, answer.header("x-seen")),
            (status, seen),
            "{plugins}"
        );
    }
}

#[test]
fn edits_for_later_are_applied_at_their_place_of_the_chain() {
    let up = Upstream::echo();
    let later = |value: &str| {
        format!(
            "{{ hook = \"request\", act = {{ later = [{{ name = \"x-last\", value = \"{value}\" }}] }} }}"
        )
    };
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"inner\"]")
        .acts("outer", &later("outer"))
        .acts("inner", &later("inner"))
        .start();
    assert_eq!(gateway.get("/").headers("x-last"), "outer");
    let now = "{ hook = \"response\", act = { append = { name = \"x-last\", value = \"hook\" } } }";
    let gateway = Setup::to(&up, "plugins = [\"both\"]")
        .acts("both", &format!("{}, {now}", later("before")))
        .start();
    let answer = gateway.get("/");
    assert!(
        answer.headers("x-last").starts_with("before"),
        "{}",
        answer.headers("x-last")
    );
    assert!(
        answer.headers("x-last").ends_with("hook"),
        "{}",
        answer.headers("x-last")
    );
}

#[test]
fn edits_for_later_end_with_the_request_and_are_bounded() {
    for hook in ["response", "request-chunk"] {
        let (answer, refused) = edited(hook, &[LATER.to_owned()]);
        assert_eq!(
            (&*refused, answer.headers("x-kept")),
            ("later=read-only;", "up".to_owned()),
            "{hook}"
        );
    }
    let long = "v".repeat(40_000);
    let act = format!(
        "{{ later = [{{ name = \"x-1\", value = \"{long}\" }}, {{ name = \"x-2\", value = \"{long}\" }}] }}"
    );
    let (answer, refused) = edited("request", &[act]);
    assert_eq!(refused, "later=too-large;");
    assert_eq!(
        (answer.header("x-1").is_some(), answer.header("x-2")),
        (true, None)
    );
}

#[test]
fn a_response_without_room_for_edits_is_a_fault() {
    let up = Upstream::answering(|_| Reply::new(200, "x").header("x-big", &"v".repeat(30_000)));
    let long = "v".repeat(40_000);
    let act = format!(
        "{{ hook = \"request\", act = {{ later = [{{ name = \"x-1\", value = \"{long}\" }}] }} }}"
    );
    for (policy, status) in [("deny", 503), ("skip", 200)] {
        let gateway = Setup::to(&up, "plugins = [\"edit\"]")
            .acts_with("edit", &act, &format!("on-fault = \"{policy}\""))
            .start();
        let answer = gateway.get("/");
        assert_eq!(
            (answer.status, answer.header("x-1")),
            (status, None),
            "{policy}"
        );
    }
}

#[test]
fn a_plugin_that_stops_the_request_itself_is_not_passed_on_the_way_back() {
    let up = Upstream::echo();
    let outer =
        "{ hook = \"request\", act = { later = [{ name = \"x-outer\", value = \"yes\" }] } }";
    let later =
        "{ hook = \"request\", act = { later = [{ name = \"x-inner\", value = \"yes\" }] } }";
    let stop = "{ hook = \"request-whole\", act = { respond = { status = 418 } } }";
    for plugins in ["\"inner\"", "\"outer\", \"inner\""] {
        let gateway = Setup::to(&up, &format!("plugins = [{plugins}]"))
            .acts("outer", outer)
            .acts("inner", &format!("{later}, {stop}"))
            .start();
        let answer = gateway.send(&post("/", "hello"));
        assert_eq!((answer.status, answer.header("x-inner")), (418, None));
        let is_outer = plugins.contains("outer");
        assert_eq!(answer.header("x-outer").is_some(), is_outer);
    }
}
