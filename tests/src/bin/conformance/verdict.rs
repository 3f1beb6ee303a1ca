//! The rules by which a scenario passes.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Number of characters of a check's message that the report shows.
const MESSAGE_CHARS: usize = 240;

/// Checks that may fail: scenario, check, reason. If one of them passes, that is reported, so that
/// the list stays accurate.
const ACCEPTED: [(&str, &str, &str); 1] = [(
    "tasks-status-notifications",
    "tasks-status-notifications",
    "the suite skips it whatever the server does, until it listens where the extension says",
)];

/// One check, as the suite writes it down.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    id: String,
    status: Status,
    #[serde(default)]
    description: String,
    #[serde(default)]
    error_message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Success,
    Failure,
    /// A violated SHOULD. Counts as a failure: Forgewire follows every SHOULD.
    Warning,
    /// Not evaluated, usually because a prerequisite is missing.
    Skipped,
    /// A remark.
    Info,
}

/// One scenario's result.
#[derive(Debug)]
pub(crate) struct ScenarioOutcome {
    scenario: String,
    /// Number of checks that passed.
    pub(crate) passed_checks: usize,
    problems: Vec<String>,
}

impl ScenarioOutcome {
    /// Judges the checks in a result file of the suite.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(scenario: &str, path: &Path) -> Result<Self> {
        let what = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(what)?;
        let checks: Vec<Check> = serde_json::from_str(&text).with_context(what)?;
        Ok(Self::judge(scenario, &checks))
    }

    /// The outcome of a scenario that saved no checks.
    pub(crate) fn unfinished(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            passed_checks: 0,
            problems: vec!["did not finish, or was not run: see the log".to_owned()],
        }
    }

    fn judge(scenario: &str, checks: &[Check]) -> Self {
        let mut problems = Vec::new();
        let (mut passed_checks, mut accepted) = (0, 0);
        for check in checks {
            let reason = ACCEPTED
                .iter()
                .find(|(of, id, _)| *of == scenario && *id == check.id);
            match (check.status, reason) {
                (Status::Info, _) => {}
                (Status::Success, None) => passed_checks += 1,
                (Status::Success, Some(_)) => problems.push(format!(
                    "{}: passes now; remove it from the accepted checks",
                    check.id
                )),
                (_, Some(_)) => accepted += 1,
                (_, None) => problems.push(check.to_string()),
            }
        }
        if passed_checks + accepted + problems.len() == 0 {
            let remarks = checks.iter().map(ToString::to_string);
            let remarks = remarks.collect::<Vec<_>>().join("; ");
            problems.push(format!("nothing was checked: {}", shortened(&remarks)));
        }
        Self {
            scenario: scenario.to_owned(),
            passed_checks,
            problems,
        }
    }

    /// Whether the scenario passed: it has no problems.
    pub(crate) fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.error_message.as_deref().unwrap_or(&self.description);
        let message = shortened(message);
        write!(f, "{} ({:?}): {message}", self.id, self.status)
    }
}

impl fmt::Display for ScenarioOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.scenario)?;
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "    {problem}"))
    }
}

/// One line of bounded length.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(scenario: &str, statuses: &[(&str, &str)]) -> ScenarioOutcome {
        let checks: Vec<Check> = statuses
            .iter()
            .map(|(id, status)| {
                serde_json::from_value(serde_json::json!({
                    "id": id, "status": status, "description": "d", "timestamp": "t",
                }))
                .unwrap()
            })
            .collect();
        ScenarioOutcome::judge(scenario, &checks)
    }

    #[test]
    fn only_checks_that_pass_are_a_pass() {
        assert!(judge("s", &[("a", "SUCCESS"), ("b", "INFO")]).passed());
        for status in ["FAILURE", "WARNING", "SKIPPED"] {
            let outcome = judge("s", &[("a", "SUCCESS"), ("b", status)]);
            assert!(!outcome.passed(), "{status}");
            assert!(outcome.to_string().contains("b ("), "{outcome}");
        }
    }

    #[test]
    fn a_scenario_that_checked_nothing_has_not_passed() {
        assert!(!judge("s", &[]).passed());
        assert!(!judge("s", &[("a", "INFO")]).passed());
    }

    #[test]
    fn an_accepted_check_may_fail_but_not_pass_unnoticed() {
        let (scenario, check, _) = ACCEPTED[0];
        assert!(judge(scenario, &[(check, "SKIPPED")]).passed());
        assert!(!judge(scenario, &[(check, "SUCCESS")]).passed());
        assert!(!judge(scenario, &[(check, "SKIPPED"), ("b", "FAILURE")]).passed());
    }

    #[test]
    fn a_long_message_becomes_one_short_line() {
        let text = shortened(&"ä\n".repeat(1000));
        assert!(text.chars().count() <= MESSAGE_CHARS + 1 && !text.contains('\n'));
    }
}
