//! The end of a long run: its report on stdout, and the exit code.

use std::{fmt::Display, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

/// Prints the report of a run, for people or as JSON. The exit code tells whether it is good.
pub fn print_report<R: Serialize + Display>(
    report: Result<R>,
    json: bool,
    is_good: impl FnOnce(&R) -> bool,
) -> ExitCode {
    let printed = report.and_then(|report| {
        if json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        Ok(is_good(&report))
    });
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
