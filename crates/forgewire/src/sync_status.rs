//! `forgewire sync status`: what is mirrored of GitHub, as the admin listener of sync tells it.

use std::{collections::BTreeMap, fmt};

use anyhow::Context;
use http_client::quoted;
use serde::Deserialize;

use crate::sync_health::{SyncHealthArgs, sync_health};

/// Asks sync, and gives what is printed.
///
/// # Errors
/// Nobody answers there, or nobody who is sync.
pub(crate) async fn sync_status(args: &SyncHealthArgs) -> anyhow::Result<String> {
    let mirror = sync_health(args, "mirror").await?;
    if args.json {
        return Ok(mirror.to_string());
    }
    let told = ToldMirror::deserialize(mirror).context("sync is of another version")?;
    Ok(told.to_string().trim_end().to_owned())
}

/// What sync tells, as far as it is printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldMirror {
    compared: bool,
    #[serde(default)]
    whole_places: usize,
    restored_states: Option<usize>,
    reason: Option<String>,
    #[serde(default)]
    places: Vec<ToldMirroredPlace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldMirroredPlace {
    place: String,
    state: String,
    compared_at: Option<String>,
    #[serde(default)]
    is_compared_here: bool,
    failing_since: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    lists: BTreeMap<String, ToldList>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldList {
    as_of: Option<String>,
    reason: Option<String>,
}

impl fmt::Display for ToldMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.compared {
            return f.write_str(
                "the mirror is not compared with GitHub: sync needs credentials (github.token_file, or github.app_id and \
                 github.private_key_file), places (sync.repositories or sync.organizations), and \
                 sync.initial_timeout_seconds above 0",
            );
        }
        writeln!(
            f,
            "whole places: {} of {}",
            self.whole_places,
            self.places.len()
        )?;
        if let Some(states) = self.restored_states {
            writeln!(f, "states read from the store at the start: {states}")?;
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "the stored mirror cannot be used: {}", quoted(reason))?;
        }
        self.places.iter().try_for_each(|place| place.lines(f))
    }
}

impl ToldMirroredPlace {
    fn lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, state) = (quoted(&self.place), quoted(&self.state));
        let compared = self.compared_at.as_deref().unwrap_or("never yet");
        let now = if self.is_compared_here {
            ", under way here"
        } else {
            ""
        };
        writeln!(f, "{place}: {state}, compared {}{now}", quoted(compared))?;
        if let (Some(since), Some(reason)) = (&self.failing_since, &self.reason) {
            writeln!(f, "  failing since {}: {}", quoted(since), quoted(reason))?;
        }
        for (kind, list) in &self.lists {
            match (&list.as_of, &list.reason) {
                (_, Some(reason)) => writeln!(f, "  {}: {}", quoted(kind), quoted(reason))?,
                (Some(as_of), None) => {
                    writeln!(f, "  {}: whole as of {}", quoted(kind), quoted(as_of))?;
                }
                (None, None) => writeln!(f, "  {}: not whole yet", quoted(kind))?,
            }
        }
        Ok(())
    }
}
