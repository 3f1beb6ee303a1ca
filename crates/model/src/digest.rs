//! Filters in the form in which they are compared: digests instead of texts.
//!
//! A comparison is then one of two numbers, however long the texts are, and equal filters are one value
//! however they were written.

mod lookup;

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    EventFacts, EventOrigin, EventType, Filter, FilterSet, PlaceId, Rename, ResourceId,
    ResourceType, github_name,
};

pub use lookup::LookupValue;

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

    /// The mark of a tag: a word, and a bit in it.
    fn mark(self) -> (usize, u64) {
        let low = u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or_default();
        let word = usize::try_from(low >> 6).unwrap_or_default() % MARK_WORDS;
        (word, 1 << (low & 63))
    }

    /// An id is its own digest: it is compared with ids only.
    fn of_id(id: u64) -> Self {
        Self(u128::from(id))
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
    Action,
    DatabaseId,
    IsPullRequest,
    /// Whether it is an issue or a pull request.
    IsIssueOrPullRequest,
    OwnerId,
    RepositoryId,
    Author,
    AuthorAssociation,
}

const FIELDS: usize = 16;

impl Field {
    /// Whether it is a part of an address, which an event may have under another name too.
    const fn is_address(self) -> bool {
        matches!(
            self,
            Self::Owner | Self::Repo | Self::OwnerId | Self::RepositoryId
        )
    }
}

/// Owner and repository, as far as they are given.
type AddressDigest = [Option<TextDigest>; 2];

fn of_names((owner, repo): (Option<&str>, Option<&str>)) -> AddressDigest {
    [
        owner.map(TextDigest::of_name),
        repo.map(TextDigest::of_name),
    ]
}

/// Words of the marks of an event's tags: of the tags that an event with 100 labels does not have, which are nearly all
/// that are asked for, one in twenty has a mark.
const MARK_WORDS: usize = 32;

/// The tags of an event, and a mark for each: most of those that it does not have are told by one bit, and the others
/// by a search.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TagDigests {
    /// Sorted, each once.
    sorted: Box<[TextDigest]>,
    /// `None` without tags.
    marks: Option<Box<[u64; MARK_WORDS]>>,
}

impl TagDigests {
    fn of(tags: impl Iterator<Item = TextDigest>) -> Self {
        let mut sorted: Vec<_> = tags.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let marks = (!sorted.is_empty()).then(|| {
            let mut marks = Box::new([0; MARK_WORDS]);
            for tag in &sorted {
                let (word, bit) = tag.mark();
                marks[word] |= bit;
            }
            marks
        });
        Self {
            sorted: sorted.into(),
            marks,
        }
    }

    fn has(&self, tag: TextDigest) -> bool {
        let (word, bit) = tag.mark();
        let is_marked = |marks: &[u64; MARK_WORDS]| marks[word] & bit != 0;
        self.marks.as_deref().is_some_and(is_marked) && self.sorted.binary_search(&tag).is_ok()
    }
}

/// The fields of an event that filters compare, computed once for all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDigest {
    fields: [Option<TextDigest>; FIELDS],
    /// Owner and repository of the address that the event ended.
    former: Option<Box<AddressDigest>>,
    tags: TagDigests,
}

impl EventDigest {
    /// Of an event.
    #[must_use]
    pub fn of(facts: &EventFacts) -> Self {
        let name = |name: &Option<String>| name.as_deref().map(TextDigest::of_name);
        let tags = facts.tags.iter().map(|tag| TextDigest::of_label(tag));
        let tags = TagDigests::of(tags);
        let is_pull_request = facts.resource_type == ResourceType::PULL_REQUEST;
        let author = facts.author.as_deref();
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
                name(&facts.action),
                facts.ids.resource.map(of_number),
                Some(of_flag(is_pull_request)),
                Some(of_flag(
                    is_pull_request || facts.resource_type == ResourceType::ISSUE,
                )),
                facts.ids.owner.map(|id| TextDigest::of_id(id.0)),
                facts.ids.repository.map(|id| TextDigest::of_id(id.0)),
                author.and_then(|author| name(&author.login)),
                author.and_then(|author| name(&author.association)),
            ],
            former: facts
                .former
                .as_ref()
                .map(|_| Box::new(of_names(facts.former_names()))),
            tags,
        }
    }
}

