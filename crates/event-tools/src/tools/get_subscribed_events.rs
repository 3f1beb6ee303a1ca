//! `get_subscribed_events`: what happened to what the caller follows.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    answer_size::{RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::Tool,
};
use model::{FilterSet, Sequenced, StoredEvent, SubscriptionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subscriptions::ClientId;

use super::{answer_input::AnswerInput, filters::EventsOutput, shown_events::AddedMembers};
use crate::{
    events::EventAccess,
    followed::{FollowedByCaller, FollowedFinder, FollowedWish},
    limits::{MAX_READ_BYTES, NAMED_SUBSCRIPTIONS, NAMED_SUBSCRIPTIONS_BYTES},
};

const NAME: &str = "get_subscribed_events";
const DEFAULT_LIMIT: usize = 50;

/// The tool's own input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct SubscribedInput {
    /// Only the events of this subscription.
    #[serde(default)]
    subscription_id: Option<String>,
    /// Only the events of the subscriptions under this name of the client's own.
    #[serde(default)]
    client_id: Option<String>,
    /// Events after this cursor, oldest first; without it the newest, newest first.
    #[serde(default)]
    cursor: Option<String>,
    /// Newest first: events before this cursor (`previousCursor` of an answer).
    #[serde(default)]
    before: Option<String>,
    /// Maximum number of events to return (default 50).
    #[serde(default, deserialize_with = "lenient::count_between::<1, 1000, _, _>")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A text that is not blank.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

impl SubscribedInput {
    fn wish(&self) -> Result<FollowedWish, InputError> {
        let no_such = |_| InputError::new("subscriptionId", NO_SUCH_SUBSCRIPTION);
        let id = given(self.subscription_id.as_deref());
        let id = id.map(SubscriptionId::new).transpose().map_err(no_such)?;
        let client = given(self.client_id.as_deref())
            .map(ClientId::new)
            .transpose();
        let client = client.map_err(|error| InputError::new("clientId", &error.to_string()))?;
        match (id, client) {
            (Some(_), Some(_)) => Err(InputError::new(
                "clientId",
                "given beside subscriptionId, which names one subscription alone; use one of them",
            )),
            (Some(id), None) => Ok(FollowedWish::One(id)),
            (None, Some(client)) => Ok(FollowedWish::Client(client)),
            (None, None) => Ok(FollowedWish::All),
        }
    }
}

const NO_SUCH_SUBSCRIPTION: &str = "no such subscription of yours: it was deleted, or has reached its end; manage_events lists them";

/// Output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct SubscribedOutput {
    /// Number of subscriptions whose events these are. Each event has subscriptionIds: those that it matches.
    subscriptions: usize,
    #[serde(flatten)]
    page: EventsOutput,
}

/// The ids of the subscriptions that an event matches.
struct MatchedSubscriptions<'f>(&'f FollowedByCaller);

impl AddedMembers for MatchedSubscriptions<'_> {
    const MAX_BYTES: usize = NAMED_SUBSCRIPTIONS_BYTES;

    fn of(&self, event: &Sequenced<StoredEvent>) -> String {
        let ids = self.0.wanting(event);
        let named = &ids[..ids.len().min(NAMED_SUBSCRIPTIONS)];
        let named = serde_json::to_string(named).unwrap_or_default();
        let more = match ids.len().saturating_sub(NAMED_SUBSCRIPTIONS) {
            0 => String::new(),
            more => format!(",\"moreSubscriptions\":{more}"),
        };
        format!(",\"subscriptionIds\":{named}{more}")
    }
}

/// The tool.
#[derive(Clone)]
pub(crate) struct GetSubscribedEvents {
    events: EventAccess,
    followed: FollowedFinder,
}

impl GetSubscribedEvents {
    pub(crate) fn new(events: EventAccess, followed: FollowedFinder) -> Self {
        Self { events, followed }
    }

    /// What the caller should know of an answer without events.
    fn notes(
        wish: &FollowedWish,
        caller: &Caller,
        is_following: bool,
        is_empty: bool,
    ) -> Vec<String> {
        let note = match (is_following, wish) {
            (true, _) if is_empty => {
                "nothing has happened since you subscribed; what happened before that is in get_recent_events"
            }
            (true, _) => return Vec::new(),
            (false, FollowedWish::Client(_)) => {
                "you have no subscription under this clientId: call subscribe_to_events with it"
            }
            (false, _) if caller.session().is_none() => {
                "you have no subscriptions: call subscribe_to_events with a clientId, under which they are kept"
            }
            (false, _) => "you have no subscriptions: call subscribe_to_events",
        };
        vec![note.to_owned()]
    }
}

#[async_trait]
impl Tool for GetSubscribedEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<SubscribedInput>(
            NAME,
            "What happened to what you follow",
            "Use this to see what happened to what you follow, for instance when you were woken by a subscription and \
             were not told the event: the newest events of your own subscriptions, newest first, as summaries, each \
             with the ids of the subscriptions that it matches; get_event has one whole. Nothing has to be given. With \
             the `cursor` of an earlier answer: what came after it, oldest first, without gaps. An event from before a \
             subscription was made is not one of its events.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<AnswerInput>()
        .with_output::<SubscribedOutput>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let mut arguments = Arguments::of(call)?;
        let form = arguments.take::<AnswerInput>()?.form();
        let input: SubscribedInput = arguments.rest()?;
        let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
        let (cursor, before) = (
            given(input.cursor.as_deref()),
            given(input.before.as_deref()),
        );
        if cursor.is_some() && before.is_some() {
            let reason = "for the newest events; those after a cursor come oldest first";
            return Err(InputError::new("before", reason).into());
        }
        let wish = input.wish()?;
        let found = self.followed.of(caller, &wish).await?;
        let missing = || InputError::new("subscriptionId", NO_SUCH_SUBSCRIPTION);
        let followed = found.ok_or_else(missing)?;
        let (after, is_gone) = self.events.position_of(caller, cursor).await?;
        let (before, is_older_gone) = self.events.before(caller, before).await?;
        let order = match cursor {
            Some(_) => Order::OldestFirst,
            None => Order::NewestFirst,
        };
        let question = EventQuery {
            after: after.max(followed.earliest()),
            before,
            ..EventQuery::new(FilterSet::all(), order, limit, MAX_READ_BYTES)
        };
        let mut page = followed.page(&self.events, caller, &question).await?;
        page.truncated |= is_gone || is_older_gone;
        let is_empty = page.events.is_empty() && !page.has_more && cursor.is_none();
        let notes = Self::notes(&wish, caller, followed.count() > 0, is_empty);
        let added = (notes, &MatchedSubscriptions(&followed));
        let page = EventsOutput::with(&self.events, caller, page, (&question, form), added)?;
        Ok(structured_result(&SubscribedOutput {
            subscriptions: followed.count(),
            page,
        }))
    }
}
