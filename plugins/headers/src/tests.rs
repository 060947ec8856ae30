//! What comes out of which configuration, and what is refused at load.

use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, Interest};

use super::Headers;

fn harness(config: &str) -> Harness<Headers> {
    Harness::new(config).unwrap()
}

fn exchange() -> Exchange {
    Exchange::get("/users/7?x=1")
        .id("id-1")
        .client_ip("192.0.2.9")
        .authority("api.example:8080")
        .route("users")
        .param("id", "7")
        .attribute("consumer", "alice")
        .attribute("tier", "gold")
        .header("accept", "*/*")
}

/// What a template becomes.
fn filled(template: &str) -> Option<String> {
    let exchange = exchange();
    let decision = harness(&format!("request.set.x = '{template}'")).on_request(&exchange);
    assert_eq!(decision.unwrap(), Decision::Next);
    exchange.request().header_str("x")
}

#[test]
fn values_are_templates() {
    for (template, value) in [
        ("<${route}/${param.id}>", "<users/7>"),
        ("100 $$ $${route} {}", "100 $ ${route} {}"),
        ("plain", "plain"),
    ] {
        assert_eq!(filled(template).as_deref(), Some(value), "{template}");
    }
}

#[test]
fn a_value_whose_placeholders_are_all_empty_removes_what_the_client_sent() {
    let config = "request.set = { x-user = '${attribute.none}', x-part = 'u=${attribute.none}', x-empty = '' }
        request.append.x-more = ['${param.none}', 'a']";
    let exchange = exchange()
        .header("x-user", "root")
        .header("x-part", "root")
        .header("x-empty", "root");
    let decision = harness(config).on_request(&exchange);
    assert_eq!(decision.unwrap(), Decision::Next);
    let request = exchange.request();
    assert_eq!(request.header("x-user"), None);
    assert_eq!(request.header_str("x-part").as_deref(), Some("u="));
    assert_eq!(request.header_str("x-empty").as_deref(), Some(""));
    assert_eq!(request.header_values("x-more"), [b"a"]);
}

#[test]
fn fields_are_removed_then_set_then_appended() {
    let config = "request.remove = ['X-A', 'x-b']
        request.set = { x-b = '1', x-c = '2' }
        request.append = { x-b = ['2', '3'], x-d = ['4'] }";
    let exchange = ["x-a", "x-b", "x-c", "x-d", "x-e"]
        .iter()
        .fold(exchange(), |e, name| e.header(name, "old"));
    assert_eq!(
        harness(config).on_request(&exchange).unwrap(),
        Decision::Next
    );
    let values = |name| exchange.request().header_values(name);
    assert!(values("x-a").is_empty());
    assert_eq!(values("x-b"), [b"1", b"2", b"3"]);
    assert_eq!(values("x-c"), [b"2"]);
    assert_eq!(values("x-d"), [b"old".to_vec(), b"4".to_vec()]);
    assert_eq!(values("x-e"), [b"old"]);
}

#[test]
fn responses_are_edited_with_what_is_known_of_the_request() {
    let harness = harness("response = { set = { x-id = '${request.id}' }, remove = ['server'] }");
    let exchange = exchange()
        .response_header("server", "x")
        .response_header("x-id", "old");
    assert_eq!(harness.on_response(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.response().header("server"), None);
    assert_eq!(exchange.response().header_values("x-id"), [b"id-1"]);
}

#[test]
fn only_the_hooks_that_have_something_to_do_are_wanted() {
    assert_eq!(
        harness("request.remove = ['a']").interest(),
        Interest::REQUEST
    );
    assert_eq!(
        harness("response.set.a = '${request.id}'").interest(),
        Interest::RESPONSE
    );
    let both = harness("request.set.a = 'b'\nresponse.append.a = ['${route}']").interest();
    assert_eq!(both, Interest::REQUEST | Interest::RESPONSE);
}

#[test]
fn what_is_fixed_for_the_response_is_told_with_the_request() {
    let harness = harness("response = { set = { a = 'b' }, remove = ['server'] }");
    assert_eq!(harness.interest(), Interest::REQUEST);
    let exchange = exchange().response_header("server", "x");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.response().header("server"), None);
    assert_eq!(exchange.response().header_values("a"), [b"b"]);
}

#[test]
fn what_a_client_controls_never_makes_an_edit_fail() {
    let exchange = exchange().param("name", "a\r\nx-admin: 1\0\u{7f}é\t");
    let decision = harness("request.set.x = '${param.name}'").on_request(&exchange);
    assert_eq!(decision.unwrap(), Decision::Next);
    assert_eq!(
        exchange.request().header_str("x").as_deref(),
        Some("a??x-admin: 1??é")
    );
    let exchange = self::exchange().header("x-raw", b"\xff\xfe");
    let decision = harness("request.set.x = '${request.header.x-raw}'").on_request(&exchange);
    assert_eq!(decision.unwrap(), Decision::Next);
    assert_eq!(exchange.request().header("x"), Some(b"\xff\xfe".to_vec()));
}

#[test]
fn a_wrong_configuration_is_refused_and_its_place_named() {
    for (config, error) in [
        ("", "there is nothing to do"),
        ("request = {}", "there is nothing to do"),
        (
            "request.set.host = 'x'",
            "`request.set`: \"host\": the header field or method belongs to the gateway",
        ),
        (
            "response.append.Content-Length = ['1']",
            "`response.append`: \"Content-Length\": the header field or method belongs",
        ),
        (
            "request.remove = ['a b']",
            "`request.remove`: \"a b\": this is no name of a header field",
        ),
        (
            "request.set.a = \"b\\nc\"",
            "`request.set.a`: the value has control characters",
        ),
        (
            "request.set.a = '${nope}'",
            "`request.set.a`: unknown placeholder `${nope}`; there are request.id",
        ),
        (
            "request.set.a = '${param.}'",
            "`request.set.a`: unknown placeholder",
        ),
        (
            "request.set.a = '${request.header.a b}'",
            "`request.set.a`: `${request.header.a b}`",
        ),
        ("request.set.a = '$x'", "`request.set.a`: `$` begins"),
        ("request.set.a = '${route'", "`request.set.a`: `$` begins"),
        (
            "request.set.a = 1",
            "`request.set.a`: expected a string, found the number 1",
        ),
        (
            "request.append.a = 'b'",
            "`request.append.a`: expected a list, found the string \"b\"",
        ),
        (
            "requests.set.a = 'b'",
            "`requests`: unknown key; did you mean `request`?",
        ),
    ] {
        let found = Harness::<Headers>::new(config).unwrap_err();
        assert!(found.starts_with(error), "{config}: {found}");
    }
}
