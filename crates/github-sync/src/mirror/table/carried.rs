//! The present state of what an entry carries.

use model::{PlaceName, ResourceId};
use ports::MirroredKind;

use super::Table;
use crate::mirror::{
    carried::CarriedNews,
    facts::{CarriedLabel, CarriedLabelId, ListFacts},
    kept::Entry,
    key::{MirrorKey, MirroredPlace},
};

/// A state that carries others: its facts, when it was made, and the address under which it was shown.
#[derive(Clone, Copy)]
pub(in crate::mirror) struct Carrier<'e> {
    pub(in crate::mirror) key: &'e MirrorKey,
    pub(in crate::mirror) facts: &'e ListFacts,
    pub(in crate::mirror) made_at: u64,
    pub(in crate::mirror) spelt: Option<&'e str>,
}

impl<'e> Carrier<'e> {
    pub(in crate::mirror) fn of(key: &'e MirrorKey, entry: &'e Entry) -> Self {
        Self {
            key,
            facts: &entry.state.facts,
            made_at: entry.version.made_at,
            spelt: entry.state.spelt.as_deref(),
        }
    }
}

impl Table {
    /// What has changed of what a state carries.
    pub(in crate::mirror) fn news_of(&self, carrier: Carrier<'_>) -> CarriedNews {
        let present = |entry: &Entry| (!entry.state.deleted).then(|| entry.state.json.clone());
        let labels = carrier.facts.labels.iter().enumerate();
        let labels = labels.filter_map(|(at, label)| {
            let entry = self.newer_label(carrier, label)?;
            // As a rule the label is as it was, and its object is of a later moment all the same.
            let is_same = !entry.state.deleted && label.shows_same_as(&entry.state.facts);
            (!is_same).then(|| (at, present(entry)))
        });
        CarriedNews {
            labels: labels.collect(),
            milestone: self.newer_milestone(carrier).map(present),
            renamed: self.renamed_since(carrier),
        }
    }

    /// Whether a state carries a label under this name, in lower case.
    pub(in crate::mirror) fn carries_label(&self, carrier: Carrier<'_>, name: &str) -> bool {
        carrier
            .facts
            .labels
            .iter()
            .any(|label| match self.newer_label(carrier, label) {
                None => *label.name == *name,
                Some(entry) if entry.state.deleted => false,
                Some(entry) => entry.state.facts.label_name.as_deref() == Some(name),
            })
    }

    /// Whether a state is in the milestone with this number, which is still there.
    pub(in crate::mirror) fn is_in_milestone(&self, carrier: Carrier<'_>, number: u64) -> bool {
        let is_deleted = || {
            self.newer_milestone(carrier)
                .is_some_and(|entry| entry.state.deleted)
        };
        carrier.facts.milestone == Some(number) && !is_deleted()
    }

    /// The label's own state, if it is from a later moment.
    fn newer_label(&self, carrier: Carrier<'_>, label: &CarriedLabel) -> Option<&Entry> {
        match &label.id {
            CarriedLabelId::Number(id) => self.newer(carrier, MirroredKind::Label, *id),
            CarriedLabelId::Node(id) => {
                let key = self.by_node.get(&ResourceId::new(id).ok()?)?;
                let is_here = key.kind == MirroredKind::Label && key.place == carrier.key.place;
                self.newer(carrier, key.kind, key.number)
                    .filter(|_| is_here)
            }
            CarriedLabelId::Unknown => None,
        }
    }

    fn newer_milestone(&self, carrier: Carrier<'_>) -> Option<&Entry> {
        self.newer(carrier, MirroredKind::Milestone, carrier.facts.milestone?)
    }

    fn newer(&self, carrier: Carrier<'_>, kind: MirroredKind, number: u64) -> Option<&Entry> {
        let key = MirrorKey {
            place: carrier.key.place.clone(),
            kind,
            number,
        };
        let entry = self.entries.get(&key)?;
        (entry.version.made_at > carrier.made_at).then_some(entry)
    }

    /// The former and the present name of a state's repository. The repository's own object says its name itself.
    fn renamed_since(&self, carrier: Carrier<'_>) -> Option<(Box<str>, Box<str>)> {
        let MirroredPlace::Known(id) = carrier.key.place else {
            return None;
        };
        let spelt = carrier.spelt.map(PlaceName::read)?;
        let present = self.places.present(id)?;
        let is_other = spelt.repo.is_some() && !present.is_same(&spelt);
        (is_other && carrier.key.kind != MirroredKind::Repository)
            .then(|| (spelt.to_string().into(), present.to_string().into()))
    }
}
