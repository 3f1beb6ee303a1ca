//! Filters that select events: fields of one filter are combined with AND, filters of a set with OR; an empty
//! set selects all events.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    EventOrigin, EventType, PlaceId, ResourceId, ResourceType,
    limits::{MAX_FILTER_AUTHORS, MAX_FILTER_TAGS, MAX_FILTERS},
};

/// More filters or tags than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: at most {max} are allowed")]
pub struct FilterCountError {
    /// The field.
    pub field: &'static str,
    /// The limit.
    pub max: usize,
}

/// A condition on events. All given fields have to match; an absent field matches everything. Owner,
/// repository, actor, action and tags are compared without case, as on GitHub. `tags` matches if the resource
/// has any of them.
///
/// This is the stored form. Another build may have written it, so names that this build does not know are
/// kept. A field that this build does not know is ignored, which widens the filter, and is lost when this
/// build stores the session again: a new field may be written only once every edge knows it. Filters from
/// users are read with [`FilterRequest`](crate::FilterRequest), and compared
/// as [`CompiledFilter`](crate::CompiledFilter).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// The kind of resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
    /// The type of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// GitHub's own word for the change, in lower case. An event whose entry does not name it (one that an
    /// older build appended) does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// One resource, by node id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<ResourceId>,
    /// One resource, by GitHub's numeric id, which is unique among the resources of one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_id: Option<u64>,
    /// The owner's login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The repository's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The resource's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Login of the account that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The author of the text that the event is about is one of these, by login.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The author of the text that the event is about is one of these to the repository, in GitHub's words. An event
    /// whose entry does not name it does not match; so for `authors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub author_association: Vec<String>,
    /// The origin of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<EventOrigin>,
    /// Any of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether the resource is a pull request. Events of other kinds than pull requests match `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_pull_request: Option<bool>,
    /// Whether the kind `issue` includes pull requests, which GitHub counts among the issues of a repository.
    /// Without effect on other kinds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub include_pull_requests: bool,
    /// What owner and repository mean, where a name has changed hands: events of this id match under every
    /// name, and those of another id under none. Found when the filter is compiled and never stored, because it
    /// follows from the names and from when the filter was given.
    #[serde(skip)]
    pub place: Option<PlaceId>,
}

impl Filter {
    /// Comparisons that the filter may need for one event: one to find it, one for each field and tag.
    #[must_use]
    pub fn cost(&self) -> usize {
        let fields = [
            self.resource_type.is_some(),
            self.event_type.is_some(),
            self.resource_id.is_some(),
            self.owner.is_some(),
            self.repo.is_some(),
            self.number.is_some(),
            self.actor.is_some(),
            self.source.is_some(),
            self.action.is_some(),
            self.database_id.is_some(),
            self.is_pull_request.is_some(),
            !self.authors.is_empty(),
            !self.author_association.is_empty(),
        ];
        1 + fields.into_iter().filter(|given| *given).count() + self.tags.len()
    }
}

/// A set of filters of which at least one has to match; an empty set matches everything. Clones share the filters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Box<[Filter]>")]
pub struct FilterSet(#[serde(serialize_with = "serialize_shared")] Arc<[Filter]>);

/// What was stored is read as it is: another build may have had other limits.
impl From<Box<[Filter]>> for FilterSet {
    fn from(filters: Box<[Filter]>) -> Self {
        Self(filters.into())
    }
}

fn serialize_shared<S: Serializer>(filters: &Arc<[Filter]>, to: S) -> Result<S::Ok, S::Error> {
    filters.as_ref().serialize(to)
}

impl FilterSet {
    /// The empty set, which matches everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// A set of `filters`; without filters it matches everything.
    ///
    /// # Errors
    /// More than 64 filters, or more than 32 tags or 32 authors in one.
    pub fn new(filters: Vec<Filter>) -> Result<Self, FilterCountError> {
        if filters.len() > MAX_FILTERS {
            return Err(FilterCountError {
                field: "filters",
                max: MAX_FILTERS,
            });
        }
        if filters
            .iter()
            .any(|filter| filter.tags.len() > MAX_FILTER_TAGS)
        {
            return Err(FilterCountError {
                field: "tags",
                max: MAX_FILTER_TAGS,
            });
        }
        let is_long = |filter: &Filter| filter.authors.len() > MAX_FILTER_AUTHORS;
        if filters.iter().any(is_long) {
            return Err(FilterCountError {
                field: "authors",
                max: MAX_FILTER_AUTHORS,
            });
        }
        Ok(Self(filters.into()))
    }

    /// The filters.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }

    /// Comparisons that the set may need for one event; see [`Filter::cost`].
    #[must_use]
    pub fn cost(&self) -> usize {
        self.0.iter().map(Filter::cost).sum::<usize>().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_FILTER_COST;

    #[test]
    fn a_set_is_refused_beyond_its_bounds_and_costs_what_they_say() {
        let tags = |count| vec!["a".to_owned(); count];
        let worst = Filter {
            resource_type: Some(ResourceType::ISSUE),
            event_type: Some(EventType::UPDATED),
            resource_id: Some(ResourceId::new("I_1").unwrap()),
            owner: Some("o".into()),
            repo: Some("r".into()),
            number: Some(7),
            actor: Some("a".into()),
            authors: tags(MAX_FILTER_AUTHORS),
            author_association: vec!["OWNER".into()],
            source: Some(EventOrigin::WEBHOOK),
            action: Some("labeled".into()),
            database_id: Some(1),
            is_pull_request: Some(false),
            include_pull_requests: true,
            tags: tags(MAX_FILTER_TAGS),
            place: None,
        };
        assert_eq!(worst.cost(), MAX_FILTER_COST);
        let most = FilterSet::new(vec![worst.clone(); MAX_FILTERS]).unwrap();
        assert!(most.cost() <= MAX_FILTERS * MAX_FILTER_COST);
        let refused = FilterSet::new(vec![worst; MAX_FILTERS + 1]).unwrap_err();
        assert_eq!(refused.to_string(), "filters: at most 64 are allowed");
        let refused = FilterSet::new(vec![Filter {
            tags: tags(MAX_FILTER_TAGS + 1),
            ..Filter::default()
        }]);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "tags: at most 32 are allowed"
        );
        assert_eq!(FilterSet::all().cost(), 1);
    }

    #[test]
    fn a_stored_filter_of_another_build_is_kept() {
        let json = r#"{"resourceType":"wiki_page","eventType":"exploded","number":7}"#;
        let filter: Filter = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), json);
        let newer = r#"{"resourceType":"issue","branch":"main"}"#;
        assert!(serde_json::from_str::<Filter>(newer).is_ok());
    }
}
