//! What a client may send, and what becomes of more: both sides of each limit (THREATS 17).

use gateway_tests::{Running, Setup, Upstream, get, h2, post};

use crate::expect;

fn limited(limits: &str, route: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, route).limits(limits).start();
    (up, gateway)
}

#[test]
fn a_body_of_max_body_passes_and_one_byte_more_is_413() {
    let (up, gateway) = limited("", "max-body = \"1KiB\"");
    expect::ok(&gateway.send(&post("/", vec![b'a'; 1024])));
    expect::failure(
        &gateway.send(&post("/", vec![b'a'; 1025])),
        413,
        "body-too-large",
    );
    assert_eq!(
        up.heads(),
        1,
        "what is announced as too long is not even begun"
    );
}

#[test]
fn a_chunked_body_is_cut_off_at_max_body_and_the_upstream_sees_no_whole_request() {
    let (up, gateway) = limited("", "max-body = \"1KiB\"");
    let chunk = format!("200\r\n{}\r\n", "a".repeat(0x200));
    let begin = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = gateway.client();
    client.send(format!("{begin}{chunk}{chunk}0\r\n\r\n"));
    expect::ok(&client.response());
    let mut client = gateway.client();
    client.send(format!("{begin}{chunk}{chunk}1\r\na\r\n0\r\n\r\n"));
    expect::failure(&client.response(), 413, "body-too-large");
    assert_eq!(up.count(), 1);
}

#[test]
fn a_target_of_uri_bytes_passes_and_one_byte_more_is_414() {
    let (up, gateway) = limited("uri-bytes = \"100B\"", "");
    expect::ok(&gateway.get(&format!("/{}", "a".repeat(99))));
    expect::failure(
        &gateway.get(&format!("/{}", "a".repeat(100))),
        414,
        "uri-too-long",
    );
    assert_eq!(gateway.get(&format!("/{}", "a".repeat(60_000))).status, 414);
    let far_beyond = gateway.get(&format!("/{}", "a".repeat(70_000))).status;
    assert!(
        [414, 431].contains(&far_beyond),
        "{far_beyond}: more than any head may have"
    );
    assert_eq!(up.heads(), 1);
}

#[test]
fn so_many_header_fields_pass_and_one_more_is_431() {
    let (up, gateway) = limited("headers = 20", "");
    let with = |count: usize| {
        (0..count).fold(get("/"), |request, number| {
            request.header(&format!("x-{number}"), "v")
        })
    };
    expect::ok(&gateway.send(&with(19)));
    assert_eq!(gateway.send(&with(20)).status, 431, "Host is a field too");
    assert_eq!(gateway.send(&with(2000)).status, 431);
    assert_eq!(up.heads(), 1);
}

#[test]
fn a_head_beyond_header_bytes_is_431() {
    let (up, gateway) = limited("header-bytes = \"16KiB\"", "");
    expect::ok(&gateway.send(&get("/").header("x-big", &"a".repeat(12 << 10))));
    let mut client = gateway.client();
    // The rest may meet a connection that is closed already.
    let _ = client.try_send(get("/").header("x-big", &"a".repeat(200 << 10)).bytes());
    if let Some(answer) = client.try_response_to("GET") {
        assert_eq!(answer.status, 431);
    }
    assert_eq!(up.heads(), 1);
}

#[test]
fn a_head_of_header_bytes_passes_and_one_byte_more_is_431() {
    let (up, gateway) = limited("header-bytes = \"8KiB\"", "");
    let of = |bytes: usize| {
        let empty = get("/").header("x-big", "").bytes().len();
        get("/").header("x-big", &"a".repeat(bytes - empty))
    };
    assert_eq!(of(8192).bytes().len(), 8192);
    expect::ok(&gateway.send(&of(8192)));
    assert_eq!(gateway.send(&of(8193)).status, 431);
    assert_eq!(up.heads(), 1);
}

#[test]
fn an_http_2_head_has_the_same_limits_by_its_own_count() {
    let (up, gateway) = limited("header-bytes = \"8KiB\"\nheaders = 20", "");
    h2::block_on(async {
        let mut client = h2::H2::connect(gateway.address()).await;
        let mut status = async |fields: usize, bytes: usize| {
            let request = (0..fields).fold(
                http::Request::get("http://a.example/"),
                |request, number| request.header(format!("x-{number}"), "a".repeat(bytes)),
            );
            let request = request.body(h2::empty()).expect("a request");
            let answer = client.send(request).await.expect("an answer");
            answer.status().as_u16()
        };
        // Each field counts with its name and 32 bytes (RFC 9113 6.5.2), and so do those of the request line.
        assert_eq!(status(1, 7_800).await, 200);
        assert_eq!(status(1, 8_200).await, 431);
        assert_eq!(status(20, 1).await, 200);
        assert_eq!(status(21, 1).await, 431);
    });
    assert_eq!(up.heads(), 2);
}

#[test]
fn a_body_has_no_limit_unless_the_route_says_so() {
    let (_up, gateway) = limited("", "");
    let answer = gateway.send(&post("/", vec![b'a'; 3 << 20]));
    assert_eq!(answer.json()["length"], 3 << 20);
}
