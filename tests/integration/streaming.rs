//! Bodies flow as they come, in both directions, and the slower side sets the pace (THREATS 17).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use gateway_tests::{Client, Reply, Setup, Upstream, eventually, get};

/// Everything between client and upstream that may hold bytes: socket buffers of two connections, and the gateway's own.
const ENOUGH_BYTES: usize = 64 << 20;

#[test]
fn a_chunk_of_a_response_arrives_before_the_next_is_made() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for _ in 0..5 {
            connection.write("5\r\nhello\r\n")?;
            let _ = wait.lock().expect("nobody panics").recv();
        }
        connection.write("0\r\n\r\n")
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send(get("/").bytes());
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    for _ in 0..5 {
        assert_eq!(
            client.reader().chunk().expect("a chunk"),
            Some(b"hello".to_vec())
        );
        go_on.send(()).expect("the upstream waits");
    }
    assert_eq!(client.reader().chunk().expect("the last chunk"), None);
}

#[test]
fn a_chunk_of_a_request_arrives_before_the_next_is_sent() {
    let (seen, arrivals) = mpsc::channel();
    let seen = Mutex::new(seen);
    let up = Upstream::script(move |connection| {
        connection.head()?;
        while let Some(chunk) = connection.reader().chunk()? {
            let _ = seen.lock().expect("nobody panics").send(chunk);
        }
        connection.reply(&Reply::new(200, "done"), false)
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for number in 0..5 {
        client.send(format!("1\r\n{number}\r\n"));
        let arrived = arrivals
            .recv_timeout(gateway_tests::PATIENCE)
            .expect("it comes through");
        assert_eq!(arrived, number.to_string().into_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response_to("POST").text(), "done");
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let up = Upstream::script(move |connection| {
        connection.request()?;
        connection.write("HTTP/1.1 200 OK\r\n\r\n")?;
        let piece = vec![b'x'; 64 << 10];
        while counter.load(Ordering::SeqCst) < 2 * ENOUGH_BYTES {
            connection.write(&piece)?;
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = slow_reader(&gateway);
    client.send(get("/").bytes());
    settled(&written);
    assert!(
        written.load(Ordering::SeqCst) < ENOUGH_BYTES,
        "{} bytes lie around",
        written.load(Ordering::SeqCst)
    );
    drop(client);
    eventually("the upstream is told that nobody wants it", || {
        up.open() == 0
    });
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        connection.head()?;
        let _ = wait.lock().expect("nobody panics").recv();
        Ok(())
    });
    let gateway = Setup::to(&up, "").limits("body-timeout = \"10s\"").start();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let client = gateway.client();
    let mut stream = client.stream().try_clone().expect("a socket can be shared");
    let sending = std::thread::spawn(move || {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            2 * ENOUGH_BYTES
        );
        let mut sent = stream.write_all(head.as_bytes());
        let piece = vec![b'x'; 64 << 10];
        while sent.is_ok() && counter.load(Ordering::SeqCst) < 2 * ENOUGH_BYTES {
            sent = stream.write_all(&piece);
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    settled(&written);
    assert!(
        written.load(Ordering::SeqCst) < ENOUGH_BYTES,
        "{} bytes lie around",
        written.load(Ordering::SeqCst)
    );
    release.send(()).expect("the upstream waits");
    drop(client);
    sending.join().expect("it ends with the connection");
}

#[test]
fn two_hundred_megabytes_pass_both_ways_in_bounded_memory() {
    const BYTES: usize = 200 << 20;
    let up = Upstream::script(|connection| {
        connection.head()?;
        connection.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n"
        ))?;
        let mut left = BYTES;
        while left > 0 {
            let piece = connection.reader().some()?;
            left -= piece.len();
            connection.write(piece)?;
        }
        Ok(())
    });
    let gateway = Setup::to(&up, "").start();
    let mut client = gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BYTES}\r\n\r\n"
    ));
    let before = resident_bytes();
    let mut stream = client.stream().try_clone().expect("a socket can be shared");
    let sending = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        (0..BYTES / piece.len()).try_for_each(|_| stream.write_all(&piece))
    });
    assert_eq!(client.head().map(|head| head.status()), Some(200));
    let mut received = 0;
    while received < BYTES {
        let piece = client.reader().some().expect("the body goes on");
        assert!(!piece.is_empty(), "cut off after {received} bytes");
        received += piece.len();
    }
    sending.join().expect("no panic").expect("all is sent");
    let grown = resident_bytes().saturating_sub(before);
    // Other tests run in this process meanwhile; a body that was held somewhere would still stand out.
    assert!(grown < BYTES / 2, "{} MiB more than before", grown >> 20);
}

/// A client with a small receive buffer, which reads nothing unless told.
fn slow_reader(gateway: &gateway_tests::Running) -> Client {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(64 << 10)
        .expect("a socket takes options");
    socket
        .connect(&gateway.address().into())
        .expect("the gateway listens");
    Client::over(TcpStream::from(socket))
}

/// Wait until a count has begun to grow and has stood still for a while.
fn settled(count: &AtomicUsize) {
    let mut last = (0, 0);
    eventually("the bytes stop", || {
        let now = count.load(Ordering::SeqCst);
        last = if now == last.0 && now > 0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        last.1 > 30
    });
}

fn resident_bytes() -> usize {
    let mut text = String::new();
    std::fs::File::open("/proc/self/statm")
        .and_then(|mut file| file.read_to_string(&mut text))
        .expect("Linux says");
    let pages: usize = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number of pages");
    pages * 4096
}
