//! Who is turned away when there are too many: connections, early and cheaply; requests, before any plugin runs; and who
//! is let go after having been served enough. Both sides of each limit (THREATS 15).

use std::net::{SocketAddr, TcpStream};

use gateway_tests::raw_h2::{self, DATA, GOAWAY, HEADERS, Raw};
use gateway_tests::{Client, Response, Running, Setup, Upstream, eventually, get};

use crate::expect;

/// An upstream that answers when it is told to.
struct Holding {
    up: Upstream,
    go_on: std::sync::mpsc::Sender<()>,
}

impl Holding {
    fn new() -> Self {
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let up = Upstream::script(move |connection| {
            while let Some(seen) = connection.request()? {
                if seen.target() == "/held" {
                    let _ = wait.lock().expect("nobody panics").recv();
                }
                connection.reply(&gateway_tests::Reply::new(200, "ok"), false)?;
            }
            Ok(())
        });
        Self { up, go_on }
    }
}

/// A connection from that address of the loopback network.
fn from(address: &str, to: SocketAddr) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let own: SocketAddr = format!("{address}:0").parse().expect("an address");
    socket
        .bind(&own.into())
        .expect("all of 127.0.0.0/8 is ours");
    socket.connect(&to.into()).expect("the gateway listens");
    Client::over(TcpStream::from(socket))
}

/// What a client is told at once, if it is turned away.
fn greeting(client: &mut Client) -> Option<Response> {
    // The write may meet a connection that is closed already.
    let _ = client.try_send(get("/").bytes());
    client.try_response_to("GET")
}

