//! Stock plugin `headers`: set, append and remove header fields of requests and responses.
//!
//! Promises: whatever can be wrong with a name, a value or a placeholder is refused at load; a
//! placeholder never makes an exchange fail, and each is looked up at most once in a hook; edits
//! without placeholders are prepared at load. Leaves out: conditions, and editing values.

use plugin_sdk::{
    Decision, Edit, Fault, Header, Interest, OnRequest, OnResponse, Plugin, Preset, Request,
    Response, Table, Template, TemplateValues, header,
};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// The `config` table; the README explains the keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    request: Edits,
    #[serde(default)]
    response: Edits,
}

/// What to do with one of the two heads.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits {
    #[serde(default)]
    set: Table<Template>,
    #[serde(default)]
    append: Table<Vec<Template>>,
    #[serde(default)]
    remove: Vec<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct Headers {
    /// What of both is the same for each exchange.
    fixed: Preset,
    request: Plan,
    response: Plan,
}

/// Edits in the order in which they happen; none if they are the same for each exchange.
#[derive(Debug)]
struct Plan(Vec<Step>);

#[derive(Debug)]
enum Step {
    Set(String, Template),
    Append(String, Template),
    Remove(String),
}

impl Plugin for Headers {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let (request, request_fixed) =
            Plan::new(config.request).map_err(|error| format!("`request.{error}"))?;
        let (response, response_fixed) =
            Plan::new(config.response).map_err(|error| format!("`response.{error}"))?;
        let fixed = Preset::new()
            .request(request_fixed)
            .response(response_fixed);
        if fixed.is_empty() && request.0.is_empty() && response.0.is_empty() {
            return Err(
                "there is nothing to do: no `set`, `append` or `remove` in `request` or `response`"
                    .to_owned(),
            );
        }
        Ok(Self {
            fixed,
            request,
            response,
        })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::empty();
        // What is fixed for the response is told together with the request, which spares a call.
        interest.set(
            Interest::REQUEST,
            !self.fixed.is_empty() || !self.request.0.is_empty(),
        );
        interest.set(Interest::RESPONSE, !self.response.0.is_empty());
        interest
    }
}

impl OnRequest for Headers {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        if !self.request.0.is_empty() {
            request.edit_headers(&self.request.edits(request))?;
        }
        Ok(self.fixed.next(request)?)
    }
}

impl OnResponse for Headers {
    fn on_response(&self, request: &Request, response: &mut Response) -> Result<Decision, Fault> {
        response.edit_headers(&self.response.edits(request))?;
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(Headers: OnRequest, OnResponse);

impl Plan {
    /// The plan, or else the edits for each exchange. The text of an error continues a key: ``set`: ..``.
    fn new(edits: Edits) -> Result<(Self, Vec<Edit>), String> {
        let mut steps = Vec::new();
        for name in edits.remove {
            steps.push(Step::Remove(checked_name("remove", &name)?));
        }
        for (name, template) in edits.set {
            steps.push(Step::Set(checked_name("set", &name)?, template));
        }
        for (name, templates) in edits.append {
            let name = checked_name("append", &name)?;
            let appended = templates.into_iter();
            steps.extend(appended.map(|template| Step::Append(name.clone(), template)));
        }
        let is_fixed = steps.iter().all(|step| match step {
            Step::Set(_, template) | Step::Append(_, template) => template.fixed().is_some(),
            Step::Remove(_) => true,
        });
        let plan = Self(steps);
        if !is_fixed {
            return Ok((plan, Vec::new()));
        }
        let fixed = plan.filled(|template| template.fixed().map(Into::into));
        Ok((Self(Vec::new()), fixed))
    }

    /// The edits for an exchange.
    fn edits(&self, request: &Request) -> Vec<Edit> {
        let mut values = TemplateValues::of(request);
        self.filled(|template| template.fill_from(&mut values))
    }

    /// A `set` that comes out empty because its placeholders did removes the field, so that what
    /// the client sent under that name doesn't stay; such an `append` adds nothing.
    fn filled<'p>(&'p self, mut fill: impl FnMut(&'p Template) -> Option<Vec<u8>>) -> Vec<Edit> {
        let named = |name: &String, value| Header {
            name: name.clone(),
            value,
        };
        let edits = self.0.iter().filter_map(|step| match step {
            Step::Remove(name) => Some(Edit::Remove(name.clone())),
            Step::Set(name, template) => Some(match fill(template) {
                Some(value) => Edit::Set(named(name, value)),
                None => Edit::Remove(name.clone()),
            }),
            Step::Append(name, template) => {
                fill(template).map(|value| Edit::Append(named(name, value)))
            }
        });
        edits.collect()
    }
}

fn checked_name(key: &str, name: &str) -> Result<String, String> {
    header::check_name(name).map_err(|error| format!("{key}`: \"{name}\": {error}"))
}
