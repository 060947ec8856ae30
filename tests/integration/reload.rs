//! From one generation to the next: everything new at once, or nothing (DESIGN 5; THREATS 28, 29).

use std::fs;
use std::sync::{Mutex, mpsc};

use gateway_tests::guests::Raw;
use gateway_tests::{Client, Reply, Request, Running, Setup, Upstream, eventually, get};

use crate::expect;
use crate::plugins::mark;

/// A component that answers everything with this status.
fn answering(status: u32) -> Vec<u8> {
    Raw::new().responding(status, (0, 0), (0, 0)).component()
}

fn generation(gateway: &Running) -> f64 {
    gateway.metrics().get("gateway_generation", &[])
}

fn reloads(gateway: &Running, result: &str) -> f64 {
    gateway
        .metrics()
        .get("gateway_reloads_total", &[("result", result)])
}

/// A running gateway whose plugin `p` marks responses with `v1`.
fn first(up: &Upstream) -> Running {
    version(&Setup::new(), up, "v1").start()
}

/// Its configuration, with another mark.
fn version(setup: &Setup, up: &Upstream, mark_of: &str) -> Setup {
    setup
        .again()
        .upstream("up", up)
        .route("/*", "plugins = [\"p\"]")
        .acts("p", &mark(mark_of))
}

#[test]
fn a_changed_configuration_serves_after_a_reload() {
    let up = Upstream::echo();
    let gateway = first(&up);
    assert_eq!(
        (
            gateway.get("/").headers("x-way").as_str(),
            generation(&gateway)
        ),
        ("v1", 1.0)
    );
    let next = version(gateway.setup(), &up, "v2").route("/new", "rewrite-path = \"/rewritten\"");
    assert_eq!(gateway.reload_to(&next), Ok(2));
    assert_eq!(gateway.get("/").headers("x-way"), "v2");
    assert_eq!(gateway.get("/new").json()["target"], "/rewritten");
    assert_eq!((generation(&gateway), reloads(&gateway, "ok")), (2.0, 1.0));
}

#[test]
fn a_changed_component_serves_after_a_reload_through_the_admin_listener() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .plugin("p", &answering(201), "")
        .start();
    assert_eq!(gateway.get("/").status, 201);
    gateway.setup().write_component("p", &answering(202));
    let answer = gateway.admin_send(&Request::new("POST", "/reload"));
    assert_eq!(
        (answer.status, answer.json()["generation"].as_u64()),
        (200, Some(2))
    );
    assert_eq!(gateway.get("/").status, 202);
}

