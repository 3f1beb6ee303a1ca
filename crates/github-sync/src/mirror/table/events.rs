//! States from events.

use std::sync::Arc;

use bytes::Bytes;
use model::{EventFacts, EventType, PlaceName, Sequence};
use ports::MirroredKind;

use super::Table;
use crate::mirror::{
    facts::ListFacts,
    kept::{ApplyOutcome, KeptState},
    key::MirrorKey,
    reading::{EventReading, StateReading},
    version::{EventMoment, StateVersion},
};

impl Table {
    /// Applies an event: what it says of addresses, and its state unless a newer one is known.
    pub(in crate::mirror) fn apply(
        &mut self,
        facts: &EventFacts,
        sequence: Sequence,
        reading: EventReading,
    ) -> ApplyOutcome {
        let on_time = !reading.late;
        let made_at = reading.made_at;
        let at = EventMoment { made_at, sequence };
        self.rename_unknown(facts);
        self.places.observe(facts, at, on_time);
        if let Some(node_id) = reading.repository_node_id {
            self.places.name_repository(facts, node_id);
        }
        let Some(key) = MirrorKey::of(facts) else {
            return ApplyOutcome::Stateless;
        };
        let deleted = is_gone(facts, key.kind);
        let known = self.entries.get(&key);
        let ((json, list_facts), updated_at, whole) = match reading.state {
            StateReading::Nothing => return ApplyOutcome::Stateless,
            StateReading::State {
                json,
                updated_at,
                whole,
            } => {
                let list_facts = Arc::new(ListFacts::of(&json));
                ((json, list_facts), updated_at, whole)
            }
            // The last state before the deletion is the best that we can show.
            StateReading::Deleted => {
                let last = known.map(|known| (known.state.json.clone(), known.state.facts.clone()));
                let whole = known.is_none_or(|known| known.version.whole);
                let none = || (Bytes::from_static(b"null"), Arc::default());
                (last.unwrap_or_else(none), facts.timestamp, whole)
            }
        };
        let version = StateVersion {
            whole,
            updated_at,
            deleted,
            made_at,
            on_time,
            sequence,
        };
        let state = KeptState {
            node_id: facts.resource_id.clone(),
            owner: facts.ids.owner,
            spelt: spelling(facts),
            json,
            facts: list_facts,
            event_id: facts.id.clone(),
            sequence,
            updated_at,
            deleted,
        };
        self.offer(&key, state, version)
    }

    /// What is known by a name alone goes with it when it is renamed, as long as the name has had one holder.
    fn rename_unknown(&mut self, facts: &EventFacts) {
        let Some(rename) = facts.rename() else {
            return;
        };
        let from = rename.from.to_string().to_ascii_lowercase();
        if self.places.has_changed_hands(&from) {
            return;
        }
        let renamed = self.entries.keys().filter_map(|key| {
            let renamed = key.renamed(rename.from, rename.to)?;
            Some((MirrorKey::clone(key), renamed))
        });
        let renamed: Vec<_> = renamed.collect();
        for (from, to) in renamed {
            let Some((state, version)) = self.remove(&from) else {
                continue;
            };
            let known = self.entries.get(&to).map(|known| known.version);
            if known.is_none_or(|known| known < version) {
                self.remove(&to);
                self.insert(to, state, version);
            }
        }
    }
}

/// Whether a resource is no longer in its place after an event: deleted, or an issue that is in another repository now.
fn is_gone(facts: &EventFacts, kind: MirroredKind) -> bool {
    let is_moved = || facts.action.as_deref() == Some("transferred");
    facts.event_type == EventType::DELETED || (kind == MirroredKind::Issue && is_moved())
}

fn spelling(facts: &EventFacts) -> Option<Box<str>> {
    let owner = facts.owner.as_deref()?;
    let repo = facts.repo.as_deref();
    Some(PlaceName { owner, repo }.to_string().into())
}
