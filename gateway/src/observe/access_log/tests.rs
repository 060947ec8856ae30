//! The access log, with files of its own and with a destination that can be made to wait or fail.

use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("gateway-access-log-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> config::AccessLog {
        config::AccessLog::File(self.0.join(name))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A destination that reports each write and then waits to be told how it ends.
struct Gate {
    ends: mpsc::Receiver<io::Result<()>>,
    writes: mpsc::Sender<String>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.writes.send(text).unwrap();
        self.ends.recv().unwrap_or(Ok(())).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated() -> (
    AccessLog,
    Counter,
    mpsc::Sender<io::Result<()>>,
    mpsc::Receiver<String>,
) {
    let (end, ends) = mpsc::channel();
    let (writes, written) = mpsc::channel();
    let dropped = Counter::default();
    let gate: Destination = Some(Box::new(Gate { ends, writes }));
    let log = AccessLog::start(gate, config::AccessLog::Stdout, dropped.clone()).unwrap();
    (log, dropped, end, written)
}

#[test]
fn every_line_is_in_the_file_once_the_log_is_dropped_in_the_order_of_each_writer() {
    let folder = Folder::new("order");
    let log = AccessLog::open(&folder.file("log"), Counter::default()).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let log = &log;
            scope.spawn(move || (0..500).for_each(|n| log.write(&format!("{writer} {n}"))));
        }
    });
    drop(log);
    let text = folder.read("log");
    for writer in 0..4 {
        let prefix = format!("{writer} ");
        let lines: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect();
        assert_eq!(lines, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn a_line_stays_one_line_of_bounded_length() {
    let folder = Folder::new("line");
    let log = AccessLog::open(&folder.file("log"), Counter::default()).unwrap();
    log.write("a\r\nfake \u{1b}[1m");
    log.write(&"é".repeat(MAX_LINE_BYTES));
    log.write(&"x".repeat(MAX_LINE_BYTES));
    log.flush();
    let text = folder.read("log");
    let lines: Vec<_> = text.split('\n').collect();
    assert_eq!(lines[0], "a\\r\\nfake \\u001b[1m");
    assert!(lines[1].ends_with("é...") && lines[1].len() <= MAX_LINE_BYTES);
    assert_eq!(
        (lines[2].len(), lines[3], lines.len()),
        (MAX_LINE_BYTES, "", 4)
    );
}

#[test]
fn a_file_that_was_moved_away_keeps_its_lines_and_after_reopen_a_new_one_gets_the_next() {
    let folder = Folder::new("rotate");
    let log = AccessLog::open(&folder.file("log"), Counter::default()).unwrap();
    log.write("before");
    log.flush();
    fs::rename(folder.0.join("log"), folder.0.join("old")).unwrap();
    log.write("between");
    log.reopen().unwrap();
    log.write("after");
    drop(log);
    assert_eq!(folder.read("old"), "before\nbetween\n");
    assert_eq!(folder.read("log"), "after\n");
}

#[test]
fn a_switch_to_a_place_that_cannot_be_opened_changes_nothing() {
    let folder = Folder::new("switch");
    let log = AccessLog::open(&folder.file("log"), Counter::default()).unwrap();
    assert!(log.switch(&folder.file("missing/log")).is_err());
    log.write("one");
    log.flush();
    log.switch(&config::AccessLog::Off).unwrap();
    log.write("two");
    log.flush();
    log.switch(&folder.file("log")).unwrap();
    log.write("three");
    drop(log);
    assert_eq!(folder.read("log"), "one\nthree\n");
}

#[test]
fn a_stuck_destination_blocks_no_writer_and_what_does_not_fit_is_counted() {
    let (log, dropped, end, written) = gated();
    log.write("first");
    assert_eq!(written.recv().unwrap(), "first\n");
    // The thread now waits in its write; this many lines fit into the queue.
    let line = "x".repeat(MAX_LINE_BYTES);
    let fit = MAX_QUEUE_BYTES / (MAX_LINE_BYTES + 1);
    (0..fit + 7).for_each(|_| log.write(&line));
    assert_eq!(dropped.get(), 7);
    drop(end);
    drop(log);
    let lines = written.iter().map(|batch| batch.lines().count());
    assert_eq!(lines.sum::<usize>(), fit);
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_flush_nor_drop_for_long() {
    let (reader, writer) = io::pipe().unwrap();
    let destination: Destination = Some(Box::new(writer));
    let mut log =
        AccessLog::start(destination, config::AccessLog::Stdout, Counter::default()).unwrap();
    log.patience = Duration::from_millis(20);
    // More than a pipe holds.
    let line = "x".repeat(MAX_LINE_BYTES);
    (0..4).for_each(|_| log.write(&line));
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        log.flush();
        // What was stuck a moment ago gets no second wait.
        log.patience = Duration::from_secs(3600);
        log.flush();
        drop(log);
        end.send(()).unwrap();
    });
    assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(()));
    drop(reader);
}

#[test]
fn a_destination_that_moves_again_is_waited_for_again() {
    let (mut log, _, end, written) = gated();
    log.write("one");
    assert_eq!(written.recv().unwrap(), "one\n");
    log.patience = Duration::ZERO;
    log.flush();
    assert!(log.shared.queue.lock().is_stuck);
    log.patience = Duration::from_secs(3600);
    end.send(Ok(())).unwrap();
    // The flush that was given up is still owed; until it is done the thread may not have moved yet.
    while log.shared.queue.lock().is_stuck {
        thread::yield_now();
    }
    log.write("two");
    end.send(Ok(())).unwrap();
    log.flush();
    assert_eq!(written.recv().unwrap(), "two\n");
}

#[test]
fn lines_of_a_failed_write_are_counted_and_later_ones_are_tried_again() {
    let (log, dropped, end, written) = gated();
    end.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    log.write("lost");
    log.flush();
    assert_eq!(dropped.get(), 1);
    end.send(Ok(())).unwrap();
    log.write("kept");
    log.flush();
    drop(log);
    assert_eq!(written.iter().collect::<Vec<_>>(), ["lost\n", "kept\n"]);
    assert_eq!(dropped.get(), 1);
}
