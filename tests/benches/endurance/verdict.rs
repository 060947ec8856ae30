//! What a scenario found, and whether that is good enough.

use std::fmt;

use crate::rig::report::table;

/// What a scenario found.
pub(crate) struct Verdict {
    /// What was done.
    what: String,
    findings: Vec<Finding>,
}

struct Finding {
    name: String,
    figure: String,
    limit: String,
    /// `None`: a figure to know, without a limit.
    is_good: Option<bool>,
}

impl Verdict {
    /// Of a scenario that did this.
    pub(crate) fn of(what: String) -> Self {
        Self {
            what,
            findings: Vec::new(),
        }
    }

    /// A figure that may be at most `limit`.
    pub(crate) fn at_most(&mut self, name: &str, figure: f64, limit: f64, unit: &str) {
        self.findings.push(Finding {
            name: name.to_owned(),
            figure: written(figure, unit),
            limit: format!("at most {}", written(limit, unit)),
            is_good: Some(figure <= limit),
        });
    }

    /// Something that has to be so.
    pub(crate) fn must(&mut self, name: &str, figure: String, is_good: bool) {
        self.findings.push(Finding {
            name: name.to_owned(),
            figure,
            limit: "required".to_owned(),
            is_good: Some(is_good),
        });
    }

    /// A figure to know.
    pub(crate) fn note(&mut self, name: &str, figure: f64, unit: &str) {
        let figure = written(figure, unit);
        self.findings.push(Finding {
            name: name.to_owned(),
            figure,
            limit: String::new(),
            is_good: None,
        });
    }

    /// Whether every limit is kept.
    pub(crate) fn is_good(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.is_good != Some(false))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |is_good| match is_good {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "",
        };
        let rows: Vec<_> = self
            .findings
            .iter()
            .map(|it| {
                [
                    it.name.clone(),
                    it.figure.clone(),
                    it.limit.clone(),
                    word(it.is_good).to_owned(),
                ]
            })
            .collect();
        writeln!(
            f,
            "{}\n\n{}",
            self.what,
            table(["finding", "figure", "limit", ""], &rows)
        )
    }
}

fn written(figure: f64, unit: &str) -> String {
    let digits = if figure.fract() == 0.0 { 0 } else { 2 };
    format!("{figure:.digits$} {unit}").trim_end().to_owned()
}

/// Say what came of a scenario; whether that is good.
pub(crate) fn say(name: &str, came: std::io::Result<Verdict>) -> bool {
    match came {
        Ok(verdict) => {
            println!("## {name}\n\n{verdict}");
            verdict.is_good()
        }
        Err(error) => {
            println!("## {name}\n\ncould not be run: {error}\n");
            false
        }
    }
}
