//! Which connections serve again, and which are closed.

use tokio::join;

use super::*;

/// Sends a GET that is answered with this, reads the answer, and says how many connections are idle then.
async fn idle_after(answer: &str) -> u64 {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let (_, _peer) = join!(text(&upstream, get()), server.serve(answer));
    upstream.stats().idle
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let serve = async {
        let mut peer = server.serve(OK).await;
        for answer in [chunked, empty, OK] {
            peer.serve(answer).await;
        }
        peer
    };
    let requests = async {
        let mut reused = Vec::new();
        for body in ["ok", "ok", "", "ok"] {
            let (text, trace) = text(&upstream, get()).await;
            assert_eq!(text, body);
            reused.push(trace.reused);
        }
        reused
    };
    let (reused, _peer) = join!(requests, serve);
    assert_eq!(reused, [false, true, true, true]);
    let stats = upstream.stats();
    assert_eq!((stats.requests, stats.connects, stats.open), (4, 1, 1));
    assert_eq!(stats.received_bytes, 6);
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_whatever_its_length_says() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let head = request(Method::HEAD, Body::empty());
    let ((body, _), _peer) = join!(text(&upstream, head), server.serve(answer));
    assert_eq!(body, "");
    assert_eq!(upstream.stats().idle, 1);
}

#[tokio::test]
async fn a_connection_that_is_to_close_is_not_kept() {
    assert_eq!(idle_after(OK).await, 1);
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(idle_after(close).await, 0);
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(idle_after(old).await, 0);
}

#[tokio::test]
async fn bytes_after_a_response_reach_nobody() {
    let extra = format!("{OK}{OK}");
    assert_eq!(idle_after(&extra).await, 0);
}

#[tokio::test]
async fn an_answer_before_the_request_is_written_closes_the_connection() {
    for answer in [
        OK,
        "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n",
    ] {
        let server = Server::bind().await;
        let upstream = server.upstream();
        let (feed, body) = chunks();
        feed.send(Ok("first")).await.unwrap();
        let post = request(Method::POST, body);
        let (_, rest) = join!(text(&upstream, post), async {
            let mut peer = server.accept().await;
            peer.until("first\r\n").await;
            peer.say(answer).await;
            peer.rest().await
        });
        assert_eq!(rest, "", "the request must not be completed");
        assert!(feed.is_closed());
        assert_eq!(upstream.stats().idle, 0);
    }
}

#[tokio::test]
async fn a_response_that_nobody_reads_closes_the_connection() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let ((response, _), mut peer) = join!(send(&upstream, get()), server.serve(answer));
    drop(response);
    assert_eq!(peer.rest().await, "");
    assert_eq!(upstream.stats().idle, 0);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_closes_the_connection() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let mut trace = SendTrace::default();
    let peer = tokio::select! {
        _ = upstream.send(get(), &mut trace, None) => panic!("nobody answered"),
        peer = async {
            let mut peer = server.accept().await;
            peer.head().await;
            peer
        } => peer,
    };
    let mut peer = peer;
    assert_eq!(peer.rest().await, "");
}

#[tokio::test]
async fn an_idle_connection_goes_without_traffic_when_its_time_is_up() {
    let server = Server::bind().await;
    let brief = config::Upstream {
        idle_timeout: BRIEF,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&brief).unwrap();
    let (_, mut peer) = join!(text(&upstream, get()), server.serve(OK));
    assert_eq!(peer.rest().await, "");
    assert_eq!(upstream.stats().idle, 0);
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_configured() {
    let server = Server::bind().await;
    let none = config::Upstream {
        idle_connections: 0,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&none).unwrap();
    let (_, mut peer) = join!(text(&upstream, get()), server.serve(OK));
    assert_eq!(peer.rest().await, "");

    let one = config::Upstream {
        idle_connections: 1,
        ..definition([server.origin()])
    };
    let upstream = Upstream::new(&one).unwrap();
    let both = async { join!(text(&upstream, get()), text(&upstream, get())) };
    let peers = async { (server.serve(OK).await, server.serve(OK).await) };
    let (_, _peers) = join!(both, peers);
    assert_eq!(upstream.stats().idle, 1);
    assert_eq!(upstream.stats().connects, 2);
}

#[tokio::test]
async fn an_upstream_that_is_gone_takes_its_connections_with_it() {
    let server = Server::bind().await;
    let upstream = server.upstream();
    let (_, mut peer) = join!(text(&upstream, get()), server.serve(OK));
    drop(upstream);
    assert_eq!(peer.rest().await, "");
}

#[test]
fn a_connection_stays_on_the_thread_that_made_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = origin("127.0.0.1", listener.local_addr().unwrap().port());
    let upstream = Upstream::new(&definition([endpoint])).unwrap();
    let once = || {
        let runtime = runtime();
        let listener = listener.try_clone().unwrap();
        let (trace, peer) = runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            let server = Server { listener };
            let ((_, trace), peer) = join!(text(&upstream, get()), server.serve(OK));
            (trace, peer)
        });
        (runtime, trace, peer)
    };
    // The other thread's runtime is kept, but nobody runs it: a request on its connection would wait for ever.
    let (_runtime, trace, _peer) = std::thread::scope(|scope| scope.spawn(once).join()).unwrap();
    assert!(!trace.reused);
    let (_runtime, trace, _peer) = once();
    assert!(!trace.reused);
}
