//! What hooks cost by themselves: chains of the real runtime, without a network.
//!
//! `cargo bench -p gateway-tests --bench hooks`. Every figure includes what a request pays: leasing the instance,
//! its budget, the call, the counters. `nothing` is the same walk through a chain without plugins, to be subtracted.
//! Guests run here as they do on a worker, with the clock that interrupts them ticking. Leaves out: HTTP and
//! sockets, which `proxy` measures.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use gateway::body::Body;
use gateway::config::{self, Isolation};
use gateway::observe::{AccessLog, Metrics};
use gateway::plugin::{
    Chain, ChainError, Decision, Facts, Hurry, LoadedComponent, PoolSpec, Request, RequestHead,
    Response, ResponseHead, Run, Runtime, RuntimeParts,
};
use gateway::state::State;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::BodyExt;

/// The guest that does one thing, as `guests/bench` says.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest_bench.wasm"));
/// A body chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a browser sends, about.
const FIELDS: [(&str, &str); 10] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://example.com/start"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ("x-api-key", "secret-1"),
    ("x-request-id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("x-forwarded-for", "192.0.2.1"),
    ("cache-control", "no-cache"),
];

static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);

fn main() {
    // Timers and blocking threads, for what a hook call may need; the calls themselves are polled right here.
    let _inside = STAGE.tokio.enter();
    // Many calls to a sample, so that a tick of the guests' clock, or a neighbour on the machine, is a share of it and not
    // all of it.
    divan::Divan::default()
        .sample_count(200)
        .sample_size(50)
        .config_with_args()
        .main();
}

/// The chain itself, with nobody in it.
#[divan::bench]
fn nothing(bencher: Bencher) {
    bench_request(bencher, &Chain::default());
}

/// A request hook that does nothing.
#[divan::bench]
fn empty_hook(bencher: Bencher) {
    bench_request(bencher, &STAGE.chain("empty", Isolation::Reuse));
}

/// A request hook that reads one header field and sets two.
#[divan::bench]
fn one_read_two_sets(bencher: Bencher) {
    bench_request(bencher, &STAGE.chain("headers", Isolation::Reuse));
}

/// Eight fields set by eight calls.
#[divan::bench]
fn eight_sets_singly(bencher: Bencher) {
    bench_request(bencher, &STAGE.chain("singly", Isolation::Reuse));
}

/// Eight fields set by one call.
#[divan::bench]
fn eight_sets_in_a_batch(bencher: Bencher) {
    bench_request(bencher, &STAGE.chain("batch", Isolation::Reuse));
}

/// An instance of its own for an empty request hook: made, initialised, called, thrown away.
#[divan::bench]
fn fresh_instance(bencher: Bencher) {
    bench_request(bencher, &STAGE.chain("empty", Isolation::PerRequest));
}

/// Both head hooks of a plugin that looks at headers only: a key checked, two request fields and one response field set.
#[divan::bench]
fn header_only_plugin(bencher: Bencher) {
    let chain = STAGE.chain("header-only", Isolation::Reuse);
    let failed = |error: ChainError| panic!("{error}");
    bencher
        .with_inputs(|| (request(&chain, Body::empty()), response()))
        .bench_local_values(|(request, response)| {
            let mut run = chain.begin(Hurry::None);
            let request = passed(finish(chain.on_request(&mut run, request)));
            let response = finish(chain.on_response(&mut run, response, &failed));
            (run, request, response)
        });
}

/// A chunk of 64 KiB that a hook lets pass.
#[divan::bench]
fn chunk_passed(bencher: Bencher) {
    bench_chunk(bencher, &STAGE.chain("pass", Isolation::Reuse));
}

/// A chunk of 64 KiB that a hook replaces, each byte changed.
#[divan::bench]
fn chunk_replaced(bencher: Bencher) {
    bench_chunk(bencher, &STAGE.chain("transform", Isolation::Reuse));
}

fn bench_request(bencher: Bencher, chain: &Chain) {
    bencher
        .with_inputs(|| request(chain, Body::empty()))
        .bench_local_values(|request| {
            let mut run = chain.begin(Hurry::None);
            let request = passed(finish(chain.on_request(&mut run, request)));
            (run, request)
        });
}

