//! `make conformance`: the official MCP conformance suite, through the balancer, on both topologies.
//!
//! Every scenario counts, including those that the suite runs without scoring them (pending ones,
//! extensions), and every check that did not pass counts: the suite's own exit code covers neither.

mod suite;
mod verdict;

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use testkit::cluster::{System, SystemKind, workspace};

use suite::{SUITES, Suite};
use verdict::ScenarioOutcome;

/// Folder for logs, checks and the report; replaces those of the previous run.
const RESULTS: &str = "results/conformance";

/// Runs the official conformance suites against the build with the fixtures (`FORGEWIRE_BIN`) that
/// deploy/conformance.sh makes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run only on the topology whose name contains this: embedded or cluster.
    #[arg(long, default_value = "")]
    topology: String,
    /// Run only suites whose name contains this, for instance 2026.
    #[arg(long, default_value = "")]
    suite: String,
}

/// The outcomes of one suite on one topology.
struct Section {
    kind: SystemKind,
    suite: &'static Suite,
    outcomes: Vec<ScenarioOutcome>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let passed = async {
        let sections = run(&Arguments::parse()).await?;
        Ok::<_, anyhow::Error>(sections.iter().all(Section::passed))
    };
    match passed.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Vec<Section>> {
    ensure!(
        env::var_os("FORGEWIRE_BIN").is_some(),
        "FORGEWIRE_BIN must name the build with the suite's fixtures: run `make conformance`"
    );
    let results = workspace().join(RESULTS);
    if results.exists() {
        fs::remove_dir_all(&results).with_context(|| format!("clearing {}", results.display()))?;
    }
    let mut sections = Vec::new();
    for kind in SystemKind::ALL {
        if kind.to_string().contains(&arguments.topology) {
            sections.extend(on(kind, &arguments.suite, &results.join(kind.to_string())).await?);
        }
    }
    ensure!(!sections.is_empty(), "no such topology or suite");
    let report = report(&sections);
    let file = results.join("report.txt");
    fs::write(&file, &report).with_context(|| format!("writing {}", file.display()))?;
    print!("\n{report}");
    println!("logs and checks are in {}", results.display());
    Ok(sections)
}

/// Runs all chosen suites against one system.
async fn on(kind: SystemKind, chosen: &str, results: &Path) -> Result<Vec<Section>> {
    let system = System::start_with(kind, |mut plan| {
        plan.dir = Some(results.join("system"));
        plan
    });
    let system = system.await?;
    let mut url = system.balancer().join("/mcp")?;
    // The scenario about DNS rebinding is meaningful only with this host name.
    url.set_host(Some("localhost"))?;
    let mut sections = Vec::new();
    for suite in SUITES.iter().filter(|suite| suite.name.contains(chosen)) {
        println!("== {kind}: {} at {url}", suite.name);
        let outcomes = suite.run(&url, &results.join(suite.folder)).await;
        let outcomes = outcomes.with_context(|| format!("{kind}: {}", suite.name))?;
        sections.push(Section {
            kind,
            suite,
            outcomes,
        });
    }
    system.stop().await?;
    Ok(sections)
}

impl Section {
    fn failing(&self) -> impl Iterator<Item = &ScenarioOutcome> {
        self.outcomes.iter().filter(|one| !one.passed())
    }

    fn passed(&self) -> bool {
        self.failing().next().is_none()
    }

    fn headline(&self) -> String {
        let (kind, name, all) = (self.kind, self.suite.name, self.outcomes.len());
        let checks: usize = self.outcomes.iter().map(|one| one.passed_checks).sum();
        let passed = all - self.failing().count();
        format!("{kind}, {name}: {passed} of {all} scenarios pass, {checks} checks\n")
    }
}

/// The report: every failure, listed once.
fn report(sections: &[Section]) -> String {
    let mut report = String::new();
    let mut told: Vec<(&str, SystemKind, String)> = Vec::new();
    for section in sections {
        report += &section.headline();
        let failures: String = section.failing().map(ToString::to_string).collect();
        let same = |(suite, _, text): &&(&str, SystemKind, String)| {
            *suite == section.suite.name && *text == failures && !failures.is_empty()
        };
        match told.iter().find(same) {
            Some((_, kind, _)) => report += &format!("  the same as on {kind}\n"),
            None => report += &failures,
        }
        told.push((section.suite.name, section.kind, failures));
    }
    report
}
