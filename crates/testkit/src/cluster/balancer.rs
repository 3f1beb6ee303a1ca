//! The balancers that a cluster can have in front.

use std::{fmt, str::FromStr};

use super::{ClusterPlan, workspace};

/// A balancer in front of the edges and the ingests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BalancerKind {
    /// HAProxy with `deploy/haproxy.cfg`, as `deploy/cluster.toml` has it.
    Haproxy,
    /// nginx with `deploy/nginx.conf`.
    Nginx,
    /// Envoy with `deploy/envoy.yaml`.
    Envoy,
}

impl BalancerKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Haproxy, Self::Nginx, Self::Envoy];

    /// Its name, for messages and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
            Self::Envoy => "envoy.yaml",
        }
    }

    /// Program and arguments; `{data}` is filled later.
    fn command(self) -> Vec<String> {
        let file = format!("{{data}}/{}", self.template());
        let envoy = workspace().join(".setup/bin/envoy").display().to_string();
        let words: &[&str] = match self {
            Self::Haproxy => &["haproxy", "-db", "-f", &file],
            Self::Nginx => &["nginx", "-e", "stderr", "-c", &file],
            Self::Envoy => {
                let logs = ["--log-level", "warning"];
                &[
                    &envoy,
                    "-c",
                    &file,
                    "--use-dynamic-base-id",
                    logs[0],
                    logs[1],
                ]
            }
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

impl fmt::Display for BalancerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BalancerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("{text:?} is none of haproxy, nginx and envoy"))
    }
}

impl ClusterPlan {
    /// Replaces the process `balancer`.
    #[must_use]
    pub fn with_balancer(mut self, kind: BalancerKind) -> Self {
        let template = kind.template().to_owned();
        for spec in &mut self.file.process {
            if spec.name == "balancer" {
                spec.command = Some(kind.command());
                spec.templates = [(template.clone(), template.clone())].into();
            }
        }
        self
    }
}
