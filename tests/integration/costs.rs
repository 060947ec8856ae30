//! What a plugin's calls count as when they go wrong, and that nobody can hold all of a plugin's instances.

use std::sync::{Mutex, mpsc};

use gateway_tests::{Client, Reply, Running, Setup, Upstream, eventually, get, guests};

use crate::expect;

/// Faults in a row after which a plugin whose faults are costly is suspended.
const STREAK: usize = 5;

/// A plugin that does that in `init` and that in its request hook, then traps.
fn trapping(up: &Upstream, init: &str, act: &str) -> Running {
    let acts = format!("{act} {{ hook = \"request\", act = \"trap\" }}");
    let keys = format!(
        "config = {{ {init} acts = [{acts}] }}\n{}",
        guests::EVERY_GRANT
    );
    Setup::to(up, "plugins = [\"bad\"]")
        .plugin("bad", guests::MISBEHAVING, &keys)
        .start()
}

#[test]
fn a_plugin_that_is_dear_to_start_and_traps_at_once_is_suspended() {
    let up = Upstream::echo();
    let gateway = trapping(&up, "init = { compute = 30 },", "");
    for _ in 0..=STREAK {
        expect::failure(&gateway.get("/"), 503, "plugin-fault");
    }
    assert!(gateway.faults("bad", "suspended") >= 1.0);
}

#[test]
fn a_plugin_that_waits_and_then_traps_costs_little_and_is_not_suspended() {
    let up = Upstream::echo();
    let nap = "{ hook = \"request\", act = { nap = 40 } },";
    let gateway = trapping(&up, "", nap);
    for _ in 0..2 * STREAK {
        expect::failure(&gateway.get("/"), 503, "plugin-fault");
    }
    assert_eq!(gateway.faults("bad", "trap"), (2 * STREAK) as f64);
}

#[test]
fn what_a_skipped_chunk_hook_has_noted_is_undone() {
    let up = Upstream::echo();
    let note = "{ hook = \"request-chunk\", act = { attribute = { name = \"consumer\", value = \"admin\" } } }";
    let trap = "{ hook = \"request-chunk\", act = \"trap\" }";
    let tell = "{ hook = \"response\", act = { reveal-attribute = \"consumer\" } }";
    let gateway = Setup::to(&up, "plugins = [\"bad\", \"tell\"]")
        .acts_with("bad", &format!("{note}, {trap}"), "on-fault = \"skip\"")
        .acts("tell", tell)
        .start();
    let answer = gateway.send(&gateway_tests::post("/", "hello"));
    expect::ok(&answer);
    assert_eq!(answer.header("x-attribute"), Some("none"));
}

#[test]
fn bodies_that_take_their_time_leave_instances_for_other_hooks() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        let Some(seen) = connection.request()? else {
            return Ok(());
        };
        if seen.header("x-stream").is_none() {
            return connection.reply(&Reply::new(200, "whole"), false);
        }
        connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")?;
        let _ = wait.lock().expect("nobody panics").recv();
        connection.write("1\r\nz\r\n0\r\n\r\n")
    });
    let acts = "{ hook = \"request\", act = { append = { name = \"x-was\", value = \"here\" } } }, \
         { hook = \"response-chunk\", act = \"upper\" }";
    let keys = "limits = { instances = 4, instance-wait = \"30ms\" }";
    let gateway = Setup::to(&up, "plugins = [\"both\"]")
        .acts_with("both", acts, keys)
        .start();
    let streaming = || {
        let mut client = gateway.client();
        client.send(get("/").header("x-stream", "1").bytes());
        client
    };
    let mut streams: Vec<Client> = (0..3).map(|_| streaming()).collect();
    for stream in &mut streams {
        assert_eq!(stream.head().map(|head| head.status()), Some(200));
        let chunk = stream.reader().chunk().expect("a chunk");
        assert_eq!(chunk, Some(b"A".to_vec()));
    }
    // The request's hook has an instance; the body has none.
    expect::failure(&streaming().response(), 503, "plugin-fault");
    assert_eq!(gateway.faults("both", "busy"), 1.0);
    for _ in 0..4 {
        release.send(()).expect("the upstream waits");
    }
    for stream in &mut streams {
        assert_eq!(
            stream.reader().chunk().expect("a chunk"),
            Some(b"Z".to_vec())
        );
    }
    eventually("there is room for another", || {
        gateway.get("/").text() == "WHOLE"
    });
}
