//! `[layers]`: what lies between events and records and their stores.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use model::{SharedKey, file_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::Secret;

/// Fewest characters of a key.
const MIN_KEY_CHARACTERS: usize = 32;
/// Most characters of a key.
const MAX_KEY_CHARACTERS: usize = 1024;
/// Most keys: one for every year that something is kept is enough.
const MAX_KEYS: usize = 16;
/// Most bytes that are read of a file with a key: the longest key, and a line break or two.
const MAX_KEY_FILE_BYTES: u64 = MAX_KEY_CHARACTERS as u64 + 16;

/// What lies between events and records (tasks) and their stores. Each can be switched on, and off, over
/// stores that have data. See docs/production.md, "Compressed and sealed stores".
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Layers")]
pub(crate) struct LayersSection {
    /// Whether events and records are compressed (Zstandard) before they are stored, where that makes them smaller.
    /// Builds and processes without it read them all the same.
    pub(crate) compress: bool,
    /// Keys that seal events and records before they are stored, 32 to 1,024 characters each, up to 16 including
    /// those in files, for instance the output of `openssl rand -base64 32`. Whoever reads or writes the store
    /// without a key cannot read an event or a record, change it, or move it to another place; ids, receive times
    /// and owners are not sealed. All processes need the same keys. The first key seals, every key opens. To
    /// rotate: add the new key at the end everywhere, then move it to the front, and remove the old one when
    /// nothing is kept that it sealed, for events after `retention.event_days`.
    pub(crate) seal_keys: Vec<Secret>,
    /// Files with such keys, one key per file; their keys come after those of `seal_keys`. Read once at start.
    pub(crate) seal_key_files: Vec<PathBuf>,
    /// Whether events and records are read that are not sealed although there is a key: those from before. Set it
    /// to false once none is kept, so that nobody without a key can put one into the store.
    pub(crate) accept_unsealed: bool,
}

impl Default for LayersSection {
    fn default() -> Self {
        Self {
            compress: false,
            seal_keys: Vec::new(),
            seal_key_files: Vec::new(),
            accept_unsealed: true,
        }
    }
}

impl LayersSection {
    /// Whether there is a key.
    pub(crate) fn has_keys(&self) -> bool {
        !self.seal_keys.is_empty() || !self.seal_key_files.is_empty()
    }

    /// The keys, those of files last.
    ///
    /// # Errors
    /// A key or a file is refused; the text names its place, and never the key.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<SharedKey>> {
        let mut keys = Vec::new();
        for (index, text) in self.seal_keys.iter().enumerate() {
            let key = key(text.expose());
            keys.push(key.with_context(|| format!("key {} of layers.seal_keys", index + 1))?);
        }
        for path in &self.seal_key_files {
            let key = read(path).and_then(|text| key(&text));
            keys.push(key.with_context(|| format!("layers.seal_key_files: {}", path.display()))?);
        }
        if keys.len() > MAX_KEYS {
            let count = keys.len();
            bail!(
                "layers.seal_keys and layers.seal_key_files have {count} keys; use up to {MAX_KEYS}"
            );
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id() == key.id()) {
                bail!(
                    "layers.seal_keys and layers.seal_key_files have the same key twice; leave one of them out"
                );
            }
        }
        Ok(keys)
    }
}

fn key(text: &str) -> anyhow::Result<SharedKey> {
    let text = text.trim();
    if !(MIN_KEY_CHARACTERS..=MAX_KEY_CHARACTERS).contains(&text.len()) {
        bail!(
            "it has {} characters; a key has {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS}: make one with \
             `openssl rand -base64 32`",
            text.len()
        );
    }
    Ok(SharedKey::of_text(text))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(file_text(&bytes)?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn section(keys: &[&str], files: &[&str]) -> (LayersSection, Vec<tempfile::NamedTempFile>) {
        let files: Vec<_> = files
            .iter()
            .map(|text| {
                let mut file = tempfile::NamedTempFile::new().unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file
            })
            .collect();
        let section = LayersSection {
            seal_keys: keys.iter().map(|key| Secret::new(*key)).collect(),
            seal_key_files: files.iter().map(|file| file.path().to_owned()).collect(),
            ..LayersSection::default()
        };
        (section, files)
    }

    #[test]
    fn keys_of_files_come_last() {
        let [one, other] = ["a".repeat(32), "b".repeat(1024)];
        let (section, _files) = section(&[&one], &[&format!("{other}\n")]);
        let keys = [one, other].map(|text| SharedKey::of_text(&text));
        assert_eq!(section.keys().unwrap(), keys);
        assert!(section.has_keys());
        assert!(LayersSection::default().keys().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_place_and_not_repeated() {
        let good = "k".repeat(32);
        for (keys, files, place) in [
            (&["secret"][..], &[][..], "key 1 of layers.seal_keys"),
            (&[&good, ""], &[], "key 2 of layers.seal_keys"),
            (&[], &["secret"], "layers.seal_key_files: /"),
            (&[], &[&"s".repeat(2000)], "layers.seal_key_files: /"),
            (&[&good], &[&good], "the same key twice"),
        ] {
            let (section, _files) = section(keys, files);
            let refused = format!("{:#}", section.keys().unwrap_err());
            assert!(
                refused.contains(place) && !refused.contains("secret"),
                "{refused}"
            );
        }
        let many: Vec<_> = (0..17).map(|n| format!("{n:032}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let refused = section(&many, &[]).0.keys().unwrap_err().to_string();
        assert!(refused.contains("17 keys"), "{refused}");
        let missing = LayersSection {
            seal_key_files: vec!["/nonexistent/key".into()],
            ..LayersSection::default()
        };
        let refused = format!("{:#}", missing.keys().unwrap_err());
        assert!(refused.contains("/nonexistent/key"), "{refused}");
    }
}
