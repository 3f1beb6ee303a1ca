//! Filters that select events: fields of one filter are combined with AND, filters of a set with OR; an empty
//! set selects all events.

use serde::{Deserialize, Serialize};

use crate::{EventFacts, EventOrigin, EventType, InvalidId, ResourceId, ResourceType};

/// Maximum number of filters in one set, so that the cost of matching is bounded.
const MAX_FILTERS: usize = 64;
/// Maximum number of tags in one filter.
const MAX_TAGS: usize = 32;

/// The reason why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A name that this build does not know.
    #[error("{field}: unknown name {given:?}; known: {known}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// The given name.
        given: String,
        /// The known names.
        known: String,
    },
    /// Not a node id.
    #[error("resourceId: {error}")]
    ResourceId {
        /// The reason.
        error: InvalidId,
    },
    /// More entries than the limit.
    #[error("{field}: at most {max} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// The limit.
        max: usize,
    },
}

/// A condition on events. All given fields have to match; an absent field matches everything. Owner,
/// repository, actor and tags are compared without case, as on GitHub. `tags` matches if the resource has
/// any of them.
///
/// This is the stored form. Another build may have written it, so names that this build does not know are
/// kept. A field that this build does not know is ignored, which widens the filter, and is lost when this
/// build stores the session again: a new field may be written only once every edge knows it. Filters from
/// users are read with [`FilterRequest`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// The kind of resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<ResourceType>,
    /// The type of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// One resource, by node id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<ResourceId>,
    /// The owner's login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The repository's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Login of the account that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The origin of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<EventOrigin>,
    /// Any of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Filter {
    /// Whether the event matches every given field.
    #[must_use]
    pub fn matches(&self, event: &EventFacts) -> bool {
        let same = |wanted: &Option<String>, got: &Option<String>| match (wanted, got) {
            (None, _) => true,
            (Some(wanted), Some(got)) => wanted.eq_ignore_ascii_case(got),
            (Some(_), None) => false,
        };
        let any_tag = || {
            self.tags
                .iter()
                .any(|tag| event.tags.iter().any(|has| has.eq_ignore_ascii_case(tag)))
        };
        same_name(self.resource_type.as_ref(), &event.resource_type)
            && same_name(self.event_type.as_ref(), &event.event_type)
            && same_name(self.source.as_ref(), &event.source)
            && same_name(self.resource_id.as_ref(), &event.resource_id)
            && same(&self.owner, &event.owner)
            && same(&self.repo, &event.repo)
            && same(&self.actor, &event.actor)
            && (self.tags.is_empty() || any_tag())
    }
}

/// A set of filters of which at least one has to match; an empty set matches everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilterSet(Box<[Filter]>);

impl FilterSet {
    /// The empty set, which matches everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// A set of `filters`; without filters it matches everything.
    ///
    /// # Errors
    /// More than 64 filters, or more than 32 tags in one.
    pub fn new(filters: Vec<Filter>) -> Result<Self, FilterError> {
        if filters.len() > MAX_FILTERS {
            return Err(FilterError::TooMany {
                field: "filters",
                max: MAX_FILTERS,
            });
        }
        if filters.iter().any(|filter| filter.tags.len() > MAX_TAGS) {
            return Err(FilterError::TooMany {
                field: "tags",
                max: MAX_TAGS,
            });
        }
        Ok(Self(filters.into()))
    }

    /// The filters.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }

    /// Whether at least one of the filters matches, or there are none.
    #[must_use]
    pub fn matches(&self, event: &EventFacts) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.matches(event))
    }
}

fn same_name<T: PartialEq>(wanted: Option<&T>, actual: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == actual)
}

/// A filter as a user writes it: names in any case, but only names that this build knows, because a filter
/// that can never match is a mistake.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FilterRequest {
    /// See [`Filter::resource_type`].
    pub resource_type: Option<String>,
    /// See [`Filter::event_type`].
    pub event_type: Option<String>,
    /// See [`Filter::resource_id`].
    pub resource_id: Option<String>,
    /// See [`Filter::owner`].
    pub owner: Option<String>,
    /// See [`Filter::repo`].
    pub repo: Option<String>,
    /// See [`Filter::actor`].
    pub actor: Option<String>,
    /// See [`Filter::source`].
    pub source: Option<String>,
    /// See [`Filter::tags`].
    pub tags: Vec<String>,
}

