//! What is sent twice, and what never is.

use http::Method;
use tokio::join;

use super::*;

/// An upstream with one pooled connection, and the server's end of it.
async fn pooled(server: &Server) -> (Upstream, Peer) {
    let upstream = server.upstream();
    let ((body, _), peer) = join!(text(&upstream, get()), server.serve(OK));
    assert_eq!(body, "ok");
    assert_eq!(upstream.stats().idle, 1);
    (upstream, peer)
}

#[tokio::test]
async fn a_connection_that_closed_while_idle_is_not_used() {
    let server = Server::bind().await;
    let (upstream, peer) = pooled(&server).await;
    drop(peer);
    soon(async {
        while upstream.stats().open > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let post = request(Method::POST, Body::full("body"));
    let ((body, trace), _peer) = join!(text(&upstream, post), server.serve(OK));
    assert_eq!(body, "ok");
    assert_eq!((trace.tries, trace.reused), (1, false));
}

#[tokio::test]
async fn a_get_on_a_connection_that_is_just_closing_costs_a_try() {
    let server = Server::bind().await;
    let (upstream, peer) = pooled(&server).await;
    // Nobody had the time to notice.
    drop(peer);
    let ((body, trace), _peer) = join!(text(&upstream, get()), server.serve(OK));
    assert_eq!(body, "ok");
    assert_eq!((trace.tries, trace.reused), (2, false));
    assert_eq!(upstream.stats().retries, 1);
}

#[tokio::test]
async fn an_unanswered_get_is_sent_again_on_a_fresh_connection() {
    let server = Server::bind().await;
    let (upstream, mut peer) = pooled(&server).await;
    let ((body, trace), second) = join!(text(&upstream, get()), async {
        let first = peer.head().await;
        drop(peer);
        let mut peer = server.accept().await;
        let second = peer.head().await;
        peer.say(OK).await;
        assert_eq!(first, second);
        second
    });
    assert_eq!(body, "ok");
    assert_eq!(trace.tries, 2);
    assert!(second.starts_with("GET /path?query HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    for body in [Body::empty(), Body::full("body")] {
        let server = Server::bind().await;
        let (upstream, mut peer) = pooled(&server).await;
        let post = request(Method::POST, body);
        let ((result, trace), ()) = join!(send(&upstream, post), async {
            peer.head().await;
            drop(peer);
        });
        assert!(
            matches!(result, Err(SendError::Closed { .. })),
            "{result:?}"
        );
        assert_eq!(trace.tries, 1);
        assert_eq!(upstream.stats().retries, 0);
        assert_eq!(upstream.stats().connects, 1);
    }
}

#[tokio::test]
async fn a_put_with_a_body_is_not_sent_twice_because_its_body_is_gone() {
    let server = Server::bind().await;
    let (upstream, mut peer) = pooled(&server).await;
    let put = request(Method::PUT, Body::full("body"));
    let ((result, _), ()) = join!(send(&upstream, put), async {
        peer.until("body").await;
        drop(peer);
    });
    assert!(
        matches!(result, Err(SendError::Closed { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn after_one_byte_of_an_answer_nothing_is_sent_again() {
    let server = Server::bind().await;
    let (upstream, mut peer) = pooled(&server).await;
    let ((result, trace), ()) = join!(send(&upstream, get()), async {
        peer.head().await;
        peer.say("H").await;
        drop(peer);
    });
    assert!(
        matches!(result, Err(SendError::Closed { .. })),
        "{result:?}"
    );
    assert_eq!(trace.tries, 1);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let ((result, trace), ()) = join!(send(&upstream, get()), async {
        server.accept().await.head().await;
    });
    assert!(
        matches!(result, Err(SendError::Closed { .. })),
        "{result:?}"
    );
    assert_eq!(trace.tries, 1);
}

#[tokio::test]
async fn there_is_no_third_try() {
    let server = Server::bind().await;
    let (upstream, mut peer) = pooled(&server).await;
    let ((result, trace), ()) = join!(send(&upstream, get()), async {
        peer.head().await;
        drop(peer);
        server.accept().await.head().await;
    });
    assert!(
        matches!(result, Err(SendError::Closed { .. })),
        "{result:?}"
    );
    assert_eq!(trace.tries, 2);
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_left_for_the_next_endpoint() {
    let gone = Server::bind().await.origin();
    let server = Server::bind().await;
    let upstream = Upstream::new(&definition([gone, server.origin()])).unwrap();
    let serve = async {
        let mut peer = server.serve(OK).await;
        peer.serve(OK).await;
    };
    let requests = async {
        let (_, first) = text(&upstream, request(Method::POST, Body::full("body"))).await;
        let (_, second) = text(&upstream, get()).await;
        (first, second)
    };
    // The body of the POST is read as a part of the second head.
    let ((first, second), ()) = join!(requests, serve);
    assert_eq!((first.tries, second.tries), (2, 1));
    assert_eq!(first.endpoint, second.endpoint);
    assert_eq!(upstream.stats().connect_failures, 1);
}

#[tokio::test]
async fn nobody_to_connect_to_is_an_error_that_names_the_endpoint() {
    let gone = Server::bind().await.origin();
    let name = format!("127.0.0.1:{}", gone.port);
    let upstream = Upstream::new(&definition([gone])).unwrap();
    let (result, trace) = send(&upstream, get()).await;
    let Err(SendError::Connect { endpoint, .. }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(*endpoint, *name);
    assert_eq!(trace.endpoint, Some(endpoint));
}
