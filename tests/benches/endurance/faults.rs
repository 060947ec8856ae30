//! Plugins that misbehave, each on its own route under some load, on the one worker that also serves a good route: what
//! the good route's clients notice, when the worker has little else to do and when it has all that it can.
//!
//! The worker has a core of its own where the system allows that: a client that shares one with it would wait behind it for
//! as long as the system's scheduler says, some milliseconds, which is nothing that a gateway can help.
//!
//! In each round every misbehaviour once, each between two quiet phases, so that what else the machine does hits quiet and
//! disturbed phases alike. Compared are the medians over the rounds.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use gateway_tests::{Setup, guests};

use crate::memory::{forget_peak, peak_mib, resident_mib};
use crate::paced::{Pace, join};
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::clients::get;
use crate::rig::core;
use crate::rig::report::median;
use crate::verdict::Verdict;

/// The good route's load: name, connections, requests in a second, all connections together; as many as they get if not
/// said.
const GOOD: [(&str, u32, Option<u32>); 2] = [("light", 16, Some(400)), ("full", 50, None)];
/// The load of a route whose plugin misbehaves: a client that asks again and again.
const BAD_CONNECTIONS: u32 = 4;
const BAD_PER_SECOND: Option<u32> = Some(40);
/// How many times longer than undisturbed the good route's p99 may be.
const SLOWER: f64 = 3.0;
/// What a fault may leave behind in memory, in MiB: some instances' worth.
const LEFT_MIB: f64 = 64.0;

/// Routes whose plugin misbehaves in the request hook, and the act.
const ACTS: [(&str, &str); 4] = [
    ("loop", "'loop'"),
    ("trap", "'trap'"),
    ("allocate", "'allocate'"),
    // Ten fields of 1 MiB.
    (
        "huge-headers",
        "{ respond-with-flood = { count = 10, bytes = 1_048_576 } }",
    ),
];
/// All of [`ACTS`] at once.
const ALL: &str = "all four";

/// What the good route's clients saw in the phases of one kind.
#[derive(Default)]
struct Phases {
    p99_ms: Vec<f64>,
    answered: usize,
    failed: u64,
    /// Answers of the misbehaving routes that were a success, which none should be.
    passed: usize,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<Verdict> {
    let rounds = arguments.rounds(3, 1);
    let during = Duration::from_secs(if arguments.is_quick { 1 } else { 4 });
    let mut is_pinned = core::choose(core::OF_LOAD, process::id());
    let upstream = Child::service("upstream", &[])?;
    let setup = setup(&format!("http://{}", upstream.addresses[0]));
    setup.write();
    let gateway = Child::gateway(&setup.file())?;
    is_pinned &= core::choose(core::OF_MEASURED, worker_of(gateway.id())?);
    let address = gateway.addresses[0];
    let stage = |connections, per_second| Stage {
        address,
        connections,
        per_second,
        during,
    };

    // One of each that does not count: instances are made, code is paged in.
    for routes in kinds() {
        Phases::default().run(&stage(16, Some(400)), &routes);
    }
    let before = resident_mib(gateway.id())?;
    forget_peak(gateway.id())?;
    let mut verdict = Verdict::of(format!(
        "A good route and misbehaving routes, each at {} requests/s, on one worker{}; {rounds} rounds, phases of {during:?}.",
        BAD_PER_SECOND.unwrap_or_default(),
        if is_pinned {
            " with a core of its own"
        } else {
            ""
        }
    ));
    for (load, connections, per_second) in GOOD {
        let stage = stage(connections, per_second);
        let mut quiet = Phases::default();
        let mut disturbed: Vec<_> = kinds().map(|routes| (routes, Phases::default())).collect();
        for _ in 0..rounds {
            for (routes, phases) in &mut disturbed {
                quiet.run(&stage, &[]);
                phases.run(&stage, routes);
            }
        }
        quiet.run(&stage, &[]);
        judge(&mut verdict, load, &quiet, &disturbed);
    }
    verdict.note(
        "RSS peak, over before",
        peak_mib(gateway.id())? - before,
        "MiB",
    );
    verdict.at_most(
        "RSS after, over before",
        resident_mib(gateway.id())? - before,
        LEFT_MIB,
        "MiB",
    );
    Ok(verdict)
}

/// The thread that is a gateway's only worker.
fn worker_of(gateway: u32) -> io::Result<u32> {
    let folder = format!("/proc/{gateway}/task");
    for thread in fs::read_dir(&folder)? {
        let thread = thread?.file_name().to_string_lossy().into_owned();
        if fs::read_to_string(format!("{folder}/{thread}/comm"))?.trim_end() == "worker-0" {
            return thread.parse().map_err(io::Error::other);
        }
    }
    Err(io::Error::other("the gateway has no thread worker-0"))
}

/// Each misbehaving route alone, then all together.
fn kinds() -> impl Iterator<Item = Vec<&'static str>> {
    let names = ACTS.map(|(name, _)| name);
    names
        .into_iter()
        .map(|name| vec![name])
        .chain([names.to_vec()])
}

