//! Filters as users write them: in tools, in REST, and in what a session subscribes to.
//!
//! A filter that can never match is a mistake: a value that certainly means a name is read as that name
//! (`@mona`, a URL), and the rest is refused with the field and the fix.

use serde::Deserialize;

use crate::{
    EventOrigin, EventType, Filter, FilterCountError, GithubReference, InvalidId, NameError,
    ResourceId, ResourceType,
    github_name::{self, trimmed},
    limits::{MAX_FILTER_AUTHORS, MAX_FILTER_TAGS},
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
    #[error("{field}: numbers begin at 1")]
    Number {
        /// The field.
        field: &'static str,
    },
    /// A kind of which no resource is a pull request, or all are.
    #[error("isPullRequest: contradicts resourceType {given}; leave one of them out")]
    IsPullRequest {
        /// The kind.
        given: ResourceType,
    },
    /// More entries than the limit.
    #[error(transparent)]
    TooMany(#[from] FilterCountError),
}

/// What a filter means where it does not say so itself: chosen by the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FilterDefaults {
    /// Whether the kind `issue` includes pull requests ([`Filter::include_pull_requests`]).
    pub issues_include_pull_requests: bool,
}

/// A filter as a user writes it: names in any case, and of types and origins only names that this build knows.
/// `owner`, `repo` and `resourceId` may hold a URL of github.com or a `github://` URI, and `repo` may be
/// `owner/repo` or `owner/repo#7`: the other fields are filled in from it. `resourceId` may also be GitHub's numeric id.
/// A blank text counts as absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FilterRequest {
    /// See [`Filter::resource_type`]. A kind that this build does not know is taken too: see
    /// [`FilterSet::notes`](crate::FilterSet::notes).
    pub resource_type: Option<String>,
    /// See [`Filter::event_type`].
    pub event_type: Option<String>,
    /// See [`Filter::action`]. Any word is taken.
    pub action: Option<String>,
    /// See [`Filter::resource_id`]; digits are a [`Filter::database_id`].
    pub resource_id: Option<String>,
    /// See [`Filter::database_id`].
    pub database_id: Option<u64>,
    /// See [`Filter::owner`].
    pub owner: Option<String>,
    /// See [`Filter::repo`].
    pub repo: Option<String>,
    /// See [`Filter::number`].
    pub number: Option<u64>,
    /// See [`Filter::actor`].
    pub actor: Option<String>,
    /// See [`Filter::authors`].
    pub authors: Vec<String>,
    /// See [`Filter::author_association`]: [`ASSOCIATIONS`] in any case.
    pub author_association: Vec<String>,
    /// See [`Filter::source`].
    pub source: Option<String>,
    /// See [`Filter::tags`].
    pub tags: Vec<String>,
    /// Another way to name the kind: `true` is the kind `pull_request`, also beside the kind `issue`; `false`
    /// is [`Filter::is_pull_request`].
    pub is_pull_request: Option<bool>,
    /// See [`Filter::include_pull_requests`]; absent: the operator's choice.
    pub include_pull_requests: Option<bool>,
}

impl FilterRequest {
    /// The names of its fields, as users write them.
    pub const FIELDS: [&str; 15] = [
        "resourceType",
        "eventType",
        "action",
        "resourceId",
        "databaseId",
        "owner",
        "repo",
        "number",
        "actor",
        "authors",
        "authorAssociation",
        "source",
        "tags",
        "isPullRequest",
        "includePullRequests",
    ];

    /// As [`Self::read_with`], where the operator chose nothing.
    ///
    /// # Errors
    /// As [`Self::read_with`].
    pub fn read(self) -> Result<Filter, FilterError> {
        self.read_with(FilterDefaults::default())
    }

