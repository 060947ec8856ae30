//! Well-behaved clients beside each attack: none of their requests may fail, and they may not wait much longer than without.

use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway_tests::Setup;

use crate::attacker::{ATTACK, Attack, CONNECTIONS, VICTIM};
use crate::memory::{forget_peak, peak_mib, resident_mib};
use crate::paced::{Pace, Paced, join};
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::clients::get;
use crate::rig::core::{OF_LOAD, OF_MEASURED, choose};
use crate::rig::report::median;
use crate::verdict::Verdict;

/// Connections of an attack.
const ATTACKERS: usize = 2_000;
/// How much longer than undisturbed a request may take, as 99 of 100 do.
const MAY_SLOW_DOWN: f64 = 5.0;
/// Memory that an attack may cost, in MiB: 64 KiB for each connection.
const MAY_ADD_MIB: f64 = 128.0;
/// Requests per second of the well-behaved, all together, and their connections.
const PER_SECOND: u32 = 400;
const CLIENTS: u32 = 8;
/// What an attack has time to become.
const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &Arguments, attacks: &[&Attack]) -> io::Result<Verdict> {
    let has_cores = choose(OF_LOAD, std::process::id());
    let good = Child::service("upstream", &[])?;
    let attacked = Child::service("upstream", &[])?;
    stand_back(attacked.id());
    let setup = setup(&good, &attacked);
    setup.write();
    let what = format!(
        "{ATTACKERS} connections of each attack beside {CLIENTS} well-behaved ones with {PER_SECOND} requests a second; \
         attackers run when nobody else on their core wants to. The gateway has one worker{}.",
        if has_cores {
            " on a core of its own"
        } else {
            "; everybody shares the cores"
        }
    );
    let mut verdict = Verdict::of(what);
    let rounds = arguments.rounds(3, 1);
    let seconds = if arguments.is_quick { 3 } else { 8 };
    for attack in attacks {
        let gateway = Child::gateway(&setup.file())?;
        choose(OF_MEASURED, gateway.id());
        let pace = pace(gateway.addresses[0], seconds);
        // Not measured: connections are made, the upstream's too.
        join(pace.start());
        let alone: Vec<Paced> = (0..rounds).map(|_| join(pace.start())).collect();
        let alone = p99(&alone);
        let before = resident_mib(gateway.id())?;
        forget_peak(gateway.id())?;
        let attackers = start(attack, gateway.addresses[0])?;
        std::thread::sleep(WARM_UP);
        let beside: Vec<Paced> = (0..rounds).map(|_| join(pace.start())).collect();
        let p99 = p99(&beside);
        let failed: u64 = beside.iter().map(|paced| paced.failed).sum();
        let added = peak_mib(gateway.id())? - before;
        drop(attackers);
        let name = attack.name;
        let sent = beside
            .iter()
            .map(|paced| paced.times_ms.len())
            .sum::<usize>() as u64
            + failed;
        let figure = format!("{failed} of {sent}");
        verdict.must(
            &format!("{name}: requests that failed"),
            figure,
            failed == 0,
        );
        verdict.note(&format!("{name}: p99 undisturbed"), alone, "ms");
        verdict.at_most(&format!("{name}: p99"), p99, alone * MAY_SLOW_DOWN, "ms");
        verdict.at_most(
            &format!("{name}: RSS added, at most"),
            added,
            MAY_ADD_MIB,
            "MiB",
        );
    }
    Ok(verdict)
}

fn p99(rounds: &[Paced]) -> f64 {
    let each: Vec<f64> = rounds.iter().map(Paced::p99_ms).collect();
    median(&each)
}

fn start(attack: &Attack, victim: SocketAddr) -> io::Result<Child> {
    let (victim, count) = (victim.to_string(), ATTACKERS.to_string());
    let told = [
        (ATTACK, attack.name),
        (VICTIM, &victim),
        (CONNECTIONS, &count),
    ];
    let attackers = Child::service("attacker", &told)?;
    stand_back(attackers.id());
    Ok(attackers)
}

/// Run that process when nobody else wants to: the well-behaved must not wait for their own core.
fn stand_back(process: u32) {
    let mut renice = Command::new("renice");
    renice.args(["-n", "19", "-p", &process.to_string()]);
    // Without it the figures are worse, not wrong.
    let _ = renice.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn pace(address: SocketAddr, seconds: u64) -> Pace {
    Pace {
        address,
        request: get("/good/"),
        connections: CLIENTS,
        per_second: Some(PER_SECOND),
        during: Duration::from_secs(seconds),
    }
}

fn setup(good: &Child, attacked: &Child) -> Setup {
    let origin = |child: &Child| format!("http://{}", child.addresses[0]);
    Setup::new()
        .server("workers = 1")
        .upstream_at("up", &origin(good), "")
        .upstream_at("attacked", &origin(attacked), "")
        .plugin_from(
            "key",
            "stock:api-key",
            "config.keys = { secret-1 = 'alice' }",
        )
        .route("/good/*", "plugins = ['key']")
        .route(
            "/attacked/*",
            "upstream = 'attacked'\nstrip-prefix = '/attacked'",
        )
}
