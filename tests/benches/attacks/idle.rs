//! What connections cost that only stay open.

use std::any::Any;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gateway_tests::Setup;
use gateway_tests::raw_h2::{self, SETTINGS, frame};

use crate::memory::resident_mib;
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::clients::{Clients, get};
use crate::verdict::Verdict;

/// How many: as many as the gateway takes, but for the one that asks beside them.
const CONNECTIONS: usize = 9_990;
/// What ten thousand may cost.
const MAY_ADD_MIB: f64 = 100.0;
/// Longer than a connection is quiet before it is put to rest.
const QUIET: Duration = Duration::from_secs(4);
/// Requests that each connection sends before it falls silent, on average.
const REQUESTS: u64 = 3;

/// Connections that are held until this is dropped.
type Held = Box<dyn Any>;
type Kind = fn(SocketAddr, usize) -> io::Result<Held>;

/// With whether the limit is for it: the buffers of an HTTP/2 connection are its library's for as long as it is open.
const KINDS: [(&str, Kind, bool); 3] = [
    ("silent", silent, true),
    ("kept alive after requests", kept_alive, true),
    ("HTTP/2 after a request", on_h2, false),
];

pub(crate) fn run(arguments: &Arguments) -> io::Result<Verdict> {
    let count = if arguments.is_quick {
        CONNECTIONS / 10
    } else {
        CONNECTIONS
    };
    let upstream = Child::service("upstream", &[])?;
    let setup = Setup::new()
        .limits("idle-timeout = \"10m\"")
        .upstream_at("up", &format!("http://{}", upstream.addresses[0]), "")
        .route("/*", "");
    setup.write();
    let limit = MAY_ADD_MIB * count as f64 / 10_000.0;
    let what = format!("{count} connections that stay open, of each kind in turn.");
    let mut verdict = Verdict::of(what);
    for (name, open, is_limited) in KINDS {
        let gateway = Child::gateway(&setup.file())?;
        let address = gateway.addresses[0];
        // Whatever is made once is made.
        drop(kept_alive(address, 2)?);
        let before = resident_mib(gateway.id())?;
        let held = open(address, count)?;
        std::thread::sleep(QUIET);
        let added = resident_mib(gateway.id())? - before;
        drop(held);
        let each = added * 1024.0 / count as f64;
        verdict.note(&format!("{name}: RSS for each"), each, "KiB");
        if is_limited {
            verdict.at_most(&format!("{name}: RSS added"), added, limit, "MiB");
        } else {
            verdict.note(&format!("{name}: RSS added"), added, "MiB");
        }
    }
    Ok(verdict)
}

fn silent(address: SocketAddr, count: usize) -> io::Result<Held> {
    let connect = |_| TcpStream::connect(address);
    let held: Vec<TcpStream> = (0..count).map(connect).collect::<io::Result<_>>()?;
    Ok(Box::new(held))
}

fn kept_alive(address: SocketAddr, count: usize) -> io::Result<Held> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut clients = Clients::connect(&Arc::new(runtime), address, count)?;
    let budget = Arc::new(AtomicU64::new(REQUESTS * count as u64));
    let outcome = clients.drive(&get("/"), &budget);
    if outcome.failed > 0 {
        return Err(io::Error::other(format!(
            "not all were answered: {outcome:?}"
        )));
    }
    Ok(Box::new(clients))
}

fn on_h2(address: SocketAddr, count: usize) -> io::Result<Held> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let settings = frame(SETTINGS, 0, 0, &[]);
        let answer = frame(SETTINGS, 1, 0, &[]);
        stream.write_all(&[settings, answer, raw_h2::get(1, "/")].concat())?;
        let mut came = Vec::new();
        let mut piece = [0; 4096];
        // The end of the answer, as the benches' upstream writes it.
        while !came.ends_with(b"gold\"}\n") {
            let bytes = stream.read(&mut piece)?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            came.extend_from_slice(&piece[..bytes]);
        }
        held.push(stream);
    }
    Ok(Box::new(held))
}