impl FilterRequest {
    /// Converts the request to a filter.
    ///
    /// # Errors
    /// A name that this build does not know, or an invalid node id; the text names the field.
    pub fn read(self) -> Result<Filter, FilterError> {
        let resource_id = self.resource_id.as_deref().map(ResourceId::new);
        Ok(Filter {
            resource_type: known(
                "resourceType",
                self.resource_type,
                ResourceType::parse,
                ResourceType::known_names,
            )?,
            event_type: known(
                "eventType",
                self.event_type,
                EventType::parse,
                EventType::known_names,
            )?,
            resource_id: resource_id
                .transpose()
                .map_err(|error| FilterError::ResourceId { error })?,
            owner: self.owner,
            repo: self.repo,
            actor: self.actor,
            source: known(
                "source",
                self.source,
                EventOrigin::parse,
                EventOrigin::known_names,
            )?,
            tags: self.tags,
        })
    }
}

fn known<T>(
    field: &'static str,
    name: Option<String>,
    parse: fn(&str) -> Option<T>,
    known_names: fn() -> String,
) -> Result<Option<T>, FilterError> {
    let unknown = |given| FilterError::Unknown {
        field,
        given,
        known: known_names(),
    };
    let read = |name: String| parse(&name).ok_or_else(|| unknown(name));
    name.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Timestamp};

    fn facts() -> EventFacts {
        EventFacts {
            id: EventId::new("d").unwrap(),
            event_type: EventType::UPDATED,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: Some("Octo".into()),
            repo: Some("Cat".into()),
            number: Some(7),
            actor: Some("mona".into()),
            source: EventOrigin::WEBHOOK,
            tags: vec!["bug".into()],
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }
    }

    /// Every combination of eight fields, each absent, matching or not matching.
    #[test]
    fn a_filter_fits_exactly_when_every_given_field_fits() {
        for combination in 0..3_u32.pow(8) {
            let choice = |field: u32| combination / 3_u32.pow(field) % 3;
            let pick = |field: u32, good: &str, bad: &str| match choice(field) {
                0 => None,
                1 => Some(good.to_owned()),
                _ => Some(bad.to_owned()),
            };
            let filter = Filter {
                resource_type: pick(0, "ISSUE", "project").and_then(|n| ResourceType::parse(&n)),
                event_type: pick(1, "Updated", "closed").and_then(|n| EventType::parse(&n)),
                resource_id: pick(2, "I_1", "I_2").map(|id| ResourceId::new(&id).unwrap()),
                owner: pick(3, "octo", "other"),
                repo: pick(4, "cat", "dog"),
                actor: pick(5, "MONA", "lisa"),
                source: pick(6, "webhook", "api").and_then(|n| EventOrigin::parse(&n)),
                tags: pick(7, "BUG", "docs").into_iter().collect(),
            };
            let fits = (0..8).all(|field| choice(field) != 2);
            assert_eq!(filter.matches(&facts()), fits, "{filter:?}");
        }
    }

    #[test]
    fn an_empty_set_fits_everything_and_several_are_alternatives() {
        let issue = Filter {
            resource_type: Some(ResourceType::ISSUE),
            ..Filter::default()
        };
        let project = Filter {
            resource_type: Some(ResourceType::PROJECT),
            ..Filter::default()
        };
        assert!(FilterSet::all().matches(&facts()));
        assert!(
            FilterSet::new(vec![project.clone(), issue])
                .unwrap()
                .matches(&facts())
        );
        assert!(!FilterSet::new(vec![project]).unwrap().matches(&facts()));
    }

    fn request(json: &str) -> Result<Filter, String> {
        let request: FilterRequest =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        request.read().map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_name_of_a_user_is_refused_with_the_known_ones() {
        for (json, words) in [
            (
                r#"{"resourceType":"Wiki page"}"#,
                ["resourceType", "Wiki page", "pull_request"],
            ),
            (
                r#"{"eventType":"exploded"}"#,
                ["eventType", "exploded", "reopened"],
            ),
            (r#"{"source":"rumour"}"#, ["source", "rumour", "webhook"]),
            (
                r#"{"resourceId":"a b"}"#,
                ["resourceId", "character", "not allowed"],
            ),
        ] {
            let text = request(json).unwrap_err();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        assert!(request(r#"{"resourceTyp":"issue"}"#).is_err());
        let filter = request(r#"{"resourceType":"PULL_REQUEST","tags":["bug"]}"#).unwrap();
        assert_eq!(filter.resource_type, Some(ResourceType::PULL_REQUEST));
    }

    #[test]
    fn a_stored_filter_of_another_build_is_kept_and_matches_by_its_names() {
        let json = r#"{"resourceType":"wiki_page","eventType":"exploded"}"#;
        let filter: Filter = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), json);
        assert!(!filter.matches(&facts()));
        let event = EventFacts {
            resource_type: ResourceType::open("wiki_page"),
            event_type: EventType::open("exploded"),
            ..facts()
        };
        assert!(filter.matches(&event));
        let newer = r#"{"resourceType":"issue","branch":"main"}"#;
        assert!(serde_json::from_str::<Filter>(newer).is_ok());
    }
}
