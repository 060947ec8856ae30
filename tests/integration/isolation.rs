//! What one exchange leaves behind never shows up in another (THREATS 24).

use std::collections::HashSet;
use std::sync::Mutex;

use gateway_tests::guests::{EVERY_GRANT, MISBEHAVING};
use gateway_tests::{Running, Setup, Upstream, get};

use crate::expect;

const REMEMBER: &str =
    "{ hook = \"request\", act = \"remember\" }, { hook = \"request\", act = \"calls\" }";

fn with(acts: &str, keys: &str) -> Running {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .server("workers = 1")
        .acts_with("p", acts, keys)
        .start();
    std::mem::forget(up);
    gateway
}

#[test]
fn instances_are_reused_and_what_a_plugin_keeps_in_one_is_its_own_doing() {
    let gateway = with(REMEMBER, "");
    let mut most = 0;
    for number in 0..20 {
        let answer = gateway.send(&get("/").header("x-token", &format!("token-{number}")));
        most = answer
            .echoed("x-calls")
            .and_then(|calls| calls.parse().ok())
            .unwrap_or(0)
            .max(most);
        let kept = answer.echoed("x-kept");
        assert!(
            kept.is_none() || kept == Some(format!("token-{number}")),
            "a handle from before shows an exchange from before: {kept:?}"
        );
    }
    assert!(most >= 15, "an instance served at most {most} of 20 calls");
}

#[test]
fn where_there_may_be_only_one_instance_it_serves_all_workers() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .server("workers = 2")
        .acts_with("p", REMEMBER, "limits.instances = 1")
        .start();
    for number in 1..=40 {
        // Each on a connection of its own, whose worker the system chooses.
        let answer = gateway.get("/");
        expect::ok(&answer);
        assert_eq!(answer.echoed("x-calls"), Some(number.to_string()));
    }
}

#[test]
fn a_fresh_instance_for_each_exchange_and_hook_remembers_nothing() {
    let acts = format!("{REMEMBER}, {{ hook = \"response\", act = \"calls\" }}");
    let gateway = with(&acts, "isolation = \"per-request\"");
    for number in 0..20 {
        let answer = gateway.send(&get("/").header("x-token", &format!("token-{number}")));
        expect::ok(&answer);
        assert_eq!(answer.echoed("x-remembered"), None, "request {number}");
        assert_eq!(answer.echoed("x-calls").as_deref(), Some("1"));
        assert_eq!(answer.headers("x-calls"), "1");
    }
}