fn judge(verdict: &mut Verdict, load: &str, quiet: &Phases, disturbed: &[(Vec<&str>, Phases)]) {
    let undisturbed = median(&quiet.p99_ms);
    verdict.note(&format!("{load} load, p99 undisturbed"), undisturbed, "ms");
    let of = format!("{load} load, failed of {} undisturbed", quiet.answered);
    verdict.at_most(&of, quiet.failed as f64, 0.0, "");
    for (routes, phases) in disturbed {
        let name = if routes.len() > 1 { ALL } else { routes[0] };
        let p99 = median(&phases.p99_ms);
        let of = format!("{load} load, failed of {} beside {name}", phases.answered);
        verdict.at_most(&of, phases.failed as f64, 0.0, "");
        verdict.at_most(
            &format!("successes of {name} itself"),
            phases.passed as f64,
            0.0,
            "",
        );
        verdict.note(&format!("{load} load, p99 beside {name}"), p99, "ms");
        let of = format!("{load} load, p99 beside {name}, of undisturbed");
        verdict.at_most(&of, p99 / undisturbed, SLOWER, "times");
    }
}

/// Where, how hard and how long the good route is driven.
struct Stage {
    address: SocketAddr,
    connections: u32,
    per_second: Option<u32>,
    during: Duration,
}

impl Phases {
    /// One phase: the good route's load, and that of these routes.
    fn run(&mut self, stage: &Stage, bad: &[&str]) {
        let pace = |path: &str, connections, per_second| Pace {
            address: stage.address,
            request: get(path),
            connections,
            per_second,
            during: stage.during,
        };
        let bad: Vec<_> = bad
            .iter()
            .map(|name| pace(&format!("/{name}/1"), BAD_CONNECTIONS, BAD_PER_SECOND).start())
            .collect();
        let good = join(pace("/good/1", stage.connections, stage.per_second).start());
        self.passed += bad
            .into_iter()
            .map(|threads| join(threads).times_ms.len())
            .sum::<usize>();
        self.p99_ms.push(good.p99_ms());
        self.answered += good.times_ms.len();
        self.failed += good.failed;
    }
}

fn setup(upstream: &str) -> Setup {
    let mut setup = Setup::new()
        .server("workers = 1")
        .upstream_at("up", upstream, "")
        .plugin_from(
            "headers",
            "stock:headers",
            "config.request.set = { x-good = 'yes' }",
        )
        .route("/good/*", "plugins = ['headers']");
    for (name, act) in ACTS {
        let acts = format!(
            "config.acts = [{{ hook = 'request', act = {act} }}]\n{}",
            guests::EVERY_GRANT
        );
        setup = setup
            .plugin(name, guests::MISBEHAVING, &acts)
            .route(&format!("/{name}/*"), &format!("plugins = ['{name}']"));
    }
    setup
}
