//! Runs one suite and follows its output.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use testkit::cluster::workspace;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::verdict::ScenarioOutcome;

/// Time allowed for a suite: about two seconds in total if everything passes, plus 30 s for each
/// scenario that gets no answer.
const DEADLINE: Duration = Duration::from_secs(600);

/// One run of the suite's command line.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Name of the suite in the report.
    pub(crate) name: &'static str,
    /// Its folder within the results.
    pub(crate) folder: &'static str,
    package: &'static str,
    arguments: [&'static str; 2],
}

/// The released suite, and the next suite's requirements for the two revisions that it has frozen.
pub(crate) const SUITES: [Suite; 3] = [
    Suite {
        name: "0.1.16 --suite all",
        folder: "stable",
        package: "conformance-stable",
        arguments: ["--suite", "all"],
    },
    Suite {
        name: "0.2.0-alpha.12 --requirements 2025-11-25",
        folder: "2025-11-25",
        package: "conformance-next",
        arguments: ["--requirements", "2025-11-25"],
    },
    Suite {
        name: "0.2.0-alpha.12 --requirements 2026-07-28",
        folder: "2026-07-28",
        package: "conformance-next",
        arguments: ["--requirements", "2026-07-28"],
    },
];

/// The meaning of a line of the suite's output.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// Number of scenarios that will run.
    ScenarioCount(usize),
    /// The scenario of this name starts.
    ScenarioStart(&'a str),
    /// The checks of the running scenario are in this folder.
    ChecksFolder(&'a str),
    /// Any other line.
    Other,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Self {
        if let Some(rest) = text.strip_prefix("=== Running scenario: ") {
            Self::ScenarioStart(rest.trim_end_matches('=').trim())
        } else if let Some(rest) = text.strip_prefix("Results saved to ") {
            Self::ChecksFolder(rest.trim())
        } else {
            let announced = text.strip_prefix("Running ").and_then(|rest| {
                let (before, _) = rest.split_once(" scenarios) against ")?;
                before.rsplit_once('(')?.1.parse().ok()
            });
            announced.map_or(Self::Other, Self::ScenarioCount)
        }
    }
}

impl Suite {
    /// Runs the suite against `url`, with its checks and its log in `folder`.
    ///
    /// # Errors
    /// The suite cannot be started, hangs, or does not run as many scenarios as it announced.
    pub(crate) async fn run(&self, url: &Url, folder: &Path) -> Result<Vec<ScenarioOutcome>> {
        let entry = format!(
            ".setup/conformance/node_modules/{}/dist/index.js",
            self.package
        );
        let entry = workspace().join(entry);
        ensure!(
            entry.exists(),
            "{} is missing: run `make setup`",
            entry.display()
        );
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.with_extension("log");
        let log = File::options().create(true).append(true).open(&path);
        let mut log = log.with_context(|| format!("opening {}", path.display()))?;
        let mut suite = Command::new(workspace().join(".setup/bin/node"))
            .arg(entry)
            .args(["server", "--url", url.as_str()])
            .args(self.arguments)
            .arg("--output-dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .kill_on_drop(true)
            .spawn()
            .context("starting the suite")?;
        let output = suite.stdout.take().context("its output is piped")?;
        let following = timeout(DEADLINE, follow(BufReader::new(output), &mut log));
        let hangs = || format!("hangs; its log is {}", path.display());
        let (announced, outcomes) = following.await.with_context(hangs)??;
        // The suite's exit code covers only what it scores; all of it is judged here by the checks.
        suite.wait().await.context("waiting for its end")?;
        ensure!(
            announced > 0 && outcomes.len() == announced,
            "announced {announced} scenarios and ran {}; its log is {}",
            outcomes.len(),
            path.display()
        );
        Ok(outcomes)
    }
}

/// Judges each scenario as soon as its checks are saved. Also gives the announced number of
/// scenarios.
async fn follow(
    output: BufReader<impl tokio::io::AsyncRead + Unpin>,
    log: &mut File,
) -> Result<(usize, Vec<ScenarioOutcome>)> {
    let (mut announced, mut outcomes) = (0, Vec::new());
    let mut running: Option<String> = None;
    let mut lines = output.lines();
    while let Some(line) = lines.next_line().await.context("reading its output")? {
        writeln!(log, "{line}").context("writing its log")?;
        match Line::read(&line) {
            Line::ScenarioCount(count) => announced = count,
            Line::ScenarioStart(scenario) => {
                finish(&mut outcomes, running.replace(scenario.to_owned()), None)?;
            }
            Line::ChecksFolder(folder) => finish(&mut outcomes, running.take(), Some(folder))?,
            Line::Other => {}
        }
    }
    finish(&mut outcomes, running, None)?;
    Ok((announced, outcomes))
}

fn finish(
    outcomes: &mut Vec<ScenarioOutcome>,
    scenario: Option<String>,
    folder: Option<&str>,
) -> Result<()> {
    let Some(scenario) = scenario else {
        return Ok(());
    };
    let outcome = match folder {
        Some(folder) => ScenarioOutcome::read(&scenario, &Path::new(folder).join("checks.json"))?,
        None => ScenarioOutcome::unfinished(&scenario),
    };
    let mark = if outcome.passed() { "ok  " } else { "FAIL" };
    println!("{mark} {scenario} ({} checks pass)", outcome.passed_checks);
    outcomes.push(outcome);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_suites_are_understood() {
        for (text, line) in [
            (
                "Running all suite (32 scenarios) against http://localhost:1/mcp",
                Line::ScenarioCount(32),
            ),
            (
                "Running requirements 2026-07-28 (50 scenarios) against http://localhost:1/mcp",
                Line::ScenarioCount(50),
            ),
            (
                "=== Running scenario: ping ===",
                Line::ScenarioStart("ping"),
            ),
            (
                "Results saved to /r/server-ping-1",
                Line::ChecksFolder("/r/server-ping-1"),
            ),
            (
                "Running client scenario 'ping' against server: x",
                Line::Other,
            ),
            ("", Line::Other),
        ] {
            assert_eq!(Line::read(text), line, "{text}");
        }
    }
}