#[test]
fn no_token_ever_shows_up_in_the_response_of_another() {
    let acts = "
        { hook = \"request\", act = \"describe\", when = \"x-describe\" },
        { hook = \"request\", act = { state = \"s\" } },
        { hook = \"response\", act = \"describe\" },
        { hook = \"response-chunk\", act = \"upper\", when = \"x-upper\" }"
        .replace('\n', " ");
    let gateway = with(&acts, "");
    let all: Mutex<HashSet<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for client_number in 0..16 {
            let (gateway, all) = (&gateway, &all);
            scope.spawn(move || {
                let mut client = gateway.client();
                for number in 0..50 {
                    let token = format!("token<{client_number}.{number}>");
                    let mut request = get("/").header("x-token", &token);
                    if number % 3 == 0 {
                        request = request.header("x-describe", "1");
                    }
                    let answer = client.request(&request);
                    expect::ok(&answer);
                    let text = format!("{:?} {}", answer.head, answer.text());
                    assert!(answer.text().contains(&token));
                    assert_eq!(
                        text.matches("token<").count(),
                        text.matches(&token).count(),
                        "of another: {text}"
                    );
                    all.lock().expect("nobody panics").insert(token);
                }
            });
        }
    });
    assert_eq!(all.lock().expect("nobody panics").len(), 800);
}

#[test]
fn an_instance_that_a_client_left_in_the_middle_of_a_call_is_thrown_away() {
    let acts = "{ hook = \"request\", act = \"calls\" }, { hook = \"request\", act = \"sleep\", when = \"x-sleep\" }";
    let gateway = with(acts, "");
    assert_eq!(gateway.get("/").echoed("x-calls").as_deref(), Some("1"));
    let mut sleeper = gateway.client();
    sleeper.send(get("/").header("x-sleep", "1").bytes());
    let busy = |gateway: &Running| {
        gateway
            .metrics()
            .get("gateway_plugin_instances", &[("state", "busy")])
    };
    gateway_tests::eventually("it is in the call", || busy(&gateway) == 1.0);
    drop(sleeper);
    gateway_tests::eventually("it is gone", || busy(&gateway) == 0.0);
    assert_eq!(
        gateway.get("/").echoed("x-calls").as_deref(),
        Some("1"),
        "the half-run one would say 3"
    );
}

#[test]
fn an_instance_that_faulted_is_thrown_away() {
    let acts = "{ hook = \"request\", act = \"calls\" }, { hook = \"request\", act = \"trap\", when = \"x-trap\" }";
    let gateway = with(acts, "");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").echoed("x-calls").as_deref(), Some("1"));
        assert_eq!(gateway.get("/").echoed("x-calls").as_deref(), Some("2"));
        expect::failure(
            &gateway.send(&get("/").header("x-trap", "1")),
            503,
            "plugin-fault",
        );
    }
}

#[test]
fn two_places_of_one_plugin_share_nothing_but_what_the_gateway_keeps() {
    let up = Upstream::echo();
    let kv = |value: &str| {
        format!(
            "config = {{ acts = [{{ hook = \"request\", act = {{ kv-set = {{ name = \"k\", value = \"{value}\" }} }} }}] }}"
        )
    };
    let reads = "config = { acts = [{ hook = \"request\", act = { kv-get = \"k\" } }] }";
    let gateway = Setup::new()
        .upstream("up", &up)
        .plugin("one", MISBEHAVING, &format!("{}\n{EVERY_GRANT}", kv("of one")))
        .plugin("two", MISBEHAVING, &format!("{reads}\n{EVERY_GRANT}"))
        .route("/write", "plugins = [\"one\"]")
        .route("/read", "plugins = [\"two\"]")
        .route("/own", "plugins = [{ use = \"one\", config = { acts = [{ hook = \"request\", act = { kv-get = \"k\" } }] } }]")
        .start();
    expect::ok(&gateway.get("/write"));
    assert_eq!(
        gateway.get("/read").echoed("x-kv").as_deref(),
        Some("none"),
        "another entry has another namespace"
    );
    assert_eq!(
        gateway.get("/own").echoed("x-kv").as_deref(),
        Some("of one"),
        "the same entry has the same"
    );
}

#[test]
fn one_instance_serves_all_chunks_of_a_body_and_no_other_call_in_between() {
    let acts = "{ hook = \"request-chunk\", act = \"calls\" }, { hook = \"response\", act = { reveal-attribute = \"calls\" } }";
    let up = Upstream::echo();
    // The chunks of one plugin entry, what they left behind told by another.
    let gateway = Setup::to(&up, "plugins = [\"tell\", \"chunks\"]")
        .server("workers = 1")
        .acts("chunks", acts.split_once(", {").expect("two acts").0)
        .acts(
            "tell",
            &format!("{{{}", acts.split_once(", {").expect("two acts").1),
        )
        .start();
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    }
    for _ in 0..4 {
        for client in &mut clients {
            client.send("1\r\nx\r\n");
            // Lets each chunk travel alone, so that the three bodies take turns.
            std::thread::yield_now();
        }
    }
    for client in &mut clients {
        client.send("0\r\n\r\n");
    }
    for mut client in clients {
        let answer = client.response();
        expect::ok(&answer);
        let calls: Vec<u32> = answer
            .headers("x-attribute")
            .split(' ')
            .filter_map(|call| call.parse().ok())
            .collect();
        assert!(
            !calls.is_empty() && calls.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{calls:?}"
        );
    }
}
