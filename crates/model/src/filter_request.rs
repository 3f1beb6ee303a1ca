//! Filters as users write them: in tools, in REST, and in what a session subscribes to.
//!
//! A filter that can never match is a mistake: a value that certainly means a name is read as that name
//! (`@mona`, a URL), and the rest is refused with the field and the fix.

use serde::Deserialize;

use crate::{
    EventOrigin, EventType, Filter, FilterCountError, GithubReference, InvalidId, NameError,
    ResourceId, ResourceType,
    github_name::{self, trimmed},
    limits::MAX_FILTER_TAGS,
};

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
    /// Not a name on GitHub.
    #[error("{field}: {error}")]
    Name {
        /// The field.
        field: &'static str,
        /// The reason.
        error: NameError,
    },
    /// A value names something else than another field.
    #[error(
        "{field}: names the {other} {named:?}, and {other} is {given:?}; leave one of them out"
    )]
    Contradiction {
        /// The field that has the value.
        field: &'static str,
        /// The field with which it disagrees.
        other: &'static str,
        /// The name in the value.
        named: String,
        /// The value of the other field.
        given: String,
    },
    /// A number that no resource has.
    #[error("number: numbers begin at 1")]
    Number,
    /// More entries than the limit.
    #[error(transparent)]
    TooMany(#[from] FilterCountError),
}

/// A filter as a user writes it: names in any case, but only names that this build knows. `owner`, `repo` and
/// `resourceId` may hold a URL of github.com or a `github://` URI, and `repo` may be `owner/repo`: the other
/// fields are filled in from it.
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
    /// See [`Filter::number`].
    pub number: Option<u64>,
    /// See [`Filter::actor`].
    pub actor: Option<String>,
    /// See [`Filter::source`].
    pub source: Option<String>,
    /// See [`Filter::tags`].
    pub tags: Vec<String>,
}

impl FilterRequest {
    /// Converts the request to a filter, whose names are in lower case, and whose tags are sorted and distinct.
    /// A request that asks for what the filter says gives the same filter.
    ///
    /// # Errors
    /// A value that cannot match, or several that contradict each other; the text names the field and the fix.
    pub fn read(self) -> Result<Filter, FilterError> {
        let mut filter = Filter {
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
            source: known(
                "source",
                self.source,
                EventOrigin::parse,
                EventOrigin::known_names,
            )?,
            actor: named("actor", self.actor, GithubReference::read_account)?,
            number: self.number,
            tags: tags(&self.tags)?,
            ..Filter::default()
        };
        if let Some(owner) = self.owner {
            fill(&mut filter, "owner", place("owner", &owner)?)?;
        }
        if let Some(repo) = self.repo {
            fill(&mut filter, "repo", place("repo", &repo)?)?;
        }
        if let Some(id) = self.resource_id {
            match node_id(&id)? {
                NodeIdText::Id(id) => filter.resource_id = Some(id),
                NodeIdText::Reference(named) => fill(&mut filter, "resourceId", named)?,
            }
        }
        match filter.number {
            Some(0) => Err(FilterError::Number),
            _ => Ok(filter),
        }
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
    let read = |name: String| parse(name.trim()).ok_or_else(|| unknown(name));
    name.map(read).transpose()
}

fn invalid(field: &'static str) -> impl Fn(NameError) -> FilterError {
    move |error| FilterError::Name { field, error }
}

fn named(
    field: &'static str,
    text: Option<String>,
    read: fn(&str) -> Result<String, NameError>,
) -> Result<Option<String>, FilterError> {
    let text = text.map(|text| read(&text).map_err(invalid(field)));
    text.transpose()
}

/// The labels in their canonical form.
fn tags(tags: &[String]) -> Result<Vec<String>, FilterError> {
    if tags.len() > MAX_FILTER_TAGS {
        return Err(FilterCountError {
            field: "tags",
            max: MAX_FILTER_TAGS,
        }
        .into());
    }
    let tags = tags.iter().map(|tag| github_name::label(tag));
    let tags: Result<Vec<_>, _> = tags.collect();
    let mut tags = tags.map_err(invalid("tags"))?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// The place that the value of `owner` or `repo` names.
fn place(field: &'static str, text: &str) -> Result<GithubReference, FilterError> {
    let read = || {
        // In the place of a repository, `@acme/rocket` can only be one.
        if field == "owner" && text.trim().starts_with('@') && text.contains('/') {
            return Err(NameError::Team);
        }
        if let Some(named) = GithubReference::read(text)? {
            return Ok(named);
        }
        if field == "repo" && text.trim().starts_with('@') {
            return Err(NameError::Account);
        }
        let name = trimmed(text)?;
        let mut plain = GithubReference::default();
        match field {
            "owner" => plain.owner = Some(github_name::login(name)?),
            _ => plain.repo = Some(github_name::repository(name)?),
        }
        Ok(plain)
    };
    read().map_err(invalid(field))
}

/// The value of `resourceId`.
enum NodeIdText {
    Id(ResourceId),
    Reference(GithubReference),
}

fn node_id(text: &str) -> Result<NodeIdText, FilterError> {
    let refused = |error| invalid("resourceId")(error);
    let text = text.trim();
    // GitHub's node ids are base64 of ASCII, in which a slash cannot occur.
    if text.contains('/') {
        let named = GithubReference::read(text).map_err(refused)?;
        return match named {
            Some(named) if named.item.is_some() => Ok(NodeIdText::Reference(named)),
            _ => Err(refused(NameError::NodeId)),
        };
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if !text.is_empty() && (is_number || text.starts_with(['#', '@'])) {
        return Err(refused(NameError::NodeId));
    }
    let id = ResourceId::new(text).map_err(|error| FilterError::ResourceId { error })?;
    // For instance `rocket#7`, which names an issue and is the id of none.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=+".contains(&byte);
    match text.bytes().all(fits) {
        true => Ok(NodeIdText::Id(id)),
        false => Err(refused(NameError::NodeId)),
    }
}

/// Takes over the place that `field` names.
fn fill(
    filter: &mut Filter,
    field: &'static str,
    named: GithubReference,
) -> Result<(), FilterError> {
    set(field, "owner", &mut filter.owner, named.owner)?;
    set(field, "repo", &mut filter.repo, named.repo)?;
    let (kind, number) = named.item.unzip();
    set(field, "resourceType", &mut filter.resource_type, kind)?;
    set(field, "number", &mut filter.number, number)
}

fn set<T: PartialEq + ToString>(
    field: &'static str,
    other: &'static str,
    value: &mut Option<T>,
    named: Option<T>,
) -> Result<(), FilterError> {
    let Some(named) = named else {
        return Ok(());
    };
    match value {
        Some(given) if *given != named => Err(FilterError::Contradiction {
            field,
            other,
            named: named.to_string(),
            given: given.to_string(),
        }),
        _ => {
            *value = Some(named);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
