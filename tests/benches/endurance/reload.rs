//! Reloads under load: configuration and plugin file alternately, 64 connections that always have a request under way.
//!
//! Every change is a new one: the configuration gets another header value, the plugin file a custom section, so that each
//! is compiled, warmed and swapped in, and the old one has to go. The gateway sees the files change by itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::metrics::Metrics;
use gateway_tests::{Setup, client};
use tokio::runtime::Builder;

use crate::GUEST;
use crate::memory::resident_mib;
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::clients::{Budget, Clients, Outcome, get};
use crate::verdict::Verdict;

const CONNECTIONS: usize = 64;
const RELOADS: u64 = 200;
/// Reloads after which memory has to stay as it is.
const WARM: u64 = 20;
/// What counts as flat, in MiB: compiling leaves its allocator's arenas now fuller, now emptier.
const FLAT_MIB: f64 = 8.0;
/// How long one reload may take, under load and with compilation.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(arguments: &Arguments) -> io::Result<Verdict> {
    let (reloads, warm) = if arguments.is_quick {
        (RELOADS / 10, WARM / 4)
    } else {
        (RELOADS, WARM)
    };
    let upstream = Child::service("upstream", &[])?;
    let base = Setup::new();
    let origin = format!("http://{}", upstream.addresses[0]);
    write_change(&base, &origin, 0);
    let gateway = Child::gateway(&base.file())?;
    let budget: Budget = Arc::new(AtomicU64::new(u64::MAX));
    let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
    let clients = Clients::connect(&runtime, gateway.addresses[0], CONNECTIONS)?;
    let load = start(clients, &budget)?;

    let mut resident = Vec::new();
    let mut slowest = Duration::ZERO;
    for change in 1..=reloads {
        let started = Instant::now();
        write_change(&base, &origin, change);
        wait_for(*last(&gateway)?, change + 1)?;
        slowest = slowest.max(started.elapsed());
        resident.push(resident_mib(gateway.id())?);
    }
    budget.store(0, Ordering::Relaxed);
    let outcome = load
        .join()
        .map_err(|_| io::Error::other("the clients panicked"))?;

    let at = |reload: u64| resident[reload as usize - 1];
    let mut verdict = Verdict::of(format!(
        "{reloads} reloads, configuration and plugin file alternately, under {CONNECTIONS} connections of load."
    ));
    verdict.at_most("failed requests", outcome.failed as f64, 0.0, "");
    verdict.note("good requests", outcome.good as f64, "");
    verdict.note(
        "slowest reload, from the change of a file",
        slowest.as_secs_f64() * 1000.0,
        "ms",
    );
    for reload in [warm, reloads / 4, reloads / 2, reloads / 4 * 3, reloads] {
        verdict.note(&format!("RSS at reload {reload}"), at(reload), "MiB");
    }
    verdict.at_most(
        &format!("RSS growth from reload {warm} on"),
        at(reloads) - at(warm),
        FLAT_MIB,
        "MiB",
    );
    Ok(verdict)
}

/// Write the next version: of the configuration if the number is even, else of the plugin file.
fn write_change(base: &Setup, origin: &str, change: u64) {
    let component = marked(GUEST, change.div_ceil(2));
    if change % 2 == 1 {
        // In one step, as a build does that moves its result into place.
        base.write_component("next", &component);
        let (from, to) = (
            base.folder().join("next.wasm"),
            base.folder().join("guest.wasm"),
        );
        std::fs::rename(from, to).expect("the folder can be written");
        return;
    }
    if change == 0 {
        base.write_component("guest", &component);
    }
    let value = format!("config.response.set = {{ x-version = 'version {change}' }}");
    base.again()
        .upstream_at("up", origin, "")
        .plugin_from("guest", "./guest.wasm", "config.work = 'header-only'")
        .plugin_from("headers", "stock:headers", &value)
        .route("/*", "plugins = ['guest', 'headers']")
        .write();
}

/// A component with a custom section more, so that it is another file that does the same.
fn marked(component: &[u8], number: u64) -> Vec<u8> {
    // Section 0; its size, the length of its name, its name, its content. All lengths here are below 128, one byte.
    let mut marked = [component, &[0, 13, 4], b"mark"].concat();
    marked.extend(number.to_le_bytes());
    marked
}

fn start(mut clients: Clients, budget: &Budget) -> io::Result<std::thread::JoinHandle<Outcome>> {
    let budget = Arc::clone(budget);
    let thread = std::thread::Builder::new().name("load".into());
    thread.spawn(move || clients.drive(&get("/users/42?full=yes"), &budget))
}

fn last(gateway: &Child) -> io::Result<&SocketAddr> {
    gateway
        .addresses
        .last()
        .ok_or_else(|| io::Error::other("the gateway serves nobody"))
}

fn wait_for(admin: SocketAddr, generation: u64) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = client::get("/metrics").header("host", "localhost");
        let metrics = Metrics::parse(&client::Client::connect(admin).request(&request).text());
        if metrics.get("gateway_generation", &[]) >= generation as f64 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let failed = metrics.get("gateway_reloads_total", &[("result", "error")]);
            return Err(io::Error::other(format!(
                "generation {generation} does not come; {failed} reloads failed"
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
