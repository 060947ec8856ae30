//! h2 with prior knowledge: the same gateway in other clothes (RFC 9113; THREATS 5).

use std::io;

use bytes::Bytes;
use gateway_tests::h2::{self, H2, block_on};
use gateway_tests::{Reply, Setup, Upstream};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;

#[test]
fn requests_of_one_connection_run_side_by_side_and_become_http_1_1() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        for number in 0..10 {
            let (parts, body) = h2.get(&format!("http://shop.example/{number}?q")).await;
            let seen: serde_json::Value = serde_json::from_slice(&body).expect("the echo is JSON");
            assert_eq!(
                (parts.status.as_u16(), parts.version),
                (200, http::Version::HTTP_2)
            );
            assert_eq!(seen["target"], format!("/{number}?q"));
            assert!(parts.headers.contains_key("x-request-id"));
        }
    });
    let seen = up.last();
    assert_eq!(seen.header("host"), Some("shop.example"));
    assert_eq!(seen.header("via"), Some("2 gateway"));
    assert!(seen.head.start.ends_with("HTTP/1.1"));
}

#[test]
fn cookie_crumbs_are_joined() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let request = http::Request::get("http://a.example/")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        h2.send(request.body(h2::empty()).expect("a request"))
            .await
            .expect("a response");
    });
    assert_eq!(up.last().head.all("cookie"), ["a=1; b=2"], "RFC 9113 8.2.3");
}

#[test]
fn a_stream_flows_both_ways_chunk_by_chunk_and_with_trailers() {
    let up = Upstream::script(|connection| {
        connection.head()?;
        connection
            .write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")?;
        while let Some(chunk) = connection.reader().chunk()? {
            connection.write(format!("{:x}\r\n", chunk.len()))?;
            connection.write(chunk)?;
            connection.write("\r\n")?;
        }
        connection.write("0\r\nx-sum: 42\r\n\r\n")
    });
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let (mut sender, channel) = Channel::<Bytes, io::Error>::new(1);
        let request = http::Request::post("http://a.example/")
            .header("te", "trailers")
            .body(channel.boxed());
        let mut response = h2
            .send(request.expect("a request"))
            .await
            .expect("a response head before the end");
        for piece in ["one", "two", "three"] {
            sender
                .send_data(Bytes::from(piece))
                .await
                .expect("the stream is open");
            let frame = response
                .body_mut()
                .frame()
                .await
                .expect("a frame")
                .expect("a good one");
            assert_eq!(frame.into_data().expect("data"), piece);
        }
        drop(sender);
        let trailers = response
            .body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("a good one");
        assert_eq!(trailers.into_trailers().expect("trailers")["x-sum"], "42");
    });
}

#[test]
fn a_cut_response_is_a_reset_stream_and_the_connection_lives() {
    let up = Upstream::script(|connection| {
        while let Some(seen) = connection.request()? {
            if seen.target() == "/cut" {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")?;
                return Ok(());
            }
            connection.reply(&Reply::new(200, "whole"), false)?;
        }
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let request = http::Request::get("http://a.example/cut")
            .body(h2::empty())
            .expect("a request");
        let response = h2.send(request).await.expect("a head");
        assert!(
            response.into_body().collect().await.is_err(),
            "a short success"
        );
        assert_eq!(h2.get("http://a.example/").await.1, "whole");
    });
}

#[test]
fn a_stream_that_the_client_resets_takes_its_upstream_request_along() {
    let up = Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let request = http::Request::get("http://a.example/slow")
            .body(h2::empty())
            .expect("a request");
        let mut pending = Box::pin(h2.send(request));
        while up.count() == 0 {
            let soon = std::time::Duration::from_millis(2);
            assert!(
                tokio::time::timeout(soon, &mut pending).await.is_err(),
                "there is no response to this"
            );
        }
    });
    gateway_tests::eventually("the upstream connection is closed", || up.open() == 0);
}

#[test]
fn an_upload_that_breaks_off_is_never_a_whole_request() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let (mut sender, channel) = Channel::new(1);
        let request = http::Request::post("http://a.example/")
            .body(channel.boxed())
            .expect("a request");
        let answer = h2.send(request);
        let breaking = async {
            sender
                .send_data(Bytes::from("some"))
                .await
                .expect("the stream is open");
            sender.abort(io::Error::other("on purpose"));
        };
        let (answer, ()) = tokio::join!(answer, breaking);
        assert!(answer.is_err() || answer.is_ok_and(|answer| !answer.status().is_success()));
    });
    assert_eq!(up.count(), 0);
}

#[test]
fn what_http_1_1_refuses_is_refused_here_too() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "max-body = \"4B\"").start();
    block_on(async {
        let mut h2 = H2::connect(gateway.address()).await;
        let mut status = async |request: http::request::Builder, body: &'static str| {
            let answer = h2
                .send(request.body(h2::full(body)).expect("a request"))
                .await;
            answer.map(|answer| answer.status().as_u16()).ok()
        };
        let a = "http://a.example";
        assert_eq!(
            status(http::Request::get(format!("{a}/%2e%2e/x")), "").await,
            Some(400)
        );
        assert_eq!(
            status(http::Request::get(format!("{a}/a%2fb")), "").await,
            Some(400)
        );
        assert_eq!(
            status(
                http::Request::get(format!("{a}/")).header("host", "b.example"),
                ""
            )
            .await,
            Some(400)
        );
        assert_eq!(
            status(http::Request::get("http://user@a.example/"), "").await,
            Some(400)
        );
        assert_eq!(
            status(http::Request::post(format!("{a}/")), "five!").await,
            Some(413)
        );
        assert_eq!(
            status(
                http::Request::builder()
                    .method("TRACE")
                    .uri(format!("{a}/")),
                ""
            )
            .await,
            Some(501)
        );
        assert_eq!(up.heads(), 0);
        assert_eq!(
            status(http::Request::post(format!("{a}/")), "four").await,
            Some(200)
        );
    });
}