/// Configurations that can't serve, each with a word of why.
fn wrong(setup: &Setup, up: &Upstream) -> [(String, &'static str); 10] {
    let bad = |setup: Setup| setup.toml();
    let again = || setup.again().upstream("up", up);
    let with = |name: &str, component: &[u8], keys: &str| {
        let keys = format!("{keys}\n{}", gateway_tests::guests::EVERY_GRANT);
        again()
            .route("/*", &format!("plugins = [\"{name}\"]"))
            .plugin(name, component, &keys)
    };
    let misbehaving = gateway_tests::guests::MISBEHAVING;
    [
        ("[server\nlisten = ".to_owned(), "gateway.toml:"),
        (
            "[[routes]]\npath = \"/\"\nupstrem = \"up\"\n".to_owned(),
            "upstream",
        ),
        (bad(again().route("/*", "plugins = [\"gone\"]")), "gone"),
        (
            bad(again().plugin_from("gone", "./gone.wasm", "")),
            "gone.wasm",
        ),
        (
            bad(with("half", &misbehaving[..100_000], "")),
            "plugins.half",
        ),
        (
            bad(with("traps", misbehaving, "config = { init = \"trap\" }")),
            "trap",
        ),
        (
            bad(with(
                "loops",
                misbehaving,
                "config = { init = \"loop\" }\nlimits = { init-time = \"30ms\" }",
            )),
            "time",
        ),
        (
            bad(with(
                "refuses",
                misbehaving,
                "config = { init = { refuse = \"not this colour\" } }",
            )),
            "not this colour",
        ),
        (
            bad(with(
                "worldless",
                &Raw::new().without("lifecycle").component(),
                "",
            )),
            "lifecycle",
        ),
        (
            bad(again().route("/{a}", "").route("/{b}", "name = \"other\"")),
            "other",
        ),
    ]
}

#[test]
fn whatever_is_wrong_with_the_next_generation_the_old_one_goes_on() {
    let up = Upstream::echo();
    let gateway = first(&up);
    let setup = gateway.setup().clone();
    let mut failed = 0.0;
    for (text, expected) in wrong(&setup, &up) {
        setup.write_text(&text);
        let error = gateway.reload().expect_err("it is wrong");
        failed += 1.0;
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
        assert_eq!(gateway.get("/").headers("x-way"), "v1");
        assert_eq!(
            (generation(&gateway), reloads(&gateway, "error")),
            (1.0, failed)
        );
        let answer = gateway.admin_send(&Request::new("POST", "/reload"));
        assert!(
            answer.status == 422 && answer.text().contains("errors"),
            "{answer:?}"
        );
        failed += 1.0;
    }
    assert_eq!(
        gateway
            .reload_to(&version(&setup, &up, "v2"))
            .map(|generation| generation > 1),
        Ok(true)
    );
    assert_eq!(gateway.get("/").headers("x-way"), "v2");
}

#[test]
fn a_request_in_flight_ends_on_the_chain_that_it_began_with() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let up = Upstream::script(move |connection| {
        while let Some(seen) = connection.request()? {
            if seen.target() == "/slow" {
                let _ = wait.lock().expect("nobody panics").recv();
            }
            connection.reply(&Reply::json(&seen.as_json()), false)?;
        }
        Ok(())
    });
    let gateway = first(&up);
    let mut slow = gateway.client();
    slow.send(get("/slow").bytes());
    eventually("it is under way", || up.count() == 1);
    assert_eq!(
        gateway.reload_to(&version(gateway.setup(), &up, "v2")),
        Ok(2)
    );
    assert_eq!(gateway.get("/").headers("x-way"), "v2");
    go_on.send(()).expect("the upstream waits");
    let answer = slow.response();
    expect::ok(&answer);
    assert_eq!(
        (
            answer.echoed("x-way").as_deref(),
            answer.headers("x-way").as_str()
        ),
        (Some("v1"), "v1")
    );
    assert_eq!(
        slow.request(&get("/")).headers("x-way"),
        "v2",
        "the same connection goes on"
    );
}

#[test]
fn connections_instances_and_stores_live_through_a_reload_that_does_not_concern_them() {
    let up = Upstream::echo();
    let acts =
        "{ hook = \"request\", act = \"calls\" }, { hook = \"request\", act = { kv-get = \"k\" } }";
    let sets = "{ hook = \"request\", act = { kv-set = { name = \"k\", value = \"old\" } } }";
    let build = |setup: &Setup, other: &str| {
        let setup = setup
            .again()
            .server("workers = 1")
            .upstream("up", &up)
            .route("/*", "plugins = [\"same\"]");
        let own = format!("plugins = [{{ use = \"same\", config = {{ acts = [{sets}] }} }}]");
        setup
            .acts("same", acts)
            .route("/set", &own)
            .route(&format!("/{other}"), "")
    };
    let gateway = build(&Setup::new(), "one").start();
    expect::ok(&gateway.get("/set"));
    let mut client = gateway.client();
    let first = client.request(&get("/"));
    assert_eq!(
        (
            first.echoed("x-calls").as_deref(),
            first.echoed("x-kv").as_deref()
        ),
        (Some("1"), Some("old"))
    );
    assert_eq!(gateway.reload_to(&build(gateway.setup(), "two")), Ok(2));
    let second = client.request(&get("/"));
    assert_eq!(
        (
            second.echoed("x-calls").as_deref(),
            second.echoed("x-kv").as_deref()
        ),
        (Some("2"), Some("old"))
    );
    assert_eq!(up.connections(), 1);
}