fn of_flag(flag: bool) -> TextDigest {
    TextDigest::of(if flag { "true" } else { "false" })
}

/// The digests of names, sorted, each once.
fn of_choices(names: &[String]) -> Box<[TextDigest]> {
    let mut digests: Vec<_> = names.iter().map(|name| TextDigest::of_name(name)).collect();
    digests.sort_unstable();
    digests.dedup();
    digests.into()
}

fn of_number(number: u64) -> TextDigest {
    TextDigest::of(&number.to_string())
}

/// A filter in the form in which it is compared. Equal filters are equal values, however they were spelt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CompiledFilter {
    fields: Box<[(Field, TextDigest)]>,
    /// What the names mean, where that is known, with the names: they count for events without an id.
    place: Option<Box<(PlaceId, AddressDigest)>>,
    /// Fields of which one of several values has to match, sorted and each once.
    choices: Box<[(Field, Box<[TextDigest]>)]>,
    /// Sorted, each once.
    tags: Box<[TextDigest]>,
}

/// A rename in the form in which filters are compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenameDigest {
    id: PlaceId,
    from: AddressDigest,
    /// The owner of the former name, if it is known by its id.
    owner: Option<PlaceId>,
}

impl RenameDigest {
    /// Of a rename.
    #[must_use]
    pub fn of(rename: &Rename<'_>) -> Self {
        Self {
            id: rename.id,
            from: of_names((Some(rename.from.owner), rename.from.repo)),
            owner: rename.owner.map(PlaceId::Owner),
        }
    }
}

impl CompiledFilter {
    /// A filter that matches every event.
    #[must_use]
    pub fn all() -> Self {
        Self {
            fields: Box::default(),
            place: None,
            choices: Box::default(),
            tags: Box::default(),
        }
    }

    /// Of a filter.
    #[must_use]
    pub fn of(filter: &Filter) -> Self {
        let text = |text: Option<&str>| text.map(TextDigest::of);
        let name = |name: &Option<String>| name.as_deref().map(TextDigest::of_name);
        let id = filter.resource_id.as_ref();
        let kind = filter.resource_type.as_ref();
        let widened = filter.include_pull_requests && kind == Some(&ResourceType::ISSUE);
        let kind = kind.filter(|_| !widened);
        let fields = [
            (Field::ResourceType, text(kind.map(ResourceType::as_str))),
            (Field::IsIssueOrPullRequest, widened.then(|| of_flag(true))),
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
            (Field::Action, name(&filter.action)),
            (Field::DatabaseId, filter.database_id.map(of_number)),
            (Field::IsPullRequest, filter.is_pull_request.map(of_flag)),
        ];
        let fields = fields.into_iter();
        let mut tags: Vec<_> = filter
            .tags
            .iter()
            .map(|tag| TextDigest::of_label(tag))
            .collect();
        tags.sort_unstable();
        tags.dedup();
        let choices = [
            (Field::Author, &filter.authors),
            (Field::AuthorAssociation, &filter.author_association),
        ];
        let choices = choices.into_iter().filter(|(_, names)| !names.is_empty());
        let compiled = Self {
            fields: fields
                .filter_map(|(field, digest)| Some((field, digest?)))
                .collect(),
            place: None,
            choices: choices
                .map(|(field, names)| (field, of_choices(names)))
                .collect(),
            tags: tags.into(),
        };
        match filter.place {
            Some(place) => compiled.bound_to(place),
            None => compiled,
        }
    }

    /// The same filter for this owner or repository, under whatever name, in place of the one with its names.
    fn bound_to(self, place: PlaceId) -> Self {
        let names = match &self.place {
            Some(bound) => bound.1,
            None => [self.field(Field::Owner), self.field(Field::Repo)],
        };
        let (id, replaced) = match place {
            PlaceId::Owner(id) => ((Field::OwnerId, id.0), &[Field::Owner][..]),
            PlaceId::Repository(id) => (
                (Field::RepositoryId, id.0),
                &[Field::Owner, Field::Repo, Field::OwnerId][..],
            ),
        };
        let others = self.fields.iter().copied();
        let others = others.filter(|(field, _)| !replaced.contains(field));
        Self {
            fields: [(id.0, TextDigest::of_id(id.1))]
                .into_iter()
                .chain(others)
                .collect(),
            place: Some(Box::new((place, names))),
            choices: self.choices,
            tags: self.tags,
        }
    }

