//! The summaries of the events that answers showed last. One event may wake thousands of calls, and each of their answers
//! shows it: its JSON is read once for all of them.

use std::{collections::VecDeque, fmt, sync::Arc};

use bytes::Bytes;
use github_events::summarise_event;
use parking_lot::Mutex;

use crate::limits::{RECENT_SUMMARIES, SUMMARISED_BYTES};

/// The JSON of an event, and its summary, if it has one.
type RecentSummary = (Bytes, Option<Arc<str>>);

/// The last summaries, within bounds.
#[derive(Default)]
pub(crate) struct RecentSummaries(Mutex<VecDeque<RecentSummary>>);

impl RecentSummaries {
    /// The summary of an event; `None` if its JSON is none.
    pub(crate) fn of(&self, json: &Bytes) -> Option<String> {
        if json.len() > SUMMARISED_BYTES {
            return summarise_event(json);
        }
        // The same bytes in memory: they are kept here, so no others can be there.
        let is_it =
            |kept: &&RecentSummary| kept.0.as_ptr() == json.as_ptr() && kept.0.len() == json.len();
        let known = self.0.lock().iter().find(is_it).map(|kept| kept.1.clone());
        if let Some(summary) = known {
            return summary.map(|summary| summary.to_string());
        }
        let summary = summarise_event(json);
        let kept = (json.clone(), summary.as_deref().map(Arc::from));
        let mut recent = self.0.lock();
        if recent.len() >= RECENT_SUMMARIES {
            recent.pop_front();
        }
        recent.push_back(kept);
        summary
    }
}

impl fmt::Debug for RecentSummaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecentSummaries")
            .field(&self.0.lock().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> Bytes {
        Bytes::from(format!(r#"{{"id":"{n}","type":"updated","data":{{}}}}"#))
    }

    #[test]
    fn a_summary_is_the_same_whether_it_is_kept_or_not_and_few_are_kept() {
        let recent = RecentSummaries::default();
        let events: Vec<_> = (0..RECENT_SUMMARIES + 2).map(event).collect();
        for json in events.iter().chain(&events) {
            let expected = summarise_event(json);
            assert!(expected.is_some());
            assert_eq!(recent.of(json), expected);
            assert_eq!(recent.of(json), expected);
        }
        assert_eq!(recent.of(&Bytes::from_static(b"no JSON")), None);
        let large = Bytes::from(vec![b' '; SUMMARISED_BYTES + 1]);
        assert_eq!(recent.of(&large), summarise_event(&large));
        let kept = recent.0.lock();
        assert_eq!(kept.len(), RECENT_SUMMARIES);
        assert!(kept.iter().all(|(json, _)| json.len() <= SUMMARISED_BYTES));
    }
}
