//! The events of an answer, within its size.

use bytes::Bytes;
use event_flow::query::{Order, QueryPage};
use github_events::{EventTrim, summarise_event, trim_event};
use model::{Sequenced, StoredEvent};
use serde_json::value::RawValue;

use super::answer_input::AnswerForm;
use crate::summaries::RecentSummaries;

/// Events as an answer has them.
#[derive(Debug, Default)]
pub(super) struct ShownEvents {
    /// Their JSON.
    pub(super) events: Vec<Box<RawValue>>,
    /// Whether an event is missing whose stored text is not JSON; Forgewire never writes one.
    pub(super) has_hole: bool,
    /// The first event, if it alone is larger than the answer may be: it is shown as far as it fits.
    pub(super) shortened: Option<String>,
}

/// Members that an answer adds to each event of its own: JSON without braces, which begins with a comma, or nothing.
pub(super) trait AddedMembers {
    /// The longest, in bytes.
    const MAX_BYTES: usize;

    fn of(&self, event: &Sequenced<StoredEvent>) -> String;
}

/// An answer that adds nothing.
impl AddedMembers for () {
    const MAX_BYTES: usize = 0;

    fn of(&self, _: &Sequenced<StoredEvent>) -> String {
        String::new()
    }
}

/// The event with these members behind its own.
fn with_members(mut event: String, members: &str) -> String {
    if !members.is_empty() && event.ends_with('}') {
        event.pop();
        event.push_str(members);
        event.push('}');
    }
    event
}

impl ShownEvents {
    /// Shows the events of a page in up to `max_bytes`, and cuts the page to those that have room. Each event is either
    /// in the answer or follows on the next page.
    pub(super) fn of<A: AddedMembers>(
        page: &mut QueryPage,
        order: Order,
        (form, summaries): (AnswerForm, &RecentSummaries),
        (max_bytes, added): (usize, &A),
    ) -> Self {
        let (mut shown, mut left, mut fitting) = (Self::default(), max_bytes, 0);
        for event in &page.events {
            let json = &event.item.json;
            let Some(text) = form.show(json, summaries) else {
                shown.has_hole = true;
                fitting += 1;
                continue;
            };
            let members = added.of(event);
            let text = with_members(text, &members);
            // With the comma before it.
            let rest = left.checked_sub(text.len() + 1);
            let is_first = shown.events.is_empty();
            let text = match rest {
                Some(_) => text,
                None if is_first => {
                    shown.shortened = Some(event.item.facts.id.to_string());
                    let shown = form.show_within(json, max_bytes - A::MAX_BYTES);
                    with_members(shown, &members)
                }
                None => break,
            };
            shown.events.extend(RawValue::from_string(text));
            fitting += 1;
            let Some(rest) = rest else {
                break;
            };
            left = rest;
        }
        page.cut_to(order, fitting);
        shown
    }
}

impl AnswerForm {
    /// An event in this form; `None` if its JSON is none.
    fn show(self, json: &Bytes, summaries: &RecentSummaries) -> Option<String> {
        match self.has_data {
            true => self.whole(json),
            false => summaries.of(json),
        }
    }

    /// The whole event; `None` if its JSON is none.
    pub(super) fn whole(self, json: &[u8]) -> Option<String> {
        let trim = EventTrim {
            keeps_urls: self.has_urls,
            cuts_texts: false,
        };
        trim_event(json, trim)
    }

    /// As much of an event as fits: with its texts cut, or its summary, which fits every answer.
    pub(super) fn show_within(self, json: &[u8], max_bytes: usize) -> String {
        let trim = EventTrim {
            keeps_urls: false,
            cuts_texts: true,
        };
        let cut = trim_event(json, trim).filter(|text| self.has_data && text.len() < max_bytes);
        cut.or_else(|| summarise_event(json))
            .unwrap_or_else(|| "null".to_owned())
    }
}
