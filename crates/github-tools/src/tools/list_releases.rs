//! `list_releases`: the releases of a repository.

use async_trait::async_trait;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, listing};
use crate::{
    inputs::{PageInput, PlaceInput, SizeInput},
    items::{RELEASE, release},
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
};

/// The tool's own input: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct ReleasesInput {}

/// The tool.
pub(crate) struct ListReleases {
    mirror: MirrorAccess,
}

impl ListReleases {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ListReleases {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ReleasesInput>(
            "list_releases",
            "List releases",
            "Use this to list the releases of one GitHub repository, newest first, drafts and prereleases among them. Each \
             item has id, tagName, name, publishedAt, author and url; get_latest_release has the latest one with its \
             notes. Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<PlaceInput>()
        .with_more_input::<PageInput>()
        .with_more_input::<SizeInput>()
        .with_output::<ListOutput>()
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
        let page = arguments.take::<PageInput>()?.request()?;
        let size = arguments.take::<SizeInput>()?;
        let ReleasesInput {} = arguments.rest()?;
        let place = place.repository()?;
        let question = PageQuestion {
            listing: listing(MirroredKind::Release, &place, &page),
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &RELEASE,
            is_selective: false,
            show: &|state, picked| Some(release(state, picked)),
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}
