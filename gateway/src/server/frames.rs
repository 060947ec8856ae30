//! The heads of a client's HTTP/2 frames, counted: what carries neither a request nor a body, and what takes a request
//! back.
//!
//! h2 bounds what it would have to remember (streams, header blocks, empty and tiny DATA, resets of streams that nobody has
//! looked at). It does not bound work: a client may send SETTINGS or PING for ever, and may open a stream and take it
//! back for ever, each with a request upstream. Those are counted here, by the nine bytes in front of each frame; payloads
//! are stepped over, not looked at. What is no valid frame is h2's to refuse.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of a frame's head (RFC 9113 4.1).
const HEAD_BYTES: usize = 9;
/// What a client that speaks HTTP/2 says first (RFC 9113 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Control frames that come with a request: its stream's window, the connection's.
const CONTROL_PER_REQUEST: u64 = 2;
/// Bytes that we send for which a client may well send a control frame, to open a window or to measure. More than the 17
/// and 9 bytes that we answer to PING and SETTINGS, so that no flood pays for itself.
const SENT_BYTES_PER_CONTROL: u64 = 32;

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// Too many frames without a request or a body.
    Control,
    /// Too many requests that were taken back.
    Resets,
}

/// How many frames of a kind may come.
#[derive(Debug)]
pub(super) struct Frames {
    heads: Heads,
    control: Level,
    resets: Level,
    /// Of the connection's exchanges when this was last looked at, modulo 2^32.
    completed: u32,
}

impl Frames {
    /// Nothing has come yet, the preface included.
    pub(super) fn new(control_frames: u32, resets: u32) -> Self {
        Self {
            heads: Heads::default(),
            control: Level::new(control_frames),
            resets: Level::new(resets),
            completed: 0,
        }
    }

    /// Bytes have come. `sent`: bytes that we have sent since the last time; `completed`: exchanges that have ended well,
    /// ever, modulo 2^32.
    pub(super) fn came(&mut self, bytes: &[u8], sent: u64, completed: u32) -> Result<(), Flood> {
        let counts = self.heads.read(bytes);
        let credit = counts.requests * CONTROL_PER_REQUEST + sent / SENT_BYTES_PER_CONTROL;
        self.control.forgive(credit);
        let ended = completed.wrapping_sub(self.completed);
        self.completed = completed;
        self.resets.forgive(u64::from(ended));
        if counts.control > 0 && !self.control.add(counts.control) {
            return Err(Flood::Control);
        }
        if counts.resets > 0 && !self.resets.add(counts.resets) {
            return Err(Flood::Resets);
        }
        Ok(())
    }

    /// Whether a frame or a header block has begun and not ended.
    pub(super) fn is_in_the_middle(&self) -> bool {
        self.heads.is_in_the_middle()
    }
}

/// What a piece of a connection's bytes holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    control: u64,
    resets: u64,
}

/// Finds the frames' heads in bytes that come in any pieces.
#[derive(Debug)]
struct Heads {
    head: [u8; HEAD_BYTES],
    has: usize,
    /// Bytes that are no head: the preface, payloads.
    skip: usize,
    in_block: bool,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            head: [0; HEAD_BYTES],
            has: 0,
            skip: PREFACE.len(),
            in_block: false,
        }
    }
}

impl Heads {
    fn read(&mut self, mut bytes: &[u8]) -> Counts {
        let mut counts = Counts::default();
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return counts;
            }
            let taken = (HEAD_BYTES - self.has).min(bytes.len());
            self.head[self.has..self.has + taken].copy_from_slice(&bytes[..taken]);
            self.has += taken;
            bytes = &bytes[taken..];
            if self.has == HEAD_BYTES {
                self.has = 0;
                self.frame(&mut counts);
            }
        }
    }

    fn frame(&mut self, counts: &mut Counts) {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const RST_STREAM: u8 = 3;
        const CONTINUATION: u8 = 9;
        const END_STREAM: u8 = 1;
        const END_HEADERS: u8 = 4;
        let [high, middle, low, kind, flags, ..] = self.head;
        self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
        match kind {
            DATA if self.skip > 0 || flags & END_STREAM != 0 => {}
            HEADERS => {
                counts.requests += 1;
                self.in_block = flags & END_HEADERS == 0;
            }
            CONTINUATION => {
                counts.control += 1;
                self.in_block = flags & END_HEADERS == 0;
            }
            RST_STREAM => counts.resets += 1,
            _ => counts.control += 1,
        }
    }

    fn is_in_the_middle(&self) -> bool {
        self.has > 0 || self.skip > 0 || self.in_block
    }
}

/// So many at once, and a tenth of that each second.
#[derive(Debug)]
struct Level {
    limit: u64,
    /// In thousandths.
    level: u64,
    since: Instant,
}

