//! The native counterpart of `presets`: what a plugin has prepared, and doing it when a hook answers with its number.
//!
//! Promises: the gateway's checks and limits when a preset is prepared, and nothing done to an exchange before the
//! decision is returned. Leaves out: nothing.

use super::Exchange;
use super::fields::Fields;
use super::host::{Host, host};
use super::message::check_attribute;
use crate::bindings::imports::gateway::plugin::presets as contract;
use crate::{Decision, Edit, EditError, Fault};

/// Presets of one instance.
const PRESETS_MAX: usize = 512;
/// Bytes of all presets of one instance, with those of each edit and attribute beside its text.
const BYTES_MAX: usize = 256 << 10;
const PART_BYTES: usize = 64;

/// The presets of an instance, by number.
#[derive(Debug, Default)]
pub(super) struct Presets {
    list: Vec<contract::Preset>,
    bytes: usize,
}

/// The native `prepare`.
pub(crate) fn prepare(preset: &contract::Preset) -> Result<u32, EditError> {
    Fields::default().edit(&preset.request_edits)?;
    Fields::default().edit(&preset.response_edits)?;
    for attribute in &preset.attributes {
        check_attribute(&attribute.name, &attribute.value)?;
    }
    let host = host();
    let mut presets = host.presets.borrow_mut();
    let bytes = presets.bytes + bytes(preset);
    if presets.list.len() >= PRESETS_MAX || bytes > BYTES_MAX {
        return Err(EditError::TooLarge);
    }
    let number = u32::try_from(presets.list.len()).map_err(|_| EditError::TooLarge)?;
    presets.bytes = bytes;
    presets.list.push(preset.clone());
    Ok(number)
}

fn bytes(preset: &contract::Preset) -> usize {
    let edits = preset.request_edits.iter().chain(&preset.response_edits);
    let edits = edits.map(|edit| match edit {
        Edit::Set(header) | Edit::Append(header) => header.name.len() + header.value.len(),
        Edit::Remove(name) => name.len(),
    });
    let attributes = preset.attributes.iter();
    let attributes = attributes.map(|attribute| attribute.name.len() + attribute.value.len());
    edits.chain(attributes).map(|text| text + PART_BYTES).sum()
}

impl Host {
    /// Do what the preset of a decision says, if it is one, in the request's hook.
    pub(super) fn apply_to_request(
        &self,
        decision: Decision,
        exchange: &Exchange,
    ) -> Result<Decision, Fault> {
        let Decision::NextPreset(number) = decision else {
            return Ok(decision);
        };
        let preset = self.preset(number)?;
        exchange.request().edit_headers(&preset.request_edits)?;
        let mut request = exchange.request();
        request.edit_response_headers(&preset.response_edits)?;
        share(&preset, exchange)
    }

    /// The same in the response's hook, where the request can't be changed any more.
    pub(super) fn apply_to_response(
        &self,
        decision: Decision,
        exchange: &Exchange,
    ) -> Result<Decision, Fault> {
        let Decision::NextPreset(number) = decision else {
            return Ok(decision);
        };
        let preset = self.preset(number)?;
        if !preset.request_edits.is_empty() {
            return Err(EditError::ReadOnly.into());
        }
        exchange.response().edit_headers(&preset.response_edits)?;
        share(&preset, exchange)
    }

    fn preset(&self, number: u32) -> Result<contract::Preset, Fault> {
        let index = usize::try_from(number)?;
        let presets = self.presets.borrow();
        let preset = presets.list.get(index).cloned();
        preset.ok_or_else(|| format!("there is no preset {number}").into())
    }
}

fn share(preset: &contract::Preset, exchange: &Exchange) -> Result<Decision, Fault> {
    for attribute in &preset.attributes {
        let request = exchange.request();
        request.set_attribute(&attribute.name, &attribute.value)?;
    }
    Ok(Decision::Next)
}

#[cfg(test)]
mod tests {
    use super::super::{Exchange, Harness};
    use super::{PRESETS_MAX, contract, prepare};
    use crate::{
        ATTRIBUTE_BYTES_MAX, Decision, Edit, EditError, Fault, NoConfig, OnRequest, OnResponse,
        Plugin, Preset, Request, Response,
    };

    /// Does with one of its presets what the path says.
    struct Many(Vec<Preset>);

