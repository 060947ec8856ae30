//! Writing the component with a core module in front of its hooks.
//!
//! Promises: all but the sections that lift is copied as it is. Leaves out: whether the result is valid.

use wasm_encoder as enc;
use wasm_encoder::ComponentSection;
use wasmparser::{CanonicalFunction, CanonicalOption};

use super::{Lifts, Survey};

/// What the module in front calls the instance that its imports come from.
const GUEST: &str = "guest";

impl Survey<'_> {
    /// The component with a module in front of the first lift of a hot function, and each lift with its new numbers.
    pub(super) fn rewrite(&self, component: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(component.len() + 1024);
        let mut copied = 0;
        for Lifts { section, functions } in &self.lifts {
            out.extend(component.get(copied..section.start)?);
            if copied == 0 {
                self.add_front(&mut out);
            }
            self.lift(functions)?.append_to_component(&mut out);
            copied = section.end;
        }
        out.extend(component.get(copied..)?);
        Some(out)
    }

    /// All hot functions, taken from the guest, through a core module of ours, and out of that.
    fn add_front(&self, out: &mut Vec<u8>) {
        let mut types = enc::TypeSection::new();
        let mut imports = enc::ImportSection::new();
        let mut exports = enc::ExportSection::new();
        let mut from_guest = enc::ComponentAliasSection::new();
        let mut from_front = enc::ComponentAliasSection::new();
        let kind = enc::ExportKind::Func;
        let (guest, front) = (self.before.instances, self.before.instances + 1);
        for (number, hot) in (0..).zip(&self.hot) {
            let name = hot.name;
            let params = vec![enc::ValType::I32; hot.params];
            types.ty().function(params, [enc::ValType::I32]);
            imports.import(GUEST, name, enc::EntityType::Function(number));
            exports.export(name, kind, number);
            let alias = |instance| enc::Alias::CoreInstanceExport {
                instance,
                kind,
                name,
            };
            from_guest.alias(alias(hot.instance));
            from_front.alias(alias(front));
        }
        let mut module = enc::Module::new();
        module.section(&types).section(&imports).section(&exports);
        let taken = self.hot.iter().enumerate();
        let taken =
            taken.map(|(number, hot)| (hot.name, kind, self.before.functions + number as u32));
        let mut instances = enc::InstanceSection::new();
        instances.export_items(taken);
        let arguments = [(GUEST, enc::ModuleArg::Instance(guest))];
        instances.instantiate(self.before.modules, arguments);
        from_guest.append_to_component(out);
        enc::ModuleSection(&module).append_to_component(out);
        instances.append_to_component(out);
        from_front.append_to_component(out);
    }

    /// The same lifts, of the hot functions' exports and with numbers that have moved by what was added: for each hot
    /// function the guest's own and the one exported again. None if an option is not understood.
    fn lift(&self, functions: &[CanonicalFunction]) -> Option<enc::CanonicalFunctionSection> {
        let added = self.hot.len() as u32;
        let moved = |function| {
            let behind = function >= self.before.functions;
            function + if behind { 2 * added } else { 0 }
        };
        let lifted = |function| {
            let mut hot = (self.before.functions + added..).zip(&self.hot);
            let front = hot.find(|(_, hot)| hot.function == function);
            front.map_or_else(|| moved(function), |(front, _)| front)
        };
        let option = |option: &CanonicalOption| match *option {
            CanonicalOption::UTF8 => Some(enc::CanonicalOption::UTF8),
            CanonicalOption::UTF16 => Some(enc::CanonicalOption::UTF16),
            CanonicalOption::CompactUTF16 => Some(enc::CanonicalOption::CompactUTF16),
            CanonicalOption::Memory(memory) => Some(enc::CanonicalOption::Memory(memory)),
            CanonicalOption::Realloc(function) => {
                Some(enc::CanonicalOption::Realloc(moved(function)))
            }
            CanonicalOption::PostReturn(function) => {
                Some(enc::CanonicalOption::PostReturn(moved(function)))
            }
            _ => None,
        };
        let mut section = enc::CanonicalFunctionSection::new();
        for function in functions {
            let CanonicalFunction::Lift {
                core_func_index,
                type_index,
                options,
            } = function
            else {
                return None;
            };
            let options = options.iter().map(option).collect::<Option<Vec<_>>>()?;
            section.lift(lifted(*core_func_index), *type_index, options);
        }
        Some(section)
    }
}
