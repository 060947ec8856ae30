//! Large bodies: one up and one down, through plugins that look at headers only and through one that changes every chunk.
//! What counts is the most memory that the gateway had resident meanwhile, beyond what it had before.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_tests::Setup;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::GUEST;
use crate::memory::{forget_peak, peak_mib, resident_mib};
use crate::rig::arguments::Arguments;
use crate::rig::child::Child;
use crate::rig::upstream::Repeated;
use crate::verdict::Verdict;

/// How large.
const BODY_BYTES: u64 = 1 << 30;
/// Memory that a body may cost, in MiB.
const HEADERS_ONLY_MIB: f64 = 16.0;
const TRANSFORM_MIB: f64 = 32.0;
/// How long one body may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A route and the bits that its plugins change in every byte of a body.
struct Way {
    route: &'static str,
    may_add_mib: f64,
    changed_bits: u8,
}

const WAYS: [Way; 2] = [
    Way {
        route: "headers-only",
        may_add_mib: HEADERS_ONLY_MIB,
        changed_bits: 0,
    },
    Way {
        route: "transform",
        may_add_mib: TRANSFORM_MIB,
        changed_bits: 0x20,
    },
];

#[derive(Debug, Clone, Copy)]
enum Direction {
    Up,
    Down,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<Verdict> {
    let bytes = if arguments.is_quick {
        BODY_BYTES / 16
    } else {
        BODY_BYTES
    };
    let upstream = Child::service("upstream", &[])?;
    let setup = setup(&format!("http://{}", upstream.addresses[0]));
    setup.write();
    let gateway = Child::gateway(&setup.file())?;
    let address = gateway.addresses[0];
    let mut verdict = Verdict::of(format!("Bodies of {} MiB, one at a time.", bytes >> 20));
    for way in &WAYS {
        for (name, direction) in [("upload", Direction::Up), ("download", Direction::Down)] {
            let name = format!("{name}, {}", way.route);
            let before = resident_mib(gateway.id())?;
            forget_peak(gateway.id())?;
            let started = Instant::now();
            let done = transfer(way, direction, address, bytes);
            let seconds = started.elapsed().as_secs_f64();
            let added = peak_mib(gateway.id())? - before;
            let said = done
                .as_ref()
                .map_or_else(ToString::to_string, |()| "every byte".to_owned());
            verdict.must(&format!("{name}: arrived"), said, done.is_ok());
            verdict.note(
                &format!("{name}: speed"),
                (bytes >> 20) as f64 / seconds,
                "MiB/s",
            );
            verdict.note(&format!("{name}: RSS before"), before, "MiB");
            verdict.at_most(&format!("{name}: RSS added"), added, way.may_add_mib, "MiB");
        }
    }
    Ok(verdict)
}

impl Way {
    /// Send that many `a` and hear how many arrived, and how many of them unchanged.
    async fn upload(&self, address: SocketAddr, bytes: u64) -> io::Result<()> {
        let response = self
            .send(address, Method::POST, "sink", Repeated::letters(bytes))
            .await?;
        let heard = response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?
            .to_bytes();
        // What the upstream says passes the same plugins.
        let heard: Vec<u8> = heard.iter().map(|byte| byte ^ self.changed_bits).collect();
        let unchanged = if self.changed_bits == 0 { bytes } else { 0 };
        let is_right = heard == format!("{bytes} {unchanged}").into_bytes();
        is_right.then_some(()).ok_or_else(|| wrong(&heard))
    }

    /// Receive that many bytes, each of which has to be the right one.
    async fn download(&self, address: SocketAddr, bytes: u64) -> io::Result<()> {
        let path = format!("bytes/{bytes}");
        let response = self
            .send(address, Method::GET, &path, Repeated::letters(0))
            .await?;
        let (mut total, mut right) = (0, 0);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                total += data.len() as u64;
                right += data
                    .iter()
                    .filter(|byte| **byte ^ self.changed_bits == b'a')
                    .count() as u64;
            }
        }
        let is_right = (total, right) == (bytes, bytes);
        is_right
            .then_some(())
            .ok_or_else(|| wrong(format!("{total} bytes, {right} of them right").as_bytes()))
    }

    async fn send(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Repeated,
    ) -> io::Result<Response<Incoming>> {
        let stream = TcpStream::connect(address).await?;
        let (mut connection, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(driver);
        let request = Request::builder()
            .method(method)
            .uri(format!("/{}/{path}", self.route))
            .header("host", "gateway.test")
            .header("x-api-key", "secret-1")
            .body(body)
            .map_err(io::Error::other)?;
        connection
            .send_request(request)
            .await
            .map_err(io::Error::other)
    }
}

/// A transfer to its end, whatever that is.
fn transfer(way: &Way, direction: Direction, address: SocketAddr, bytes: u64) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let transfer = async {
        match direction {
            Direction::Up => way.upload(address, bytes).await,
            Direction::Down => way.download(address, bytes).await,
        }
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, transfer).await })?
}

fn wrong(heard: &[u8]) -> io::Error {
    io::Error::other(format!("not what was sent: {}", heard.escape_ascii()))
}

fn setup(upstream: &str) -> Setup {
    let set = "config.request.set = { x-one = 'the first value' }\nconfig.response.set = { x-two = 'the second' }";
    Setup::new()
        .server("workers = 1")
        .upstream_at("up", upstream, "")
        .plugin_from(
            "key",
            "stock:api-key",
            "config.keys = { secret-1 = 'alice' }",
        )
        .plugin_from("headers", "stock:headers", set)
        .plugin("transform", GUEST, "config.work = 'transform'")
        .route(
            "/headers-only/*",
            "strip-prefix = '/headers-only'\nplugins = ['key', 'headers']",
        )
        .route(
            "/transform/*",
            "strip-prefix = '/transform'\nplugins = ['key', 'headers', 'transform']",
        )
}
