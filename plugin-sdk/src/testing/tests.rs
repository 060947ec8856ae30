//! The harness refuses what the gateway refuses, and its stores follow the test's clock.

use std::time::Duration;

use super::{Exchange, Harness};
use crate::limiter::{self, Bucket, Verdict};
use crate::log::Level;
use crate::{
    Decision, EditError, Fault, Interest, LocalResponse, NoConfig, OnRequest, Plugin, Request,
    clock, http_client, kv,
};

/// Answers with whatever status and header field the request asks for.
struct Echo;

impl Plugin for Echo {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        crate::debug!("made");
        Ok(Self)
    }
}

impl OnRequest for Echo {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let status = request.query_param("status").ok_or("no status")?.parse()?;
        let name = request
            .header_str("x-name")
            .unwrap_or_else(|| "x-ok".to_owned());
        Ok(LocalResponse::new(status).header(&name, "1").into())
    }
}

crate::export!(Echo: OnRequest);

fn harness() -> Harness<Echo> {
    Harness::new("").unwrap()
}

#[test]
fn a_response_that_the_gateway_refuses_is_a_fault() {
    let answer = |exchange: Exchange| harness().on_request(&exchange);
    assert!(answer(Exchange::get("/?status=200")).is_ok());
    for (target, name) in [
        ("/?status=199", "x"),
        ("/?status=600", "x"),
        ("/?status=200", "content-length"),
        ("/?status=200", "a b"),
    ] {
        assert!(
            answer(Exchange::get(target).header("x-name", name)).is_err(),
            "{target} {name}"
        );
    }
    assert_eq!(
        answer(Exchange::get("/")).unwrap_err().to_string(),
        "no status"
    );
}

#[test]
fn the_request_line_can_be_changed_only_to_something_that_http_has() {
    let exchange = Exchange::get("/a?b");
    let mut request = exchange.request();
    assert_eq!(request.set_method("TRACE"), Err(EditError::Forbidden));
    assert_eq!(request.set_method("GE T"), Err(EditError::InvalidValue));
    assert_eq!(request.set_path("a"), Err(EditError::InvalidValue));
    assert_eq!(request.set_path("/a b"), Err(EditError::InvalidValue));
    assert_eq!(request.set_path("/a?b"), Err(EditError::InvalidValue));
    assert_eq!(request.set_query(Some("a#b")), Err(EditError::InvalidValue));
    assert_eq!(
        (request.path(), request.query().as_deref()),
        ("/a".to_owned(), Some("b"))
    );
    request.set_path("/c").unwrap();
    request.set_query(None).unwrap();
    assert_eq!(
        (request.path(), request.original_path(), request.query()),
        ("/c".to_owned(), "/a".to_owned(), None)
    );
    assert_eq!(
        exchange.response().set_status(99),
        Err(EditError::InvalidValue)
    );
}

#[test]
fn state_and_attributes_are_bounded() {
    let exchange = Exchange::get("/");
    let request = exchange.request();
    assert_eq!(
        request.set_state(vec![0; (64 << 10) + 1]),
        Err(EditError::TooLarge)
    );
    assert_eq!(
        request.set_attribute("a", &"x".repeat(4 << 10)),
        Err(EditError::TooLarge)
    );
    for index in 0..64 {
        request.set_attribute(&index.to_string(), "x").unwrap();
    }
    assert_eq!(request.set_attribute("64", "x"), Err(EditError::TooLarge));
    request.set_attribute("63", "y").unwrap();
    assert_eq!(request.attribute("63").as_deref(), Some("y"));
}

#[test]
fn a_bucket_refills_as_the_test_lets_time_pass() {
    let harness = harness();
    let bucket = Bucket {
        rate: 2,
        period: Duration::from_secs(1),
        burst: 3,
    };
    let take = |cost| harness.run(|_| limiter::take("key", bucket, cost)).unwrap();
    let verdict = |allowed, remaining, retry_after, reset| Verdict {
        allowed,
        remaining,
        retry_after: Duration::from_millis(retry_after),
        reset: Duration::from_millis(reset),
    };
    assert_eq!(take(2), verdict(true, 1, 0, 1000));
    assert_eq!(take(2), verdict(false, 1, 500, 1000));
    harness.advance(Duration::from_millis(499));
    assert!(!take(2).allowed);
    harness.advance(Duration::from_millis(1));
    assert_eq!(take(2), verdict(true, 0, 0, 1500));
    harness.advance(Duration::from_secs(60));
    assert_eq!(take(0), verdict(true, 3, 0, 0));
    assert!(harness.run(|_| limiter::take("key", bucket, 4)).is_err());
    harness.lose_stores();
    assert!(matches!(
        harness.run(|_| limiter::take("key", bucket, 1)),
        Err(limiter::Error::Unavailable(_))
    ));
}

#[test]
fn values_expire_and_are_set_only_against_what_is_there() {
    let harness = harness();
    harness.run(|_| {
        assert!(kv::compare_and_set("k", None, "1", Some(Duration::from_secs(5))).unwrap());
        assert!(!kv::compare_and_set("k", None, "2", None).unwrap());
        assert!(!kv::compare_and_set("k", Some(b"2"), "3", None).unwrap());
        assert_eq!(kv::get("k").unwrap().as_deref(), Some(b"1".as_slice()));
    });
    harness.advance(Duration::from_secs(5));
    harness.run(|_| {
        assert_eq!(kv::get("k").unwrap(), None);
        assert!(!kv::delete("k").unwrap());
        kv::set("k", "4", None).unwrap();
        assert!(kv::delete("k").unwrap());
        assert_eq!(
            kv::set(&"k".repeat(1025), "", None),
            Err(kv::Error::TooLarge)
        );
    });
}

#[test]
fn calls_are_recorded_and_answered_as_the_test_says() {
    let harness = harness();
    let fetch = || harness.run(|_| http_client::get("http://a/").header("b", "c").fetch());
    assert!(matches!(fetch(), Err(http_client::Error::Denied(_))));
    harness.on_fetch(|request| {
        Ok(http_client::HttpResponse::new(
            200,
            format!("\"{}\"", request.url),
        ))
    });
    assert_eq!(fetch().unwrap().json::<String>().unwrap(), "http://a/");
    assert_eq!(harness.fetches().len(), 2);
}

#[test]
fn the_log_and_the_clock_are_the_harness_s_own() {
    let harness = harness();
    harness.advance(Duration::from_secs(1));
    let user = "alice";
    harness.run(|_| {
        assert_eq!(clock::now(), harness.now());
        crate::warn!(user = user, count = 1 + 1, "saw {user} {}", "twice");
    });
    let log = harness.log();
    assert_eq!(
        (log[0].level, log[0].message.as_str()),
        (Level::Debug, "made")
    );
    assert_eq!(
        (log[1].level, log[1].message.as_str()),
        (Level::Warn, "saw alice twice")
    );
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(log[1].fields, [field("user", "alice"), field("count", "2")]);
    assert_eq!(
        harness.interest(),
        Interest::REQUEST | Interest::RESPONSE | Interest::LOG
    );
}
