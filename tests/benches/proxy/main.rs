//! CPU time of the gateway process for each small request that it forwards, by what stands in the chain.
//!
//! `cargo bench -p gateway-tests --bench proxy [-- [--quick] [--rounds N] [CHAIN ..]]`. One gateway with one worker, with a
//! route for each chain, on a core of its own; 64 connections that always have a request under way; in each round every
//! chain once, to and fro, so that what else the machine does hits all of them. Figures are medians over the rounds,
//! ratios are taken within a round.
//!
//! The proxy is what everybody waits for: `busy`, the share of the time that it computes, is 100 %. That is a proxy under
//! load, where requests are cheapest and plugins show most. One that sleeps between requests pays two or three times
//! as much for each, to sleep, to wake and to be woken, whatever its chain; don't compare figures where `busy`
//! differs. Leaves out: latency and throughput, which say more about the machine.

mod bare;
mod cpu;
#[path = "../rig/mod.rs"]
mod rig;

use std::io;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use gateway_tests::Setup;
use tokio::runtime::{Builder, Runtime};

use cpu::CpuTime;
use rig::arguments::Arguments;
use rig::child::Child;
use rig::clients::{Clients, get};
use rig::core;
use rig::report::{median, table};

const CONNECTIONS: usize = 64;
/// What the process still does when the last response is there, such as log entries, is done after this.
const SETTLING: Duration = Duration::from_millis(20);
/// The chain that the others are compared with.
const BASE: &str = "none";
/// What one plugin, and what four of them, may add to [`BASE`], in percent.
const ONE_PLUGIN: Option<f64> = Some(10.0);
const FOUR_PLUGINS: Option<f64> = Some(30.0);

/// What is measured: name, plugins, and what these may add in percent. `bare` is the other proxy.
const CHAINS: [(&str, &str, Option<f64>); 7] = [
    ("bare", "", None),
    (BASE, "", None),
    ("headers", "'headers'", ONE_PLUGIN),
    ("api-key", "'key'", ONE_PLUGIN),
    (
        "four",
        "'key', 'headers', 'more-headers', 'yet-more-headers'",
        FOUR_PLUGINS,
    ),
    ("access-log", "'log'", None),
    ("demo", "'log', 'key', 'limit', 'headers'", None),
];

