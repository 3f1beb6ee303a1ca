//! What can be wrong with a configuration, said so that it can be repaired.

use std::{fmt, io, path::PathBuf};

use model::{Classified, ErrorClass};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key's path, for instance `edge.max_streams`; empty where a variable names no key.
    pub key: String,
    /// Where it came from: a file's path, an environment variable's name, or a flag.
    pub origin: String,
    /// What is wrong, and what would be right. Never the value itself: it may be a secret.
    pub what: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not TOML. The text around the place is not shown: it may be a secret.
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
    /// Keys that do not exist or values that do not fit.
    #[error("the configuration cannot be used:{}", Listed(.0))]
    Invalid(Vec<Invalid>),
}

impl Classified for ConfigError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// One block per problem.
struct Listed<'a>(&'a [Invalid]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Invalid { key, origin, what } in self.0 {
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "\n  {key}{colon}{what}\n    from: {origin}")?;
        }
        Ok(())
    }
}