    /// Converts the request to a filter, whose names are in lower case, and whose tags are sorted and distinct.
    /// A request that asks for what the filter says gives the same filter.
    ///
    /// # Errors
    /// A value that cannot match, or several that contradict each other; the text names the field and the fix.
    pub fn read_with(mut self, defaults: FilterDefaults) -> Result<Filter, FilterError> {
        self.leave_out_blanks();
        let include_pull_requests = self.include_pull_requests;
        let include_pull_requests =
            include_pull_requests.unwrap_or(defaults.issues_include_pull_requests);
        let mut filter = Filter {
            resource_type: known(
                "resourceType",
                self.resource_type,
                ResourceType::read,
                ResourceType::known_names,
            )?,
            event_type: known(
                "eventType",
                self.event_type,
                EventType::parse,
                EventType::known_names,
            )?,
            source: known("source", self.source, origin, EventOrigin::known_names)?,
            actor: named("actor", self.actor, GithubReference::read_account)?,
            authors: authors(&self.authors)?,
            author_association: associations(&self.author_association)?,
            action: named("action", self.action, github_name::action)?,
            number: self.number,
            database_id: self.database_id,
            tags: tags(&self.tags)?,
            ..Filter::default()
        };
        // A URL of a pull request names one of the issues that are asked for.
        let includes_pull_requests = include_pull_requests
            && filter.resource_type == Some(ResourceType::ISSUE)
            && self.is_pull_request != Some(false);
        if includes_pull_requests
            && names_pull_request([&self.owner, &self.repo, &self.resource_id])
        {
            filter.resource_type = Some(ResourceType::PULL_REQUEST);
        }
        if let Some(owner) = self.owner {
            fill(&mut filter, "owner", place("owner", &owner)?)?;
        }
        if let Some(repo) = self.repo {
            fill(&mut filter, "repo", place("repo", &repo)?)?;
        }
        if let Some(id) = self.resource_id {
            match node_id(&id)? {
                NodeIdText::Id(id) => filter.resource_id = Some(id),
                NodeIdText::Number(id) => {
                    set(
                        "resourceId",
                        "databaseId",
                        &mut filter.database_id,
                        Some(id),
                    )?;
                }
                NodeIdText::Reference(named) => fill(&mut filter, "resourceId", named)?,
            }
        }
        let id_field = match self.database_id {
            Some(_) => "databaseId",
            None => "resourceId",
        };
        for (field, number) in [("number", filter.number), (id_field, filter.database_id)] {
            if number == Some(0) {
                return Err(FilterError::Number { field });
            }
        }
        if let Some(is_pull_request) = self.is_pull_request {
            name_pull_requests(&mut filter, is_pull_request)?;
        }
        filter.include_pull_requests = include_pull_requests
            && filter.resource_type == Some(ResourceType::ISSUE)
            && self.is_pull_request != Some(false);
        Ok(filter)
    }
}

impl FilterRequest {
    /// Forms and templates write an empty text for what is absent.
    fn leave_out_blanks(&mut self) {
        let is_blank = |text: &str| text.trim().is_empty();
        for text in [
            &mut self.resource_type,
            &mut self.event_type,
            &mut self.action,
            &mut self.resource_id,
            &mut self.owner,
            &mut self.repo,
            &mut self.actor,
            &mut self.source,
        ] {
            if text.as_deref().is_some_and(is_blank) {
                *text = None;
            }
        }
        for texts in [
            &mut self.authors,
            &mut self.author_association,
            &mut self.tags,
        ] {
            texts.retain(|text| !is_blank(text));
        }
    }
}

/// Whether one of the texts is the address of a pull request. What is no address is refused where it is read.
fn names_pull_request(texts: [&Option<String>; 3]) -> bool {
    let mut kinds = texts.into_iter().flatten().filter_map(|text| {
        let reference = GithubReference::read(text).ok().flatten()?;
        reference.item.map(|(kind, _)| kind)
    });
    kinds.any(|kind| kind == ResourceType::PULL_REQUEST)
}

