//! The filters of calls that wait, in memory once for all calls with equal ones.

use std::{collections::HashMap, sync::Arc};

use access::NameDirectory;
use event_flow::matching::MatchTerm;
use model::{EventFacts, FilterMatcher, FilterSet, Sequence};
use parking_lot::Mutex;

use crate::interest::StreamInterest;

/// Filters in the forms in which events are compared with them.
#[derive(Debug)]
pub(super) struct WaitFilters {
    /// As the call gave them.
    filters: FilterSet,
    /// The terms in the index, with what the names mean by this revision of the directory.
    pub(super) terms: Box<[MatchTerm]>,
    pub(super) names_revision: u64,
    matcher: FilterMatcher,
}

impl WaitFilters {
    /// The filters, whose names mean what they meant at `at`.
    pub(super) fn compile(names: &NameDirectory, filters: &FilterSet, at: Sequence) -> Self {
        let names = names.at(at);
        // First: a rename in between is followed once more.
        let names_revision = names.revision();
        let bound = names.bind(filters);
        Self {
            matcher: FilterMatcher::of(&bound),
            terms: StreamInterest::events(&bound, names)
                .terms()
                .into_iter()
                .collect(),
            names_revision,
            filters: filters.clone(),
        }
    }

    /// The same for names that have changed since.
    pub(super) fn compile_again(&self, names: &NameDirectory, at: Sequence) -> Self {
        Self::compile(names, &self.filters, at)
    }

    pub(super) fn matches(&self, event: &EventFacts) -> bool {
        self.matcher.matches(event)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.names_revision == other.names_revision
            && self.matcher == other.matcher
            && self.terms.len() == other.terms.len()
            && self.terms.iter().all(|term| other.terms.contains(term))
    }
}

/// The filters that calls wait with; those of the calls that are over are forgotten.
#[derive(Debug, Default)]
pub(super) struct SharedFilters(Mutex<HashMap<FilterSet, Arc<WaitFilters>>>);

impl SharedFilters {
    /// The filters that another call has already, if they mean the same.
    pub(super) fn share(&self, own: WaitFilters) -> Arc<WaitFilters> {
        let mut known = self.0.lock();
        match known.get(&own.filters) {
            Some(shared) if shared.is_same(&own) => Arc::clone(shared),
            // Their names meant something else when that call began.
            Some(_) => Arc::new(own),
            None => {
                let shared = Arc::new(own);
                known.insert(shared.filters.clone(), Arc::clone(&shared));
                shared
            }
        }
    }

    /// A call no longer waits with these.
    pub(super) fn give_back(&self, own: &Arc<WaitFilters>) {
        let mut known = self.0.lock();
        let is_last = Arc::strong_count(own) <= 2;
        if is_last
            && known
                .get(&own.filters)
                .is_some_and(|shared| Arc::ptr_eq(shared, own))
        {
            known.remove(&own.filters);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
