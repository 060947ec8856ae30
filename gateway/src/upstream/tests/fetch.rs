//! What a plugin may call, and what comes back.

use http::{HeaderMap, StatusCode};
use tokio::join;

use super::super::{FetchAnswer, FetchCall, FetchError, FetchPolicy, fetch};
use super::*;
use crate::config::{Grants, Network};

fn grants(origins: impl Into<Vec<Origin>>) -> Grants {
    Grants {
        http_client: Some(origins.into()),
        ..Grants::default()
    }
}

fn call(origin: &Origin) -> FetchCall {
    FetchCall {
        method: Method::GET,
        url: format!("http://{}:{}/path?query", origin.host, origin.port),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(5),
    }
}

/// Calls a server that is granted and answers with this.
async fn answered(answer: &str) -> Result<FetchAnswer, FetchError> {
    let server = Server::bind().await;
    let policy = FetchPolicy::new(&grants([server.origin()]), &[]).unwrap();
    let call = call(&server.origin());
    let (result, _peer) = join!(soon(fetch(call, &policy)), server.serve(answer));
    result
}

#[tokio::test]
async fn a_granted_origin_is_called_with_its_own_host_and_framing() {
    let server = Server::bind().await;
    let origin = server.origin();
    let policy = FetchPolicy::new(&grants([origin.clone()]), &[]).unwrap();
    let mut call = call(&origin);
    call.method = Method::POST;
    call.body = Bytes::from_static(b"body");
    for (name, value) in [("host", "elsewhere"), ("x-y", "kept")] {
        call.headers.insert(name, value.parse().unwrap());
    }
    let (answer, seen) = join!(soon(fetch(call, &policy)), async {
        let mut peer = server.accept().await;
        let seen = peer.until("body").await;
        peer.say(OK).await;
        seen
    });
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status, &answer.body[..]),
        (StatusCode::OK, &b"ok"[..])
    );
    let port = origin.port;
    assert_eq!(
        seen,
        format!(
            "POST /path?query HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-y: kept\r\ncontent-length: 4\r\n\r\nbody"
        )
    );
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_call() {
    let server = Server::bind().await;
    let origin = server.origin();
    let policy = FetchPolicy::new(&grants([origin.clone()]), &[]).unwrap();
    let calls = async {
        for _ in 0..2 {
            soon(fetch(call(&origin), &policy)).await.unwrap();
        }
    };
    join!(calls, async { server.serve(OK).await.serve(OK).await });
}

#[tokio::test]
async fn what_is_not_granted_is_not_called() {
    let server = Server::bind().await;
    let granted = server.origin();
    let policy = FetchPolicy::new(&grants([granted.clone()]), &[]).unwrap();
    for other in [
        format!("http://127.0.0.1:{}/", granted.port ^ 1),
        format!("http://localhost:{}/", granted.port),
        format!("https://127.0.0.1:{}/", granted.port),
        "http://127.0.0.1/".to_owned(),
    ] {
        let call = FetchCall {
            url: other,
            ..call(&granted)
        };
        let result = soon(fetch(call, &policy)).await;
        assert!(matches!(result, Err(FetchError::Denied(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_granted_name_with_a_private_address_is_denied_unless_the_network_is_granted() {
    let server = Server::bind().await;
    let port = server.origin().port;
    // Names to the gateway, addresses to the resolver: the classic ways around a list of addresses.
    for name in ["127.1", "2130706433"] {
        let private = origin(name, port);
        let mut grants = grants([private.clone()]);
        let policy = FetchPolicy::new(&grants, &[]).unwrap();
        let result = soon(fetch(call(&private), &policy)).await;
        assert!(matches!(result, Err(FetchError::Denied(_))), "{result:?}");

        grants.http_client_networks = vec![Network {
            address: "127.0.0.0".parse().unwrap(),
            prefix: 8,
        }];
        let policy = FetchPolicy::new(&grants, &[]).unwrap();
        let (result, _peer) = join!(soon(fetch(call(&private), &policy)), server.serve(OK));
        assert_eq!(result.unwrap().status, StatusCode::OK);

        let admin = server.listener.local_addr().unwrap();
        let policy = FetchPolicy::new(&grants, &[admin]).unwrap();
        let result = soon(fetch(call(&private), &policy)).await;
        assert!(matches!(result, Err(FetchError::Denied(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let redirect =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answer = answered(redirect).await.unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(answer.headers.contains_key("location"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_its_length_and_by_its_bytes() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n";
    assert!(matches!(
        answered(announced).await,
        Err(FetchError::TooLarge)
    ));
    let streamed = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_048_577));
    assert!(matches!(
        answered(&streamed).await,
        Err(FetchError::TooLarge)
    ));
    let exact = "x".repeat(1_048_576);
    let exact = format!("HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n{exact}");
    assert_eq!(answered(&exact).await.unwrap().body.len(), 1_048_576);
}

#[tokio::test]
async fn the_time_of_a_call_is_limited_as_a_whole() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"] {
        let server = Server::bind().await;
        let origin = server.origin();
        let policy = FetchPolicy::new(&grants([origin.clone()]), &[]).unwrap();
        let call = FetchCall {
            timeout: BRIEF,
            ..call(&origin)
        };
        let (result, rest) = join!(soon(fetch(call, &policy)), async {
            server.serve(answer).await.rest().await
        });
        assert!(matches!(result, Err(FetchError::Timeout)), "{result:?}");
        assert_eq!(rest, "");
    }
}

#[tokio::test]
async fn a_url_that_is_not_plain_is_invalid() {
    let policy = FetchPolicy::new(&grants([]), &[]).unwrap();
    for url in [
        "/relative",
        "ftp://example.com/",
        "http://user@example.com/",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "",
    ] {
        let call = FetchCall {
            url: url.to_owned(),
            ..call(&origin("127.0.0.1", 80))
        };
        let result = fetch(call, &policy).await;
        assert!(
            matches!(result, Err(FetchError::Invalid(_))),
            "{url}: {result:?}"
        );
    }
}
