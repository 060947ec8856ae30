//! From a file to a [`Config`]: the door of this module.
//!
//! The order of reading is that of reference: plugins and upstreams first, then what names them. Each table has a file
//! below this one. Here stays what concerns the document as a whole: reading the file, `[log]`, and the entries that
//! nothing uses, which are warnings and not errors, so that a route can be switched off for a while.

mod chain;
mod limits;
mod listeners;
mod pattern;
mod plugins;
mod routes;
mod server;
mod tls;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use super::read::{Member, Reader, Section, Variables, absolute, doubled};
use super::{Config, ConfigError, ConfigErrors, Invalid, Log, LogFormat, Place, suggest};

/// Bytes of a configuration file; 10,000 routes are about 2 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a name that the user gives.
const NAME_BYTES_MAX: usize = 64;
/// Timers don't resolve less.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longer timeouts are mistakes of a unit, and sums of time stay far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Read and check a configuration file. An unreadable file is reported like any other problem.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let source = read_file(path).map_err(|errors| errors.with_files(vec![absolute(path)]))?;
    parse(&source, path)
}

/// Check the text of a configuration. `file` is named in errors, and paths in the text are relative to its folder; it
/// need not exist itself. What is odd but not wrong goes to the log as a warning.
pub fn parse(source: &str, file: &Path) -> Result<Config, ConfigErrors> {
    let checked = check(source, file, &|name| std::env::var(name))?;
    warn(&checked.warnings);
    Ok(checked.config)
}

/// Read a configuration file, and answer with all problems and with what could be read beside them, for whoever wants to
/// know what else is wrong. Without problems it is what [`load`] answers with; with some it is not to be served:
///
/// - plugins and places in chains that have a mistake are left out, as are routes of which it is not sure what they match;
/// - the chains of such routes stand in `server.plugins`, so that their plugins can be asked;
/// - a route's upstream may not exist.
///
/// A file that can't be read, or is no TOML, has nothing beside its problems.
pub fn load_partly(path: &Path) -> (Option<Config>, Vec<ConfigError>) {
    let source = match read_file(path) {
        Ok(source) => source,
        Err(errors) => return (None, errors.iter().cloned().collect()),
    };
    let read = check_partly(&source, path, &|name| std::env::var(name));
    if read.errors.is_empty() {
        read.config
            .iter()
            .for_each(|checked| warn(&checked.warnings));
    }
    (read.config.map(|checked| checked.config), read.errors)
}

fn warn(warnings: &[ConfigError]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// A configuration with what is odd about it.
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) warnings: Vec<ConfigError>,
}

/// As [`parse`], with the environment as an argument.
pub(super) fn check(
    source: &str,
    file: &Path,
    variables: Variables<'_>,
) -> Result<Checked, ConfigErrors> {
    let read = check_partly(source, file, variables);
    match (ConfigErrors::check(read.errors), read.config) {
        (Ok(()), Some(checked)) => Ok(checked),
        (Ok(()), None) => unreachable!("a document without a syntax error is a configuration"),
        (Err(errors), _) => Err(errors.with_files(read.files)),
    }
}

/// What is wrong, and what could be read.
pub(super) struct Partly {
    pub(super) config: Option<Checked>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) files: Vec<PathBuf>,
}

