//! What a stream wants.

use std::collections::HashMap;

use model::{Epoch, FilterSet, ResourceUri, Sequence, Session};

use super::ring::Entry;

/// Which events concern a stream, and from which position on.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Interest {
    /// Events that go out whole.
    subscriptions: Vec<(FilterSet, Sequence)>,
    /// Resources whose change is told: by canonical URI, each as the client spelt it.
    uris: HashMap<String, Vec<(String, Sequence)>>,
    /// The session's revision that this was made from; a newer one replaces it.
    pub(crate) revision: u64,
}

impl Interest {
    /// Whole events that fit `filters`.
    pub(crate) fn events(filters: FilterSet) -> Self {
        Self {
            subscriptions: vec![(filters, Sequence::START)],
            ..Self::default()
        }
    }

    /// Changes of these resources; what is no URI of ours is left out.
    pub(crate) fn resources(uris: impl IntoIterator<Item = String>) -> Self {
        let mut interest = Self::default();
        uris.into_iter()
            .for_each(|uri| interest.add_uri(&uri, Sequence::START));
        interest
    }

    /// What a session asked for.
    pub(crate) fn of_session(session: &Session, revision: u64, epoch: Epoch) -> Self {
        let mut interest = Self {
            revision,
            ..Self::default()
        };
        if !is_quiet(session.log_level.as_deref()) {
            let subscriptions = session.subscriptions.iter();
            interest.subscriptions = subscriptions
                .map(|s| (s.filters.clone(), s.since.within(epoch)))
                .collect();
        }
        for (uri, since) in &session.resource_uris {
            interest.add_uri(uri, since.within(epoch));
        }
        interest
    }

    fn add_uri(&mut self, spelt: &str, since: Sequence) {
        if let Ok(uri) = ResourceUri::parse(spelt) {
            self.uris
                .entry(uri.to_string())
                .or_default()
                .push((spelt.to_owned(), since));
        }
    }

    /// The whole event goes out.
    pub(crate) fn wants_event(&self, entry: &Entry) -> bool {
        self.subscriptions
            .iter()
            .any(|(filters, since)| entry.sequence > *since && filters.matches(&entry.event.facts))
    }

    /// The resources that this event changes and the stream asked for, as the client spelt them.
    pub(crate) fn wanted_uris<'e>(&'e self, entry: &'e Entry) -> impl Iterator<Item = &'e str> {
        let touched = if self.uris.is_empty() {
            &[][..]
        } else {
            entry.uris()
        };
        touched
            .iter()
            .filter_map(|uri| self.uris.get(uri))
            .flatten()
            .filter(|(_, since)| entry.sequence > *since)
            .map(|(spelt, _)| spelt.as_str())
    }

    /// Anything goes out.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        self.wants_event(entry) || self.wanted_uris(entry).next().is_some()
    }

    /// What this asks for and `old` did not.
    pub(crate) fn minus(&self, old: &Self) -> Self {
        let subscriptions = self
            .subscriptions
            .iter()
            .filter(|s| !old.subscriptions.contains(s));
        let uris = self.uris.iter().filter_map(|(uri, wanted)| {
            let known = old.uris.get(uri).map_or(&[][..], Vec::as_slice);
            let added: Vec<_> = wanted
                .iter()
                .filter(|w| !known.contains(w))
                .cloned()
                .collect();
            (!added.is_empty()).then(|| (uri.clone(), added))
        });
        Self {
            subscriptions: subscriptions.cloned().collect(),
            uris: uris.collect(),
            revision: self.revision,
        }
    }

    /// The earliest position that this asks for; `None` if it asks for nothing.
    pub(crate) fn earliest(&self) -> Option<Sequence> {
        let subscriptions = self.subscriptions.iter().map(|(_, since)| *since);
        subscriptions
            .chain(self.uris.values().flatten().map(|(_, since)| *since))
            .min()
    }
}

/// Event notifications are log messages of level `info` (MCP 2025-11-25, Utilities, "Logging").
fn is_quiet(log_level: Option<&str>) -> bool {
    !matches!(log_level, None | Some("debug" | "info"))
}
