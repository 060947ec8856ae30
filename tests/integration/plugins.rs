//! Chains: the order of plugins, who sees what, and how a response made inside walks back (DESIGN 2).

use gateway_tests::{Reply, Setup, Upstream, get};
use serde_json::Value;

use crate::expect;

/// Appends its name to the request on the way in, and to the response on the way out.
pub(crate) fn mark(name: &str) -> String {
    let step = |hook: &str| {
        format!(
            "{{ hook = \"{hook}\", act = {{ append = {{ name = \"x-way\", value = \"{name}\" }} }} }}"
        )
    };
    format!("{}, {}", step("request"), step("response"))
}

/// Answers with that status.
fn answers(status: u16) -> String {
    format!(
        "{{ hook = \"request\", act = {{ respond = {{ status = {status}, body = \"inside\" }} }} }}"
    )
}

#[test]
fn requests_pass_the_chain_in_order_and_responses_in_reverse() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"b\", \"c\"]")
        .server("plugins = [\"a\"]")
        .acts("a", &mark("a"))
        .acts("b", &mark("b"))
        .acts("c", &mark("c"))
        .start();
    let answer = gateway.get("/");
    assert_eq!(
        answer.echoed("x-way").as_deref(),
        Some("a, b, c"),
        "those of the server stand first"
    );
    assert_eq!(answer.headers("x-way"), "c, b, a");
}

#[test]
fn a_response_made_inside_walks_back_through_the_outer_plugins_only() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"auth\", \"inner\"]")
        .acts("outer", &mark("outer"))
        .acts("auth", &format!("{}, {}", answers(401), mark("auth")))
        .acts("inner", &mark("inner"))
        .start();
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (401, "inside"));
    assert_eq!(answer.headers("x-way"), "outer");
    assert_eq!(up.heads(), 0);
}

#[test]
fn an_outer_plugin_also_marks_failures_of_the_gateway() {
    let setup = Setup::new().upstream_at("up", &format!("http://{}", Upstream::nobody()), "");
    let gateway = setup
        .route("/*", "plugins = [\"cors\"]")
        .acts("cors", &mark("cors"))
        .start();
    let answer = gateway.get("/");
    expect::failure(&answer, 502, "upstream-connect");
    assert_eq!(answer.headers("x-way"), "cors");
}

#[test]
fn a_route_timeout_walks_back_through_the_outer_plugins() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"slow\"]\ntimeout = \"80ms\"")
        .acts("outer", &mark("outer"))
        .acts("slow", "{ hook = \"request\", act = \"sleep\" }")
        .start();
    let answer = gateway.get("/");
    expect::failure(&answer, 504, "timeout");
    assert_eq!(answer.headers("x-way"), "outer");
}

#[test]
fn the_fault_of_an_inner_plugin_walks_back_through_the_outer_ones() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"bad\"]")
        .acts("outer", &mark("outer"))
        .acts("bad", "{ hook = \"request\", act = \"trap\", when = \"x-in\" }, { hook = \"response\", act = \"trap\" }")
        .start();
    for request in [get("/").header("x-in", "1"), get("/")] {
        let answer = gateway.send(&request);
        expect::failure(&answer, 503, "plugin-fault");
        assert_eq!(answer.headers("x-way"), "outer");
    }
    assert_eq!(up.count(), 1);
}

#[test]
fn a_plugin_sees_the_request_as_the_upstream_will_and_what_the_client_asked_for() {
    let up = Upstream::echo();
    let setup = Setup::new()
        .upstream("up", &up)
        .acts("look", "{ hook = \"request\", act = \"describe\" }");
    let keys = "name = \"things\"\nstrip-prefix = \"/api\"\nplugins = [\"look\"]";
    let gateway = setup.route("/api/{id}/x", keys).start();
    let request = get("/api//%37/./x?q=%20")
        .header("host", "Shop.example:81")
        .header("x-a", "1");
    let told = gateway.send(&request.header("X-A", "2")).json();
    assert_eq!(told["method"], "GET");
    assert_eq!(told["scheme"], "http");
    assert_eq!(told["authority"], "Shop.example:81");
    assert_eq!(told["path"], "/7/x");
    assert_eq!(told["original-path"], "/api/7/x");
    assert_eq!(told["query"], "q=%20");
    assert_eq!(told["client-ip"], "127.0.0.1");
    assert_eq!(told["route"], "things");
    assert_eq!(told["id-param"], "7");
    let named = |name: &str| -> Vec<Value> {
        let all = told["headers"].as_array().expect("a list").iter();
        all.filter(|field| field[0] == name)
            .map(|field| field[1].clone())
            .collect()
    };
    assert_eq!(named("x-a"), ["1", "2"]);
    assert_eq!(named("x-request-id"), [told["id"].clone()]);
    assert!(named("host").is_empty() && named("connection").is_empty());
}

#[test]
fn edits_of_head_method_path_and_query_reach_the_upstream() {
    let up = Upstream::echo();
    let acts = [
        "{ hook = \"request\", act = { method = \"PATCH\" } }",
        "{ hook = \"request\", act = { path = \"/new//./%61\" } }",
        "{ hook = \"request\", act = { query = \"b=1\" } }",
        "{ hook = \"request\", act = { set = { name = \"X-Set\", value = \"new\" } } }",
        "{ hook = \"request\", act = { append = { name = \"x-more\", value = \"two\" } } }",
        "{ hook = \"request\", act = { remove = \"x-gone\" } }",
        "{ hook = \"request\", act = { batch = [{ name = \"x-batch\", value = \"1\" }, { name = \"x-batch\", value = \"2\" }] } }",
    ];
    let gateway = Setup::to(&up, "plugins = [\"edit\"]")
        .acts("edit", &acts.join(", "))
        .start();
    let request = get("/old?a=1")
        .header("x-set", "a")
        .header("x-set", "b")
        .header("x-more", "one")
        .header("x-gone", "1");
    let answer = gateway.send(&request);
    assert_eq!(
        (
            answer.json()["method"].as_str(),
            answer.json()["target"].as_str()
        ),
        (Some("PATCH"), Some("/new/a?b=1"))
    );
    assert_eq!(answer.echoed("x-set").as_deref(), Some("new"));
    assert_eq!(answer.echoed("x-more").as_deref(), Some("one, two"));
    assert_eq!(answer.echoed("x-gone"), None);
    assert_eq!(answer.echoed("x-batch").as_deref(), Some("1, 2"));
}