/// As [`load_partly`], of a text and with the environment as an argument.
pub(super) fn check_partly(source: &str, file: &Path, variables: Variables<'_>) -> Partly {
    let (document, syntax) = DeTable::parse_recoverable(source);
    let reader = Reader::new(file, source, variables);
    let mut root = Section::root(&reader, document.get_ref());

    let log = log(&mut root);
    let plugins = plugins::read(&mut root);
    let upstreams = upstreams::read(&mut root);
    let mut server = server::read(&reader, &mut root, &plugins);
    let routes::Routes {
        mut routes,
        left_over,
    } = routes::read(&mut root, &plugins, &upstreams, &server.plugins);
    root.finish();

    let plugin_places = plugins
        .iter()
        .map(|(name, plugin)| (name.clone(), plugin.place.clone()))
        .collect();
    let upstream_places: Vec<(String, Place)> = upstreams
        .iter()
        .map(|(name, upstream)| (name.clone(), upstream.place.clone()))
        .collect();
    let broken = syntax.iter().any(|error| !doubled(error));
    let (errors, files) = reader.finish(&syntax);

    let plugins: BTreeMap<_, _> = plugins
        .into_iter()
        .filter_map(|(name, found)| Some((name, found.plugin?)))
        .collect();
    server.plugins.extend(left_over);
    for chain in
        std::iter::once(&mut server.plugins).chain(routes.iter_mut().map(|r| &mut r.plugins))
    {
        chain.retain(|entry| plugins.contains_key(&entry.plugin));
    }
    let config = Config {
        server,
        log,
        plugins,
        plugin_places,
        upstreams: upstreams
            .into_iter()
            .filter_map(|(name, found)| Some((name, found.upstream?)))
            .collect(),
        routes,
        files: files.clone(),
    };
    let warnings = warnings(&config, &upstream_places, file);
    Partly {
        config: (!broken).then_some(Checked { config, warnings }),
        errors,
        files,
    }
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let problem = |line: usize, message: String| {
        let place = Place {
            file: path.to_owned(),
            line,
            key: String::new(),
        };
        ConfigErrors::from(ConfigError::at(&place, message))
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(0, format!("can't be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(problem(0, "is larger than 16 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        problem(line, "is not UTF-8".to_owned())
    })
}

fn log(root: &mut Section<'_>) -> Log {
    let mut log = Log {
        level: "info".to_owned(),
        format: LogFormat::Text,
    };
    let Some(mut section) = root.section("log") else {
        return log;
    };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    log.format = section.choice("format", log.format, &formats);
    if let Some(item) = section.take("level")
        && let Some(level) = item.parsed("a level such as \"info\"", log_level)
    {
        log.level = level;
    }
    section.finish();
    log
}

/// The filter reads a word that is no level as a target with everything on, so `level = "inof"` would be accepted.
///
/// # Errors
/// If a directive names no level, or the whole is no filter.
pub fn log_level(text: &str) -> Result<String, Invalid> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let level = directive.rsplit('=').next().unwrap_or(directive);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let problem = Invalid::new(format!("{level:?} is not a level"));
            let hint = suggest::hint(level, LEVELS);
            return Err(Invalid { hint, ..problem });
        }
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Invalid::new(format!("{text:?} is not a filter: {error}"))),
    }
}

/// What is written and has no use, or more reach than is wise.
fn warnings(config: &Config, upstream_places: &[(String, Place)], file: &Path) -> Vec<ConfigError> {
    let at = |key: &str, message: &str| {
        let place = Place {
            file: file.to_owned(),
            line: 0,
            key: key.to_owned(),
        };
        ConfigError::at(&place, message)
    };
    let routes = &config.routes;
    let entries = routes
        .iter()
        .flat_map(|route| &route.plugins)
        .chain(&config.server.plugins);
    let plugins: BTreeSet<&str> = entries.map(|entry| entry.plugin.as_str()).collect();
    let upstreams: BTreeSet<&str> = routes.iter().map(|route| route.upstream.as_str()).collect();

    let mut warnings = Vec::new();
    for (_, place) in config
        .plugin_places
        .iter()
        .filter(|(name, _)| !plugins.contains(name.as_str()))
    {
        warnings.push(ConfigError::at(place, "no route uses this plugin"));
    }
    for (_, place) in upstream_places
        .iter()
        .filter(|(name, _)| !upstreams.contains(name.as_str()))
    {
        warnings.push(ConfigError::at(place, "no route uses this upstream"));
    }
    if routes.is_empty() {
        warnings.push(at("routes", "there are none, so every request gets 404"));
    }
    let now = SystemTime::now();
    warnings.extend(config.certificates().filter_map(|certificate| {
        let problem = certificate.validity.problem(now)?;
        Some(ConfigError::at(&certificate.place, problem))
    }));
    if config
        .server
        .admin
        .is_some_and(|admin| !admin.ip().to_canonical().is_loopback())
    {
        warnings.push(at(
            "server.admin",
            "other machines can reach the admin listener",
        ));
    }
    warnings
}

/// A name that the user gives to a plugin or an upstream; it becomes a label of metrics.
fn check_name(member: &Member<'_>) {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if member.name.is_empty()
        || member.name.len() > NAME_BYTES_MAX
        || !member.name.chars().all(fine)
    {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' or '.'");
        member.name_problem(Invalid::new(message));
    }
}
