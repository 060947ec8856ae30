//! What is changed, what is not, and that nobody can tell but by the clock.

use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Engine, Store};

use super::*;

/// Core functions: both hooks, and `text` with whatever a lift may name. Returning from `text` is counted.
const GUEST: &str = r#"
    (core module $guest
        (memory (export "memory") 1)
        (global $returned (mut i32) (i32.const 0))
        (global $allocated (mut i32) (i32.const 0))
        (func (export "gateway:plugin/on-request@0.1.0#handle") (param i32) (result i32)
            (i32.add (local.get 0) (i32.const 1)))
        (func (export "gateway:plugin/on-response@0.1.0#handle") (param i32 i32) (result i32)
            (i32.mul (local.get 0) (local.get 1)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $allocated (i32.add (global.get $allocated) (i32.const 1)))
            (i32.const 1024))
        (func (export "text") (param i32 i32) (result i32)
            (i32.store (i32.const 512) (local.get 0))
            (i32.store (i32.const 516) (local.get 1))
            (i32.const 512))
        (func (export "returned") (param i32)
            (global.set $returned (i32.add (global.get $returned) (i32.const 1))))
        (func (export "counts") (result i32)
            (i32.add (i32.mul (global.get $allocated) (i32.const 100)) (global.get $returned))))
    (core instance $g (instantiate $guest))"#;

const REQUEST: &str = r#"
    (func $request (param "x" u32) (result u32)
        (canon lift (core func $g "gateway:plugin/on-request@0.1.0#handle")))
    (instance $request (export "handle" (func $request)))
    (export "gateway:plugin/on-request@0.1.0" (instance $request))"#;

const RESPONSE: &str = r#"
    (func $response (param "x" u32) (param "y" u32) (result u32)
        (canon lift (core func $g "gateway:plugin/on-response@0.1.0#handle")))
    (instance $response (export "handle" (func $response)))
    (export "gateway:plugin/on-response@0.1.0" (instance $response))"#;

const TEXT: &str = r#"
    (func (export "text") (param "text" string) (result string)
        (canon lift (core func $g "text") (memory $g "memory")
            (realloc (func $g "realloc")) (post-return (func $g "returned"))))
    (func (export "counts") (result u32) (canon lift (core func $g "counts")))"#;

fn component(parts: &[&str]) -> Vec<u8> {
    wat::parse_str(format!("(component {})", parts.concat())).unwrap()
}

fn changed(component: &[u8]) -> Vec<u8> {
    let changed = reexport(component).expect("there is something to export again");
    Validator::new().validate_all(&changed).unwrap();
    assert_eq!(modules(&changed), modules(component) + 1);
    changed
}

fn modules(component: &[u8]) -> usize {
    let parts = Parser::new(0).parse_all(component);
    parts
        .filter(|part| matches!(part, Ok(Payload::ModuleSection { .. })))
        .count()
}

fn instantiate(component: &[u8]) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let component = Component::new(&engine, component).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component);
    (store, instance.unwrap())
}

/// What the hooks answer to 20 and to 6 and 7.
fn hooks((store, instance): &mut (Store<()>, Instance)) -> (u32, u32) {
    let mut find = |interface: &str| {
        let interface = instance.get_export_index(&mut *store, None, interface);
        let handle = instance.get_export_index(&mut *store, interface.as_ref(), "handle");
        instance.get_func(&mut *store, handle.unwrap()).unwrap()
    };
    let (request, response) = (find(names::ON_REQUEST), find(names::ON_RESPONSE));
    let request = request.typed::<(u32,), (u32,)>(&*store).unwrap();
    let response = response.typed::<(u32, u32), (u32,)>(&*store).unwrap();
    let request = request.call(&mut *store, (20,)).unwrap().0;
    (request, response.call(&mut *store, (6, 7)).unwrap().0)
}

#[test]
fn hooks_are_exported_again_and_answer_as_before() {
    for parts in [
        &[GUEST, REQUEST, RESPONSE][..],
        &[GUEST, RESPONSE, REQUEST],
        &[GUEST, TEXT, REQUEST, RESPONSE],
    ] {
        let component = component(parts);
        let mut guest = instantiate(&changed(&component));
        assert_eq!(hooks(&mut guest), (21, 42));
        assert_eq!(hooks(&mut guest), hooks(&mut instantiate(&component)));
    }
    for hook in [REQUEST, RESPONSE] {
        instantiate(&changed(&component(&[GUEST, hook])));
    }
}

/// The core instances that a component's functions are lifted from, one after the other. It must lower none.
fn lifted_from(component: &[u8]) -> Vec<u32> {
    let (mut exported_by, mut lifted) = (Vec::new(), Vec::new());
    for part in Parser::new(0).parse_all(component) {
        match part.unwrap() {
            Payload::ComponentAliasSection(aliases) => {
                exported_by.extend(
                    aliases
                        .into_iter()
                        .filter_map(|alias| match alias.unwrap() {
                            ComponentAlias::CoreInstanceExport {
                                kind: ExternalKind::Func,
                                instance_index,
                                ..
                            } => Some(instance_index),
                            _ => None,
                        }),
                );
            }
            Payload::ComponentCanonicalSection(functions) => {
                lifted.extend(
                    functions
                        .into_iter()
                        .map(|function| match function.unwrap() {
                            CanonicalFunction::Lift {
                                core_func_index, ..
                            } => exported_by[core_func_index as usize],
                            other => panic!("{other:?}"),
                        }),
                );
            }
            _ => {}
        }
    }
    lifted
}

