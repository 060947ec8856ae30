//! Secrets in the configuration of a plugin: put in, watched, and never shown.

use super::*;

/// The JSON of a plugin whose `config` is written in a folder, or the problems.
fn config(folder: &Folder, config: &str) -> Result<(String, Config), String> {
    let source = with_plugin(&format!("component = \"stock:api-key\"\nconfig = {config}"));
    let checked =
        read_in(&folder.0.join("gateway.toml"), &source).map_err(|errors| errors.to_string())?;
    let json = checked.config.plugins["p"].config.json();
    Ok((json, checked.config))
}

#[test]
fn variables_and_files_are_put_in_wherever_a_string_stands() {
    let folder = Folder::new();
    folder.write("key.pem", "line 1\nline 2\r\n");
    folder.write("two", "x\n\n");
    for (written, json) in [
        ("{ a = \"${env:TOKEN}\" }", r#"{"a":"hunter2"}"#),
        (
            "{ a = \"Bearer ${env:TOKEN}, ${env:HOME}!\" }",
            r#"{"a":"Bearer hunter2, /home/joe!"}"#,
        ),
        (
            "{ a = [{ b = \"${env:TOKEN}\" }] }",
            r#"{"a":[{"b":"hunter2"}]}"#,
        ),
        (
            "{ keys = { \"${env:TOKEN}\" = \"joe\" } }",
            r#"{"keys":{"hunter2":"joe"}}"#,
        ),
        ("{ a = \"${file:key.pem}\" }", r#"{"a":"line 1\nline 2"}"#),
        ("{ a = \"${file:./two}\" }", r#"{"a":"x\n"}"#),
        ("{ a = \"${env:NESTED}\" }", r#"{"a":"${env:TOKEN}"}"#),
        (
            "{ a = \"${request.id} ${ $env:X ${\" }",
            r#"{"a":"${request.id} ${ $env:X ${"}"#,
        ),
    ] {
        assert_eq!(
            config(&folder, written).map(|(json, _)| json),
            Ok(json.to_owned()),
            "{written}"
        );
    }
}

#[test]
fn a_secret_file_is_watched() {
    let folder = Folder::new();
    let secret = folder.write("secret", "x");
    let (_, config) = config(
        &folder,
        "{ a = \"${file:secret}\", b = \"${file:secret}\" }",
    )
    .unwrap();
    assert_eq!(config.files, [folder.0.join("gateway.toml"), secret]);
}

#[test]
fn what_is_not_there_is_named() {
    let folder = Folder::new();
    folder.write("binary", b"\xff");
    for (placeholder, problem) in [
        (
            "${env:MISSING}",
            "the environment variable MISSING is not set",
        ),
        ("${env:}", "\"\" is not the name of an environment variable"),
        ("${env:A B}", "\"A B\" is not the name"),
        ("${env:TOKEN", "has no '}'"),
        (
            "${file:missing}",
            "the secret file \"missing\" does not exist or is not a file",
        ),
        (
            "${file:.}",
            "the secret file \".\" does not exist or is not a file",
        ),
        ("${file:binary}", "the secret file \"binary\" can't be read"),
        ("${file:}", "names no file"),
    ] {
        let found = config(
            &folder,
            &format!("{{ deep = {{ \"hunter2\" = \"hunter2{placeholder}\" }} }}"),
        )
        .unwrap_err();
        assert!(
            found.contains("gateway.toml:8: plugins.p.config: "),
            "{found}"
        );
        assert!(found.contains(problem), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    let found = config(&folder, "{ \"${env:TOKEN}\" = 1, hunter2 = 2 }").unwrap_err();
    assert!(
        found.contains("two keys are the same after substitution"),
        "{found}"
    );
}

#[test]
fn secrets_are_put_in_nowhere_else() {
    let config = good(&with_route("path = \"/\"\nname = \"${env:TOKEN}\""));
    assert_eq!(config.routes[0].name, "${env:TOKEN}");
}

#[test]
fn debug_output_has_no_configuration_of_a_plugin() {
    let folder = Folder::new();
    let (json, config) = config(&folder, "{ a = \"${env:TOKEN}\", b = \"plain\" }").unwrap();
    assert!(json.contains("hunter2"));
    let debug = format!("{config:#?}");
    assert!(debug.contains("PluginConfig(..)"));
    assert!(!debug.contains("hunter2") && !debug.contains("plain"));
}
