//! The end: nothing more is accepted, what is open ends well, and not later than said (THREATS 29).

use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use gateway_tests::process::Process;
use gateway_tests::{Client, Reply, Setup, Upstream, eventually, get, guests};

use crate::expect;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gateway-under-test");

/// The program, serving that configuration, and where.
pub(crate) fn serve(setup: &Setup) -> (Process, SocketAddr) {
    setup.write();
    let process = Process::start(PROGRAM, &["run", &setup.file().display().to_string()]);
    let address = announced(&process, "serving clients");
    (process, address)
}

/// The address in the log line that says what.
fn announced(process: &Process, what: &str) -> SocketAddr {
    let find = || {
        let output = process.output();
        let line = output.lines().find(|line| line.contains(what))?;
        line.split("address=")
            .nth(1)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    eventually("it says where it serves", || {
        find().is_some() || process.output().contains("Error")
    });
    find().unwrap_or_else(|| panic!("it said:\n{}", process.output()))
}

/// An upstream that answers when told to.
fn held() -> (Upstream, mpsc::Sender<()>) {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        while let Some(seen) = connection.request()? {
            if seen.target() == "/slow" {
                let _ = wait.lock().expect("nobody panics").recv();
            }
            connection.reply(&Reply::new(200, "done"), false)?;
        }
        Ok(())
    });
    (up, go_on)
}

#[test]
fn sigterm_lets_open_exchanges_end_accepts_nothing_more_and_exits_with_0() {
    let (up, go_on) = held();
    let (mut process, address) = serve(&Setup::to(&up, ""));
    let mut idle = Client::connect(address);
    expect::ok(&idle.request(&get("/")));
    let mut slow = Client::connect(address);
    slow.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 2);
    let admin = announced(&process, "serving operators");
    process.signal("TERM");
    assert!(idle.rest().is_empty(), "an idle connection ends");
    eventually("nobody accepts", || TcpStream::connect(address).is_err());
    let ready = Client::connect(admin).request(&get("/ready").header("host", "localhost"));
    assert_eq!(ready.status, 503, "not ready, and still telling");
    assert!(process.is_running());
    go_on.send(()).expect("the upstream waits");
    let answer = slow.response();
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("done", Some("close"))
    );
    assert_eq!(process.end().code(), Some(0), "{}", process.output());
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let (up, _go_on) = held();
        let (mut process, address) = serve(&Setup::to(&up, ""));
        let mut slow = Client::connect(address);
        slow.send(get("/slow").bytes());
        eventually("it is under way", || up.count() == 1);
        process.signal(signal);
        eventually("it drains", || process.output().contains("draining"));
        let begun = Instant::now();
        process.signal(signal);
        assert_eq!(process.end().code(), Some(code), "{}", process.output());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_drain_that_takes_too_long_is_cut_off() {
    let (up, _go_on) = held();
    let (mut process, address) = serve(&Setup::to(&up, "").limits("drain-timeout = \"200ms\""));
    let mut slow = Client::connect(address);
    slow.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 1);
    process.signal("TERM");
    assert_eq!(process.end().code(), Some(0), "{}", process.output());
    assert!(slow.try_response_to("GET").is_none());
}

#[test]
fn sighup_reloads() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "");
    setup.write();
    let file = setup.file().display().to_string();
    let mut process = Process::start(PROGRAM, &["run", "--no-watch", &file]);
    let address = announced(&process, "serving clients");
    let next = setup
        .again()
        .upstream("up", &up)
        .route("/*", "rewrite-path = \"/reloaded\"");
    next.write();
    process.signal("HUP");
    eventually("it serves the new file", || {
        Client::connect(address).request(&get("/")).json()["target"] == "/reloaded"
    });
    process.signal("TERM");
    assert_eq!(process.end().code(), Some(0));
}

#[test]
fn stopping_in_process_drains_too() {
    let (up, go_on) = held();
    let gateway = Setup::to(&up, "").start();
    let mut slow = gateway.client();
    slow.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 1);
    let address = gateway.address();
    let stopping = std::thread::spawn(move || gateway.stop());
    eventually("nobody accepts", || TcpStream::connect(address).is_err());
    go_on.send(()).expect("the upstream waits");
    assert_eq!(slow.response().text(), "done");
    stopping.join().expect("it stops");
}

#[test]
fn the_last_log_entries_are_written() {
    let up = Upstream::echo();
    let acts = "{ hook = \"log\", act = { access = \"entry\" } }";
    let setup = Setup::to(&up, "plugins = [\"p\"]")
        .server("access-log = \"./access.log\"")
        .acts("p", acts);
    let (mut process, address) = serve(&setup);
    let mut client = Client::connect(address);
    for _ in 0..100 {
        expect::ok(&client.request(&get("/")));
    }
    process.signal("TERM");
    assert_eq!(process.end().code(), Some(0));
    let written = std::fs::read_to_string(setup.folder().join("access.log")).unwrap_or_default();
    assert_eq!(written.lines().count(), 100);
}

#[test]
fn it_lives_but_is_not_ready_while_plugins_are_loading() {
    let up = Upstream::echo();
    let admin = Upstream::nobody();
    let keys = format!(
        "config = {{ init = \"sleep\" }}\nlimits = {{ wall-time = \"3s\" }}\n{}",
        guests::EVERY_GRANT
    );
    let setup = Setup::to(&up, "plugins = [\"slow\"]")
        .server(&format!("admin = \"{admin}\""))
        .plugin("slow", guests::MISBEHAVING, &keys);
    setup.write();
    let mut process = Process::start(PROGRAM, &["run", &setup.file().display().to_string()]);
    eventually("the admin listener is there", || {
        TcpStream::connect(admin).is_ok()
    });
    let ask = |path: &str| {
        Client::connect(admin)
            .request(&get(path).header("host", "localhost"))
            .status
    };
    assert_eq!((ask("/health"), ask("/ready")), (200, 503));
    assert_eq!(process.end().code(), Some(1), "{}", process.output());
    assert!(
        process.output().contains("plugins.slow"),
        "{}",
        process.output()
    );
}

#[test]
fn a_reload_while_draining_does_not_stop_the_end() {
    let (up, go_on) = held();
    let setup = Setup::to(&up, "");
    let (mut process, address) = serve(&setup);
    let mut slow = Client::connect(address);
    slow.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 1);
    process.signal("TERM");
    eventually("it drains", || process.output().contains("draining"));
    setup
        .again()
        .upstream("up", &up)
        .route("/*", "rewrite-path = \"/other\"")
        .write();
    process.signal("HUP");
    go_on.send(()).expect("the upstream waits");
    assert_eq!(slow.response().text(), "done");
    assert_eq!(process.end().code(), Some(0), "{}", process.output());
}
