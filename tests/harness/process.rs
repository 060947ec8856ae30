//! The gateway as a program: started, signalled, and looked at from outside.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::PATIENCE;

/// A program that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Run a program to its end.
///
/// # Panics
/// If it can't be started.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> Ended {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program is there");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Process {
    /// Start a program and collect what it writes.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program is there");
        let output = Arc::new(Mutex::new(String::new()));
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in pipes.into_iter().flatten() {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if let Ok(mut output) = output.lock() {
                        output.push_str(&line);
                        output.push('\n');
                    }
                }
            });
        }
        Self { child, output }
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output
            .lock()
            .map(|output| output.clone())
            .unwrap_or_default()
    }

    /// Send it a signal by its name, such as `TERM`.
    ///
    /// # Panics
    /// If that can't be done.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(
            kill.expect("there is a kill command").success(),
            "it runs and can be signalled"
        );
    }

    /// Its number, under which the system keeps its figures.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in KiB.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let file = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(file).expect("it runs on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
            .expect("the system tells how much is resident")
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system can't tell.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the system knows its children")
            .is_none()
    }

    /// Wait for its end.
    ///
    /// # Panics
    /// If that does not come.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the system knows its children")
            {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; it said:\n{}",
                self.output()
            );
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already: the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
