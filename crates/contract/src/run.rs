//! The suites of all ports, run through the test runner's own reporting.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{
    Abilities, Harness, Port, budget, bus, case::Case, event_log, leases, log_store, mailbox,
    mirror_reads, names, posted_calls, records, resource_reader, session_records, subscriptions,
    tasks,
};

/// Maximum duration of one case.
const CASE_TIMEOUT: Duration = Duration::from_secs(30);
/// Threads of a case's runtime: enough for the tasks of a case to run in parallel.
const CASE_THREADS: usize = 4;

/// Runs the suite against an adapter: this is the whole `main` of its `tests/contract.rs`. Accepts
/// the arguments of every Rust test. Omits the cases of ports that the adapter does not implement.
#[must_use]
pub fn run(harness: impl Harness) -> ExitCode {
    run_all([Arc::new(harness) as Arc<dyn Harness>])
}

/// As [`run`], against several adapters, or one with different layers.
#[must_use]
pub fn run_all(harnesses: impl IntoIterator<Item = Arc<dyn Harness>>) -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for harness in harnesses {
        for (abilities, cases) in suites() {
            let Some(abilities) = abilities(&*harness) else {
                continue;
            };
            let trial = |case| trial(case, abilities, Arc::clone(&harness));
            trials.extend(cases.iter().map(trial));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// As [`run`], for an adapter that cannot be tried here: reports the suite as ignored, with the reason.
#[must_use]
pub fn ignore(backend: &str, reason: &'static str) -> ExitCode {
    let name = format!("{backend} (cannot: {reason})");
    let ignored = Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)));
    let trials = vec![ignored.with_ignored_flag(true)];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The abilities that a suite asks an adapter for; `None` if it does not run there.
type SuiteAbilities = fn(&dyn Harness) -> Option<Abilities>;

/// The cases of each port.
fn suites() -> [(SuiteAbilities, &'static [Case]); 14] {
    let log: SuiteAbilities = |harness| harness.abilities(Port::EventLog);
    let sessions: SuiteAbilities = |harness| harness.abilities(Port::SessionStore);
    let records: SuiteAbilities = |harness| harness.record_abilities();
    [
        (log, log_store::CASES),
        (log, event_log::CASES),
        (sessions, mailbox::CASES),
        (sessions, leases::CASES),
        (records, records::CASES),
        (records, session_records::CASES),
        (records, tasks::CASES),
        (records, names::CASES),
        (records, posted_calls::CASES),
        (records, subscriptions::CASES),
        (|harness| harness.abilities(Port::Bus), bus::CASES),
        (
            |harness| harness.abilities(Port::ResourceReader),
            resource_reader::CASES,
        ),
        (
            |harness| harness.abilities(Port::ResourceReader),
            mirror_reads::CASES,
        ),
        (|harness| harness.abilities(Port::Budget), budget::CASES),
    ]
}

fn trial(case: &'static Case, abilities: Abilities, harness: Arc<dyn Harness>) -> Trial {
    let promise = case
        .promise
        .rsplit("::")
        .next()
        .unwrap_or(case.promise)
        .trim();
    let name = format!("{}::{}::{promise}", harness.backend(), case.clause);
    match case.needs.unmet(abilities) {
        // `--include-ignored` must not make it pass either.
        Some(reason) => Trial::ignorable_test(format!("{name} (cannot: {reason})"), move || {
            Ok(Completion::ignored_with(reason))
        })
        .with_ignored_flag(true),
        None => Trial::test(name, move || run_case(case, harness)),
    }
}

fn run_case(case: &Case, harness: Arc<dyn Harness>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CASE_THREADS)
        .enable_all()
        .build()
        .context("cannot start a runtime for the case")
        .map_err(|error| format!("{error:#}"))?;
    let body = case.body;
    let outcome = runtime.block_on(async move {
        // Runs in its own task, so that a panic becomes an error and the runtime shuts down in an
        // orderly way.
        let task = tokio::spawn(body(harness));
        let stop = task.abort_handle();
        tokio::time::timeout(CASE_TIMEOUT, task)
            .await
            .unwrap_or_else(|_| {
                stop.abort();
                Ok(Err(anyhow!(
                    "no result within {} s",
                    CASE_TIMEOUT.as_secs()
                )))
            })
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}").into()),
        Err(panic) => Err(format!("the case panicked: {panic}").into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::suites;

    const SOURCES: [&str; 14] = [
        include_str!("../../ports/src/log_store.rs"),
        include_str!("../../ports/src/event_log.rs"),
        include_str!("../../edge-records/src/sessions.rs"),
        include_str!("../../ports/src/mailbox.rs"),
        include_str!("../../ports/src/leases.rs"),
        include_str!("../../ports/src/records.rs"),
        include_str!("../../edge-records/src/tasks.rs"),
        include_str!("../../edge-records/src/names.rs"),
        include_str!("../../edge-records/src/posted_calls.rs"),
        include_str!("../../subscriptions/src/records.rs"),
        include_str!("../../ports/src/bus.rs"),
        include_str!("../../ports/src/resources.rs"),
        include_str!("../../ports/src/mirror.rs"),
        include_str!("../../ports/src/budget.rs"),
    ];

    /// The clauses in the ports' sources: lines that begin with `/// - **XX-nn**`.
    fn promised() -> BTreeSet<&'static str> {
        let lines = SOURCES.iter().flat_map(|source| source.lines());
        lines
            .filter_map(|line| line.trim().strip_prefix("/// - **")?.split("**").next())
            .collect()
    }

    fn checked() -> BTreeSet<&'static str> {
        suites()
            .iter()
            .flat_map(|(_, cases)| cases.iter().map(|case| case.clause))
            .collect()
    }

    #[test]
    fn every_clause_has_a_case_and_every_case_a_clause() {
        assert_eq!(promised(), checked());
        assert!(
            promised().len() >= 120,
            "the ports' doc comments are read wrongly"
        );
    }

    #[test]
    fn clauses_are_numbered_without_holes() {
        let counts = [
            ("LS", 7),
            ("EL", 17),
            ("SS", 18),
            ("MB", 19),
            ("LK", 10),
            ("RC", 22),
            ("TS", 15),
            ("NR", 4),
            ("PC", 5),
            ("SB", 16),
            ("BU", 11),
            ("RR", 4),
            ("ML", 5),
            ("BG", 12),
        ];
        for (port, count) in counts {
            for number in 1..=count {
                let clause = format!("{port}-{number:02}");
                assert!(promised().contains(clause.as_str()), "{clause} is missing");
            }
        }
    }

    #[test]
    fn names_of_cases_are_unique() {
        let names: Vec<_> = suites()
            .iter()
            .flat_map(|(_, cases)| cases.iter())
            .collect();
        let unique: BTreeSet<_> = names
            .iter()
            .map(|case| (case.clause, case.promise))
            .collect();
        assert_eq!(unique.len(), names.len());
    }
}
