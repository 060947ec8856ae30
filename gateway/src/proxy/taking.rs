//! Whether a stream's client takes its response: said by the response's body, heard by who runs the stream.
//!
//! A body that gave a piece and is not asked for the next one waits for the client. Only who polls both can see that,
//! and all that the server's stream knows of the body is that it is polled inside its own poll; so this is said in a
//! variable of the thread, set for the time of that poll.

use std::cell::Cell;

/// What a response's body did during a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// It was not asked.
    Nothing,
    /// It gave so many bytes, and was not asked again.
    Bytes(usize),
    /// It has nothing yet, or has ended: whoever is waited for, it is not the client.
    Pause,
}

thread_local! {
    static TOOK: Cell<Took> = const { Cell::new(Took::Nothing) };
}

/// Poll a stream, and see what its response's body did.
pub fn during<T>(poll: impl FnOnce() -> T) -> (T, Took) {
    TOOK.set(Took::Nothing);
    let polled = poll();
    (polled, TOOK.replace(Took::Nothing))
}

/// A piece was given.
pub(super) fn gave(bytes: usize) {
    let before = match TOOK.get() {
        Took::Bytes(before) => before,
        Took::Nothing | Took::Pause => 0,
    };
    TOOK.set(Took::Bytes(before + bytes));
}

/// There is nothing to give.
pub(super) fn pauses() {
    TOOK.set(Took::Pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_poll_counts_and_the_next_poll_begins_anew() {
        assert_eq!(during(|| ()).1, Took::Nothing);
        let pieces = during(|| {
            gave(3);
            gave(4);
        });
        assert_eq!(pieces.1, Took::Bytes(7));
        let ended = during(|| {
            gave(3);
            pauses();
        });
        assert_eq!(ended.1, Took::Pause);
        assert_eq!(during(|| ()).1, Took::Nothing);
    }
}
