//! Filters in the form in which they are compared: digests instead of texts.
//!
//! A comparison is then one of two numbers, however long the texts are, and equal filters are one value
//! however they were written.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    EventFacts, EventOrigin, EventType, Filter, FilterSet, ResourceId, ResourceType, github_name,
};

/// A digest of a text. Two texts have the same digest with a probability of 2^-128. It is never stored or
/// sent: another build may compute another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct TextDigest(u128);

impl TextDigest {
    fn of(text: &str) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self(half(0) << 64 | half(1))
    }

    /// Of a name that GitHub compares without case.
    fn of_name(name: &str) -> Self {
        Self::of(&name.to_ascii_lowercase())
    }

    fn of_label(label: &str) -> Self {
        Self::of(&github_name::fold(label))
    }
}

/// The fields of a filter that have one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Field {
    ResourceType,
    EventType,
    ResourceId,
    Owner,
    Repo,
    Number,
    Actor,
    Source,
}

const FIELDS: usize = 8;

/// The fields of an event that filters compare, computed once for all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDigest {
    fields: [Option<TextDigest>; FIELDS],
    /// Sorted.
    tags: Box<[TextDigest]>,
}

impl EventDigest {
    /// Of an event.
    #[must_use]
    pub fn of(facts: &EventFacts) -> Self {
        let name = |name: &Option<String>| name.as_deref().map(TextDigest::of_name);
        let mut tags: Box<[_]> = facts
            .tags
            .iter()
            .map(|tag| TextDigest::of_label(tag))
            .collect();
        tags.sort_unstable();
        Self {
            // In the order of `Field`.
            fields: [
                Some(TextDigest::of(facts.resource_type.as_str())),
                Some(TextDigest::of(facts.event_type.as_str())),
                Some(TextDigest::of(facts.resource_id.as_str())),
                name(&facts.owner),
                name(&facts.repo),
                facts.number.map(of_number),
                name(&facts.actor),
                Some(TextDigest::of(facts.source.as_str())),
            ],
            tags,
        }
    }
}

fn of_number(number: u64) -> TextDigest {
    TextDigest::of(&number.to_string())
}

/// A filter in the form in which it is compared. Equal filters are equal values, however they were spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CompiledFilter {
    fields: Box<[(Field, TextDigest)]>,
    /// Sorted, each once.
    tags: Box<[TextDigest]>,
}

impl CompiledFilter {
    /// A filter that matches every event.
    #[must_use]
    pub fn all() -> Self {
        Self {
            fields: Box::default(),
            tags: Box::default(),
        }
    }

    /// Of a filter.
    #[must_use]
    pub fn of(filter: &Filter) -> Self {
        let text = |text: Option<&str>| text.map(TextDigest::of);
        let name = |name: &Option<String>| name.as_deref().map(TextDigest::of_name);
        let id = filter.resource_id.as_ref();
        let fields = [
            (
                Field::ResourceType,
                text(filter.resource_type.as_ref().map(ResourceType::as_str)),
            ),
            (
                Field::EventType,
                text(filter.event_type.as_ref().map(EventType::as_str)),
            ),
            (Field::ResourceId, text(id.map(ResourceId::as_str))),
            (Field::Owner, name(&filter.owner)),
            (Field::Repo, name(&filter.repo)),
            (Field::Number, filter.number.map(of_number)),
            (Field::Actor, name(&filter.actor)),
            (
                Field::Source,
                text(filter.source.as_ref().map(EventOrigin::as_str)),
            ),
        ];
        let fields = fields.into_iter();
        let mut tags: Vec<_> = filter
            .tags
            .iter()
            .map(|tag| TextDigest::of_label(tag))
            .collect();
        tags.sort_unstable();
        tags.dedup();
        Self {
            fields: fields
                .filter_map(|(field, digest)| Some((field, digest?)))
                .collect(),
            tags: tags.into(),
        }
    }

    /// Whether the event matches every field of the filter, and has one of its tags.
    #[must_use]
    pub fn matches(&self, event: &EventDigest) -> bool {
        self.count_matches(event, &mut 0)
    }

    /// As [`Self::matches`]; adds the number of comparisons, which is up to [`Self::cost`] less one. A
    /// comparison of tags is a search among the event's sorted tags.
    pub fn count_matches(&self, event: &EventDigest, comparisons: &mut usize) -> bool {
        for (field, digest) in &self.fields {
            *comparisons += 1;
            if event.fields[*field as usize] != Some(*digest) {
                return false;
            }
        }
        if self.tags.is_empty() {
            return true;
        }
        self.tags.iter().any(|tag| {
            *comparisons += 1;
            event.tags.binary_search(tag).is_ok()
        })
    }

    /// Comparisons that the filter may need for one event: one to find it, one for each field and tag.
    #[must_use]
    pub fn cost(&self) -> usize {
        1 + self.fields.len() + self.tags.len()
    }
}