/// The whole limit is forgiven in this time.
const FORGIVEN_IN: Duration = Duration::from_secs(10);

impl Level {
    fn new(limit: u32) -> Self {
        Self {
            limit: u64::from(limit) * 1_000,
            level: 0,
            since: Instant::now(),
        }
    }

    fn forgive(&mut self, count: u64) {
        self.level = self.level.saturating_sub(count.saturating_mul(1_000));
    }

    /// Whether they are still within the limit.
    fn add(&mut self, count: u64) -> bool {
        let now = Instant::now();
        let passed = now.duration_since(self.since).min(FORGIVEN_IN);
        let forgiven = self.limit as f64 * passed.as_secs_f64() / FORGIVEN_IN.as_secs_f64();
        // Less than a thousandth would be lost each time, and with it what forgives a client that sends often.
        if forgiven >= 1.0 {
            self.since = now;
            self.level = self.level.saturating_sub(forgiven as u64);
        }
        self.level = self.level.saturating_add(count.saturating_mul(1_000));
        self.level <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD_BYTES + usize::from(length), 0xff);
        bytes
    }

    fn counts(requests: u64, control: u64, resets: u64) -> Counts {
        Counts {
            requests,
            control,
            resets,
        }
    }

    #[test]
    fn frames_are_found_in_whatever_pieces_they_come() {
        let frames = [
            frame(4, 0, 12),  // SETTINGS
            frame(1, 5, 20),  // a request
            frame(0, 0, 200), // DATA
            frame(0, 0, 0),   // DATA without any
            frame(0, 1, 0),   // DATA that ends a stream
            frame(8, 0, 4),   // WINDOW_UPDATE
            frame(3, 0, 4),   // RST_STREAM
            frame(99, 0, 7),  // unknown
        ];
        let bytes = [PREFACE.to_vec(), frames.concat()].concat();
        for size in 1..bytes.len() {
            let mut heads = Heads::default();
            let mut sum = counts(0, 0, 0);
            for piece in bytes.chunks(size) {
                let some = heads.read(piece);
                sum.requests += some.requests;
                sum.control += some.control;
                sum.resets += some.resets;
            }
            assert_eq!(sum, counts(1, 4, 1), "in pieces of {size}");
            assert!(!heads.is_in_the_middle());
        }
    }

    #[test]
    fn a_header_block_lasts_until_its_last_frame() {
        let mut heads = Heads::default();
        heads.read(PREFACE);
        assert!(!heads.is_in_the_middle());
        heads.read(&frame(1, 0, 3));
        assert!(heads.is_in_the_middle());
        heads.read(&frame(9, 0, 3));
        assert!(heads.is_in_the_middle());
        heads.read(&frame(9, 4, 3));
        assert!(!heads.is_in_the_middle());
        heads.read(&frame(1, 4, 3)[..5]);
        assert!(heads.is_in_the_middle());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_control_frames_may_come_and_one_more_may_not() {
        let mut frames = Frames::new(10, 10);
        let ping = frame(6, 0, 8);
        frames.came(PREFACE, 0, 0).unwrap();
        for _ in 0..10 {
            frames.came(&ping, 0, 0).unwrap();
        }
        assert_eq!(frames.came(&ping, 0, 0), Err(Flood::Control));
    }

    #[tokio::test(start_paused = true)]
    async fn time_requests_and_what_we_send_give_some_back() {
        let ping = frame(6, 0, 8);
        let spent = || {
            let mut frames = Frames::new(10, 10);
            frames.came(PREFACE, 0, 0).unwrap();
            frames.came(&ping.repeat(10), 0, 0).unwrap();
            frames
        };
        let mut after_a_second = spent();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(after_a_second.came(&ping, 0, 0), Ok(()));
        assert_eq!(after_a_second.came(&ping, 0, 0), Err(Flood::Control));
        assert_eq!(spent().came(&ping, 31, 0), Err(Flood::Control));
        assert_eq!(spent().came(&ping, 32, 0), Ok(()));
        let with_request = [frame(1, 5, 1), ping.repeat(2)].concat();
        assert_eq!(spent().came(&with_request, 0, 0), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn resets_are_paid_for_by_exchanges_that_end_well() {
        let mut frames = Frames::new(10, 10);
        let cancelled = [frame(1, 5, 1), frame(3, 0, 4)].concat();
        frames.came(PREFACE, 0, 0).unwrap();
        for completed in 0..100 {
            frames.came(&cancelled, 0, completed).unwrap();
        }
        for _ in 0..9 {
            frames.came(&cancelled, 0, 99).unwrap();
        }
        assert_eq!(frames.came(&cancelled, 0, 99), Err(Flood::Resets));
    }
}
