//! All problems at once, each with its line; and no input that ends in a panic.

use std::path::Path;

use super::super::{ConfigError, ConfigErrors, Place, load};
use super::*;

#[test]
fn the_example_is_fine_and_everything_in_it_used() {
    let checked = read(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings, []);
}

#[test]
fn eight_mistakes_are_reported_at_once_with_their_lines() {
    let source = r#"
[server]
listen = ["127.0.0.1"]
worker = 2

[plugins.limit]
component = "stock:rate-limits"
limits = { tme = "5ms", wall-time = 5 }

[upstreams.users]
endpoints = ["http://127.0.0.1:9001"]

[[routes]]
path = "users"
upstream = "user"
plugins = ["limt"]
"#;
    assert_eq!(
        problems(source),
        [
            r#"3: server.listen[0]: "127.0.0.1" is not an address with a port; such as "127.0.0.1:8080", "0.0.0.0:80" or "[::1]:8080""#,
            "4: server.worker: unknown key; did you mean 'workers'?",
            r#"7: plugins.limit.component: there is no stock plugin "rate-limits"; did you mean 'rate-limit'?"#,
            r#"8: plugins.limit.limits.wall-time: expected a duration such as "5ms" or "2s", found the integer 5"#,
            "8: plugins.limit.limits.tme: unknown key; did you mean 'time'?",
            r#"14: routes[0].path: "users" does not begin with '/'; write "/users""#,
            r#"15: routes[0].upstream: there is no upstream "user"; did you mean 'users'?"#,
            r#"16: routes[0].plugins[0]: there is no plugin "limt"; did you mean 'limit'?"#,
        ]
    );
}

#[test]
fn problems_are_shown_one_a_line_with_the_file() {
    let errors = read("a = 1\nb = 2\n").err().unwrap();
    let text = errors.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("gateway.toml:1: a: unknown key; known: log, "),
        "{text}"
    );
    assert!(
        lines[1].starts_with("gateway.toml:2: b: unknown key"),
        "{text}"
    );
}

#[test]
fn several_errors_of_toml_itself_have_line_and_column() {
    let problems = problems("[server]\nworkers = = 3\n\n[log]\nlevel = \"x\n");
    assert!(problems.len() >= 2, "{problems:#?}");
    assert!(problems[0].starts_with("2:11: "), "{problems:#?}");
    assert!(
        problems.iter().any(|problem| problem.starts_with("5:")),
        "{problems:#?}"
    );
}

#[test]
fn behind_an_error_of_toml_nothing_is_guessed() {
    // Line 1 is wrong for sure. The upstream may exist in what could not be read.
    let source = "sever = 1\nroutes = [{ path = \"/\", upstream = \"u\" }]\n\
                  upstreams.u.endpoints = [\"http://u\n[lgo]\n";
    let problems = problems(source);
    assert!(problems[0].starts_with("1: sever: unknown key; did you mean 'server'?"));
    assert!(problems[1].starts_with("3:35: "), "{problems:#?}");
    let guessed = |problem: &String| problem.contains("upstream") || problem.contains("lgo");
    assert!(!problems.iter().any(guessed), "{problems:#?}");
}

#[test]
fn a_doubled_key_hides_nothing() {
    let problems = problems("[server]\nworkers = 1\nworkers = 2\nwokers = 3\n");
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0].starts_with("3:1: duplicate key"),
        "{problems:#?}"
    );
    assert!(problems[1].starts_with("4: server.wokers"), "{problems:#?}");
}

#[test]
fn a_table_of_the_wrong_type_is_reported() {
    assert_problem(
        "server = 1",
        "1: server: expected a table, found an integer",
    );
    assert_problem("plugins = []", "1: plugins: expected a table, found a list");
    assert_problem(
        "plugins.a = \"b\"",
        "1: plugins.a: expected a table, found a string",
    );
    assert_problem(
        "[routes]\npath = \"/\"",
        "1: routes: expected a list of tables: each route begins with [[routes]], found a table",
    );
    assert_problem(
        "routes = [1]",
        "1: routes[0]: expected a table, found an integer",
    );
}

#[test]
fn what_nothing_uses_is_a_warning() {
    let source =
        "[plugins.p]\ncomponent = \"stock:headers\"\n[upstreams.p]\nendpoints = [\"http://u\"]\n";
    let warnings = |source: &str| -> Vec<String> {
        read(source)
            .map(|checked| checked.warnings)
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        warnings(source),
        [
            "gateway.toml:1: plugins.p: no route uses this plugin",
            "gateway.toml:3: upstreams.p: no route uses this upstream",
            "gateway.toml: routes: there are none, so every request gets 404",
        ]
    );
    let public = EXAMPLE.replace("127.0.0.1:9901", "0.0.0.0:9901");
    assert_eq!(
        warnings(&public),
        ["gateway.toml: server.admin: other machines can reach the admin listener"]
    );
}

