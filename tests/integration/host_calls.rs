//! What plugins ask of the gateway: stores, buckets, calls to other services (THREATS 21, 25).

use gateway_tests::{Reply, Running, Setup, Upstream, get};

use crate::expect;

fn with(acts: &str, keys: &str) -> (Upstream, Running) {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .acts_with("p", acts, keys)
        .start();
    (up, gateway)
}

fn granting(origins: &[&str], more: &str) -> String {
    format!("grants = {{ kv = true, limiter = true, http-client = {origins:?}{more} }}")
}

fn fetch(url: &str) -> String {
    format!("{{ hook = \"request\", act = {{ fetch = {{ url = \"{url}\" }} }} }}")
}

#[test]
fn values_outlive_the_exchange_and_the_instance() {
    let acts = "{ hook = \"request\", when = \"x-set\", act = { kv-set = { name = \"k\", value = \"kept\" } } },
                { hook = \"request\", act = { kv-get = \"k\" } }"
        .replace('\n', " ");
    let (_up, gateway) = with(&acts, "isolation = \"per-request\"");
    assert_eq!(gateway.get("/").echoed("x-kv").as_deref(), Some("none"));
    expect::ok(&gateway.send(&get("/").header("x-set", "1")));
    for _ in 0..5 {
        assert_eq!(gateway.get("/").echoed("x-kv").as_deref(), Some("kept"));
    }
}

#[test]
fn a_bucket_is_one_for_all_workers_and_never_gives_more_than_it_holds() {
    let take = "{ hook = \"request\", act = { take = { key = \"k\", rate = 1, period = 3600000, burst = 10, cost = 1 } } }";
    let (_up, gateway) = with(take, "");
    let allowed = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..5)
                        .filter(|_| taken(&gateway).starts_with("allowed"))
                        .count()
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("no panic"))
            .sum::<usize>()
    });
    assert_eq!(allowed, 10);
    assert!(taken(&gateway).starts_with("denied"));
}

fn taken(gateway: &Running) -> String {
    gateway
        .get("/")
        .echoed("x-taken")
        .expect("the plugin tells")
}

#[test]
fn a_bucket_that_is_none_is_an_error_and_no_fault() {
    for bucket in [
        "rate = 0, period = 1, burst = 1, cost = 1",
        "rate = 1, period = 0, burst = 1, cost = 1",
        "rate = 1, period = 1, burst = 1, cost = 2",
    ] {
        let (_up, gateway) = with(
            &format!("{{ hook = \"request\", act = {{ take = {{ key = \"k\", {bucket} }} }} }}"),
            "",
        );
        assert!(taken(&gateway).contains("Invalid"), "{bucket}");
    }
}

#[test]
fn a_granted_origin_can_be_called_and_no_other() {
    let service = Upstream::answering(|seen| Reply::new(203, seen.target()));
    let other = Upstream::echo();
    let acts = [
        fetch(&format!("{}/asked?q", service.origin())),
        fetch(&format!("{}/x", other.origin())),
    ]
    .join(", ");
    let (_up, gateway) = with(&acts, &granting(&[&service.origin()], ""));
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert!(
        told.starts_with("203 /asked?q, ") && told.contains("Denied"),
        "{told}"
    );
    assert_eq!((service.count(), other.heads()), (1, 0));
    assert_eq!(
        service.last().header("host"),
        Some(service.address().to_string().as_str())
    );
}

