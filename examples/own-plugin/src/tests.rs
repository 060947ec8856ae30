//! Runs the hooks without Wasm and without a gateway.

use std::time::Duration;

use plugin_sdk::Decision;
use plugin_sdk::testing::{Exchange, Harness};

use super::Doorman;

fn doorman() -> Harness<Doorman> {
    Harness::new("turn-away = ['BadBot']").unwrap()
}

#[test]
fn a_client_with_such_a_name_is_turned_away() {
    let exchange = Exchange::get("/").header("user-agent", "Mozilla/5.0 (compatible; badbot/2.1)");
    let decision = doorman().on_request(&exchange).unwrap();
    assert!(matches!(decision, Decision::Respond(response) if response.status == 403));
    for other in [
        Exchange::get("/"),
        Exchange::get("/").header("user-agent", "curl/8.9"),
    ] {
        assert_eq!(doorman().on_request(&other).unwrap(), Decision::Next);
    }
}

#[test]
fn the_response_says_how_long_it_took() {
    let (doorman, exchange) = (doorman(), Exchange::get("/"));
    assert_eq!(doorman.on_request(&exchange).unwrap(), Decision::Next);
    doorman.advance(Duration::from_micros(12_050));
    assert_eq!(doorman.on_response(&exchange).unwrap(), Decision::Next);
    let timing = exchange.response().header_str("server-timing");
    assert_eq!(timing.as_deref(), Some("upstream;dur=12.050"));
}

#[test]
fn a_wrong_configuration_is_refused_with_its_key() {
    let error = |config| Harness::<Doorman>::new(config).unwrap_err();
    assert_eq!(error(""), "`turn-away` is missing");
    assert!(error("turn-away = ['']").contains("empty word"));
    assert!(
        error("turn-away = []\nturnaway = []")
            .contains("`turnaway`: unknown key; did you mean `turn-away`?")
    );
}