#[track_caller]
fn refused(client: &mut Client) {
    if let Some(answer) = greeting(client) {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
        assert_eq!(answer.json()["error"], "too-many-connections");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[track_caller]
fn served(client: &mut Client) {
    let answer = greeting(client).expect("it is served");
    assert_eq!(answer.status, 200);
}

fn refusals(gateway: &Running, limit: &str) -> f64 {
    let name = "gateway_client_connections_refused_total";
    gateway.metrics().get(name, &[("limit", limit)])
}

#[test]
fn an_address_has_so_many_connections_and_another_one_as_many() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("connections-per-address = 2\nexempt-addresses = [\"127.0.0.9\"]")
        .start();
    let address = gateway.address();
    let mut held: Vec<Client> = (0..2).map(|_| from("127.0.0.1", address)).collect();
    held.iter_mut().for_each(served);
    refused(&mut from("127.0.0.1", address));
    eventually("it is counted", || {
        refusals(&gateway, "connections-per-address") == 1.0
    });
    served(&mut from("127.0.0.2", address));
    let mut exempt: Vec<Client> = (0..5).map(|_| from("127.0.0.9", address)).collect();
    exempt.iter_mut().for_each(served);
    held.iter_mut().for_each(served);
    held.pop();
    eventually("there is room again", || {
        let answer = greeting(&mut from("127.0.0.1", address));
        answer.is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_trusted_proxy_and_this_machine_are_not_one_client() {
    let up = Upstream::echo();
    for (server, limits) in [
        (
            "trusted-proxies = [\"127.0.0.0/8\"]",
            "exempt-addresses = []",
        ),
        ("", ""),
    ] {
        let gateway = Setup::to(&up, "")
            .server(server)
            .limits(&format!("connections-per-address = 1\n{limits}"))
            .start();
        let mut held: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
        held.iter_mut().for_each(served);
    }
}

#[test]
fn one_listener_cannot_take_the_places_of_another() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .server("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]")
        .limits("connections = 3\nconnections-per-listener = 2")
        .start();
    let [one, other] = gateway.addresses() else {
        panic!("there are two listeners")
    };
    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(*one)).collect();
    held.iter_mut().for_each(served);
    refused(&mut Client::connect(*one));
    eventually("it is counted", || {
        refusals(&gateway, "connections-per-listener") == 1.0
    });
    let mut third = Client::connect(*other);
    served(&mut third);
    refused(&mut Client::connect(*other));
    eventually("it is counted", || refusals(&gateway, "connections") == 1.0);
}

/// A client whose request is upstream, and stays there.
fn hold(gateway: &Running, holding: &Holding, number: usize) -> Client {
    let mut client = gateway.client();
    client.send(get("/held").bytes());
    eventually("it is upstream", || holding.up.count() == number);
    client
}

#[track_caller]
fn shed(answer: &Response) {
    expect::failure(answer, 503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn so_many_requests_are_in_flight_and_one_more_is_shed_before_any_plugin_runs() {
    let holding = Holding::new();
    let mark = crate::plugins::mark("m");
    let gateway = Setup::to(&holding.up, "plugins = [\"m\"]")
        .limits("requests-in-flight = 2")
        .acts("m", &mark)
        .start();
    let mut held = [hold(&gateway, &holding, 1), hold(&gateway, &holding, 2)];
    let calls = || {
        let labels = [("plugin", "m"), ("hook", "on-request")];
        gateway.metrics().get("gateway_plugin_calls_total", &labels)
    };
    let before = calls();
    assert_eq!(before, 2.0);
    for _ in 0..3 {
        shed(&gateway.get("/"));
    }
    assert_eq!((calls(), holding.up.count()), (before, 2));
    let labels = [("reason", "overloaded")];
    let counted = gateway.metrics().get("gateway_failures_total", &labels);
    assert_eq!(counted, 3.0);
    for client in &mut held {
        holding.go_on.send(()).expect("the upstream waits");
        let _ = client;
    }
    held.iter_mut()
        .for_each(|client| expect::ok(&client.response()));
    eventually("there is room again", || gateway.get("/").status == 200);
}

#[test]
fn from_half_of_the_limit_on_a_connection_has_one_request_in_flight() {
    let holding = Holding::new();
    let gateway = Setup::to(&holding.up, "")
        .limits("requests-in-flight = 6")
        .start();
    let mut greedy = Raw::connect(gateway.address());
    for stream in [1, 3, 5] {
        greedy.send(raw_h2::get(stream, "/held"));
    }
    eventually("they are upstream", || holding.up.count() == 3);
    greedy.send(raw_h2::get(7, "/held"));
    let turned_away = greedy.expect(HEADERS, 7);
    let ends = turned_away.flags & raw_h2::END_STREAM != 0;
    assert!(ends, "it needs no window to be told: {turned_away:?}");
    let _held: Vec<Client> = (4..=6)
        .map(|number| hold(&gateway, &holding, number))
        .collect();
    shed(&gateway.get("/"));
    assert_eq!(holding.up.count(), 6);
}

#[test]
fn a_route_has_a_limit_of_its_own_and_others_are_served_beside_it() {
    let holding = Holding::new();
    let gateway = Setup::new()
        .upstream("up", &holding.up)
        .route("/held", "requests-in-flight = 1")
        .route("/*", "")
        .start();
    let mut held = hold(&gateway, &holding, 1);
    shed(&gateway.get("/held"));
    expect::ok(&gateway.get("/other"));
    holding.go_on.send(()).expect("the upstream waits");
    expect::ok(&held.response());
    drop(held);
    holding.go_on.send(()).expect("the upstream waits");
    eventually("there is room again", || gateway.get("/held").status == 200);
}

#[test]
fn a_route_counts_on_over_a_reload() {
    let holding = Holding::new();
    let setup = Setup::new()
        .upstream("up", &holding.up)
        .route("/held", "requests-in-flight = 1");
    let gateway = setup.start();
    let _held = hold(&gateway, &holding, 1);
    let next = gateway.setup().again().upstream("up", &holding.up);
    gateway
        .reload_to(&next.route("/held", "requests-in-flight = 1\nmax-body = \"1KiB\""))
        .expect("it reloads");
    shed(&gateway.get("/held"));
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let up = Upstream::echo();
    let gateway = Setup::to(&up, "")
        .limits("requests-per-connection = 3")
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.request(&get("/"));
        expect::ok(&answer);
        assert_eq!(answer.header("connection"), None);
    }
    let last = client.request(&get("/"));
    expect::ok(&last);
    assert_eq!(last.header("connection"), Some("close"));
    assert!(client.rest().is_empty());
}

#[test]
fn an_http_2_connection_is_told_to_go_and_what_is_open_on_it_is_served() {
    let holding = Holding::new();
    let gateway = Setup::to(&holding.up, "")
        .limits("requests-per-connection = 2")
        .start();
    let mut raw = Raw::connect(gateway.address());
    raw.send(raw_h2::get(1, "/held"));
    eventually("it is upstream", || holding.up.count() == 1);
    raw.send(raw_h2::get(3, "/"));
    assert_eq!(raw.expect(GOAWAY, 0).code(), 0, "nobody did anything wrong");
    holding.go_on.send(()).expect("the upstream waits");
    raw.expect(HEADERS, 1);
    assert_eq!(raw.expect(DATA, 1).payload, b"ok");
}
