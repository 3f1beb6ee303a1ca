//! What is to be done about the objects of a page: nothing, a new state, an event; or nothing yet.

use std::collections::BTreeMap;

use model::{ResourceId, StoredEvent, Timestamp, TraceContext};
use ports::MirroredKind;
use serde_json::Value;
use tracing::debug;

use crate::{
    compare::{
        comparer::Comparer,
        content::{self, FoundChange},
        found_event::FoundEvent,
        place_records::ListState,
    },
    limits::{COMPARE_OVERLAP, SWEEP_GRACE, WEBHOOK_GRACE},
    listed::{ListedObject, ListedPlace},
    lists::IssueFate,
    mirror::{KnownBefore, fuller, listed_event_id},
    sweep_marks::SweptUntil,
};

/// How objects are judged.
pub(super) struct Judging<'p> {
    pub(super) comparer: &'p Comparer,
    pub(super) place: &'p ListedPlace,
    pub(super) kind: MirroredKind,
    pub(super) swept: SweptUntil,
    /// Since when the list was known to be whole.
    pub(super) listed_before: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) trace: TraceContext,
}

/// What is to be done about a page.
#[derive(Debug, Default)]
pub(super) struct JudgedPage<'s> {
    pub(super) events: Vec<StoredEvent>,
    pub(super) shown: Vec<&'s ListedObject>,
    pub(super) gone: Vec<u64>,
    /// Changes whose webhooks may still arrive.
    pub(super) waiting: Vec<&'s ListedObject>,
}

impl Judging<'_> {
    /// Judges a page of a list that was read whole before.
    pub(super) fn judge<'s>(
        &self,
        (objects, seen_at): (&'s [ListedObject], Timestamp),
        list: &mut ListState,
    ) -> JudgedPage<'s> {
        let mut page = JudgedPage::default();
        for object in objects {
            list.gone.remove(&object.number);
            self.judge_one((object, seen_at), self.listed_before, &mut page);
        }
        page
    }

    /// Judges what is no longer listed.
    /// Of an issue GitHub says what became of it.
    pub(super) fn judge_all_gone(
        &self,
        list: &mut ListState,
        fates: &BTreeMap<u64, IssueFate>,
    ) -> JudgedPage<'static> {
        let mut page = JudgedPage::default();
        let gone: Vec<_> = list.gone.keys().copied().collect();
        for number in gone {
            self.judge_gone((number, fates.get(&number)), list, &mut page);
        }
        page
    }

    /// What is no longer listed, and would have its webhook by now.
    pub(super) fn ripe_of_gone(&self, list: &ListState) -> Vec<u64> {
        let ripe = list.gone.iter().filter(|(_, since)| self.is_ripe(**since));
        ripe.map(|(number, _)| *number).collect()
    }

    fn judge_one<'s>(
        &self,
        (object, seen_at): (&'s ListedObject, Timestamp),
        listed_before: Option<Timestamp>,
        page: &mut JudgedPage<'s>,
    ) {
        let known = self.known(object.number).map(|(_, known)| known);
        if let Some(known) = &known
            && known.updated_at > object.updated_at
        {
            return;
        }
        let Some(change) = self.change(object, known.as_ref(), listed_before) else {
            page.shown.push(object);
            return;
        };
        // GitHub's clock may be ahead.
        if !self.is_ripe(object.updated_at.min(seen_at)) {
            page.waiting.push(object);
            return;
        }
        match known.filter(|_| self.kind == MirroredKind::PullRequest) {
            // A webhook would tell it with what no list says.
            Some(known) => {
                let json = fuller(&object.json, &known.json);
                let object = ListedObject {
                    json,
                    ..object.clone()
                };
                self.add_event(change, &object, page);
            }
            None => self.add_event(change, object, page),
        }
        page.shown.push(object);
    }

    /// What an event would have told; `None` if nothing.
    fn change(
        &self,
        object: &ListedObject,
        known: Option<&KnownBefore>,
        listed_before: Option<Timestamp>,
    ) -> Option<FoundChange> {
        if !object.whole || !content::has_events(self.kind) || known.is_some_and(|it| !it.whole) {
            return None;
        }
        let listed: Value = serde_json::from_slice(&object.json).ok()?;
        // It is listed as it was before it was deleted.
        if known.is_some_and(|known| known.deleted && object.updated_at <= known.updated_at) {
            return None;
        }
        let Some(known) = known.filter(|known| !known.deleted) else {
            // What is older was there at the last comparison, and is not known because it was evicted.
            let time = |name| {
                listed
                    .get(name)
                    .and_then(Value::as_str)
                    .and_then(Timestamp::parse)
            };
            // A release is "created" with its commit.
            let created = time("created_at").max(time("published_at"))?;
            let is_new = created.plus(COMPARE_OVERLAP) >= listed_before?;
            return content::appeared(self.kind, &listed).filter(|_| is_new);
        };
        let known: Value = serde_json::from_slice(&known.json).ok()?;
        match known.is_null() {
            true => None,
            false => content::changed(self.kind, &known, &listed),
        }
    }

    fn judge_gone(
        &self,
        (number, fate): (u64, Option<&IssueFate>),
        list: &mut ListState,
        page: &mut JudgedPage<'_>,
    ) {
        let known = self.known(number).filter(|(_, known)| !known.deleted);
        let change = content::vanished(self.kind);
        let (Some((node_id, known)), Some(change)) = (known, change) else {
            list.gone.remove(&number);
            page.gone.push(number);
            return;
        };
        let Some(since) = list.gone_since(number, self.now) else {
            page.gone.push(number);
            return;
        };
        if !self.is_ripe(since) {
            return;
        }
        let change = match (self.kind, fate) {
            // It is asked for at the next comparison.
            (MirroredKind::Issue, None) | (_, Some(IssueFate::SwitchedOff)) => return,
            (_, Some(IssueFate::There)) => {
                list.gone.remove(&number);
                return;
            }
            (_, Some(IssueFate::Transferred)) => content::transferred(),
            _ => change,
        };
        let object = ListedObject {
            kind: self.kind,
            number,
            node_id,
            updated_at: since,
            json: known.json,
            whole: true,
        };
        self.add_event(change, &object, page);
        list.gone.remove(&number);
        page.gone.push(number);
    }

    fn add_event(&self, change: FoundChange, object: &ListedObject, page: &mut JudgedPage<'_>) {
        let Ok(json) = serde_json::from_slice(&object.json) else {
            return;
        };
        let found = FoundEvent {
            id: listed_event_id(&object.node_id, object.updated_at),
            place: self.place,
            kind: self.kind,
            change,
            object: json,
            found_at: self.now,
        };
        match found.store(self.trace, self.comparer.recorder.max_event_bytes()) {
            Ok(event) => page.events.push(event),
            Err(error) => {
                debug!(%error, kind = %self.kind, number = object.number, "no event is made of a change");
                self.comparer.metrics.eventless.inc();
            }
        }
    }

    fn known(&self, number: u64) -> Option<(ResourceId, KnownBefore)> {
        self.comparer.mirror.known(self.place, self.kind, number)
    }

    /// Whether the webhook of a change would be in the log by now: it has had its time, and the sweep of GitHub's lists of
    /// deliveries, where there is one, has looked since.
    fn is_ripe(&self, changed_at: Timestamp) -> bool {
        let due = changed_at.plus(WEBHOOK_GRACE);
        let is_swept = match self.swept {
            SweptUntil::NotSwept => true,
            SweptUntil::NotYet => false,
            SweptUntil::At(began) => began >= due,
        };
        self.now >= due && (is_swept || self.now >= changed_at.plus(SWEEP_GRACE))
    }
}