#[test]
fn listeners_come_and_go_and_the_others_stay() {
    let up = Upstream::echo();
    let (one, two) = (Upstream::nobody(), Upstream::nobody());
    let build = |setup: &Setup, listen: &str| {
        setup
            .again()
            .server(&format!("listen = [{listen}]"))
            .upstream("up", &up)
            .route("/*", "")
    };
    let gateway = build(&Setup::new(), &format!("\"{one}\"")).start();
    let mut client = Client::connect(one);
    expect::ok(&client.request(&get("/")));
    assert_eq!(
        gateway.reload_to(&build(gateway.setup(), &format!("\"{one}\", \"{two}\""))),
        Ok(2)
    );
    expect::ok(&Client::connect(two).request(&get("/")));
    expect::ok(&client.request(&get("/")));
    assert_eq!(
        gateway.reload_to(&build(gateway.setup(), &format!("\"{two}\""))),
        Ok(3)
    );
    expect::ok(&Client::connect(two).request(&get("/")));
    expect::ok(&client.request(&get("/")));
    eventually("nobody accepts at the old address", || {
        std::net::TcpStream::connect(one).is_err()
    });
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (address, taken))
        .expect("an address");
    let error = gateway
        .reload_to(&build(gateway.setup(), &format!("\"{}\"", taken.0)))
        .expect_err("it is taken");
    assert!(error.contains(&taken.0.to_string()), "{error}");
    expect::ok(&Client::connect(two).request(&get("/")));
}

#[test]
fn a_hundred_reloads_at_once_all_end_and_the_last_file_serves() {
    let up = Upstream::echo();
    let gateway = first(&up);
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let (gateway, up) = (&gateway, &up);
            scope.spawn(move || {
                for round in 0..10 {
                    if thread == 0 {
                        version(gateway.setup(), up, &format!("v{round}")).write();
                    }
                    assert!(gateway.reload().is_ok());
                    expect::ok(&gateway.get("/"));
                }
            });
        }
    });
    // Those that came while one was under way shared the next one.
    let last = gateway.reload_to(&version(gateway.setup(), &up, "last"));
    assert!((3..=102).contains(&last.expect("a generation")));
    assert_eq!(gateway.get("/").headers("x-way"), "last");
}

#[test]
fn watched_files_reload_by_themselves_however_they_are_written() {
    let up = Upstream::echo();
    let setup = Setup::to(&up, "plugins = [\"p\"]")
        .plugin("p", &answering(201), "")
        .watch();
    let gateway = setup.start();
    assert_eq!(gateway.get("/").status, 201);
    let component = gateway.setup().folder().join("p.wasm");
    fs::write(&component, answering(202)).expect("the folder can be written");
    eventually("a component that is written in place serves", || {
        gateway.get("/").status == 202
    });
    gateway.setup().write_component("p", &answering(203));
    eventually("a component that is moved into place serves", || {
        gateway.get("/").status == 203
    });
    version(gateway.setup(), &up, "watched").write();
    eventually("so does a configuration", || {
        gateway.get("/").headers("x-way") == "watched"
    });
    let text = version(gateway.setup(), &up, "in place").toml();
    fs::write(gateway.setup().file(), text).expect("the folder can be written");
    eventually("and one that is written in place", || {
        gateway.get("/").headers("x-way") == "in place"
    });
}

#[test]
fn a_file_that_is_written_by_halves_is_taken_when_it_is_whole() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .plugin("p", &answering(201), "")
        .watch()
        .start();
    let whole = answering(202);
    let component = gateway.setup().folder().join("p.wasm");
    fs::write(&component, &whole[..whole.len() / 2]).expect("the folder can be written");
    eventually("the half is refused", || reloads(&gateway, "error") >= 1.0);
    assert_eq!(gateway.get("/").status, 201);
    fs::write(&component, &whole).expect("the folder can be written");
    eventually("the whole is taken", || gateway.get("/").status == 202);
    fs::remove_file(&component).expect("it was there");
    eventually("a missing one is refused", || {
        reloads(&gateway, "error") >= 2.0
    });
    assert_eq!(gateway.get("/").status, 202);
    gateway.setup().write_component("p", &answering(204));
    eventually("and taken when it is back", || {
        gateway.get("/").status == 204
    });
}
