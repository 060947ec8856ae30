//! Every form of a header, right and wrong, over a real socket.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

/// What is read of these bytes, and what is left on the socket.
async fn read_of(bytes: &[u8]) -> (Result<Option<SocketAddr>, HeaderError>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = bytes.to_vec();
    let sender = tokio::spawn(async move {
        let mut peer = TcpStream::connect(address).await.unwrap();
        // The other end may be done with us before we are.
        let _ = peer.write_all(&bytes).await;
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    sender.await.unwrap();
    let found = read(&mut stream).await;
    let mut left = Vec::new();
    let _ = stream.read_to_end(&mut left).await;
    (found, left)
}

async fn good(bytes: &[u8]) -> Option<SocketAddr> {
    let (found, left) = read_of(&[bytes, b"GET / HTTP/1.1\r\n"].concat()).await;
    assert_eq!(left, b"GET / HTTP/1.1\r\n", "{bytes:?}");
    found.unwrap_or_else(|error| panic!("{error}: {bytes:?}"))
}

async fn refusal(bytes: &[u8]) -> String {
    match read_of(bytes).await.0 {
        Ok(found) => panic!("{found:?} of {bytes:?}"),
        Err(error) => error.to_string(),
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

fn with_length(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    let fixed = [&[command, family][..], &length.to_be_bytes()].concat();
    [&V2_SIGNATURE[..], &fixed, rest].concat()
}

fn v2_of(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    with_length(command, family, u16::try_from(rest.len()).unwrap(), rest)
}

const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

fn six() -> Vec<u8> {
    let ip = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
    [&ip[..], &ip[..], &[0x10, 0x00, 0x01, 0xbb]].concat()
}

#[tokio::test]
async fn the_forms_of_version_1() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            address("192.0.2.1:56324"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            address("255.255.255.255:65535"),
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", address("0.0.0.0:0")),
        (
            "PROXY TCP6 2001:db8::1 ::1 4096 443\r\n",
            address("[2001:db8::1]:4096"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN 192.0.2.1 whatever\r\n", None),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            None,
        ),
    ] {
        assert_eq!(good(line.as_bytes()).await, expected, "{line}");
    }
}

#[tokio::test]
async fn what_is_no_version_1_is_refused() {
    for line in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        " PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1\r\n",
        "PROXY TCP4          \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 0x1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1  2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 nobody 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP6 [2001:db8::1] [2001:db8::2] 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWN\u{e4}\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN \0\r\n",
    ] {
        let said = refusal(line.as_bytes()).await;
        assert!(said.starts_with("malformed"), "{line:?}: {said}");
    }
}

#[tokio::test]
async fn a_version_1_line_has_at_most_107_bytes() {
    let line = |bytes: usize| {
        let fill = "x".repeat(bytes - "PROXY UNKNOWN \r\n".len());
        format!("PROXY UNKNOWN {fill}\r\n")
    };
    assert_eq!(line(107).len(), 107);
    assert_eq!(good(line(107).as_bytes()).await, None);
    assert!(refusal(line(108).as_bytes()).await.contains("too long"));
}

#[tokio::test]
async fn the_forms_of_version_2() {
    let tlv = [0x02, 0x00, 0x03, b'a', b'.', b'b'];
    let empty_tlv = [0x04, 0x00, 0x00];
    let unix = [0; 216];
    for (header, expected) in [
        (v2_of(0x21, 0x11, &FOUR), address("192.0.2.1:56324")),
        (
            v2_of(0x21, 0x11, &[&FOUR[..], &tlv, &empty_tlv].concat()),
            address("192.0.2.1:56324"),
        ),
        (v2_of(0x21, 0x21, &six()), address("[2001:db8::1]:4096")),
        (v2_of(0x21, 0x31, &unix), None),
        (v2_of(0x21, 0x00, &[]), None),
        (v2_of(0x21, 0x00, b"whatever"), None),
        // A balancer's own connection, such as a look at our health: the addresses, if any, say nothing.
        (v2_of(0x20, 0x00, &[]), None),
        (v2_of(0x20, 0x11, &FOUR), None),
        (v2_of(0x20, 0x11, b"short"), None),
        (v2_of(0x20, 0xff, &[]), None),
    ] {
        assert_eq!(good(&header).await, expected, "{header:?}");
    }
}

#[tokio::test]
async fn what_is_no_version_2_is_refused() {
    for header in [
        v2_of(0x11, 0x11, &FOUR),
        v2_of(0x31, 0x11, &FOUR),
        v2_of(0x22, 0x11, &FOUR),
        v2_of(0x2f, 0x11, &FOUR),
        v2_of(0x21, 0x12, &FOUR),
        v2_of(0x21, 0x22, &six()),
        v2_of(0x21, 0x10, &FOUR),
        v2_of(0x21, 0x41, &FOUR),
        v2_of(0x21, 0x01, &FOUR),
        v2_of(0x21, 0x11, &FOUR[..11]),
        v2_of(0x21, 0x11, &[]),
        v2_of(0x21, 0x21, &FOUR),
        v2_of(0x21, 0x31, &six()),
        v2_of(0x21, 0x11, &[&FOUR[..], &[0x02]].concat()),
        v2_of(0x21, 0x11, &[&FOUR[..], &[0x02, 0x00]].concat()),
        v2_of(0x21, 0x11, &[&FOUR[..], &[0x02, 0x00, 0x02, b'a']].concat()),
    ] {
        let said = refusal(&header).await;
        assert!(said.starts_with("malformed"), "{header:?}: {said}");
    }
    let mut signature = v2_of(0x21, 0x11, &FOUR);
    signature[11] = b'\r';
    assert!(refusal(&signature).await.contains("there is none"));
}

#[tokio::test]
async fn a_version_2_header_has_at_most_4_kib_behind_its_fixed_bytes() {
    let filled = |bytes: usize| {
        let length = u16::try_from(bytes - FOUR.len() - 3).unwrap();
        let tlv = [&[0x04][..], &length.to_be_bytes(), &vec![0; length.into()]].concat();
        v2_of(0x21, 0x11, &[&FOUR[..], &tlv].concat())
    };
    assert_eq!(good(&filled(4096)).await, address("192.0.2.1:56324"));
    assert!(refusal(&filled(4097)).await.contains("longer than 4 KiB"));
    let endless = with_length(0x21, 0x11, u16::MAX, &FOUR);
    assert!(refusal(&endless).await.contains("longer than 4 KiB"));
}

#[tokio::test]
async fn a_checksum_must_be_right() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    let blank = v2_of(0x21, 0x11, &[&FOUR[..], &[0x03, 0, 4, 0, 0, 0, 0]].concat());
    let mut right = blank.clone();
    let at = right.len() - 4;
    right[at..].copy_from_slice(&crc32c(&blank).to_be_bytes());
    assert_eq!(good(&right).await, address("192.0.2.1:56324"));
    right[20] ^= 1;
    assert!(refusal(&right).await.contains("checksum"));
    assert!(refusal(&blank).await.contains("checksum"));
    let short = v2_of(0x21, 0x11, &[&FOUR[..], &[0x03, 0, 2, 0, 0]].concat());
    assert!(refusal(&short).await.contains("checksum"));
}

#[tokio::test]
async fn a_header_that_ends_early_is_none() {
    let whole = v2_of(0x21, 0x11, &FOUR);
    for end in [0, 5, 12, 15, 16, 27] {
        let said = refusal(&whole[..end]).await;
        assert!(said.starts_with("no PROXY"), "{end}: {said}");
    }
    for line in ["PROXY", "PROXY TCP4 192.0.2.1", "PROXY UNKNOWN \r"] {
        let said = refusal(line.as_bytes()).await;
        assert!(said.starts_with("no PROXY"), "{line:?}: {said}");
    }
}
