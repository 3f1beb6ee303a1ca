//! The JSON line with which forgewire reports that it is ready, and its addresses.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::Value;

/// The bound addresses; `None` for a role that is not running.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadyLine {
    addresses: BTreeMap<String, Url>,
}

impl ReadyLine {
    /// Parses `{"ready":true,"edge":"…",…}`; `None` for any other line. An address is `host:port`
    /// or a URL; null, a missing name or an invalid address gives `None` for that role.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let Ok(Value::Object(line)) = serde_json::from_str(line) else {
            return None;
        };
        if line.get("ready") != Some(&Value::Bool(true)) {
            return None;
        }
        let addresses = line.into_iter().filter_map(|(name, value)| {
            let text = value.as_str()?;
            let url = if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            };
            Some((name, url.parse().ok()?))
        });
        Some(Self {
            addresses: addresses.collect(),
        })
    }

    /// Base URL of the edge.
    #[must_use]
    pub fn edge(&self) -> Option<&Url> {
        self.addresses.get("edge")
    }

    /// Base URL of the ingest.
    #[must_use]
    pub fn ingest(&self) -> Option<&Url> {
        self.addresses.get("ingest")
    }

    /// Base URL of the sync role's gRPC server.
    #[must_use]
    pub fn sync(&self) -> Option<&Url> {
        self.addresses.get("sync")
    }

    /// Base URL of the admin listener.
    #[must_use]
    pub fn admin(&self) -> Option<&Url> {
        self.addresses.get("admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_address_are_read() {
        let line = r#"{"ready":true,"edge":"http://127.0.0.1:3000","ingest":"127.0.0.1:3001",
            "sync":null,"admin":"[::1]:9"}"#;
        let ready = ReadyLine::parse(line).unwrap();
        assert_eq!(ready.edge().unwrap().port(), Some(3000));
        assert_eq!(ready.ingest().unwrap().as_str(), "http://127.0.0.1:3001/");
        assert_eq!(
            (ready.sync(), ready.admin().unwrap().port()),
            (None, Some(9))
        );
    }

    #[test]
    fn other_lines_are_not_a_ready_line() {
        for line in [
            "",
            "starting",
            "{}",
            r#"{"ready":false}"#,
            r#"{"ready":"true"}"#,
            "[true]",
        ] {
            assert_eq!(ReadyLine::parse(line), None, "{line}");
        }
    }
}