/// The body of one chunk, from the start of the exchange to the body's end: one call.
fn bench_chunk(bencher: Bencher, chain: &Chain) {
    let chunk = Bytes::from(vec![b'a'; CHUNK_BYTES]);
    let bencher = bencher.counter(BytesCount::new(CHUNK_BYTES));
    bencher
        .with_inputs(|| request(chain, Body::full(chunk.clone())))
        .bench_local_values(|request| {
            let mut run: Run = chain.begin(Hurry::None);
            let request = passed(finish(chain.on_request(&mut run, request)));
            let mut body = request.body;
            let frame = finish(body.frame())
                .expect("the body has a chunk")
                .expect("the hook lets it pass");
            assert_eq!(frame.data_ref().map(Bytes::len), Some(CHUNK_BYTES));
            // With the body goes the instance, back to its pool. The frame would keep memory that a socket gives back at once.
        });
}

/// What all plugins share.
struct Stage {
    tokio: tokio::runtime::Runtime,
    runtime: Arc<Runtime>,
    component: LoadedComponent,
    defaults: config::Plugin,
}

impl Stage {
    fn new() -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.log_entries_dropped.clone();
        let access_log =
            AccessLog::open(&config::AccessLog::Off, dropped).expect("there is nothing to open");
        let parts = RuntimeParts {
            cache_dir: None,
            state: Arc::new(State::new(1 << 20)),
            access_log: Arc::new(access_log),
            metrics,
        };
        let runtime = Arc::new(Runtime::new(parts).expect("this machine runs plugins"));
        let component = tokio
            .block_on(runtime.component(GUEST.into()))
            .expect("the guest is a plugin");
        // Limits are those of an entry that says nothing about them.
        let source = "[plugins.bench]\ncomponent = \"stock:headers\"";
        let mut config =
            config::parse(source, Path::new("bench.toml")).expect("this is a configuration");
        let defaults = config.plugins.remove("bench").expect("it is written there");
        Self {
            tokio,
            runtime,
            component,
            defaults,
        }
    }

    /// A chain of one plugin that does this.
    fn chain(&self, work: &str, isolation: Isolation) -> Chain {
        let spec = PoolSpec {
            name: work.to_owned(),
            config: format!("{{\"work\":\"{work}\"}}"),
            grants: self.defaults.grants.clone(),
            limits: self.defaults.limits.clone(),
            on_fault: self.defaults.on_fault,
            isolation,
        };
        let pool = finish(self.runtime.pool(&self.component, spec, None))
            .expect("the guest accepts its configuration");
        Chain::new(vec![pool])
    }
}

fn request(chain: &Chain, body: Body) -> Request {
    let target = http::uri::PathAndQuery::from_static("/users/42?full=yes");
    let facts = Facts {
        id: "01890a5dac96774bbcceb302099a8057".to_owned(),
        started: SystemTime::now(),
        clock: Instant::now(),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: Version::HTTP_11,
        scheme: "http",
        authority: "example.com".to_owned(),
        method: Method::GET,
        target: target.clone(),
        route: "users".into(),
        params: Vec::new(),
        times: chain.times_of_exchange(),
        normalise: |path| Some(path.to_owned()),
        client_certificate: None,
        notes: Default::default(),
    };
    let head = RequestHead {
        method: Method::GET,
        target,
        headers: headers(),
        facts: Arc::new(facts),
    };
    Request {
        head: Arc::new(head),
        body,
    }
}

fn response() -> Response {
    let head = ResponseHead {
        status: StatusCode::OK,
        headers: headers(),
        from_upstream: true,
    };
    Response {
        head: Arc::new(head),
        body: Body::full("hello"),
    }
}

fn headers() -> HeaderMap {
    let field = |(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    FIELDS.map(field).into_iter().collect()
}

fn passed(decision: Result<Decision, ChainError>) -> Request {
    match decision {
        Ok(Decision::Next(request)) => request,
        Ok(Decision::Respond(response)) => panic!("the guest answered: {response:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// Poll to the end, at once and again: waking up through a runtime costs more than most of what is measured here.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}
