//! Fills placeholders in the process file and in templates.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::ports::PortBlock;

/// The values that placeholders stand for.
#[derive(Debug)]
pub(super) struct Filler {
    pub(super) dir: PathBuf,
    pub(super) bin: Option<PathBuf>,
    pub(super) secret: String,
    pub(super) ports: PortBlock,
}

impl Filler {
    /// The folder of one process.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Fills one value for the process `name`.
    pub(super) fn fill(&mut self, text: &str, name: &str) -> Result<String> {
        let text = text.replace("{name}", name);
        let mut filled = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match rest
                .find('}')
                .map(|end| &rest[1..end])
                .filter(|key| is_key(key))
            {
                Some(key) => {
                    filled.push_str(&self.value(key, name)?);
                    rest = &rest[key.len() + 2..];
                }
                None => {
                    // A brace that belongs to the file's own format, for instance NATS's
                    // configuration.
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Fills a template: lines with `{each:P}` are repeated for every instance of P.
    pub(super) fn fill_template(
        &mut self,
        template: &str,
        name: &str,
        instances: impl Fn(&str) -> Vec<String>,
    ) -> Result<String> {
        let mut lines = Vec::new();
        for line in template.lines() {
            let each = line
                .split_once("{each:")
                .and_then(|(_, rest)| rest.split_once('}'));
            let Some((kind, _)) = each else {
                lines.push(self.fill(line, name)?);
                continue;
            };
            let all = instances(kind);
            if all.is_empty() {
                bail!("{{each:{kind}}}: no such process in the file");
            }
            for instance in all {
                let line = line.replace(&format!("{{each:{kind}}}"), &instance);
                lines.push(self.fill(&line, name)?);
            }
        }
        lines.push(String::new());
        Ok(lines.join("\n"))
    }

    fn value(&mut self, key: &str, name: &str) -> Result<String> {
        let path = |path: PathBuf| path.display().to_string();
        match key {
            "dir" => Ok(path(self.dir.clone())),
            "data" => Ok(path(self.data(name))),
            "secret" => Ok(self.secret.clone()),
            "bin" => self.bin.clone().map(path).context(
                "there is no forgewire binary; run `cargo build -p forgewire`, \
                 or set FORGEWIRE_BIN",
            ),
            _ => match key.strip_prefix("port:") {
                Some(port) => Ok(self.ports.of(port)?.to_string()),
                None => bail!("{{{key}}} is not a placeholder; see the top of deploy/cluster.toml"),
            },
        }
    }
}

fn is_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b":.-".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filler() -> Filler {
        let ports = PortBlock::take().unwrap();
        Filler {
            dir: "/d".into(),
            bin: None,
            secret: "s3".into(),
            ports,
        }
    }

    #[test]
    fn placeholders_are_filled_and_braces_left_alone() {
        let mut filler = filler();
        let admin = filler.ports.of("edge-2.admin").unwrap();
        let filled = filler.fill(
            "a { x } {data}:{port:{name}.admin} [\"{secret}\"] {\n}",
            "edge-2",
        );
        assert_eq!(
            filled.unwrap(),
            format!("a {{ x }} /d/edge-2:{admin} [\"s3\"] {{\n}}")
        );
        let unknown = filler.fill("{prot:x}", "a").unwrap_err().to_string();
        assert!(
            unknown.contains("{prot:x} is not a placeholder"),
            "{unknown}"
        );
        let no_binary = filler.fill("{bin}", "a").unwrap_err().to_string();
        assert!(
            no_binary.contains("cargo build -p forgewire"),
            "{no_binary}"
        );
    }

    #[test]
    fn a_line_is_repeated_for_each_instance() {
        let mut filler = filler();
        let instances = |kind: &str| match kind {
            "edge" => vec!["edge-1".to_owned(), "edge-2".to_owned()],
            _ => Vec::new(),
        };
        let text = "head\n  server {each:edge} :{port:{each:edge}}\ntail";
        let filled = filler.fill_template(text, "lb", instances).unwrap();
        let (one, two) = (
            filler.ports.get("edge-1").unwrap(),
            filler.ports.get("edge-2").unwrap(),
        );
        let expected = format!("head\n  server edge-1 :{one}\n  server edge-2 :{two}\ntail\n");
        assert_eq!(filled, expected);
        assert!(
            filler
                .fill_template("{each:nobody}", "lb", instances)
                .is_err()
        );
    }
}
