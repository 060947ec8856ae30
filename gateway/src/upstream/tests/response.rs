//! What hostile or broken responses become.

use tokio::join;

use super::*;

async fn answered(answer: &str) -> Result<Response<Body>, SendError> {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let ((result, _), peer) = join!(send(&upstream, get()), server.serve(answer));
    if result.is_err() {
        assert_eq!(upstream.stats().idle, 0, "{answer:?}");
    }
    drop(peer);
    result
}

#[tokio::test]
async fn a_head_that_is_not_http_is_a_protocol_error() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(70_000));
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        &many,
        &long,
    ] {
        let result = answered(answer).await;
        let head = &answer[..answer.len().min(80)];
        assert!(
            matches!(result, Err(SendError::Protocol { .. })),
            "{head:?}: {result:?}"
        );
    }
}

#[tokio::test]
async fn as_many_fields_as_allowed_are_accepted() {
    let fields = "a: b\r\n".repeat(99);
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok");
    let response = answered(&answer).await.unwrap();
    assert_eq!(response.headers().len(), 100);
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let response = answered(&format!("{interim}{OK}")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("link"));
}

#[tokio::test]
async fn endless_interim_responses_are_a_protocol_error() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let ((result, trace), ()) = join!(send(&upstream, get()), async {
        let mut peer = server.accept().await;
        peer.head().await;
        let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
        while peer.stream.write_all(flood.as_bytes()).await.is_ok() {}
    });
    assert!(
        matches!(result, Err(SendError::Protocol { .. })),
        "{result:?}"
    );
    assert_eq!(trace.tries, 1);
    assert_eq!(upstream.stats().idle, 0);
}

#[tokio::test]
async fn many_interim_responses_and_then_one_are_fine() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2_000);
    let answer = format!("{interim}{OK}");
    let twice = async {
        for _ in 0..2 {
            let (response, _) = send(&upstream, get()).await;
            assert_eq!(read(response.unwrap().into_body()).await.unwrap(), "ok");
        }
    };
    let serve = async {
        let mut peer = server.serve(&answer).await;
        peer.serve(&answer).await;
        peer
    };
    let ((), _peer) = join!(twice, serve);
    assert_eq!(upstream.stats().connects, 1);
}

#[tokio::test]
async fn a_cut_body_is_an_error_and_never_an_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfmore\r\n0\r\n\r\n",
    ] {
        let response = answered(answer).await.unwrap();
        let body = read(response.into_body()).await;
        assert!(matches!(body, Err(BodyError::Sender(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_may_end_with_the_connection_or_with_trailers() {
    let response = answered("HTTP/1.1 200 OK\r\n\r\nall of it").await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), "all of it");

    let answer =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nsum: 1\r\n\r\n";
    let response = answered(answer).await.unwrap();
    let whole = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(whole.trailers().unwrap()["sum"], "1");
}
