//! Which events somebody wants: AND inside one filter, OR across several, none means all.

use serde::{Deserialize, Serialize};

use crate::{EventFacts, EventType, ResourceId, ResourceType, Source};

/// Most filters in one set; more are refused, so that matching has a bound.
const MAX_FILTERS: usize = 64;
/// Most tags in one filter.
const MAX_TAGS: usize = 32;

/// A filter that names something we do not know, or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A name that is not one of the known ones.
    #[error("{field}: unknown name {given:?}; known: {known}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// What was given.
        given: String,
        /// The known names.
        known: String,
    },
    /// More than we match against.
    #[error("{field}: at most {max} are allowed")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// The bound.
        max: usize,
    },
}

/// Fields that all have to fit; a field that is absent fits everything. Owner, repository, actor and
/// tags compare without case, as GitHub does. `tags` fits if any of them is on the resource.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filter {
    /// The kind of resource.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        with = "names::resource_type"
    )]
    pub resource_type: Option<ResourceType>,
    /// What happened.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        with = "names::event_type"
    )]
    pub event_type: Option<EventType>,
    /// One resource, by node id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource_id: Option<ResourceId>,
    /// The owner's login.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// The repository's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repo: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actor: Option<String>,
    /// Who told us.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        with = "names::source"
    )]
    pub source: Option<Source>,
    /// Any of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
}

impl Filter {
    /// Whether the event fits every field.
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
        self.resource_type
            .is_none_or(|kind| kind == event.resource_type)
            && self.event_type.is_none_or(|kind| kind == event.event_type)
            && self.source.is_none_or(|source| source == event.source)
            && self
                .resource_id
                .as_ref()
                .is_none_or(|id| *id == event.resource_id)
            && same(&self.owner, &event.owner)
            && same(&self.repo, &event.repo)
            && same(&self.actor, &event.actor)
            && (self.tags.is_empty() || any_tag())
    }
}

/// Filters of which one has to fit; an empty set fits everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilterSet(Vec<Filter>);

impl FilterSet {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// One of `filters`; none at all means everything.
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
        Ok(Self(filters))
    }

    /// The filters.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }

    /// Whether one of the filters fits, or there are none.
    #[must_use]
    pub fn matches(&self, event: &EventFacts) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.matches(event))
    }
}

/// Names in any case; an unknown one is an error that lists the known ones.
mod names {
    use super::{EventType, FilterError, ResourceType, Source};

    macro_rules! by_name {
        ($module:ident, $type:ident, $field:literal) => {
            pub(super) mod $module {
                use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

                use super::{FilterError, $type};

                pub(crate) fn serialize<S: Serializer>(
                    value: &Option<$type>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    value.map($type::as_str).serialize(serializer)
                }

                pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<$type>, D::Error> {
                    let Some(name) = Option::<String>::deserialize(deserializer)? else {
                        return Ok(None);
                    };
                    $type::parse(&name).map(Some).ok_or_else(|| {
                        let known: Vec<_> = $type::ALL.into_iter().map($type::as_str).collect();
                        let known = known.join(", ");
                        D::Error::custom(FilterError::Unknown {
                            field: $field,
                            given: name,
                            known,
                        })
                    })
                }
            }
        };
    }

    by_name!(resource_type, ResourceType, "resourceType");
    by_name!(event_type, EventType, "eventType");
    by_name!(source, Source, "source");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Timestamp};

    fn facts() -> EventFacts {
        EventFacts {
            id: EventId::new("d").unwrap(),
            event_type: EventType::Updated,
            resource_type: ResourceType::Issue,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: Some("Octo".into()),
            repo: Some("Cat".into()),
            number: Some(7),
            actor: Some("mona".into()),
            source: Source::Webhook,
            tags: vec!["bug".into()],
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }
    }

    /// Every combination of eight fields, each absent, fitting or not fitting.
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
                source: pick(6, "webhook", "api").and_then(|n| Source::parse(&n)),
                tags: pick(7, "BUG", "docs").into_iter().collect(),
            };
            let fits = (0..8).all(|field| choice(field) != 2);
            assert_eq!(filter.matches(&facts()), fits, "{filter:?}");
        }
    }

    #[test]
    fn an_empty_set_fits_everything_and_several_are_alternatives() {
        let issue = Filter {
            resource_type: Some(ResourceType::Issue),
            ..Filter::default()
        };
        let project = Filter {
            resource_type: Some(ResourceType::Project),
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

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = serde_json::from_str::<Filter>(r#"{"resourceType":"wiki"}"#).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("resourceType") && text.contains("pull_request"),
            "{text}"
        );
        assert!(serde_json::from_str::<Filter>(r#"{"resourceTyp":"issue"}"#).is_err());
    }
}
