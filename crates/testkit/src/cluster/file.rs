//! The process file: the processes to run and their order (`deploy/cluster.toml` documents the
//! format).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A whole process file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessFile {
    /// Environment of every process that runs the forgewire binary.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The processes.
    pub(super) process: Vec<ProcessDefinition>,
}

/// One kind of process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessDefinition {
    pub(super) name: String,
    /// Number of instances; `None` means one, without a number in its name.
    pub(super) replicas: Option<usize>,
    pub(super) role: Option<String>,
    pub(super) command: Option<Vec<String>>,
    /// Files to write: file in the process's folder ← template beside the process file.
    #[serde(default)]
    pub(super) templates: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) depends_on: Vec<String>,
    pub(super) ready: Probe,
}

/// The check that tells when a process is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Probe {
    /// The process accepts connections at `host:port`.
    Tcp(String),
    /// Sent a line at `address`, the process answers with exactly the line `expect`.
    Ask {
        address: String,
        #[serde(rename = "say")]
        send: String,
        expect: String,
    },
    /// The process answers GET on this URL with 2xx.
    Http(String),
    /// The process prints forgewire's ready line.
    ReadyLine,
}

impl ProcessFile {
    /// Reads a process file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let file: Self = toml::from_str(text).context("cannot read the process file")?;
        for spec in &file.process {
            let name = &spec.name;
            ensure!(
                spec.role.is_some() != spec.command.is_some(),
                "process {name:?} needs either a role or a command"
            );
            ensure!(
                spec.replicas != Some(0),
                "process {name:?} has no replicas; leave it out"
            );
            for needed in &spec.depends_on {
                ensure!(
                    file.process.iter().any(|other| other.name == *needed),
                    "process {name:?} depends on {needed:?}, which is not in the file"
                );
            }
        }
        Ok(file)
    }

    /// The processes in waves: each process depends only on processes of earlier waves.
    pub(super) fn waves(&self) -> Result<Vec<Vec<&ProcessDefinition>>> {
        let mut waves: Vec<Vec<&ProcessDefinition>> = Vec::new();
        let mut waiting: Vec<&ProcessDefinition> = self.process.iter().collect();
        while !waiting.is_empty() {
            let (wave, rest): (Vec<&ProcessDefinition>, Vec<&ProcessDefinition>) =
                waiting.iter().copied().partition(|spec| {
                    let blocked =
                        |needed: &String| waiting.iter().any(|other| other.name == *needed);
                    !spec.depends_on.iter().any(blocked)
                });
            if wave.is_empty() {
                let names: Vec<&str> = rest.iter().map(|spec| spec.name.as_str()).collect();
                bail!("the processes {} wait for each other", names.join(", "));
            }
            waves.push(wave);
            waiting = rest;
        }
        Ok(waves)
    }
}

impl ProcessDefinition {
    /// The names of its instances: `edge-1`, `edge-2`, …, or just its own name.
    pub(super) fn instances(&self) -> Vec<String> {
        match self.replicas {
            None => vec![self.name.clone()],
            Some(count) => (1..=count).map(|n| format!("{}-{n}", self.name)).collect(),
        }
    }

    /// Program and arguments, placeholders not yet filled.
    pub(super) fn command(&self) -> Vec<String> {
        match (&self.command, &self.role) {
            (Some(command), _) => command.clone(),
            (None, role) => {
                let role = role.clone().unwrap_or_default();
                vec!["{bin}".into(), "run".into(), "--role".into(), role]
            }
        }
    }

    /// Whether it runs the forgewire binary.
    pub(super) fn is_forgewire(&self) -> bool {
        self.command()
            .first()
            .is_some_and(|program| program == "{bin}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProcessFile> {
        ProcessFile::parse(text)
    }

    #[test]
    fn waves_follow_the_dependencies_not_the_order_of_the_file() {
        let file = parse(
            r#"
            [[process]]
            name = "edge"
            replicas = 2
            role = "edge"
            depends_on = ["log"]
            ready = "ready-line"
            [[process]]
            name = "log"
            command = ["true"]
            ready = { tcp = "127.0.0.1:1" }
            "#,
        )
        .unwrap();
        let waves = file.waves().unwrap();
        let names: Vec<_> = waves.iter().flatten().flat_map(|s| s.instances()).collect();
        assert_eq!(names, ["log", "edge-1", "edge-2"]);
        assert_eq!(waves[1][0].command().join(" "), "{bin} run --role edge");
        assert!(waves[1][0].is_forgewire() && !waves[0][0].is_forgewire());
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_name() {
        let ready = "ready = \"ready-line\"";
        for (text, part) in [
            (
                format!("[[process]]\nname = \"a\"\n{ready}"),
                "either a role or a command",
            ),
            (
                format!("[[process]]\nname = \"a\"\nrole = \"x\"\ndepends_on = [\"b\"]\n{ready}"),
                "\"b\"",
            ),
            (
                format!("[[process]]\nname = \"a\"\nrole = \"x\"\nreplicas = 0\n{ready}"),
                "no replicas",
            ),
            (
                "[[process]]\nname = \"a\"\nrole = \"x\"\ncolor = 1".into(),
                "color",
            ),
        ] {
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
        let knot =
            format!("[[process]]\nname = \"a\"\nrole = \"x\"\ndepends_on = [\"a\"]\n{ready}");
        assert!(parse(&knot).unwrap().waves().is_err());
    }
}