#[test]
fn hooks_are_lifted_from_an_instance_that_imports_them_and_others_from_the_guest() {
    let component = component(&[GUEST, REQUEST, TEXT, RESPONSE]);
    assert_eq!(lifted_from(&component), [0, 0, 0, 0]);
    // The second only holds what the third imports.
    assert_eq!(lifted_from(&changed(&component)), [2, 0, 0, 2]);
}

#[test]
fn what_is_lifted_behind_finds_its_own_functions() {
    let component = component(&[GUEST, REQUEST, TEXT, RESPONSE]);
    let mut guest = instantiate(&changed(&component));
    assert_eq!(hooks(&mut guest), (21, 42));
    let (store, instance) = &mut guest;
    let text = instance.get_typed_func::<(&str,), (String,)>(&mut *store, "text");
    let text = text.unwrap();
    for _ in 0..3 {
        assert_eq!(text.call(&mut *store, ("hello",)).unwrap().0, "hello");
    }
    let counts = instance.get_typed_func::<(), (u32,)>(&mut *store, "counts");
    assert_eq!(counts.unwrap().call(&mut *store, ()).unwrap().0, 303);
}

#[test]
fn the_stock_plugins_hooks_are_exported_again() {
    let engine = super::super::engine::new_engine().unwrap();
    for name in ["api-key", "headers", "rate-limit"] {
        let component = stock_plugins::stock(name).unwrap();
        let before = Component::new(&engine, component).unwrap();
        let after = Component::new(&engine, changed(component)).unwrap();
        let exports = |component: &Component| {
            let kind = component.component_type();
            let names = kind.exports(&engine).map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(exports(&before), exports(&after), "{name}");
    }
    let none = stock_plugins::stock("access-log").unwrap();
    assert_eq!(reexport(none), None, "it has neither hook");
}

#[test]
fn what_is_not_understood_is_left_as_it_is() {
    let twice = REQUEST
        .replace("$request", "$again")
        .replace("plugin/on", "plugin/again-on");
    let twice = twice.replace("$g \"gateway:plugin/again-on", "$g \"gateway:plugin/on");
    // The third, so that its number would fit the first if it weren't moved.
    let returned = r#"(alias core export $g "returned" (core func))"#.repeat(2);
    let destructor = r#"(type (resource (rep i32) (dtor (func $g "returned"))))"#;
    let destructor = format!("{returned} {destructor}");
    let lowered = "(core func (canon lower (func $request)))";
    let early = r#"(func $early (result u32) (canon lift (core func $g "counts")))
        (core func (canon lower (func $early)))"#;
    let module = "(core module $more)";
    for (why, parts) in [
        ("nothing hot", &[GUEST, TEXT][..]),
        ("one function twice", &[GUEST, REQUEST, &twice]),
        ("a call of its own", &[GUEST, REQUEST, lowered]),
        ("an early call of its own", &[GUEST, early, REQUEST]),
        ("modules behind", &[GUEST, REQUEST, module, RESPONSE]),
        (
            "instances behind",
            &[
                GUEST,
                module,
                REQUEST,
                "(core instance (instantiate $more))",
            ],
        ),
        (
            "instances that export",
            &[
                GUEST,
                REQUEST,
                "(core instance (export \"memory\" (memory $g \"memory\")))",
            ],
        ),
        ("a destructor behind", &[GUEST, REQUEST, &destructor]),
        (
            "nested instances",
            &[
                "(component (core module $m) (core instance (instantiate $m)))",
                GUEST,
                REQUEST,
            ],
        ),
    ] {
        let component = component(parts);
        Validator::new().validate_all(&component).unwrap();
        assert_eq!(reexport(&component), None, "{why}");
    }
    let other = GUEST.replace(
        "(param i32) (result i32)\n            (i32.add (local.get 0)",
        "(param i64) (result i32)\n            (i32.add (i32.wrap_i64 (local.get 0))",
    );
    let typed = REQUEST.replace("\"x\" u32", "\"x\" u64");
    let component = component(&[&other, &typed]);
    Validator::new().validate_all(&component).unwrap();
    assert_eq!(reexport(&component), None, "not the contract's type");
}

#[test]
fn resources_and_components_without_core_instances_may_stand_behind() {
    let behind =
        "(type (resource (rep i32))) (component (import \"x\" (func)) (export \"y\" (func 0)))";
    changed(&component(&[GUEST, REQUEST, behind, RESPONSE]));
}

#[test]
fn there_is_room_for_one_core_instance_or_nothing_is_changed() {
    let crowd = |instances: usize| {
        let one = "(core instance (instantiate $empty))";
        let crowd = format!("(core module $empty) {}", one.repeat(instances - 1));
        component(&[GUEST, &crowd, REQUEST])
    };
    let engine = super::super::engine::new_engine().unwrap();
    Component::new(&engine, changed(&crowd(MAX_CORE_INSTANCES - 1))).unwrap();
    assert_eq!(reexport(&crowd(MAX_CORE_INSTANCES)), None);
}

#[test]
fn damaged_bytes_are_left_as_they_are() {
    let whole = component(&[GUEST, REQUEST, TEXT, RESPONSE]);
    for length in 0..whole.len() {
        if let Some(changed) = reexport(&whole[..length]) {
            // It ended between two sections.
            Validator::new().validate_all(&changed).unwrap();
        }
    }
    // Whatever becomes of them, nothing panics; what is valid stays so, and what isn't does not become it.
    let valid = |bytes: &[u8]| Validator::new().validate_all(bytes).is_ok();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            if let Some(changed) = reexport(&damaged) {
                assert_eq!(valid(&changed), valid(&damaged), "{at} ^ {flip}");
            }
        }
    }
    for garbage in [&b""[..], b"\0asm", b"<html>", &[0xff; 100]] {
        assert_eq!(reexport(garbage), None);
    }
}