    /// What the filter's names mean, where that is known.
    #[must_use]
    pub fn place(&self) -> Option<PlaceId> {
        self.place.as_ref().map(|place| place.0)
    }

    /// The same filter after a rename, if it named what was renamed: it goes on with the id. `None` if nothing
    /// changes.
    #[must_use]
    pub fn renamed(&self, rename: &RenameDigest) -> Option<Self> {
        let [owner, repo] = rename.from;
        let is_owner = match self.place() {
            None => self.field(Field::Owner).is_some() && self.field(Field::Owner) == owner,
            Some(PlaceId::Repository(_)) => false,
            // The owner was renamed before.
            bound => repo.is_some() && bound == rename.owner,
        };
        let is_renamed = is_owner && (repo.is_none() || self.field(Field::Repo) == repo);
        is_renamed.then(|| self.clone().bound_to(rename.id))
    }

    fn field(&self, wanted: Field) -> Option<TextDigest> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| *field == wanted);
        found.map(|(_, digest)| *digest)
    }

    /// Whether the event matches every field of the filter, and has one of its tags.
    #[must_use]
    pub fn matches(&self, event: &EventDigest) -> bool {
        self.count_matches(event, &mut 0)
    }

    /// As [`Self::matches`]; adds the number of comparisons, which is up to [`Self::cost`] less one. A
    /// comparison of tags looks for one among the event's, and one of authors for the event's among the filter's.
    pub fn count_matches(&self, event: &EventDigest, comparisons: &mut usize) -> bool {
        if !self.count_fields(event, comparisons) {
            return false;
        }
        if self.tags.is_empty() {
            return true;
        }
        self.tags.iter().any(|tag| {
            *comparisons += 1;
            event.tags.has(*tag)
        })
    }

    /// Whether the event matches every field of the filter, whatever its tags are.
    fn count_fields(&self, event: &EventDigest, comparisons: &mut usize) -> bool {
        let mut is_elsewhere = false;
        for (field, digest) in &self.fields {
            *comparisons += 1;
            if event.fields[*field as usize] != Some(*digest) {
                if !field.is_address() || (self.place.is_none() && event.former.is_none()) {
                    return false;
                }
                is_elsewhere = true;
            }
        }
        if is_elsewhere && !self.matches_other_address(event) {
            return false;
        }
        for (field, choices) in &self.choices {
            *comparisons += 1;
            let own = event.fields[*field as usize];
            if own.is_none_or(|own| choices.binary_search(&own).is_err()) {
                return false;
            }
        }
        true
    }

    /// Whether an event whose address differs from the filter's matches all the same: by the address that it
    /// ended, or by names because it has no id.
    fn matches_other_address(&self, event: &EventDigest) -> bool {
        let own = [Field::Owner, Field::Repo].map(|field| event.fields[field as usize]);
        let covers = |wanted: &AddressDigest, address: &AddressDigest| {
            let mut parts = wanted.iter().zip(address);
            parts.all(|(wanted, part)| wanted.is_none() || wanted == part)
        };
        match self.place.as_deref() {
            None => {
                let wanted = [self.field(Field::Owner), self.field(Field::Repo)];
                let former = event.former.as_deref();
                former.is_some_and(|former| covers(&wanted, former))
            }
            Some((PlaceId::Repository(_), names)) => {
                event.fields[Field::RepositoryId as usize].is_none() && covers(names, &own)
            }
            Some((PlaceId::Owner(_), names)) => match &event.former {
                Some(former) => covers(names, former),
                None => event.fields[Field::OwnerId as usize].is_none() && covers(names, &own),
            },
        }
    }

    /// Comparisons that the filter may need for one event: one to find it, one for each field and tag.
    #[must_use]
    pub fn cost(&self) -> usize {
        1 + self.fields.len() + self.choices.len() + self.tags.len()
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
mod tests;
