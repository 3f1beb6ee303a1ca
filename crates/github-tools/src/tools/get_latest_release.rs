//! `get_latest_release`: the newest release that is neither a draft nor a prerelease.

use async_trait::async_trait;
use github_events::pick;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, address, find, listing};
use crate::{
    inputs::{ListPageRequest, PlaceInput, SizeInput},
    items::{RELEASE, is_published, release},
    limits::MAX_ITEM_BYTES,
    mirror::MirrorAccess,
    output::{NothingMore, ObjectOutput, missing, object_result},
    page_reader::PageQuestion,
};

/// The tool's own input: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct LatestInput {}

/// The tool.
pub(crate) struct GetLatestRelease {
    mirror: MirrorAccess,
}

impl GetLatestRelease {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for GetLatestRelease {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<LatestInput>(
            "get_latest_release",
            "Latest release",
            "Use this to read the latest release of one GitHub repository with its notes: the newest one that is neither a \
             draft nor a prerelease. One that is larger than maxBytes is shortened, and `notes` say how to get the rest. \
             Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<PlaceInput>()
        .with_more_input::<SizeInput>()
        .with_output::<ObjectOutput<NothingMore>>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let mut arguments = Arguments::of(call)?;
        let place = arguments.take::<PlaceInput>()?;
        let size = arguments.take::<SizeInput>()?;
        let LatestInput {} = arguments.rest()?;
        let place = place.repository()?;
        let page = ListPageRequest {
            items: 1,
            after: None,
        };
        let question = PageQuestion {
            listing: listing(MirroredKind::Release, &place, &page),
            max_items: 1,
            max_bytes: MAX_ITEM_BYTES,
            selection: &RELEASE,
            is_selective: true,
            // All that is needed of it.
            show: &|state, picked| is_published(picked).then(|| state.address.number.to_string()),
        };
        let found = self.mirror.read_page(caller, &question).await?;
        let id = found.items.first().and_then(|item| item.get().parse().ok());
        let Some(id) = id else {
            let reason = missing("release", (&place.name(), found.as_of));
            return Err(InputError::new("repo", &reason).into());
        };
        let latest = address(MirroredKind::Release, &place, id);
        let (state, as_of) = find(&self.mirror, caller, &latest, ("repo", "release")).await?;
        let picked = pick(&state.json, &RELEASE).unwrap_or_default();
        let answer = (NothingMore {}, release(&state, &picked));
        Ok(object_result(
            (&state, as_of),
            (&place.name(), size.bytes()),
            answer,
        ))
    }
}
