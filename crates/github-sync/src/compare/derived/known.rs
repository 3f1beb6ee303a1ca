//! The conditions that are known to hold. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DerivedCondition, look::ConditionLook, number_in};
use crate::{derived_kind::DerivedKind, limits::MAX_CONDITIONS};

/// What is stored of the conditions of a place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct KnownConditions {
    /// The kinds that were looked at before: what held at the first look is no news.
    begun: BTreeSet<String>,
    /// What holds, by its key.
    held: BTreeMap<String, HeldCondition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeldCondition {
    since: Timestamp,
    /// Whether its event is in the log, or it was there at the first look.
    told: bool,
}

/// What is to be told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ConditionNews {
    /// What has begun.
    pub(crate) begun: Vec<DerivedCondition>,
    /// What has ended: conflicts alone.
    pub(crate) ended: Vec<DerivedCondition>,
    /// Something was noted that has to be stored before it is told: then nobody tells it under another id.
    pub(crate) is_noted: bool,
}

impl KnownConditions {
    /// Takes what holds now, of one kind.
    pub(crate) fn take_in(&mut self, kind: DerivedKind, look: &ConditionLook) -> ConditionNews {
        let mut news = ConditionNews::default();
        let is_first = self.begun.insert(kind.as_str().to_owned());
        news.is_noted = is_first;
        let holding = look.holding.iter().filter(|held| held.kind == kind);
        let holding: BTreeMap<_, _> = holding.map(|held| (held.key(), held)).collect();
        for (key, condition) in &holding {
            if !self.held.contains_key(key) && self.held.len() < MAX_CONDITIONS {
                let since = condition.since;
                let told = is_first;
                self.held.insert(key.clone(), HeldCondition { since, told });
                news.is_noted = true;
            }
        }
        let gone = self
            .of(kind)
            .filter(|(key, _)| !holding.contains_key(*key) && !look.unclear.contains(*key));
        let gone: Vec<_> = gone
            .map(|(key, held)| (key.clone(), held.clone()))
            .collect();
        for (key, held) in gone {
            match ended(kind, &key, &held, look) {
                Some(condition) => news.ended.push(condition),
                None => drop(self.held.remove(&key)),
            }
        }
        let untold = self.of(kind).filter(|(_, held)| !held.told);
        let begun = untold.filter_map(|(key, held)| {
            let condition = (*holding.get(key)?).clone();
            let since = held.since;
            Some(DerivedCondition { since, ..condition })
        });
        news.begun = begun.collect();
        news
    }

    /// Forgets a kind that is not told any more: once it is again, what holds then is no news.
    pub(crate) fn leave_out(&mut self, kind: DerivedKind) -> bool {
        let was_begun = self.begun.remove(kind.as_str());
        let keys: Vec<_> = self.of(kind).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.held.remove(key);
        }
        was_begun || !keys.is_empty()
    }

    /// A beginning is in the log.
    pub(crate) fn note_told(&mut self, key: &str) {
        if let Some(held) = self.held.get_mut(key) {
            held.told = true;
        }
    }

    /// An end is in the log.
    pub(crate) fn forget(&mut self, key: &str) {
        self.held.remove(key);
    }

    fn of(&self, kind: DerivedKind) -> impl Iterator<Item = (&String, &HeldCondition)> {
        let held = self.held.iter();
        held.filter(move |(key, _)| {
            let rest = key.strip_prefix(kind.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// The end of a conflict of a pull request that is still open; the end of anything else is told by itself.
fn ended(
    kind: DerivedKind,
    key: &str,
    held: &HeldCondition,
    look: &ConditionLook,
) -> Option<DerivedCondition> {
    let number = number_in(key)?;
    let is_told = kind == DerivedKind::MergeConflicts && held.told && look.open.contains(&number);
    is_told.then(|| DerivedCondition {
        kind,
        number,
        subject: String::new(),
        action: "merge_conflict_ended",
        since: held.since,
        detail: json!({ "began": held.since }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: DerivedKind = DerivedKind::MergeConflicts;

    fn conflict(number: u64, at: i64) -> DerivedCondition {
        DerivedCondition {
            kind: KIND,
            number,
            subject: String::new(),
            action: "merge_conflict_began",
            since: Timestamp::from_unix_millis(at),
            detail: json!({}),
        }
    }

    fn look(holding: &[DerivedCondition], open: &[u64]) -> ConditionLook {
        ConditionLook {
            holding: holding.to_vec(),
            unclear: BTreeSet::new(),
            open: open.iter().copied().collect(),
        }
    }

    #[test]
    fn what_held_at_the_first_look_is_no_news_but_its_end_is() {
        let mut known = KnownConditions::default();
        let news = known.take_in(KIND, &look(&[conflict(1, 5)], &[1, 2]));
        assert!(news.begun.is_empty() && news.is_noted);
        let news = known.take_in(KIND, &look(&[], &[1, 2]));
        assert_eq!(news.ended.len(), 1);
        known.forget(&news.ended[0].key());
        assert_eq!(
            known.take_in(KIND, &look(&[], &[1, 2])),
            ConditionNews::default()
        );
    }

    #[test]
    fn a_beginning_is_told_under_one_time_until_it_is_noted() {
        let mut known = KnownConditions::default();
        known.take_in(KIND, &look(&[], &[1]));
        for at in [7, 9] {
            let news = known.take_in(KIND, &look(&[conflict(1, at)], &[1]));
            assert_eq!(news.begun, [conflict(1, 7)], "the first time counts");
        }
        known.note_told(&conflict(1, 7).key());
        let news = known.take_in(KIND, &look(&[conflict(1, 11)], &[1]));
        assert_eq!(news, ConditionNews::default());
    }

    #[test]
    fn what_is_unclear_stays_and_what_was_closed_ends_without_a_word() {
        let mut known = KnownConditions::default();
        known.take_in(KIND, &look(&[], &[1]));
        known.take_in(KIND, &look(&[conflict(1, 7)], &[1]));
        known.note_told(&conflict(1, 7).key());
        let mut unclear = look(&[], &[1]);
        unclear.unclear.insert(conflict(1, 0).key());
        assert_eq!(known.take_in(KIND, &unclear), ConditionNews::default());
        assert_eq!(
            known.take_in(KIND, &look(&[], &[])),
            ConditionNews::default()
        );
        let news = known.take_in(KIND, &look(&[conflict(1, 9)], &[1]));
        assert_eq!(news.begun.len(), 1, "it began anew");
    }

    #[test]
    fn a_kind_that_was_left_out_begins_anew() {
        let mut known = KnownConditions::default();
        known.take_in(KIND, &look(&[], &[1]));
        assert!(known.leave_out(KIND) && !known.leave_out(KIND));
        let news = known.take_in(KIND, &look(&[conflict(1, 9)], &[1]));
        assert!(news.begun.is_empty());
    }
}
