//! `list_issues`: the issues of a repository.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::{MirrorFilter, MirrorListing, MirrorOrder, MirroredKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, listing};
use crate::{
    inputs::{PageInput, PlaceInput, SizeInput, choice, login, name_list, time},
    items::{CONVERSATION, conversation},
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
#[schemars(rename = "Input")]
struct IssuesInput {
    /// OPEN or CLOSED, in any case; without it, both.
    state: Option<String>,
    /// Names of labels; an issue has to have all of them.
    #[serde(deserialize_with = "name_list")]
    labels: Vec<String>,
    /// Only issues that were changed at or after this time (RFC 3339, or a date).
    since: Option<String>,
    /// Login of one of the assignees; * for any, none for nobody.
    assignee: Option<String>,
    /// Login of the author.
    creator: Option<String>,
    /// CREATED_AT (default) or UPDATED_AT.
    order_by: Option<String>,
    /// DESC (default) or ASC.
    direction: Option<String>,
}

/// The tool.
pub(crate) struct ListIssues {
    mirror: MirrorAccess,
}

impl ListIssues {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ListIssues {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<IssuesInput>(
            "list_issues",
            "List issues",
            "Use this to list the issues of one GitHub repository, newest first, by state, labels, assignee, author or \
             time of the last change; pull requests are not among them. Each item has number, title, state, author, \
             labels, assignees, milestone, updatedAt and url; issue_read has one whole, with its text. Answered from a \
             mirror, without a call to GitHub; asOf says how new it is at least.",
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
        let input: IssuesInput = arguments.rest()?;
        let place = place.repository()?;
        let (order, descending) = input.order()?;
        let question = PageQuestion {
            listing: MirrorListing {
                filter: input.filter()?,
                order,
                descending,
                ..listing(MirroredKind::Issue, &place, &page)
            },
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &CONVERSATION,
            is_selective: false,
            show: &|state, picked| Some(conversation(state, picked, false)),
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}

impl IssuesInput {
    fn filter(&self) -> Result<MirrorFilter, InputError> {
        let states = [
            ("open", Some("open")),
            ("closed", Some("closed")),
            ("all", None),
        ];
        let state = choice("state", self.state.as_deref(), &states)?.flatten();
        let account = |field, given: &Option<String>| match given.as_deref().map(str::trim) {
            Some(word @ ("*" | "none")) if field == "assignee" => Ok(Some(word.to_owned())),
            Some(given) => login(field, given).map(Some),
            None => Ok(None),
        };
        Ok(MirrorFilter {
            state: state.map(ToOwned::to_owned),
            labels: self.labels.clone(),
            assignee: account("assignee", &self.assignee)?,
            creator: account("creator", &self.creator)?,
            updated_since: time("since", self.since.as_deref())?,
            ..MirrorFilter::default()
        })
    }

    fn order(&self) -> Result<(MirrorOrder, bool), InputError> {
        let orders = [
            ("CREATED_AT", MirrorOrder::Number),
            ("UPDATED_AT", MirrorOrder::Updated),
        ];
        let order = choice("orderBy", self.order_by.as_deref(), &orders)?;
        let directions = [("DESC", true), ("ASC", false)];
        let descending = choice("direction", self.direction.as_deref(), &directions)?;
        Ok((order.unwrap_or_default(), descending.unwrap_or(true)))
    }
}