#[test]
fn a_response_hook_can_change_status_and_fields_and_knows_who_made_the_response() {
    let up = Upstream::answering(|_| Reply::new(200, "body").header("x-from", "up"));
    let acts = [
        "{ hook = \"response\", act = \"describe\" }",
        "{ hook = \"response\", act = { status = 418 } }",
        "{ hook = \"response\", act = { remove = \"x-from\" } }",
    ];
    let gateway = Setup::to(&up, "plugins = [\"look\", \"deny\"]")
        .acts("look", &acts.join(", "))
        .acts(
            "deny",
            &format!(
                "{{ hook = \"request\", when = \"x-deny\", {}",
                &answers(403)[20..]
            ),
        )
        .start();
    let answer = gateway.get("/");
    assert_eq!(
        (
            answer.status,
            answer.text().as_str(),
            answer.header("x-from")
        ),
        (418, "body", None)
    );
    let told: Value =
        serde_json::from_str(answer.header("x-described").expect("told")).expect("JSON");
    assert_eq!(
        (told["status"].as_u64(), told["from-upstream"].as_bool()),
        (Some(200), Some(true))
    );
    let denied = gateway.send(&get("/").header("x-deny", "1"));
    let told: Value =
        serde_json::from_str(denied.header("x-described").expect("told")).expect("JSON");
    assert_eq!(
        (told["status"].as_u64(), told["from-upstream"].as_bool()),
        (Some(403), Some(false))
    );
}

#[test]
fn a_response_hook_can_put_another_response_in_place() {
    let up = Upstream::answering(|_| Reply::new(200, "secret").header("x-secret", "1"));
    let act = "{ hook = \"response\", act = { respond = { status = 404, body = \"nothing\" } } }";
    let gateway = Setup::to(&up, "plugins = [\"outer\", \"hide\"]")
        .acts("hide", act)
        .acts("outer", &mark("outer"))
        .start();
    let mut client = gateway.client();
    for _ in 0..3 {
        let answer = client.request(&get("/"));
        assert_eq!(
            (
                answer.status,
                answer.text().as_str(),
                answer.header("x-secret")
            ),
            (404, "nothing", None)
        );
        assert_eq!(answer.headers("x-way"), "outer");
    }
}

#[test]
fn state_is_private_to_a_place_and_attributes_are_shared() {
    let up = Upstream::echo();
    let keeps = |value: &str| {
        format!(
            "{{ hook = \"request\", act = {{ state = \"{value}\" }} }},
             {{ hook = \"request\", act = {{ attribute = {{ name = \"last\", value = \"{value}\" }} }} }},
             {{ hook = \"response\", act = \"reveal-state\" }},
             {{ hook = \"response\", act = {{ reveal-attribute = \"last\" }} }}"
        )
        .replace('\n', " ")
    };
    let gateway = Setup::to(&up, "plugins = [\"a\", \"b\", \"a\"]")
        .acts("a", &keeps("a"))
        .acts("b", &keeps("b"))
        .start();
    let answer = gateway.get("/");
    assert_eq!(answer.headers("x-state"), "a, b, a");
    assert_eq!(answer.headers("x-attribute"), "a, a, a");
    assert_eq!(up.count(), 1);
}

#[test]
fn interest_for_one_exchange_overrides_what_was_declared() {
    let up = Upstream::echo();
    let acts = format!(
        "{{ hook = \"request\", act = {{ interest = [] }}, when = \"x-skip\" }}, {}",
        mark("m")
    );
    let gateway = Setup::to(&up, "plugins = [\"m\"]").acts("m", &acts).start();
    assert_eq!(gateway.get("/").headers("x-way"), "m");
    assert_eq!(
        gateway
            .send(&get("/").header("x-skip", "1"))
            .headers("x-way"),
        ""
    );
    assert_eq!(
        gateway.get("/").headers("x-way"),
        "m",
        "for that exchange only"
    );
}

#[test]
fn a_hook_that_nobody_asked_for_is_not_called() {
    let up = Upstream::echo();
    let config = format!(
        "config = {{ declare = [\"response\"], acts = [{}] }}",
        mark("m")
    );
    let keys = format!("{config}\n{}", gateway_tests::guests::EVERY_GRANT);
    let setup =
        Setup::to(&up, "plugins = [\"m\"]").plugin("m", gateway_tests::guests::MISBEHAVING, &keys);
    let answer = setup.start().get("/");
    assert_eq!(
        (answer.echoed("x-way"), answer.headers("x-way").as_str()),
        (None, "m")
    );
}

#[test]
fn an_entry_of_a_chain_overrides_the_plugins_configuration_key_by_key() {
    let up = Upstream::echo();
    let own = format!(
        "plugins = [\"m\", {{ use = \"m\", config = {{ acts = [{}] }} }}]",
        mark("own")
    );
    let gateway = Setup::to(&up, &own).acts("m", &mark("m")).start();
    assert_eq!(gateway.get("/").headers("x-way"), "own, m");
}
