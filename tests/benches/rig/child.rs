//! This program again, in another role and another process.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ROLE;

/// A process in some role. Dropping it kills it.
pub(crate) struct Child {
    process: std::process::Child,
    /// Where it serves; a gateway its clients first, its operators last.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Child {
    /// Start one that prints where it serves as its first line.
    pub(crate) fn service(role: &str, environment: &[(&str, &str)]) -> io::Result<Self> {
        let mut process = command(role)?
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or_else(|| said(role, "nothing"))?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| said(role, &line))?;
        Ok(Self {
            process,
            addresses: vec![address],
        })
    }

    /// Start `gateway run` on a configuration, and wait until it serves.
    pub(crate) fn gateway(config: &Path) -> io::Result<Self> {
        let mut process = command("gateway")?
            .arg("run")
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()?;
        let log = process
            .stderr
            .take()
            .ok_or_else(|| said("gateway", "nothing"))?;
        let mut log = BufReader::new(log);
        let (mut addresses, mut text) = (Vec::new(), String::new());
        loop {
            let start = text.len();
            if log.read_line(&mut text)? == 0 {
                return Err(said("gateway", &text));
            }
            let line = &text[start..];
            if line.contains(" started") {
                break;
            }
            let word = line
                .split("address=")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            addresses.extend(word.and_then(|word| word.parse::<SocketAddr>().ok()));
        }
        drain(log)?;
        Ok(Self { process, addresses })
    }

    /// Its number, under which the system keeps its figures.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Ended already: the same.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(role: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // Its end tells the child of ours.
    command.env(ROLE, role).stdin(Stdio::piped());
    Ok(command)
}

/// Read the log, so that its writer never waits; the faults in it are what some benches are about.
fn drain(mut log: impl Read + Send + 'static) -> io::Result<()> {
    let reader = std::thread::Builder::new().name("log".into());
    reader.spawn(move || io::copy(&mut log, &mut io::sink()))?;
    Ok(())
}

fn said(role: &str, text: &str) -> io::Error {
    io::Error::other(format!("{role} does not serve; it said: {text}"))
}
