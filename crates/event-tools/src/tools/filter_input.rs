//! A filter as tools take it, in the notations in which models write it.

use std::fmt;

use mcp::lenient;
use model::{FilterRequest, label_list};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        Error, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use mcp_server::arguments::ArgumentGroup;

/// Selects events: every given field has to match. Names are case-insensitive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FilterInput {
    /// Kind of resource: issue, pull_request, milestone, project, draft_issue, issue_comment, pull_request_review,
    /// label, release, branch, workflow_run, check_run, deployment, discussion, repository and others; for a name that
    /// this version does not know, a note has the list of all. sprint has events only where a source reports iterations; GitHub has no
    /// webhook for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    /// created, updated, deleted, closed or reopened.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// GitHub's own word for the change, for instance labeled or review_requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// `resourceId` of the events of one resource (GitHub's node id, or for instance R_1:refs/heads/main), its numeric
    /// id, or the URL of an issue, pull request, discussion, comment, review, alert, run, milestone or project.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "text_or_number"
    )]
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    resource_id: Option<String>,
    /// GitHub's numeric id of one resource: `resource.databaseId` of its events.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::count"
    )]
    #[schemars(range(min = 1))]
    database_id: Option<u64>,
    /// Login of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Name of the repository, `owner/repo`, or the URL of a repository, issue, pull request or milestone.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    /// Number of an issue, pull request, discussion, milestone, alert or project; also finds comments, reviews and
    /// checks of it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_resource_number"
    )]
    #[schemars(range(min = 1))]
    number: Option<u64>,
    /// Login of the account that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// The author of the comment, review, issue or pull request that the event is about is one of these logins (up to
    /// 32). Unlike actor, it is not who labeled or closed it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    authors: Vec<String>,
    /// That author is one of these to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, FIRST_TIME_CONTRIBUTOR,
    /// FIRST_TIMER, MANNEQUIN, NONE. [OWNER, MEMBER, COLLABORATOR] leaves out strangers, and events of which GitHub does
    /// not say it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    author_association: Vec<String>,
    /// webhook, api or sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Any of these labels (up to 32, each up to 50 characters).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "labels")]
    tags: Vec<String>,
    /// true: pull requests only, also with resourceType issue; false: everything else.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_flag"
    )]
    is_pull_request: Option<bool>,
    /// Whether resourceType issue includes pull requests (default: as the server is configured).
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_flag"
    )]
    include_pull_requests: Option<bool>,
}

impl FilterInput {
    /// What the tools and REST read alike.
    pub(super) fn request(&self) -> FilterRequest {
        let Self {
            resource_type,
            event_type,
            action,
            resource_id,
            database_id,
            owner,
            repo,
            number,
            actor,
            authors,
            author_association,
            source,
            tags,
            is_pull_request,
            include_pull_requests,
        } = self.clone();
        FilterRequest {
            resource_type,
            event_type,
            action,
            resource_id,
            database_id,
            owner,
            repo,
            number,
            actor,
            authors,
            author_association,
            source,
            tags,
            is_pull_request,
            include_pull_requests,
        }
    }

    /// Takes out what may stand beside a list of filters: it applies to each of them.
    pub(super) fn take_include_pull_requests(&mut self) -> Option<bool> {
        self.include_pull_requests.take()
    }
}

impl ArgumentGroup for FilterInput {
    const FIELDS: &[&str] = &FilterRequest::FIELDS;
}

/// An id or a time as text, or as the number that it is. Null counts as absent.
///
/// # Errors
/// Anything else.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    struct TextVisitor;
    impl Visitor<'_> for TextVisitor {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, or a whole number")
        }

        fn visit_unit<E>(self) -> Result<Option<String>, E> {
            Ok(None)
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Option<String>, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Option<String>, E> {
            // As languages with one type of numbers write a whole one.
            match lenient::whole_number(&number.to_string()) {
                Some(whole) => Ok(Some(whole.to_string())),
                None => Err(E::invalid_type(Unexpected::Float(number), &self)),
            }
        }
    }
    deserializer.deserialize_any(TextVisitor)
}

/// Filters as a list, or one filter without the list. Null counts as absent.
///
/// # Errors
/// Anything else.
pub(super) fn filter_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<FilterInput>, D::Error> {
    struct FilterListVisitor;
    impl<'de> Visitor<'de> for FilterListVisitor {
        type Value = Vec<FilterInput>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of filters such as [{\"repo\": \"acme/rocket\"}]")
        }

        fn visit_unit<E>(self) -> Result<Vec<FilterInput>, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Vec<FilterInput>, A::Error> {
            let one = FilterInput::deserialize(MapAccessDeserializer::new(members));
            one.map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<FilterInput>, A::Error> {
            let mut filters = Vec::new();
            while let Some(FilterMembers(filter)) = items.next_element()? {
                filters.push(filter);
            }
            Ok(filters)
        }
    }
    deserializer.deserialize_any(FilterListVisitor)
}

/// A filter as an object, and not as the list of its values, which serde would also take.
struct FilterMembers(FilterInput);

impl<'de> Deserialize<'de> for FilterMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberVisitor;
        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = FilterMembers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a filter such as {\"repo\": \"acme/rocket\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<FilterMembers, A::Error> {
                FilterInput::deserialize(MapAccessDeserializer::new(members)).map(FilterMembers)
            }
        }
        deserializer.deserialize_any(MemberVisitor)
    }
}

/// Words as a list, or in one text with commas between them. Null counts as absent.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct WordVisitor;
    impl<'de> Visitor<'de> for WordVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of names")
        }

        fn visit_unit<E>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.split(',').map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<String>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(items))
        }
    }
    deserializer.deserialize_any(WordVisitor)
}

/// Labels as a list, or one label, quoted as in REST where it has a comma. Null counts as absent.
fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct LabelVisitor;
    impl<'de> Visitor<'de> for LabelVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of labels")
        }

        fn visit_unit<E>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            match label_list(text).map_err(E::custom)? {
                one if one.len() == 1 => Ok(one),
                // One label with a comma, or several.
                _ => Err(E::custom(
                    "not certain; use a list of labels, for instance [\"bug\", \"needs review, urgent\"]",
                )),
            }
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<String>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(items))
        }
    }
    deserializer.deserialize_any(LabelVisitor)
}
