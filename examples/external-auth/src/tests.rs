//! Scripted answers of the service.

use plugin_sdk::http_client::{Error, HttpResponse};
use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, Header, LocalResponse};

use super::ExternalAuth;

fn auth(answer: impl Fn() -> Result<HttpResponse, Error> + 'static) -> Harness<ExternalAuth> {
    let harness = Harness::new("url = 'http://127.0.0.1:9003/check'").unwrap();
    harness.on_fetch(move |_| answer());
    harness
}

fn answer(status: u16, name: &str, value: &str) -> HttpResponse {
    let mut response = HttpResponse::new(status, "from the service");
    response.headers.push(Header::new(name, value));
    response
}

fn refused(harness: &Harness<ExternalAuth>) -> LocalResponse {
    match harness.on_request(&Exchange::get("/")).unwrap() {
        Decision::Respond(response) => response,
        other => panic!("passed: {other:?}"),
    }
}

#[test]
fn whom_the_service_knows_passes_under_the_name_that_it_says() {
    let harness = auth(|| Ok(answer(200, "x-auth-user", "alice")));
    let exchange = Exchange::new("PUT", "/a?b=1")
        .header("authorization", "Basic eDp5")
        .header("x-user", "root")
        .header("X-User", "admin");
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    assert_eq!(exchange.request().header_values("x-user"), [b"alice"]);
    assert_eq!(
        exchange.request().attribute("consumer").as_deref(),
        Some("alice")
    );
    let question = &harness.fetches()[0];
    let asked = [
        ("x-original-method", "PUT"),
        ("x-original-path", "/a"),
        ("authorization", "Basic eDp5"),
    ];
    assert_eq!(
        question.headers,
        asked.map(|(name, value)| Header::new(name, value))
    );
}

#[test]
fn a_refusal_is_passed_on_with_its_challenge() {
    let response = refused(&auth(|| {
        Ok(answer(401, "www-authenticate", "Basic realm=\"x\""))
    }));
    assert_eq!(
        (response.status, &*response.body),
        (401, &b"from the service"[..])
    );
    assert_eq!(
        response.headers,
        [Header::new("www-authenticate", "Basic realm=\"x\"")]
    );
    assert_eq!(
        refused(&auth(|| Ok(HttpResponse::new(403, "no")))).status,
        403
    );
}

#[test]
fn without_an_answer_nobody_passes() {
    for status in [200, 204, 302, 404, 500] {
        assert_eq!(
            refused(&auth(move || Ok(HttpResponse::new(status, "")))).status,
            503
        );
    }
    for error in [
        Error::Timeout,
        Error::TooLarge,
        Error::Connect("refused".to_owned()),
    ] {
        assert_eq!(refused(&auth(move || Err(error.clone()))).status, 503);
    }
}
