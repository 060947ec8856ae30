//! Placeholders, what they stand for, and what is refused.

use super::{Template, TemplateValues};
use crate::testing::{Exchange, Harness};
use crate::{ClientCertificate, Decision, Fault, OnRequest, Plugin, Request, Table};

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn filled(text: &str, exchange: &Exchange) -> Option<String> {
    let filled = template(text).fill(&exchange.request());
    filled.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn every_placeholder_stands_for_what_its_name_says() {
    let exchange = Exchange::new("PUT", "/users/7?x=1")
        .id("id-1")
        .client_ip("192.0.2.9")
        .authority("api.example:8080")
        .route("users")
        .param("id", "7")
        .attribute("consumer", "alice")
        .attribute("tier", "gold")
        .header("accept", "*/*");
    for (text, value) in [
        ("${request.id}", "id-1"),
        ("${client.ip}", "192.0.2.9"),
        ("${consumer}", "alice"),
        ("${route}", "users"),
        ("${request.method}", "PUT"),
        ("${request.path}", "/users/7"),
        ("${request.host}", "api.example:8080"),
        ("${request.header.Accept}", "*/*"),
        ("${param.id}", "7"),
        ("${attribute.tier}", "gold"),
        ("<${route}/${param.id}>", "<users/7>"),
        ("${route}${route}", "usersusers"),
        ("100 $$ $${route} {}", "100 $ ${route} {}"),
    ] {
        assert_eq!(filled(text, &exchange).as_deref(), Some(value), "{text}");
    }
}

#[test]
fn a_text_without_placeholders_is_fixed() {
    for (text, fixed) in [
        ("", Some("")),
        ("plain", Some("plain")),
        ("$$ {a} $$", Some("$ {a} $")),
        ("${route}", None),
        ("a ${route}", None),
    ] {
        assert_eq!(template(text).fixed(), fixed, "{text}");
    }
}

#[test]
fn only_what_is_empty_for_want_of_values_is_nothing() {
    let exchange = Exchange::get("/");
    let none = "${attribute.none}${param.none}${request.header.none}";
    assert_eq!(filled(none, &exchange), None);
    assert_eq!(filled("", &exchange).as_deref(), Some(""));
    assert_eq!(filled("u=${consumer}", &exchange).as_deref(), Some("u="));
}

#[test]
fn bytes_that_can_not_stand_in_a_field_become_question_marks() {
    let exchange = Exchange::get("/").attribute("a", "b\r\nx-admin: 1\0\u{7f}é\t");
    let expected = Some("b??x-admin: 1??é");
    assert_eq!(filled("${attribute.a}", &exchange).as_deref(), expected);
    let exchange = Exchange::get("/").header("x", b"\xff");
    let raw = template("${request.header.x}").fill(&exchange.request());
    assert_eq!(raw, Some(b"\xff".to_vec()));
}

#[test]
fn a_wrong_template_is_refused_and_its_fault_named() {
    for (text, error) in [
        ("b\nc", "the value has control characters"),
        ("${nope}", "unknown placeholder `${nope}`; there are "),
        ("${param.}", "unknown placeholder `${param.}`"),
        ("${request.header.a b}", "`${request.header.a b}`: \"a b\""),
        ("$x", "`$` begins"),
        ("${route", "`$` begins"),
        ("${}", "unknown placeholder `${}`"),
    ] {
        let found = Template::parse(text).unwrap_err();
        assert!(found.starts_with(error), "{text}: {found}");
    }
}

struct Marks(Table<Template>);

impl Plugin for Marks {
    type Config = Table<Template>;

    fn new(marks: Table<Template>) -> Result<Self, String> {
        Ok(Self(marks))
    }
}

impl OnRequest for Marks {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        let mut values = TemplateValues::of(request);
        let marks = self.0.0.iter();
        let filled: Vec<_> = marks
            .map(|(name, template)| (name, template.fill_from(&mut values)))
            .collect();
        assert!(values.known.len() <= 2, "each value is looked up once");
        for (name, value) in filled {
            request.set_header(name, value.unwrap_or_default())?;
        }
        Ok(Decision::Next)
    }
}

#[test]
fn a_plugin_takes_templates_from_its_configuration_and_fills_several_at_once() {
    let config = "x-a = '${consumer}'\nx-b = '${consumer}@${route}'\nx-c = '${route}'";
    let exchange = Exchange::get("/").attribute("consumer", "alice");
    let harness = Harness::<Marks>::new(config).unwrap();
    assert_eq!(harness.on_request(&exchange).unwrap(), Decision::Next);
    for (name, value) in [("x-a", "alice"), ("x-b", "alice@route"), ("x-c", "route")] {
        assert_eq!(exchange.request().header_str(name).as_deref(), Some(value));
    }
    for (config, error) in [
        ("x-a = '${nope}'", "`x-a`: unknown placeholder `${nope}`"),
        ("x-a = 1", "`x-a`: expected a string, found the number 1"),
    ] {
        let found = Harness::<Marks>::new(config).err().unwrap();
        assert!(found.starts_with(error), "{found}");
    }
}

#[test]
fn parts_of_a_certificate_are_empty_without_one() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = ClientCertificate {
        subject: "CN=alice".to_owned(),
        issuer: "CN=authority".to_owned(),
        serial: "01".to_owned(),
        fingerprint: "ab".to_owned(),
        dns_names: names(&["a.example", "b.example"]),
        emails: names(&[]),
        uris: names(&["spiffe://example/alice"]),
        ip_addresses: names(&[]),
        not_before: 0,
        not_after: 1,
    };
    let shown = Exchange::get("/").client_certificate(certificate);
    for (part, value) in [
        ("subject", Some("CN=alice")),
        ("issuer", Some("CN=authority")),
        ("serial", Some("01")),
        ("fingerprint", Some("ab")),
        ("dns", Some("a.example")),
        ("email", None),
        ("uri", Some("spiffe://example/alice")),
    ] {
        let text = format!("${{client.certificate.{part}}}");
        assert_eq!(filled(&text, &shown).as_deref(), value, "{part}");
        assert_eq!(filled(&text, &Exchange::get("/")), None, "{part}");
    }
    assert_eq!(shown.request().scheme(), "https");
    let unknown = Template::parse("${client.certificate.key}").unwrap_err();
    assert!(unknown.contains("client.certificate.PART"), "{unknown}");
}
