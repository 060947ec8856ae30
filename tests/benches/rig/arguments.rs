//! What a bench is asked for: `cargo bench .. -- [--quick] [--rounds N] [NAME ..]`.

/// The arguments of a bench.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// A look at whether it works; the figures mean little.
    pub(crate) is_quick: bool,
    /// How often to measure everything, if not as usual.
    rounds: Option<usize>,
    names: Vec<String>,
}

impl Arguments {
    /// Of this process. `None`: it was not started by `cargo bench` but, say, by `cargo test --benches`, which wants to
    /// know no figures.
    pub(crate) fn of_process() -> Option<Self> {
        let mut arguments = Self::default();
        let mut is_bench = false;
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => is_bench = true,
                "--quick" => arguments.is_quick = true,
                "--rounds" => {
                    arguments.rounds = words.next().and_then(|number| number.parse().ok())
                }
                _ => arguments.names.push(word),
            }
        }
        is_bench.then_some(arguments)
    }

    /// How often to measure everything.
    pub(crate) fn rounds(&self, usual: usize, quick: usize) -> usize {
        self.rounds
            .unwrap_or(if self.is_quick { quick } else { usual })
            .max(1)
    }

    /// Whether that part of the bench is asked for: without names, all are.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}
