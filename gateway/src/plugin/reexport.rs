//! What is done to a component before it is compiled: its most frequent hooks get a shorter way into the guest.
//!
//! wasmtime finds a lifted core function anew at every call. If the core instance that exports it has imported it, a
//! reference lies ready; if the instance has defined it, one is made from the compiled module's tables: some 700
//! instructions, a tenth of an empty hook. So one more core module is put in front of the guest's: it imports the
//! functions of `on-request` and `on-response` and exports them again, and what the component lifts is those exports.
//!
//! Promises: the component means the same; whatever is not fully understood is left as it is; the added core instance
//! never is one too many. Leaves out: the bodies of functions, which the compiler validates; what nested components lift;
//! the hooks on bodies and logs, beside which the way into the guest is short.

mod rewrite;
#[cfg(test)]
mod tests;

use std::ops::Range;

use wasmparser::types::TypesRef;
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentAliasSectionReader, ComponentType, ExternalKind,
    Instance, Parser, Payload, Validator,
};

use super::bindings::names;
use super::engine::MAX_CORE_INSTANCES;

/// To be raised whenever a component is changed in another way than before: compiled ones lie in the cache.
pub(super) const VERSION: u32 = 1;

/// The component with its hottest hooks exported again; none if there is nothing to gain or nothing sure.
pub(super) fn reexport(component: &[u8]) -> Option<Vec<u8>> {
    let changed = Survey::of(component)?.rewrite(component)?;
    // That the hooks have the types of the contract, and whatever else was taken for granted. Cheap without the bodies.
    validate(&changed, |_, _, _| Some(()))?;
    Some(changed)
}

/// How much there is of what the outermost component numbers. What is added comes behind all that.
#[derive(Clone, Copy, Default)]
struct Counts {
    modules: u32,
    instances: u32,
    functions: u32,
}

/// A core function that is to be exported again.
struct Hot<'a> {
    /// What it is exported as, and by which core instance.
    name: &'a str,
    instance: u32,
    /// Its number in the component.
    function: u32,
    params: usize,
}

/// A section that does nothing but lift core functions.
struct Lifts {
    /// From its head to its end.
    section: Range<usize>,
    functions: Vec<CanonicalFunction>,
}

/// What a component's outermost level says about its hooks.
#[derive(Default)]
struct Survey<'a> {
    hot: Vec<Hot<'a>>,
    /// The first section that lifts a hot function, and all that lift anything behind it.
    lifts: Vec<Lifts>,
    /// What there is in front of the first of them.
    before: Counts,
    /// Core modules are instantiated so often.
    core_instances: usize,
    /// Whether anything was lifted yet.
    lifting: bool,
    /// Where the section before ended.
    end: usize,
}

impl<'a> Survey<'a> {
    fn of(component: &'a [u8]) -> Option<Self> {
        let mut survey = Self::default();
        validate(component, |depth, part, known| {
            if depth == 0 {
                survey.look(part, known)
            } else {
                // A component may be instantiated many times over: then it isn't known here how many core instances
                // there are in all.
                let instantiates = matches!(
                    part,
                    Payload::InstanceSection(_) | Payload::ComponentCanonicalSection(_)
                );
                (!instantiates).then_some(())
            }
        })?;
        let room = survey.core_instances < MAX_CORE_INSTANCES;
        (room && !survey.lifts.is_empty()).then_some(survey)
    }

    /// Look at one part of the outermost level; none if it can't stand behind what is added.
    fn look(&mut self, part: &Payload<'a>, known: &Validator) -> Option<()> {
        if let Payload::Version { range, .. } = part {
            self.end = range.end;
        }
        let (Some((_, content)), Some(types)) = (part.as_section(), known.types(0)) else {
            return Some(());
        };
        let start = std::mem::replace(&mut self.end, content.end);
        let now = Counts {
            modules: types.module_count(),
            instances: types.core_instance_count(),
            functions: types.function_count(),
        };
        let added = !self.lifts.is_empty();
        // Modules and instances behind would have to be renumbered wherever they are used. (The very last part may be a
        // module unseen, but then nothing uses it.)
        if added && (now.modules, now.instances) != (self.before.modules, self.before.instances) {
            return None;
        }
        match part {
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    let instantiates = matches!(instance.ok()?, Instance::Instantiate { .. });
                    self.core_instances += usize::from(instantiates);
                }
            }
            Payload::ComponentAliasSection(aliases) => self.find_hot(aliases, types)?,
            Payload::ComponentTypeSection(types) if added => {
                for kind in types.clone() {
                    // A destructor is a core function, which would have to be renumbered.
                    if matches!(kind.ok()?, ComponentType::Resource { dtor: Some(_), .. }) {
                        return None;
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                let functions = functions.clone().into_iter().collect::<Result<_, _>>();
                self.find_lifts(start..content.end, functions.ok()?, now)?;
            }
            _ => {}
        }
        Some(())
    }

    fn find_hot(
        &mut self,
        aliases: &ComponentAliasSectionReader<'a>,
        types: TypesRef<'_>,
    ) -> Option<()> {
        let mut functions = Vec::new();
        for alias in aliases.clone() {
            if let ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Func | ExternalKind::FuncExact,
                instance_index,
                name,
            } = alias.ok()?
            {
                functions.push((instance_index, name));
            }
        }
        let first = types.function_count().checked_sub(functions.len() as u32)?;
        for (function, (instance, name)) in (first..).zip(functions) {
            let params = match name.strip_suffix("#handle") {
                Some(names::ON_REQUEST) => 1,
                Some(names::ON_RESPONSE) => 2,
                _ => continue,
            };
            // Each stands in front once; so they are few, too.
            if self.hot.iter().any(|hot| hot.name == name) {
                return None;
            }
            self.hot.push(Hot {
                name,
                instance,
                function,
                params,
            });
        }
        Some(())
    }

    fn find_lifts(
        &mut self,
        section: Range<usize>,
        functions: Vec<CanonicalFunction>,
        now: Counts,
    ) -> Option<()> {
        let lifted = |function: &CanonicalFunction| match function {
            CanonicalFunction::Lift {
                core_func_index, ..
            } => Some(*core_func_index),
            _ => None,
        };
        let lifts = functions.iter().filter_map(lifted).count();
        if lifts == 0 && !self.lifting {
            return Some(());
        }
        // Behind a lift no core function may be made: lowering what was lifted costs a core instance that nobody sees here.
        if lifts < functions.len() {
            return None;
        }
        self.lifting = true;
        let is_hot = |function| {
            self.hot
                .iter()
                .any(|hot| lifted(function) == Some(hot.function))
        };
        if self.lifts.is_empty() {
            if !functions.iter().any(is_hot) {
                return Some(());
            }
            self.before = now;
        }
        self.lifts.push(Lifts { section, functions });
        Some(())
    }
}

/// Validate all but the bodies of functions, and look at each part: how deep it lies, and what is known after it.
fn validate<'a>(
    component: &'a [u8],
    mut look: impl FnMut(usize, &Payload<'a>, &Validator) -> Option<()>,
) -> Option<()> {
    let mut validator = Validator::new();
    let mut depth = 0_usize;
    for part in Parser::new(0).parse_all(component) {
        let part = part.ok()?;
        validator.payload(&part).ok()?;
        look(depth, &part, &validator)?;
        match part {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Some(())
}