fn main() -> ExitCode {
    if let Some(code) = rig::play_role(&[("bare", bare::main)]) {
        return code;
    }
    let Some(arguments) = Arguments::of_process() else {
        println!("a bench: cargo bench -p gateway-tests --bench proxy");
        return ExitCode::SUCCESS;
    };
    match Bench::start(&arguments).and_then(|mut bench| bench.run(&arguments)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that runs.
struct Bench {
    subjects: Vec<Subject>,
    gateway: Side,
    bare: Side,
    /// Whether the proxies have a core of their own.
    is_pinned: bool,
    _upstream: Child,
    _setup: Setup,
}

/// A proxy and its clients.
struct Side {
    process: Child,
    clients: Clients,
}

/// One line of the report.
struct Subject {
    name: &'static str,
    request: Arc<[u8]>,
    may_add_percent: Option<f64>,
    /// For each round, nanoseconds of CPU for a request.
    costs: Vec<f64>,
    /// For each round, the share of its time that the proxy computed, in percent.
    busy: Vec<f64>,
}

impl Bench {
    fn start(arguments: &Arguments) -> io::Result<Self> {
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
        let mut is_pinned = core::choose(core::OF_LOAD, process::id());
        let upstream = Child::service("upstream", &[])?;
        let to = upstream.addresses[0].to_string();
        let setup = setup(&format!("http://{to}"));
        setup.write();
        is_pinned &= core::choose(core::OF_MEASURED, process::id());
        let bare = Child::service("bare", &[(bare::UPSTREAM, &to)])?;
        let gateway = Child::gateway(&setup.file())?;
        is_pinned &= core::choose(core::OF_LOAD, process::id());
        let wanted = |name: &str| name == BASE || arguments.wants(name);
        let subject = |(name, _, may_add_percent)| Subject {
            name,
            request: get(&format!("/{name}/users/42?full=yes")),
            may_add_percent,
            costs: Vec::new(),
            busy: Vec::new(),
        };
        Ok(Self {
            subjects: CHAINS
                .into_iter()
                .filter(|(name, ..)| wanted(name))
                .map(subject)
                .collect(),
            gateway: Side::of(gateway, &runtime)?,
            bare: Side::of(bare, &runtime)?,
            is_pinned,
            _upstream: upstream,
            _setup: setup,
        })
    }

    fn run(&mut self, arguments: &Arguments) -> io::Result<String> {
        let rounds = arguments.rounds(15, 3);
        let requests = if arguments.is_quick { 2_000 } else { 20_000 };
        // The first round warms caches, pools and connections up.
        for round in 0..=rounds {
            let mut subjects: Vec<&mut Subject> = self.subjects.iter_mut().collect();
            if round % 2 == 1 {
                subjects.reverse();
            }
            for subject in subjects {
                let side = if subject.name == "bare" {
                    &mut self.bare
                } else {
                    &mut self.gateway
                };
                let (cost, busy) = side.measure(&subject.request, requests)?;
                if round > 0 {
                    subject.costs.push(cost);
                    subject.busy.push(busy);
                }
            }
        }
        let pinned = if self.is_pinned {
            "on a core of its own"
        } else {
            "sharing its core"
        };
        Ok(format!(
            "CPU time of the proxy process per request: {requests} small GETs in each of {rounds} rounds, \
             {CONNECTIONS} connections, one worker {pinned}.\n\n{}",
            self.report()
        ))
    }

    fn report(&self) -> String {
        let base = self
            .subjects
            .iter()
            .find(|subject| subject.name == BASE)
            .expect("it is always measured");
        let rows: Vec<_> = self
            .subjects
            .iter()
            .map(|subject| subject.row(base))
            .collect();
        table(
            [
                "chain", "CPU (us)", "least", "most", "busy", "adds", "may add", "within",
            ],
            &rows,
        )
    }
}

impl Side {
    fn of(process: Child, runtime: &Arc<Runtime>) -> io::Result<Self> {
        let clients = Clients::connect(runtime, process.addresses[0], CONNECTIONS)?;
        Ok(Self { process, clients })
    }

    /// Nanoseconds of CPU for a request, and the share of the time that the proxy computed, in percent.
    fn measure(&mut self, request: &Arc<[u8]>, requests: u64) -> io::Result<(f64, f64)> {
        let before = CpuTime::now(self.process.id())?;
        let started = Instant::now();
        let outcome = self
            .clients
            .drive(request, &Arc::new(AtomicU64::new(requests)));
        let passed = started.elapsed();
        std::thread::sleep(SETTLING);
        let used = CpuTime::now(self.process.id())?.since(&before);
        if outcome.failed > 0 {
            let text = format!(
                "{} of {requests} requests failed: {}",
                outcome.failed,
                request.escape_ascii()
            );
            return Err(io::Error::other(text));
        }
        let busy_percent = used as f64 / passed.as_nanos() as f64 * 100.0;
        Ok((used as f64 / requests as f64, busy_percent))
    }
}

impl Subject {
    fn row(&self, base: &Self) -> [String; 8] {
        let micros = |nanos: f64| format!("{:.2}", nanos / 1000.0);
        let ratios: Vec<f64> = self
            .costs
            .iter()
            .zip(&base.costs)
            .map(|(cost, base)| cost / base)
            .collect();
        let adds_percent = (median(&ratios) - 1.0) * 100.0;
        let within = self
            .may_add_percent
            .map(|limit| if adds_percent <= limit { "yes" } else { "NO" });
        [
            self.name.to_owned(),
            micros(median(&self.costs)),
            micros(self.costs.iter().copied().fold(f64::INFINITY, f64::min)),
            micros(self.costs.iter().copied().fold(0.0, f64::max)),
            format!("{:.0} %", median(&self.busy)),
            format!("{adds_percent:+.1} %"),
            self.may_add_percent
                .map_or(String::new(), |limit| format!("{limit:.0} %")),
            within.unwrap_or_default().to_owned(),
        ]
    }
}

/// The gateway's configuration. Header-only plugins set two request fields and one response field each.
fn setup(upstream: &str) -> Setup {
    let headers = |letter: char| {
        format!(
            "config.request.set = {{ x-{letter}-one = 'the first value', x-{letter}-two = 'the second' }}\n\
             config.response.set = {{ x-{letter} = 'the third value' }}"
        )
    };
    let setup = Setup::new();
    let log = setup.folder().join("access.log");
    let mut setup = setup
        .server(&format!("workers = 1\naccess-log = {log:?}"))
        .upstream_at("up", upstream, "")
        .plugin_from("headers", "stock:headers", &headers('a'))
        .plugin_from("more-headers", "stock:headers", &headers('b'))
        .plugin_from("yet-more-headers", "stock:headers", &headers('c'))
        .plugin_from(
            "key",
            "stock:api-key",
            "config.keys = { secret-1 = 'alice', secret-2 = 'bob' }",
        )
        .plugin_from(
            "limit",
            "stock:rate-limit",
            "grants.limiter = true\nconfig = { rate = 1_000_000, per = '1s' }",
        )
        .plugin_from("log", "stock:access-log", "");
    for (name, plugins, _) in CHAINS {
        setup = setup.route(&format!("/{name}/*"), &format!("plugins = [{plugins}]"));
    }
    setup
}
