//! Stock plugin `headers`: set, append and remove header fields of requests and responses.
//!
//! Promises: whatever can be wrong with a name, a value or a placeholder is refused at load; a
//! placeholder never makes an exchange fail, and each is looked up at most once in a hook; edits
//! without placeholders are prepared at load. Leaves out: conditions, and editing values.

use plugin_sdk::{
    Decision, Edit, Fault, Header, Interest, OnRequest, OnResponse, Plugin, Request, Response,
    Table, Template, TemplateValues, header,
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
    request: Plan,
    response: Plan,
}

/// Edits in the order in which they happen.
#[derive(Debug)]
struct Plan {
    steps: Vec<Step>,
    /// The edits, if no step has a placeholder: then they are the same for each exchange.
    fixed: Option<Vec<Edit>>,
}

#[derive(Debug)]
enum Step {
    Set(String, Template),
    Append(String, Template),
    Remove(String),
}

impl Plugin for Headers {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let request = Plan::new(config.request).map_err(|error| format!("`request.{error}"))?;
        let response = Plan::new(config.response).map_err(|error| format!("`response.{error}"))?;
        if request.steps.is_empty() && response.steps.is_empty() {
            return Err(
                "there is nothing to do: no `set`, `append` or `remove` in `request` or `response`"
                    .to_owned(),
            );
        }
        Ok(Self { request, response })
    }

    fn interest(&self) -> Interest {
        let wanted = |plan: &Plan, interest| {
            if plan.steps.is_empty() {
                Interest::empty()
            } else {
                interest
            }
        };
        // What is fixed for the response is told together with the request, which spares a call.
        match &self.response.fixed {
            Some(edits) if !edits.is_empty() => Interest::REQUEST,
            _ => {
                wanted(&self.request, Interest::REQUEST)
                    | wanted(&self.response, Interest::RESPONSE)
            }
        }
    }
}

impl OnRequest for Headers {
    fn on_request(&self, request: &mut Request) -> Result<Decision, Fault> {
        match &self.request.fixed {
            Some(edits) if edits.is_empty() => {}
            Some(edits) => request.edit_headers(edits)?,
            None => request.edit_headers(&self.request.edits(request))?,
        }
        if let Some(edits) = self
            .response
            .fixed
            .as_ref()
            .filter(|edits| !edits.is_empty())
        {
            request.edit_response_headers(edits)?;
        }
        Ok(Decision::Next)
    }
}

impl OnResponse for Headers {
    fn on_response(&self, request: &Request, response: &mut Response) -> Result<Decision, Fault> {
        match &self.response.fixed {
            Some(edits) => response.edit_headers(edits)?,
            None => response.edit_headers(&self.response.edits(request))?,
        }
        Ok(Decision::Next)
    }
}

plugin_sdk::export!(Headers: OnRequest, OnResponse);

impl Plan {
    /// The text of an error continues a key: ``set`: ..``.
    fn new(edits: Edits) -> Result<Self, String> {
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
        let mut plan = Self { steps, fixed: None };
        if is_fixed {
            plan.fixed = Some(plan.filled(|template| template.fixed().map(Into::into)));
        }
        Ok(plan)
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
        let edits = self.steps.iter().filter_map(|step| match step {
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
