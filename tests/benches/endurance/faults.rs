//! Plugins that misbehave, each on its own route under some load, on the one worker that also serves a good route: what
//! the good route's clients notice.
//!
//! In each round every misbehaviour once, each between two quiet phases, so that what else the machine does hits quiet and
//! disturbed phases alike. Compared are the medians over the rounds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::{Setup, guests};

use crate::memory::{forget_peak, peak_mib, resident_mib};
use crate::paced::{Pace, Paced, join};
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::clients::get;
use crate::rig::report::median;
use crate::verdict::Verdict;

/// The good route's load.
const GOOD_CONNECTIONS: u32 = 16;
const GOOD_PER_SECOND: u32 = 400;
/// The load of a route whose plugin misbehaves: a client that asks again and again.
const BAD_CONNECTIONS: u32 = 4;
const BAD_PER_SECOND: u32 = 40;
/// How much longer than undisturbed the good route's p99 may be.
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
    let rounds = arguments.rounds(5, 1);
    let during = Duration::from_secs(if arguments.is_quick { 1 } else { 4 });
    let upstream = Child::service("upstream", &[])?;
    let setup = setup(&format!("http://{}", upstream.addresses[0]));
    setup.write();
    let gateway = Child::gateway(&setup.file())?;
    let address = gateway.addresses[0];

    let mut quiet = Phases::default();
    let kinds = ACTS
        .iter()
        .map(|(name, _)| vec![*name])
        .chain([ACTS.map(|(name, _)| name).to_vec()]);
    let mut disturbed: Vec<_> = kinds.map(|routes| (routes, Phases::default())).collect();
    // One of each that does not count: instances are made, code is paged in.
    for (routes, _) in &disturbed {
        Phases::default().run(address, routes, during / 4);
    }
    let before = resident_mib(gateway.id())?;
    forget_peak(gateway.id())?;
    for _ in 0..rounds {
        for (routes, phases) in &mut disturbed {
            quiet.run(address, &[], during);
            phases.run(address, routes, during);
        }
    }
    quiet.run(address, &[], during);
    let memory = [before, peak_mib(gateway.id())?, resident_mib(gateway.id())?];
    Ok(verdict(rounds, during, &quiet, &disturbed, memory))
}

fn verdict(
    rounds: usize,
    during: Duration,
    quiet: &Phases,
    disturbed: &[(Vec<&str>, Phases)],
    [before, peak, after]: [f64; 3],
) -> Verdict {
    let mut verdict = Verdict::of(format!(
        "Good route at {GOOD_PER_SECOND} requests/s on one worker, a misbehaving route at {BAD_PER_SECOND}/s beside it; {rounds} \
         rounds, phases of {during:?}."
    ));
    let undisturbed = median(&quiet.p99_ms);
    verdict.note("p99 undisturbed", undisturbed, "ms");
    verdict.at_most("failed, undisturbed", quiet.failed as f64, 0.0, "");
    for (routes, phases) in disturbed {
        let name = if routes.len() > 1 { ALL } else { routes[0] };
        let p99 = median(&phases.p99_ms);
        verdict.note(&format!("p99 beside {name}"), p99, "ms");
        verdict.at_most(
            &format!("p99 beside {name}, of undisturbed"),
            p99 / undisturbed,
            SLOWER,
            "times",
        );
        let of = format!(
            "failed of {} beside {name}",
            phases.answered as u64 + phases.failed
        );
        verdict.at_most(&of, phases.failed as f64, 0.0, "");
        verdict.at_most(
            &format!("successes of {name} itself"),
            phases.passed as f64,
            0.0,
            "",
        );
    }
    verdict.note("RSS peak, over before", peak - before, "MiB");
    verdict.at_most("RSS after, over before", after - before, LEFT_MIB, "MiB");
    verdict
}

impl Phases {
    /// One phase: the good route's load, and that of these routes.
    fn run(&mut self, address: SocketAddr, bad: &[&str], during: Duration) {
        let pace = |path: &str, connections, per_second| {
            let request = get(path);
            Pace {
                address,
                request,
                connections,
                per_second,
                during,
            }
        };
        let bad: Vec<_> = bad
            .iter()
            .map(|name| pace(&format!("/{name}/1"), BAD_CONNECTIONS, BAD_PER_SECOND).start())
            .collect();
        let good: Paced = join(pace("/good/1", GOOD_CONNECTIONS, GOOD_PER_SECOND).start());
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
