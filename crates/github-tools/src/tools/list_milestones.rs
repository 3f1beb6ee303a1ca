//! `list_milestones`: milestones with how far they are, of a repository or of all of an owner.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use model::Clock;
use ports::{MirrorFilter, MirrorListing, MirroredKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, listing};
use crate::{
    inputs::{OwnerInput, PageInput, SizeInput, choice},
    items::{DueFilter, MILESTONE, MilestoneMetrics, milestone},
    limits::UPCOMING_DAYS,
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
struct MilestonesInput {
    /// open (default), closed or all.
    state: Option<String>,
    /// overdue: open and due before today (UTC). upcoming: open and due today or within withinDays. none: without a day.
    /// Without it, all.
    due: Option<String>,
    /// Days from today, for upcoming (default 30).
    #[serde(deserialize_with = "lenient::count_between::<0, 3650, _, _>")]
    #[schemars(range(min = 0, max = 3650))]
    within_days: Option<u64>,
}

/// The tool.
pub(crate) struct ListMilestones {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl ListMilestones {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Tool for ListMilestones {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<MilestonesInput>(
            "list_milestones",
            "List milestones",
            "Use this to see the milestones of one GitHub repository, or of all repositories of an owner, and how far they \
             are: open and closed issues, percentComplete, dueOn, overdueDays or daysLeft. due overdue or upcoming \
             selects those that are late or near. get_milestone has one whole; list its issues by search_issues with \
             milestone:. Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<OwnerInput>()
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
        let place = arguments.take::<OwnerInput>()?.place()?;
        let page = arguments.take::<PageInput>()?.request()?;
        let size = arguments.take::<SizeInput>()?;
        let input: MilestonesInput = arguments.rest()?;
        let place = place.ok_or_else(|| InputError::new("owner", "is missing"))?;
        let due = input.due()?;
        let (now, has_repository) = (self.clock.now(), place.repo.is_none());
        let question = PageQuestion {
            listing: MirrorListing {
                filter: input.filter(due)?,
                ..listing(MirroredKind::Milestone, &place, &page)
            },
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &MILESTONE,
            is_selective: due.is_some(),
            show: &|state, picked| {
                let metrics = MilestoneMetrics::of(picked, now);
                let is_it = due.is_none_or(|due| due.has(picked, metrics));
                is_it.then(|| milestone(state, picked, (metrics, has_repository)))
            },
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}

impl MilestonesInput {
    fn due(&self) -> Result<Option<DueFilter>, InputError> {
        let upcoming = DueFilter::Within(self.within_days.unwrap_or(UPCOMING_DAYS));
        let words = [
            ("overdue", DueFilter::Overdue),
            ("upcoming", upcoming),
            ("none", DueFilter::Never),
        ];
        let due = choice("due", self.due.as_deref(), &words)?;
        match (due, self.within_days) {
            (Some(DueFilter::Within(_)), _) | (_, None) => Ok(due),
            (_, Some(_)) => Err(InputError::new("withinDays", "is for due upcoming")),
        }
    }

    fn filter(&self, due: Option<DueFilter>) -> Result<MirrorFilter, InputError> {
        let states = [
            ("open", Some("open")),
            ("closed", Some("closed")),
            ("all", None),
        ];
        let state = choice("state", self.state.as_deref(), &states)?.unwrap_or(Some("open"));
        let is_open = matches!(due, Some(DueFilter::Overdue | DueFilter::Within(_)));
        if is_open && state != Some("open") {
            let reason = "only open milestones are overdue or upcoming; leave it out";
            return Err(InputError::new("state", reason));
        }
        Ok(MirrorFilter {
            state: state.map(ToOwned::to_owned),
            ..MirrorFilter::default()
        })
    }
}
