//! What several areas expect of a response.

use gateway_tests::Response;

/// A failure: its status, its stable reason, an id that is also in the header, and nothing else.
#[track_caller]
pub(crate) fn failure(response: &Response, status: u16, reason: &str) {
    assert_eq!(
        (response.status, response.text().contains(reason)),
        (status, true),
        "{response:?}"
    );
    let body = response.json();
    assert_eq!(body["error"], reason, "{response:?}");
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(2),
        "no inner detail: {body}"
    );
    let id = body["request_id"].as_str().expect("an id");
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(response.header("x-request-id"), Some(id), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
}

/// A good response.
#[track_caller]
pub(crate) fn ok(response: &Response) {
    assert!(
        response.status == 200 && response.is_whole,
        "{} {:?}",
        response.status,
        response.text()
    );
}