    impl Plugin for Many {
        type Config = NoConfig;

        fn new(_: NoConfig) -> Result<Self, String> {
            let preset = |number: usize| {
                Preset::new()
                    .request([Edit::set("x-number", number.to_string())])
                    .response([Edit::remove("server")])
                    .attribute("number", &number.to_string())
            };
            Ok(Self((0..=PRESETS_MAX).map(preset).collect()))
        }
    }

    impl OnRequest for Many {
        fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
            match &*request.path() {
                "/unknown" => Ok(Decision::NextPreset(700)),
                "/dropped" => {
                    let _ = self.0[0].next(request)?;
                    Ok(Decision::Next)
                }
                _ => Ok(self.0[7].next(request)?),
            }
        }
    }

    impl OnResponse for Many {
        fn on_response(&self, request: &Request, _: &mut Response) -> Result<Decision, Fault> {
            let is_wrong = request.path() == "/request";
            let preset = contract::Preset {
                request_edits: is_wrong.then(|| Edit::remove("a")).into_iter().collect(),
                response_edits: vec![Edit::set("x-late", "1")],
                attributes: Vec::new(),
            };
            Ok(Decision::NextPreset(prepare(&preset)?))
        }
    }

    fn harness() -> Harness<Many> {
        Harness::new("").unwrap()
    }

    fn exchange(path: &str) -> Exchange {
        Exchange::get(path).response_header("server", "x")
    }

    fn what_was_done(exchange: &Exchange) -> (Option<String>, Option<String>, bool) {
        let request = exchange.request();
        let number = request.header_str("x-number");
        let is_served = exchange.response().header("server").is_some();
        (number, request.attribute("number"), is_served)
    }

    #[test]
    fn a_returned_preset_is_done_and_a_dropped_one_does_nothing() {
        let (kept, dropped) = (exchange("/kept"), exchange("/dropped"));
        let harness = harness();
        for exchange in [&kept, &dropped] {
            assert_eq!(harness.on_request(exchange).unwrap(), Decision::Next);
        }
        let seven = Some("7".to_owned());
        assert_eq!(what_was_done(&kept), (seven.clone(), seven, false));
        assert_eq!(what_was_done(&dropped), (None, None, true));
    }

    #[test]
    fn when_no_more_presets_are_kept_the_calls_are_made_instead() {
        let harness = harness();
        let numbers = |harness: &Harness<Many>| {
            harness.run(|many| {
                let request = exchange("/");
                let decisions = many.0.iter().map(|it| it.next(&mut request.request()));
                let last = decisions.last().unwrap().unwrap();
                (last, what_was_done(&request).0)
            })
        };
        let last = Some("512".to_owned());
        assert_eq!(numbers(&harness), (Decision::Next, last.clone()));
        assert_eq!(numbers(&harness), (Decision::Next, last));
    }

    #[test]
    fn the_gateway_s_faults_are_faults() {
        let harness = harness();
        assert!(harness.on_request(&exchange("/unknown")).is_err());
        assert!(harness.on_response(&exchange("/request")).is_err());
        let late = exchange("/");
        assert_eq!(harness.on_response(&late).unwrap(), Decision::Next);
        assert_eq!(late.response().header_str("x-late").as_deref(), Some("1"));
    }

    #[test]
    fn names_and_values_are_checked_when_a_preset_is_prepared() {
        let harness = harness();
        let next = |preset: Preset| {
            let exchange = exchange("/");
            harness.run(|_| preset.next(&mut exchange.request()))
        };
        let long = "x".repeat(ATTRIBUTE_BYTES_MAX);
        for (preset, error) in [
            (
                Preset::new().request([Edit::remove("a b")]),
                EditError::InvalidName,
            ),
            (
                Preset::new().response([Edit::remove("host")]),
                EditError::Forbidden,
            ),
            (
                Preset::new().request([Edit::set("a", "\n")]),
                EditError::InvalidValue,
            ),
            (Preset::new().attribute("", "x"), EditError::InvalidName),
            (Preset::new().attribute("a", &long), EditError::TooLarge),
        ] {
            assert_eq!(next(preset), Err(error));
        }
        let fits = Preset::new().attribute("a", &long[1..]);
        assert_eq!(next(fits), Ok(Decision::NextPreset(0)));
    }
}