/// The filters of a set in the form in which they are compared, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterMatcher(Box<[CompiledFilter]>);

impl FilterMatcher {
    /// Of a set.
    #[must_use]
    pub fn of(filters: &FilterSet) -> Self {
        let mut compiled: Vec<CompiledFilter> = Vec::with_capacity(filters.filters().len());
        for filter in filters.filters() {
            let filter = CompiledFilter::of(filter);
            if !compiled.contains(&filter) {
                compiled.push(filter);
            }
        }
        Self(compiled.into())
    }

    /// Whether one of the filters matches, or there are none.
    #[must_use]
    pub fn matches(&self, event: &EventFacts) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let event = EventDigest::of(event);
        self.0.iter().any(|filter| filter.matches(&event))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EventId, Timestamp, limits::MAX_FILTER_COST};

    fn same_name<T: PartialEq>(wanted: Option<&T>, actual: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == actual)
    }

    /// The rule, field by field, without digests.
    fn rule(filter: &Filter, event: &EventFacts) -> bool {
        let same = |wanted: &Option<String>, got: &Option<String>| match (wanted, got) {
            (None, _) => true,
            (Some(wanted), Some(got)) => wanted.eq_ignore_ascii_case(got),
            (Some(_), None) => false,
        };
        let fold = |tag: &String| github_name::fold(tag);
        let has: Vec<_> = event.tags.iter().map(fold).collect();
        same_name(filter.resource_type.as_ref(), &event.resource_type)
            && same_name(filter.event_type.as_ref(), &event.event_type)
            && same_name(filter.source.as_ref(), &event.source)
            && same_name(filter.resource_id.as_ref(), &event.resource_id)
            && filter.number.is_none_or(|n| Some(n) == event.number)
            && same(&filter.owner, &event.owner)
            && same(&filter.repo, &event.repo)
            && same(&filter.actor, &event.actor)
            && (filter.tags.is_empty() || filter.tags.iter().any(|tag| has.contains(&fold(tag))))
    }

    fn name() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[aAbB]{1,2}")
    }

    fn tags() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[aAßẞéÉΣσς]{1,2}", 0..4)
    }

    prop_compose! {
        fn filter()(
            kind in prop::option::of(0..2_usize), what in prop::option::of(0..2_usize),
            id in prop::option::of("[ab]"), owner in name(), repo in name(), actor in name(),
            number in prop::option::of(1..3_u64), tags in tags(),
        ) -> Filter {
            Filter {
                resource_type: kind.map(|kind| ResourceType::KNOWN[kind].clone()),
                event_type: what.map(|what| EventType::KNOWN[what].clone()),
                resource_id: id.map(|id| ResourceId::new(&id).unwrap()),
                owner, repo, number, actor, source: None, tags,
            }
        }
    }

    prop_compose! {
        fn event()(
            kind in 0..2_usize, what in 0..2_usize, id in "[ab]", owner in name(), repo in name(),
            actor in name(), number in prop::option::of(1..3_u64), tags in tags(),
        ) -> EventFacts {
            EventFacts {
                id: EventId::new("d").unwrap(),
                event_type: EventType::KNOWN[what].clone(),
                resource_type: ResourceType::KNOWN[kind].clone(),
                resource_id: ResourceId::new(&id).unwrap(),
                owner, repo, number, actor,
                source: EventOrigin::WEBHOOK,
                tags,
                timestamp: Timestamp::default(),
                received_at: Timestamp::default(),
            }
        }
    }

    proptest! {
        #[test]
        fn digests_match_what_the_texts_match(filters in prop::collection::vec(filter(), 0..5), event in event()) {
            let digest = EventDigest::of(&event);
            for filter in &filters {
                let compiled = CompiledFilter::of(filter);
                let mut comparisons = 0;
                let matches = compiled.count_matches(&digest, &mut comparisons);
                prop_assert_eq!(matches, rule(filter, &event), "{:?}", filter);
                prop_assert!(comparisons < compiled.cost());
                prop_assert!(compiled.cost() <= filter.cost() && filter.cost() <= MAX_FILTER_COST);
            }
            let any = filters.is_empty() || filters.iter().any(|filter| rule(filter, &event));
            let set = FilterSet::new(filters).unwrap();
            prop_assert_eq!(FilterMatcher::of(&set).matches(&event), any);
        }

        #[test]
        fn filters_that_mean_the_same_are_one_value(filter in filter()) {
            let mut other = filter.clone();
            for name in [&mut other.owner, &mut other.repo, &mut other.actor].into_iter().flatten() {
                *name = name.to_ascii_uppercase();
            }
            other.tags.extend(filter.tags.iter().rev().map(|tag| github_name::fold(tag)));
            other.tags.reverse();
            prop_assert_eq!(CompiledFilter::of(&other), CompiledFilter::of(&filter));
        }
    }
}