#[test]
fn a_file_is_loaded_and_watched_under_its_absolute_path() {
    let folder = Folder::new();
    let file = folder.write("gateway.toml", EXAMPLE);
    assert_eq!(load(&file).unwrap().files, [file]);
}

#[test]
fn an_unreadable_file_is_a_problem_like_others() {
    let folder = Folder::new();
    let shown = |path: &Path| load(path).unwrap_err().to_string();
    let missing = folder.0.join("missing.toml");
    assert!(shown(&missing).starts_with(&format!("{}: can't be read: ", missing.display())));
    assert!(shown(&folder.0).contains(": can't be read: "));
    let binary = folder.write("binary.toml", b"a = 1\nb = \xff\n");
    assert_eq!(
        shown(&binary),
        format!("{}:2: is not UTF-8", binary.display())
    );
}

#[test]
fn a_refused_configuration_names_every_file_whose_mending_would_help() {
    let folder = Folder::new();
    folder.write("there", "x");
    folder.write("there.wasm", "");
    let file = folder.0.join("gateway.toml");
    let source = r#"
        [plugins.a]
        component = "there.wasm"
        [plugins.b]
        component = "missing.wasm"
        config = { a = "${file:there}", b = "${file:missing}" }
        [[routes]]
        path = "wrong"
        upstream = "missing"
        plugins = ["missing", { use = "missing", config = { a = "${file:own}" } }]
    "#;
    let errors = read_in(&file, source).err().unwrap();
    let names = [
        "gateway.toml",
        "there.wasm",
        "missing.wasm",
        "there",
        "missing",
        "own",
    ];
    assert_eq!(errors.files(), names.map(|name| folder.0.join(name)));

    let broken = read_in(&file, "plugins = = 1\n").err().unwrap();
    assert_eq!(broken.files(), [folder.0.join("gateway.toml")]);
    let relative = read("sever = 1").err().unwrap();
    assert_eq!(
        relative.files(),
        [std::path::absolute("gateway.toml").unwrap()]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_file_whose_mending_would_help() {
    let folder = Folder::new();
    let binary = folder.write("binary.toml", b"\xff");
    for path in [folder.0.join("missing.toml"), folder.0.clone(), binary] {
        assert_eq!(load(&path).unwrap_err().files(), [path]);
    }
    let relative = Path::new("no-such-file.toml");
    assert_eq!(
        load(relative).unwrap_err().files(),
        [std::path::absolute(relative).unwrap()]
    );
}

#[test]
fn problems_that_say_the_same_are_equal_whatever_files_they_come_from() {
    let error = ConfigError::at(&Place::default(), "wrong");
    let here = ConfigErrors::check(vec![error.clone(), error]).unwrap_err();
    assert_eq!((here.iter().count(), here.files().len()), (1, 0));
    let there = here.clone().with_files(vec!["/a".into()]);
    assert_eq!((&here, there.files()), (&there, ["/a".into()].as_slice()));
}

/// A small generator with a fixed start, so that a failure can be repeated (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % bound
    }
}

/// Replaces, removes, doubles or inserts a few characters or whole lines.
fn mutate(random: &mut Random, source: &str) -> String {
    const PIECES: [&str; 24] = [
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "#",
        "\\",
        "${env:",
        "${file:x}",
        "-1",
        "1e9",
        "nan",
        "é",
        "\0",
        "\u{feff}",
        "\r",
        "[[",
        "99999999999999999999",
        "%2",
    ];
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(lines.len());
        let other = lines[random.below(lines.len())].clone();
        match random.below(6) {
            0 => lines[at] = other,
            1 => lines.insert(at, other),
            2 if lines.len() > 1 => drop(lines.remove(at)),
            kind => {
                let mut characters: Vec<char> = lines[at].chars().collect();
                let from = random.below(characters.len() + 1);
                let until =
                    (from + if kind == 3 { 0 } else { random.below(4) }).min(characters.len());
                characters.splice(from..until, PIECES[random.below(PIECES.len())].chars());
                lines[at] = characters.into_iter().collect();
            }
        }
    }
    lines.join("\n")
}

#[test]
fn no_mutation_of_a_file_ends_in_a_panic_or_an_empty_report() {
    let mut random = Random(20260731);
    let mut refused = 0;
    for _ in 0..3_000 {
        let mut source = EXAMPLE.to_owned();
        for _ in 0..=random.below(3) {
            source = mutate(&mut random, &source);
        }
        let lines = source.lines().count() + 1;
        if let Err(errors) = read(&source) {
            refused += 1;
            assert!(errors.iter().count() > 0);
            assert!(
                errors.iter().all(|error| error.line <= lines),
                "{errors}\n{source}"
            );
        }
    }
    assert!(
        refused > 1_000,
        "only {refused} of the mutations broke anything"
    );
}
