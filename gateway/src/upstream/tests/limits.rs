//! Each time limit, and what does not trip it.

use tokio::join;

use super::*;

#[tokio::test]
async fn a_server_that_accepts_and_never_speaks_tls_runs_into_the_connect_timeout() {
    let server = Server::bind().await;
    let silent = config::Upstream {
        connect_timeout: BRIEF,
        ..definition([Origin {
            tls: true,
            ..server.origin()
        }])
    };
    let trust = || super::super::tls::trusting(rustls::RootCertStore::empty().into(), None);
    let upstream = Upstream::build(&silent, &super::super::Reach::Any, trust).unwrap();
    let ((result, trace), _peer) = join!(send(&upstream, get()), server.accept());
    assert!(
        matches!(result, Err(SendError::ConnectTimeout { .. })),
        "{result:?}"
    );
    assert_eq!(trace.connect, None);
    assert_eq!(upstream.stats().connect_failures, 1);
    assert_eq!(upstream.stats().open, 0);
}

#[tokio::test]
async fn a_server_that_reads_and_never_answers_runs_into_the_response_timeout() {
    let server = Server::bind().await;
    let brief = config::Upstream {
        response_timeout: BRIEF,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&brief).unwrap();
    for body in [Body::empty(), Body::full("body"), stuck()] {
        let post = request(Method::POST, body);
        let ((result, trace), _) = join!(send(&upstream, post), async {
            server.accept().await.rest().await
        });
        assert!(
            matches!(result, Err(SendError::ResponseTimeout { .. })),
            "{result:?}"
        );
        assert_eq!(trace.tries, 1, "it may have been acted upon");
    }
}

/// A body that never comes.
fn stuck() -> Body {
    let (feed, body) = chunks();
    std::mem::forget(feed);
    body
}

#[tokio::test]
async fn a_long_upload_does_not_trip_the_response_timeout() {
    const CHUNKS: u32 = 12;
    let limit = Duration::from_millis(400);
    let server = Server::bind().await;
    let brief = config::Upstream {
        response_timeout: limit,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&brief).unwrap();
    let (feed, body) = chunks();
    let post = request(Method::POST, body);
    let feeding = async move {
        // The pace is what this test is about: each pause is short of the limit, all of them exceed it.
        let mut pace = tokio::time::interval(limit / 8);
        for _ in 0..CHUNKS {
            pace.tick().await;
            feed.send(Ok("chunk")).await.unwrap();
        }
    };
    let ((body, _), (), ()) = join!(text(&upstream, post), feeding, async {
        let mut peer = server.accept().await;
        peer.until("0\r\n\r\n").await;
        peer.say(OK).await;
    });
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn a_response_body_that_stalls_is_cut() {
    let server = Server::bind().await;
    let brief = config::Upstream {
        body_timeout: BRIEF,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&brief).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let ((response, _), mut peer) = join!(send(&upstream, get()), server.serve(answer));
    let body = read(response.unwrap().into_body()).await;
    assert!(matches!(body, Err(BodyError::Idle(BRIEF))), "{body:?}");
    assert_eq!(peer.rest().await, "");
}