#[test]
fn tricks_with_urls_do_not_reach_another_origin() {
    let service = Upstream::echo();
    let secret = Upstream::echo();
    let (granted, hidden) = (service.address(), secret.address());
    let urls = [
        format!("http://{granted}@{hidden}/"),
        format!("http://user:pass@{hidden}/"),
        format!("http://{hidden}#{granted}"),
        format!("http://{hidden}\\\\@{granted}/"),
        format!("//{hidden}/"),
        format!("/{hidden}"),
        format!("HTTP://{hidden}/"),
        format!("gopher://{granted}/"),
        "file:///etc/passwd".to_owned(),
        format!("http://localhost:{}/", granted.port()),
        format!("http://127.1:{}/", hidden.port()),
        format!("http://2130706433:{}/", hidden.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", hidden.port()),
        format!("http://{granted}/\\r\\nx: y"),
        format!("http://{granted} /"),
        String::new(),
    ];
    let acts: Vec<String> = urls.iter().map(|url| fetch(url)).collect();
    let limits = "limits = { fetches = 100 }";
    let (_up, gateway) = with(
        &acts.join(", "),
        &format!("{}\n{limits}", granting(&[&service.origin()], "")),
    );
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert_eq!(secret.heads(), 0, "{told}");
    assert!(!told.contains("200 "), "{told}");
    assert_eq!(
        told.matches("Denied").count() + told.matches("Invalid").count(),
        urls.len(),
        "{told}"
    );
}

#[test]
fn a_name_that_leads_inside_is_refused_unless_its_network_is_granted() {
    let service = Upstream::echo();
    // `localhost` allows itself by the grant; a name that only resolves to the loopback does not.
    let name = format!("http://localhost.localdomain:{}", service.address().port());
    let call = format!("{{ fetch = {{ url = \"{name}/\", timeout = 1000 }} }}");
    let acts = format!("{{ hook = \"request\", act = {call} }}");
    let (_up, gateway) = with(&acts, &granting(&[&name], ""));
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    // Denied where the name is known, otherwise there is no such name.
    assert!(
        ["Denied", "Connect", "Timeout"]
            .iter()
            .any(|error| told.contains(error)),
        "{told}"
    );
    assert_eq!(service.heads(), 0);
    let local = format!("http://localhost:{}", service.address().port());
    let (_up, gateway) = with(&fetch(&format!("{local}/")), &granting(&[&local], ""));
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert!(told.starts_with("200 "), "{told}");
}

#[test]
fn redirects_are_not_followed_and_answers_are_bounded() {
    let target = Upstream::echo();
    let location = format!("{}/secret", target.origin());
    let service = Upstream::answering(move |seen| match seen.target() {
        "/redirect" => Reply::new(302, "moved").header("location", &location),
        _ => Reply::new(200, vec![b'x'; 3 << 20]),
    });
    let acts = [
        fetch(&format!("{}/redirect", service.origin())),
        fetch(&format!("{}/large", service.origin())),
    ];
    let (_up, gateway) = with(
        &acts.join(", "),
        &granting(&[&service.origin(), &target.origin()], ""),
    );
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert!(
        told.starts_with("302 moved") && told.contains("TooLarge"),
        "{told}"
    );
    assert_eq!(target.heads(), 0);
}

#[test]
fn calls_end_in_time_and_their_number_is_bounded() {
    let silent = Upstream::script(|connection| {
        connection.request()?;
        connection.closed();
        Ok(())
    });
    let call = format!(
        "{{ hook = \"request\", act = {{ fetch = {{ url = \"{}/\", timeout = 80 }} }} }}",
        silent.origin()
    );
    let (_up, gateway) = with(&call, &granting(&[&silent.origin()], ""));
    assert!(
        gateway
            .get("/")
            .echoed("x-fetched")
            .expect("told")
            .contains("Timeout")
    );

    let service = Upstream::answering(|_| Reply::new(200, "ok"));
    let call = format!(
        "{{ hook = \"request\", act = {{ fetch = {{ url = \"{}/\", count = 100 }} }} }}",
        service.origin()
    );
    let (_up, gateway) = with(&call, &granting(&[&service.origin()], ""));
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert_eq!(
        (
            told.matches("200 ok").count(),
            told.matches("Denied").count()
        ),
        (8, 92),
        "{told}"
    );
    assert_eq!(service.count(), 8);

    let wall = format!(
        "{}\nlimits = {{ wall-time = \"100ms\" }}",
        granting(&[&silent.origin()], "")
    );
    let (_up, gateway) = with(&fetch(&silent.origin()), &wall);
    expect::failure(&gateway.get("/"), 503, "plugin-fault");
    assert_eq!(gateway.faults("p", "wall-time"), 1.0);
}

#[test]
fn the_gateways_own_admin_listener_is_never_called() {
    let up = Upstream::echo();
    let port = Upstream::nobody().port();
    let origin = format!("http://127.0.0.1:{port}");
    let gateway = Setup::to(&up, "plugins = [\"p\"]")
        .server(&format!("admin = \"127.0.0.1:{port}\""))
        .acts_with(
            "p",
            &fetch(&format!("{origin}/health")),
            &granting(&[&origin], ""),
        )
        .start();
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert!(told.contains("Denied"), "{told}");
}

#[test]
fn framing_fields_of_a_call_are_dropped_and_the_others_passed_on() {
    let service = Upstream::echo();
    let named = |name: &str| format!("{{ name = \"{name}\", value = \"17\" }}");
    let ours = [
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-connection",
    ];
    let fields: Vec<String> = ours
        .iter()
        .chain(&["host", "x-kept"])
        .map(|name| named(name))
        .collect();
    let call = format!(
        "{{ hook = \"request\", act = {{ fetch = {{ url = \"{}/\", headers = [{}] }} }} }}",
        service.origin(),
        fields.join(", ")
    );
    let (_up, gateway) = with(&call, &granting(&[&service.origin()], ""));
    let told = gateway.get("/").echoed("x-fetched").expect("told");
    assert!(told.starts_with("200 "), "{told}");
    let seen = service.last();
    assert_eq!(seen.header("x-kept"), Some("17"));
    assert_eq!(
        seen.header("host").map(|host| format!("http://{host}")),
        Some(service.origin())
    );
    for name in ours {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[test]
fn a_call_may_have_as_many_fields_as_a_message() {
    let service = Upstream::answering(|_| Reply::new(200, "ok"));
    let told = |count: usize| {
        let fields = vec!["{ name = \"x-y\", value = \"\" }"; count].join(", ");
        let call = format!(
            "{{ hook = \"request\", act = {{ fetch = {{ url = \"{}/\", headers = [{fields}] }} }} }}",
            service.origin()
        );
        let (_up, gateway) = with(&call, &granting(&[&service.origin()], ""));
        gateway.get("/").echoed("x-fetched").expect("told")
    };
    assert_eq!(told(1_088), "200 ok");
    assert!(told(1_089).contains("more than 1088 header fields"));
}
