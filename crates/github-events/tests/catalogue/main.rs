//! Every webhook that GitHub documents, with every action: the list of them, the event that each becomes, and the
//! page about it.
//!
//! The packages that describe the webhooks are those that set-up installs. When they are updated, these tests show
//! what is new; `FORGEWIRE_WRITE=1 cargo test -p github-events --test catalogue` then writes `webhooks.txt`,
//! `events.txt` and `docs/events.md`, and their difference is to be read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod events;
mod found;
mod lockdown;
mod order;
mod other_names;
mod packages;
mod page;
mod payloads;
mod schema;
mod shape;
mod summaries;
mod typescript;
mod webhooks;

use std::{fs, path::PathBuf};

/// Compares a file of the repository with what it should be, or writes it if that is asked for.
fn check_file(path: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("FORGEWIRE_WRITE").is_some() {
        fs::write(&file, text).unwrap();
    }
    let present = fs::read_to_string(&file).unwrap_or_default();
    let differs = |from: &str, other: &str| -> Vec<String> {
        let known: std::collections::BTreeSet<_> = other.lines().collect();
        let lines = from.lines().filter(|line| !known.contains(line));
        lines.map(str::to_owned).take(40).collect()
    };
    assert!(
        present == text,
        "{path} differs.\nNew:\n{}\nGone:\n{}\nIf that is right, run: \
         FORGEWIRE_WRITE=1 cargo test -p github-events --test catalogue",
        differs(text, &present).join("\n"),
        differs(&present, text).join("\n"),
    );
}