/// Applies `isPullRequest`. It is a field of the stored filter only where no kind says the same.
fn name_pull_requests(filter: &mut Filter, is_pull_request: bool) -> Result<(), FilterError> {
    let pull_request = ResourceType::PULL_REQUEST;
    let refused = |given: &ResourceType| FilterError::IsPullRequest {
        given: given.clone(),
    };
    match (&filter.resource_type, is_pull_request) {
        (None, false) => filter.is_pull_request = Some(false),
        (Some(kind), false) if *kind == pull_request => return Err(refused(kind)),
        (Some(_), false) => {}
        (Some(kind), true) if *kind != ResourceType::ISSUE && *kind != pull_request => {
            return Err(refused(kind));
        }
        (_, true) => filter.resource_type = Some(pull_request),
    }
    Ok(())
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

/// An origin by its name. `github` is what clients of earlier systems call a webhook.
fn origin(name: &str) -> Option<EventOrigin> {
    match name.eq_ignore_ascii_case("github") {
        true => EventOrigin::parse("webhook"),
        false => EventOrigin::parse(name),
    }
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

/// GitHub's words for what an author is to a repository.
pub const ASSOCIATIONS: [&str; 8] = [
    "OWNER",
    "MEMBER",
    "COLLABORATOR",
    "CONTRIBUTOR",
    "FIRST_TIME_CONTRIBUTOR",
    "FIRST_TIMER",
    "MANNEQUIN",
    "NONE",
];

/// The logins in their canonical form.
fn authors(given: &[String]) -> Result<Vec<String>, FilterError> {
    if given.len() > MAX_FILTER_AUTHORS {
        return Err(FilterCountError {
            field: "authors",
            max: MAX_FILTER_AUTHORS,
        }
        .into());
    }
    let logins = given.iter().map(|text| GithubReference::read_account(text));
    let logins: Result<Vec<_>, _> = logins.collect();
    Ok(sorted(logins.map_err(invalid("authors"))?))
}

/// The associations in GitHub's spelling.
fn associations(given: &[String]) -> Result<Vec<String>, FilterError> {
    let read = |text: &String| {
        let word = text.trim().to_ascii_uppercase().replace([' ', '-'], "_");
        let is_known = ASSOCIATIONS.contains(&word.as_str());
        is_known
            .then_some(word)
            .ok_or_else(|| FilterError::Unknown {
                field: "authorAssociation",
                given: text.clone(),
                known: ASSOCIATIONS.join(", "),
            })
    };
    let words: Result<Vec<_>, _> = given.iter().map(read).collect();
    Ok(sorted(words?))
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
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
    /// The numeric id.
    Number(u64),
    Reference(GithubReference),
}

fn node_id(text: &str) -> Result<NodeIdText, FilterError> {
    let refused = |error| invalid("resourceId")(error);
    let text = text.trim();
    if ResourceId::names_place_and_path(text) && !ResourceId::is_derived(text) {
        return Err(refused(NameError::EncodedId));
    }
    if text.contains('/') && !ResourceId::is_derived(text) {
        let named = GithubReference::read(text).map_err(refused)?;
        return match named {
            Some(named) if named.names_resource() => Ok(NodeIdText::Reference(named)),
            Some(named) if named.repo.is_some() => Err(refused(NameError::RepositoryAsId)),
            Some(named) if named.owner.is_some() => Err(refused(NameError::OwnerAsId)),
            _ => Err(refused(NameError::NodeId)),
        };
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().map_err(|_| refused(NameError::NodeId));
        return number.map(NodeIdText::Number);
    }
    if text.starts_with(['#', '@']) {
        return Err(refused(NameError::NodeId));
    }
    let id = ResourceId::new(text).map_err(|error| FilterError::ResourceId { error })?;
    // For instance `rocket#7`, which names an issue and is the id of none.
    match ResourceId::is_node_id(text) || ResourceId::is_derived(text) {
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
    set(field, "number", &mut filter.number, number.or(named.number))?;
    let (kind, id) = named.by_id.unzip();
    set(
        field,
        "resourceType",
        &mut filter.resource_type,
        kind.flatten(),
    )?;
    set(field, "databaseId", &mut filter.database_id, id)
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
