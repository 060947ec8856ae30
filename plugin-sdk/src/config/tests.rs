//! What a configuration may look like, and what its errors say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::parse;
use crate::NoConfig;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Everything {
    a_text: String,
    numbers: Vec<i16>,
    #[serde(default)]
    ratio: f64,
    maybe: Option<bool>,
    #[serde(default)]
    table: BTreeMap<String, (u8, char)>,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    any: serde_json::Value,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Plain,
    Holds(u32),
    Table { x: u32 },
}

#[test]
fn every_kind_of_value_arrives() {
    let json = r#" {"a-text": "x\"\\\u00e9\ud83d\ude00\n", "numbers": [-1, 32767], "ratio": 2.5e1, "maybe": null,
        "table": {"k": [255, "c"], "é": [0, "\t"]}, "kinds": ["plain", {"holds": 4}, {"table": {"x": 1}}],
        "any": {"deep": [1, -2, 1.5, true, false, null, {"e": []}]}} "#;
    let everything: Everything = parse(json).unwrap();
    assert_eq!(everything.a_text, "x\"\\é😀\n");
    assert_eq!(everything.numbers, [-1, i16::MAX]);
    assert!((everything.ratio - 25.0).abs() < f64::EPSILON);
    assert_eq!(everything.maybe, None);
    assert_eq!(everything.table["é"], (0, '\t'));
    assert_eq!(
        everything.kinds,
        [Kind::Plain, Kind::Holds(4), Kind::Table { x: 1 }]
    );
    assert_eq!(
        everything.any["deep"],
        serde_json::json!([1, -2, 1.5, true, false, null, {"e": []}])
    );
}

#[test]
fn what_serde_json_writes_is_read_back() {
    for text in ["", "\"", "\\", "\u{1}\u{7f}", "é😀", "a\"b\\c/d\n"] {
        let json = serde_json::to_string(&[text]).unwrap();
        assert_eq!(parse::<Vec<String>>(&json).unwrap(), [text]);
    }
    assert_eq!(
        parse::<Vec<u64>>("[18446744073709551615]").unwrap(),
        [u64::MAX]
    );
    assert_eq!(
        parse::<Vec<i64>>("[-9223372036854775808]").unwrap(),
        [i64::MIN]
    );
}

#[test]
fn an_error_names_the_key() {
    let error = |json| parse::<Everything>(json).unwrap_err();
    assert_eq!(error("{}"), "`a-text` is missing");
    assert_eq!(
        error(r#"{"a-text": 1}"#),
        "`a-text`: expected a string, found the number 1"
    );
    assert_eq!(
        error(r#"{"a-text": {"b": 2}}"#),
        "`a-text`: expected a string, found a table"
    );
    assert_eq!(
        error(r#"{"numbers": [1, 1.5]}"#),
        "`numbers[1]`: expected a whole number from -32768 to 32767, found 1.5"
    );
    assert_eq!(
        error(r#"{"numbers": [40000]}"#),
        "`numbers[0]`: expected a whole number from -32768 to 32767, found 40000"
    );
    assert_eq!(
        error(r#"{"table": {"k": [1]}}"#),
        "`table.k`: invalid length 1, expected a tuple of size 2"
    );
    assert_eq!(
        error(r#"{"table": {"k": [1, "c", 3]}}"#),
        "`table.k`: the list is too long"
    );
    assert_eq!(
        error(r#"{"kinds": ["plan"]}"#),
        "`kinds[0]`: unknown word \"plan\"; did you mean `plain`?"
    );
    assert!(error(r#"{"atext": "x"}"#).starts_with("`atext`: unknown key; did you mean `a-text`?"));
    assert!(error(r#"{"colour": 1}"#).starts_with("`colour`: unknown key; there are `a-text`, `"));
    let found = |json| parse::<Vec<u64>>(json).unwrap_err();
    assert_eq!(
        found("[-1]"),
        "`[0]`: expected a whole number of at least 0, found -1"
    );
    assert_eq!(found("true"), "expected a list, found true");
}

#[test]
fn a_duration_is_asked_for_by_an_example() {
    #[derive(Debug, Deserialize)]
    struct Per {
        #[serde(with = "crate::duration")]
        #[expect(dead_code, reason = "it is never read well")]
        per: std::time::Duration,
    }
    let error = |json| parse::<Per>(json).unwrap_err();
    assert_eq!(
        error(r#"{"per": 5}"#),
        "`per`: expected a duration such as \"1s\", found the number 5"
    );
    assert_eq!(
        error(r#"{"per": "5"}"#),
        "`per`: expected a duration such as \"1s\", found the string \"5\""
    );
}

#[test]
fn no_config_takes_no_key() {
    assert_eq!(parse::<NoConfig>("{}"), Ok(NoConfig {}));
    assert_eq!(
        parse::<NoConfig>(r#"{"a": 1}"#).unwrap_err(),
        "`a`: unknown key; there are no keys here"
    );
}

#[test]
fn text_that_is_not_json_is_an_error_and_never_a_panic() {
    let whole = r#"{"a-text": "x\u00e9\n", "numbers": [1], "any": {"b": [true, null, -1.5e3]}}"#;
    assert!(parse::<Everything>(whole).is_ok());
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        assert!(
            parse::<Everything>(&whole[..end]).is_err(),
            "{}",
            &whole[..end]
        );
        assert!(
            parse::<serde::de::IgnoredAny>(&whole[..end]).is_err(),
            "{}",
            &whole[..end]
        );
    }
    for bad in [
        "{} x",
        "{\"a-text\" \"x\"}",
        "[1 2]",
        "[,]",
        "tru",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\u12\"",
        "-",
    ] {
        assert!(parse::<serde_json::Value>(bad).is_err(), "{bad}");
    }
}
