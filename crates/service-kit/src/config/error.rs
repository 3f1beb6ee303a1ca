//! Problems of a configuration, described so that they can be fixed.

use std::{fmt, io, path::PathBuf};

use model::{Classified, ErrorClass};

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key's path, for instance `edge.max_streams`; empty where a variable names no key.
    pub key: String,
    /// The origin of the value: a file's path, an environment variable's name, or a flag.
    pub origin: String,
    /// The problem, and what would be valid. Never the value itself: it may be a secret.
    pub what: String,
}

/// Errors of loading a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file is not TOML. The text at this position is not shown: it may be a secret.
    #[error("file {} is not TOML: line {line}, column {column}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What the parser expected.
        what: String,
    },
    /// Unknown keys or invalid values.
    #[error("the configuration cannot be used:{}", ProblemList(.0))]
    Invalid(Vec<ConfigProblem>),
}

impl Classified for ConfigError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// One block per problem.
struct ProblemList<'a>(&'a [ConfigProblem]);

impl fmt::Display for ProblemList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ConfigProblem { key, origin, what } in self.0 {
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "\n  {key}{colon}{what}\n    from: {origin}")?;
        }
        Ok(())
    }
}
