//! What instances tell each other by `kv`. The rest is tested with what `stock:jwt` makes of it.

use std::time::Duration;

use super::{Remote, Source};
use crate::http_client::HttpResponse;
use crate::testing::{Exchange, Harness};
use crate::{Decision, Fault, NoConfig, OnRequest, Plugin, Request, kv};

const URL: &str = "https://lists.example/";

/// Keeps a text.
struct Keep(Remote<String>);

impl Plugin for Keep {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self(Remote::new(Source::new(URL), |body| {
            String::from_utf8(body.to_vec()).map_err(|error| error.to_string())
        })))
    }
}

impl OnRequest for Keep {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let wanted = request.path();
        let text = self.0.get_newer(|text| *text == wanted);
        let text = text.ok_or("nothing")?;
        request.set_header("x-text", &*text)?;
        Ok(Decision::Next)
    }
}

fn text(harness: &Harness<Keep>, wanted: &str) -> Option<String> {
    let exchange = Exchange::get(wanted);
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    exchange.request().header_str("x-text")
}

/// What another instance has stored since the harness began.
fn store(harness: &Harness<Keep>, key: &str, seconds: u64, body: &str) {
    let stamp = (1_700_000_000 + seconds) * 1_000;
    let stored = [&stamp.to_be_bytes(), body.as_bytes()].concat();
    let key = format!("{key} {URL}");
    harness.run(|_| kv::set(&key, stored, None)).unwrap();
}

#[test]
fn a_document_is_taken_over_when_its_stamp_is_newer_or_not_there() {
    let harness = Harness::<Keep>::new("").unwrap();
    harness.on_fetch(|_| Ok(HttpResponse::new(200, "a")));
    assert_eq!(text(&harness, "a").as_deref(), Some("a"));
    harness.advance(Duration::from_secs(9));
    store(&harness, "document", 5, "b");
    // The stamp is not renewed yet: the document is not even read.
    assert_eq!(text(&harness, "b").as_deref(), Some("a"));
    store(&harness, "stamp", 5, "");
    assert_eq!(text(&harness, "b").as_deref(), Some("b"));
    store(&harness, "document", 6, "c");
    harness
        .run(|_| kv::delete(&format!("stamp {URL}")))
        .unwrap();
    assert_eq!(text(&harness, "c").as_deref(), Some("c"));
    assert_eq!(harness.fetches().len(), 1);
}

#[test]
fn a_document_that_does_not_suit_is_better_than_none() {
    let harness = Harness::<Keep>::new("").unwrap();
    harness.on_fetch(|_| Ok(HttpResponse::new(200, "a")));
    for _ in 0..3 {
        assert_eq!(text(&harness, "other").as_deref(), Some("a"));
    }
    assert_eq!(harness.fetches().len(), 1);
}

#[test]
fn a_store_that_fails_is_in_the_log_once_in_each_cooldown() {
    let harness = Harness::<Keep>::new("").unwrap();
    harness.on_fetch(|_| Ok(HttpResponse::new(200, "a")));
    harness.lose_stores();
    for _ in 0..5 {
        assert_eq!(text(&harness, "other").as_deref(), Some("a"));
    }
    let log = harness.log();
    let alone = log.iter().filter(|it| it.message.starts_with("kv fails"));
    assert_eq!(alone.count(), 1);
}
