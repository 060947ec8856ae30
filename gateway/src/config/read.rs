//! Typed access to a TOML document that collects problems instead of stopping at the first.
//!
//! [`Reader`] is one file being read, [`Section`] a table of it, [`Item`] a value with its place. A value that is wrong
//! is reported and replaced by its default; the result is thrown away in the end, since a problem was reported. What a
//! key means is not known here.

mod item;
mod section;

use std::cell::RefCell;
use std::env::VarError;
use std::path::{Path, PathBuf};

use super::{ConfigError, Place};

pub(super) use item::Item;
pub(super) use section::{Member, Section};

/// Errors of TOML itself that are reported; a binary file has thousands.
const SYNTAX_ERRORS_MAX: usize = 20;

/// How environment variables are read.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// One file being read, with what was found wrong so far.
pub(super) struct Reader<'a> {
    file: &'a Path,
    folder: PathBuf,
    line_starts: Vec<usize>,
    source: &'a str,
    /// Environment variables, for secrets and default folders.
    pub(super) variables: Variables<'a>,
    problems: RefCell<Vec<Problem>>,
    files: RefCell<Vec<PathBuf>>,
}

/// The absolute path of a file. That fails only for an empty path or without a current folder; then it stays as it is.
pub(super) fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// Whether the error of TOML is a doubled key, behind which the document can be read all the same.
pub(super) fn doubled(error: &toml::de::Error) -> bool {
    error.message().starts_with("duplicate key")
}

struct Problem {
    error: ConfigError,
    /// Whether it is that something is not there. Behind a syntax error it may well be there.
    absence: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, source: &'a str, variables: Variables<'a>) -> Self {
        let absolute = absolute(file);
        let newlines = source
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n');
        Self {
            file,
            folder: absolute.parent().unwrap_or(Path::new("")).to_owned(),
            line_starts: std::iter::once(0)
                .chain(newlines.map(|(at, _)| at + 1))
                .collect(),
            source,
            variables,
            problems: RefCell::default(),
            files: RefCell::new(vec![absolute]),
        }
    }

    /// The absolute path of a file named in the configuration.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Note a file whose change means a reload, whether or not it exists: one that appears may be what was missing.
    pub(super) fn watch(&self, file: &Path) {
        let mut files = self.files.borrow_mut();
        if !files.iter().any(|known| known == file) {
            files.push(file.to_owned());
        }
    }

    /// The place of a byte of the source.
    pub(super) fn place(&self, key: &str, offset: usize) -> Place {
        Place {
            file: self.file.to_owned(),
            line: self.line_starts.partition_point(|start| *start <= offset),
            key: key.to_owned(),
        }
    }

    /// How many problems were found so far.
    pub(super) fn problems(&self) -> usize {
        self.problems.borrow().len()
    }

    fn report(&self, error: ConfigError, absence: bool) {
        self.problems.borrow_mut().push(Problem { error, absence });
    }

    /// All problems and all files. `syntax` are the errors of TOML itself: from the first of them on the tables
    /// may not be what was meant, so what was found behind it, or found missing, is not reported. A doubled key does
    /// not have this effect.
    pub(super) fn finish(self, syntax: &[toml::de::Error]) -> (Vec<ConfigError>, Vec<PathBuf>) {
        let broken: Vec<ConfigError> = syntax
            .iter()
            .map(|error| self.syntax_error(error))
            .collect();
        let first_broken = syntax
            .iter()
            .zip(&broken)
            .filter(|(error, _)| !doubled(error))
            .map(|(_, error)| error.line)
            .min();
        let trusted = |problem: &Problem| match first_broken {
            Some(line) => problem.error.line < line && !problem.absence,
            None => true,
        };
        let problems = self.problems.into_inner().into_iter().filter(trusted);
        let errors = broken
            .into_iter()
            .take(SYNTAX_ERRORS_MAX)
            .chain(problems.map(|problem| problem.error))
            .collect();
        (errors, self.files.into_inner())
    }

    fn syntax_error(&self, error: &toml::de::Error) -> ConfigError {
        let offset = error.span().map_or(self.source.len(), |span| span.start);
        let place = self.place("", offset);
        let line_start = self.line_starts[place.line.saturating_sub(1)];
        let before = self.source.get(line_start..offset).unwrap_or("");
        let mut result = ConfigError::at(&place, error.message());
        result.column = Some(before.chars().count() + 1);
        result
    }
}
