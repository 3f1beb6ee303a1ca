//! `release_notes`: writes the notes of a repository's next release.

use async_trait::async_trait;
use github_events::pick;
use mcp::{
    params::InputError,
    prompt::{GetPromptParams, GetPromptResult, PromptDescriptor, PromptMessage},
};
use mcp_server::{CallError, Caller, Policy, RateClass, prompt::Prompt};
use model::Timestamp;
use ports::{MirrorListing, MirroredKind, MirroredState};
use serde_json::Value;

use super::data::{DATA_NOTE, add_changes, arguments, repository, resource, since};
use crate::{
    inputs::RepositoryPlace,
    items::{RELEASE, is_published},
    mirror::{MirrorAccess, owners_list},
    resources::ListInBytes,
};

/// The prompt.
pub(crate) struct ReleaseNotes {
    mirror: MirrorAccess,
}

impl ReleaseNotes {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }

    /// When the last release was published, of the newest hundred.
    async fn last_release(
        &self,
        caller: &Caller,
        place: &RepositoryPlace,
    ) -> Result<Option<Timestamp>, CallError> {
        let mut last: Option<Timestamp> = None;
        let mut look = |state: &MirroredState| {
            let picked = pick(&state.json, &RELEASE).unwrap_or_default();
            if is_published(&picked) {
                last = last.max(picked["published_at"].as_str().and_then(Timestamp::parse));
            }
        };
        let listing = MirrorListing {
            repo: place.repo.clone(),
            ..owners_list(MirroredKind::Release, &place.owner)
        };
        self.mirror.walk(caller, listing, 1, &mut look).await?;
        Ok(last)
    }
}

#[async_trait]
impl Prompt for ReleaseNotes {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: "release_notes",
            title: "Write release notes",
            description: "What was merged and closed in a repository since its last release, with a request to write the notes of \
                 the next one.",
            arguments: arguments(
                "Only what was merged or closed at or after this time (RFC 3339; default: the last release)",
            ),
        }
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn get(
        &self,
        caller: &Caller,
        params: &GetPromptParams,
    ) -> Result<GetPromptResult, CallError> {
        let place = repository(caller, params)?;
        let since = match since(params)? {
            Some(since) => since,
            None => self.last_release(caller, &place).await?.ok_or_else(|| {
                let reason = "no release of the repository is known; say since when";
                InputError::new("arguments.since", reason)
            })?,
        };
        let at = |picked: &Value, key: &str| {
            let time = picked[key].as_str().and_then(Timestamp::parse);
            time.is_some_and(|time| time >= since)
        };
        let merged = |picked: &Value| at(picked, "merged_at");
        let closed = |picked: &Value| at(picked, "closed_at");
        let mut list = ListInBytes::default();
        let of = (&self.mirror, caller);
        let pulls = (&place, MirroredKind::PullRequest, "pull_request");
        add_changes(&mut list, of, pulls, (since, &merged)).await?;
        let issues = (&place, MirroredKind::Issue, "issue");
        add_changes(&mut list, of, issues, (since, &closed)).await?;
        let (name, count) = (place.name(), list.items.len());
        let task = format!(
            "Write the notes of the next release of {name}: {count} pull requests and issues were merged or closed \
             since {since}. {DATA_NOTE}"
        );
        let question = "From the attached data alone, write release notes for users: what is new, what was fixed, \
             what changed in a way that they must act on. Group by kind, one line each, with the number of the pull \
             request or issue. Leave out what users do not notice.";
        Ok(GetPromptResult {
            description: Some(format!("Release notes of {name} since {since}")),
            messages: vec![
                PromptMessage::user(task),
                resource(&format!("github://repositories/{name}"), list.finish()),
                PromptMessage::user(question.to_owned()),
            ],
        })
    }
}
