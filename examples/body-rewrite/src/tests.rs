//! Whatever the chunks, the outcome is that of replacing in the whole.

use plugin_sdk::testing::{Exchange, Harness};
use plugin_sdk::{Decision, Interest};

use super::Rewrite;

fn rewrite(find: &str, replace: &str) -> Harness<Rewrite> {
    Harness::new(&format!("find = {find:?}\nreplace = {replace:?}")).unwrap()
}

#[test]
fn every_way_to_cut_a_text_gives_the_same() {
    for (find, replace) in [("hello", "good day"), ("aab", ""), ("aa", "b"), ("l", "ll")] {
        let harness = rewrite(find, replace);
        for text in [
            "",
            "hello",
            "say hello, hellohello",
            "hell o hel",
            "aaaab aab",
            "aaabaaaa",
            "é hello é",
        ] {
            let wanted = text.replace(find, replace).into_bytes();
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let text = text.as_bytes();
                    let chunks = [&text[..first], &text[first..second], &text[second..]];
                    let exchange = Exchange::get("/");
                    assert_eq!(harness.response_chunks(&exchange, &chunks).unwrap(), wanted);
                }
            }
        }
    }
}

#[test]
fn a_body_that_broke_off_leaves_nothing_behind() {
    let harness = rewrite("hello", "bye");
    // The end of this body never comes: `end` is set only on the last chunk, and this is one of two.
    let broken = Exchange::get("/");
    let decision = harness.run(|plugin| {
        use plugin_sdk::OnResponseBody as _;
        plugin.response_chunk(
            &broken.request(),
            &broken.response(),
            b"say hel".to_vec(),
            false,
        )
    });
    assert_eq!(
        decision.unwrap(),
        plugin_sdk::ChunkDecision::Replace(b"say ".to_vec())
    );
    assert_eq!(
        harness
            .response_chunks(&Exchange::get("/"), &[b"lo"])
            .unwrap(),
        b"lo"
    );
}

#[test]
fn only_plain_texts_are_looked_into() {
    let harness = rewrite("a", "b");
    let text = || Exchange::get("/").response_header("content-type", "text/html; charset=utf-8");
    let chunks = Decision::NextWith(Interest::RESPONSE_BODY_CHUNKS);
    let exchange = text().response_header("etag", "\"1\"");
    assert_eq!(harness.on_response(&exchange).unwrap(), chunks);
    assert_eq!(exchange.response().header("etag"), None);
    for other in [
        Exchange::get("/"),
        Exchange::get("/").response_header("content-type", "image/png"),
        text().response_header("content-encoding", "gzip"),
    ] {
        assert_eq!(harness.on_response(&other).unwrap(), Decision::Next);
    }
}

#[test]
fn upstreams_are_asked_for_the_whole_text() {
    let exchange = Exchange::get("/")
        .header("accept-encoding", "gzip")
        .header("range", "bytes=0-1");
    assert_eq!(
        rewrite("a", "b").on_request(&exchange).unwrap(),
        Decision::Next
    );
    assert_eq!(exchange.request().header("accept-encoding"), None);
    assert_eq!(exchange.request().header("range"), None);
}

#[test]
fn a_text_of_no_length_is_refused() {
    assert!(Harness::<Rewrite>::new("find = ''\nreplace = 'x'").is_err());
}
