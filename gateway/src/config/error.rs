//! What is wrong with a configuration: errors with file, line, key and what would be right.
//!
//! [`ConfigErrors`] is never empty and sorted by line. No message holds a value that came from a secret; values of
//! a plugin's own `config` are not shown at all. How a problem is found is told in `read`.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::Place;

/// One problem in a configuration, shown as `gateway.toml:12: plugins.limit.tme: unknown key; did you mean 'time'?`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub struct ConfigError {
    /// The file as given on the command line.
    pub file: PathBuf,
    /// Line, from 1; 0 if the problem is the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; known for errors of TOML itself.
    pub column: Option<usize>,
    /// Dotted key, such as `routes[0].path`; empty if none is known.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, if that can be guessed.
    pub hint: Option<String>,
}

impl ConfigError {
    /// A problem with what stands at a place.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self {
            file: place.file.clone(),
            line: place.line,
            column: None,
            key: place.key.clone(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same problem with a proposal.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// All problems of a configuration, one a line when shown. Equal if they say the same, whatever the files.
#[derive(Debug, Clone, Error)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    files: Vec<PathBuf>,
}

impl ConfigErrors {
    /// `Ok` if there are no problems, else all of them in the order of the file.
    pub fn check(mut errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        // The same may be found from several routes, with others of that line in between.
        let mut known = HashSet::new();
        errors.retain(|error| known.insert(error.clone()));
        Err(Self {
            errors,
            files: Vec::new(),
        })
    }

    /// The same problems, of a configuration that depends on these files.
    pub(super) fn with_files(self, files: Vec<PathBuf>) -> Self {
        Self { files, ..self }
    }

    /// The problems in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// Every file that the configuration depends on, as far as it could be read: itself, component files, secret files;
    /// also those that do not exist. A change of one may mend it. Absolute. Empty if the problems are not those of
    /// reading it: then it was read, and [`super::Config::files`] has them.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl PartialEq for ConfigErrors {
    fn eq(&self, other: &Self) -> bool {
        self.errors == other.errors
    }
}

impl Eq for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self {
            errors: vec![error],
            files: Vec::new(),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// What is wrong with a value, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Invalid {
    /// What is wrong.
    pub message: String,
    /// What would be right, if that can be guessed.
    pub hint: Option<String>,
}

impl Invalid {
    /// A problem without a proposal.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// The same problem with a proposal.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
