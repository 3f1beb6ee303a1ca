//! Query parameters of the REST routes: a filter, and parameters of each route. Public for the fuzz targets,
//! which read what strangers send.

pub(crate) mod described;
mod routes;

use std::collections::BTreeMap;

use mcp::lenient::{resource_number, whole_number};
use model::{FilterDefaults, FilterError, FilterRequest, FilterSet, Timestamp, label_list};

pub use self::routes::{
    RecentParameters, ReplayParameters, StreamParameters, SubscriptionListParameters,
};
pub use event_flow::query::{MAX_QUERY_EVENTS as MAX_LIMIT, MAX_QUERY_OFFSET as MAX_OFFSET, Order};

/// A parameter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// An unknown or repeated parameter, or a value of a route's own parameter.
    #[error("{field}: {reason}")]
    Value {
        /// The name of the parameter.
        field: String,
        /// The problem, and which values are valid.
        reason: String,
    },
    /// A value of a parameter of the filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// The notations of a time, for refusals.
pub(crate) const TIME_FORMAT: &str = Timestamp::INPUT_FORMATS;

/// The parameters of a query string.
#[derive(Debug, Default)]
struct Parameters {
    filters: FilterSet,
    own: BTreeMap<String, String>,
}

fn invalid(field: &str, reason: impl Into<String>) -> ParameterError {
    ParameterError::Value {
        field: field.to_owned(),
        reason: reason.into(),
    }
}

fn request(
    mut values: BTreeMap<String, String>,
    tags: Vec<String>,
) -> Result<FilterRequest, ParameterError> {
    let mut value = |name: &str| values.remove(name);
    let number = value("number").map(|text| {
        resource_number(&text).ok_or_else(|| invalid("number", "must be a whole number such as 7"))
    });
    let database_id = value("databaseId").map(|text| {
        whole_number(&text)
            .ok_or_else(|| invalid("databaseId", "must be a whole number such as 4711"))
    });
    let mut flag = |name: &str| {
        let text = value(name);
        let flag = text.map(|text| match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(invalid(name, "use true or false")),
        });
        flag.transpose()
    };
    let (is_pull_request, include_pull_requests) =
        (flag("isPullRequest")?, flag("includePullRequests")?);
    let mut words = |name: &str| {
        let text = value(name);
        let words = text.iter().flat_map(|text| text.split(','));
        words.map(str::to_owned).collect()
    };
    let (authors, author_association) = (words("authors"), words("authorAssociation"));
    Ok(FilterRequest {
        authors,
        author_association,
        resource_type: value("resourceType"),
        event_type: value("eventType"),
        action: value("action"),
        resource_id: value("resourceId"),
        database_id: database_id.transpose()?,
        owner: value("owner"),
        repo: value("repo"),
        number: number.transpose()?,
        actor: value("actor"),
        source: value("source"),
        tags,
        is_pull_request,
        include_pull_requests,
    })
}

impl Parameters {
    /// Reads the pairs; `own` are the names of the route's own parameters.
    ///
    /// # Errors
    /// An unknown name, a name that occurs twice, or a filter with an unknown value.
    fn read(
        pairs: Vec<(String, String)>,
        own: &[&str],
        defaults: FilterDefaults,
    ) -> Result<Self, ParameterError> {
        let mut filter = BTreeMap::new();
        let mut tags = Vec::new();
        let mut parameters = Self::default();
        for (name, value) in pairs {
            let repeated = if name == "tags" {
                let refused = |error| FilterError::Name {
                    field: "tags",
                    error,
                };
                tags.extend(label_list(&value).map_err(refused)?);
                false
            } else if FilterRequest::FIELDS.contains(&name.as_str()) {
                filter.insert(name.clone(), value).is_some()
            } else if own.contains(&name.as_str()) {
                parameters.own.insert(name.clone(), value).is_some()
            } else {
                let known = [own, &FilterRequest::FIELDS[..]].concat().join(", ");
                return Err(invalid(&name, format!("unknown parameter; known: {known}")));
            };
            if repeated {
                return Err(invalid(&name, "must not occur twice"));
            }
        }
        // As forms send what is absent.
        filter.retain(|_, text: &mut String| !text.trim().is_empty());
        tags.retain(|label: &String| !label.trim().is_empty());
        if !filter.is_empty() || !tags.is_empty() {
            let request = request(filter, tags)?;
            parameters.filters =
                FilterSet::new(vec![request.read_with(defaults)?]).map_err(FilterError::from)?;
        }
        Ok(parameters)
    }

    /// A parameter of the route's own, without white space around it; an empty one counts as absent, as
    /// forms send it.
    fn get(&self, name: &str) -> Option<&str> {
        let text = self.own.get(name)?.trim();
        Some(text).filter(|text| !text.is_empty())
    }

    /// What was given as it is, unless that is no text at all.
    fn given(&self, name: &str) -> Option<&str> {
        let given = self.own.get(name).map(String::as_str);
        given.filter(|text| !text.is_empty())
    }

    /// Whether a parameter is there without a value.
    fn is_empty(&self, name: &str) -> bool {
        self.own
            .get(name)
            .is_some_and(|text| text.trim().is_empty())
    }

    /// A time; see [`Timestamp::from_input`] for the notations.
    fn time(&self, name: &str) -> Result<Option<Timestamp>, ParameterError> {
        let read = |text| Timestamp::from_input(text).ok_or_else(|| invalid(name, TIME_FORMAT));
        self.get(name).map(read).transpose()
    }

    /// The end of a range.
    fn end(&self, from: Option<Timestamp>) -> Result<Option<Timestamp>, ParameterError> {
        let to = self.time("to")?;
        match (from, to) {
            (Some(from), Some(to)) if to <= from => Err(invalid(
                "to",
                "not later than the beginning, so no event can match",
            )),
            _ => Ok(to),
        }
    }

    /// The order of the events.
    fn order(&self, default: Order) -> Result<Order, ParameterError> {
        match self.get("order").map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("desc") => Ok(Order::NewestFirst),
            Some("asc") => Ok(Order::OldestFirst),
            Some(_) => Err(invalid("order", "use asc or desc")),
        }
    }

    /// The number of events to pass over. A cursor names its position already, wherever a page began.
    fn offset(&self, cursor: &str) -> Result<usize, ParameterError> {
        let Some(text) = self.get("offset") else {
            return Ok(0);
        };
        match whole_number(text).map(usize::try_from) {
            Some(Ok(0)) => Ok(0),
            Some(Ok(_)) if self.get(cursor).is_some() => Err(invalid(
                "offset",
                format!("leave it out with {cursor}, which names the position already"),
            )),
            Some(Ok(offset)) if offset <= MAX_OFFSET => Ok(offset),
            _ => Err(invalid(
                "offset",
                format!(
                    "must be a number from 0 to {MAX_OFFSET}; to go further, continue with a cursor"
                ),
            )),
        }
    }

    /// A number between `1` and `max`.
    fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, ParameterError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => match whole_number(text).map(usize::try_from) {
                Some(Ok(count)) if (1..=max).contains(&count) => Ok(count),
                _ => Err(invalid(name, format!("must be a number from 1 to {max}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Filter;

    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Parameters, ParameterError> {
        let pairs = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Parameters::read(
            pairs,
            &["limit", "offset", "cursor"],
            FilterDefaults::default(),
        )
    }

    #[test]
    fn names_in_any_case_and_several_tags_make_one_filter() {
        let parameters = read(&[
            ("resourceType", "ISSUE"),
            ("tags", "bug,docs"),
            ("tags", "p1"),
        ])
        .unwrap();
        let filter = &parameters.filters.filters()[0];
        assert_eq!(filter.resource_type, Some(model::ResourceType::ISSUE));
        assert_eq!(filter.tags, ["bug", "docs", "p1"]);
        assert_eq!(parameters.count("limit", 7, 10).unwrap(), 7);
        for (sent, expected) in [(" 9 ", 9), ("9.0", 9), ("", 7)] {
            let parameters = read(&[("limit", sent)]).unwrap();
            assert_eq!(parameters.count("limit", 7, 10).unwrap(), expected);
        }
    }

    #[test]
    fn a_label_with_a_comma_is_quoted() {
        for (tags, means) in [
            (r#""needs review, urgent""#, &["needs review, urgent"][..]),
            (r#"bug, "a,b" ,docs"#, &["a,b", "bug", "docs"]),
            (r#""say ""hi"", please""#, &[r#"say "hi", please"#]),
            (r#"say "hi""#, &[r#"say "hi""#]),
            ("bug,,docs,", &["bug", "docs"]),
        ] {
            let parameters = read(&[("tags", tags)]).unwrap();
            assert_eq!(parameters.filters.filters()[0].tags, means, "{tags}");
        }
        for wrong in [r#""open"#, r#""a"b"#] {
            let refused = read(&[("tags", wrong)]).unwrap_err().to_string();
            assert!(refused.starts_with("tags: "), "{wrong}: {refused}");
        }
    }

    #[test]
    fn a_reference_is_understood_and_what_is_none_is_refused_by_name() {
        let filter = |name, value| {
            let read = read(&[(name, value)]);
            let first = |read: Parameters| read.filters.filters().first().cloned();
            let written = |filter: Filter| serde_json::to_string(&filter).unwrap();
            read.map(|read| first(read).map_or("none".to_owned(), written))
        };
        for (name, value, means) in [
            ("repo", "acme/Rocket", r#"{"owner":"acme","repo":"rocket"}"#),
            ("actor", "@mona", r#"{"actor":"mona"}"#),
            ("number", "7", r#"{"number":7}"#),
            ("number", "7.0", r#"{"number":7}"#),
            ("number", " #7", r#"{"number":7}"#),
            ("action", "Labeled", r#"{"action":"labeled"}"#),
            ("resourceType", "Wiki", r#"{"resourceType":"wiki"}"#),
            (
                "resourceId",
                "R_1:refs/heads/main",
                r#"{"resourceId":"R_1:refs/heads/main"}"#,
            ),
            ("resourceId", "4711", r#"{"databaseId":4711}"#),
            ("databaseId", "4711", r#"{"databaseId":4711}"#),
            (
                "isPullRequest",
                "TRUE",
                r#"{"resourceType":"pull_request"}"#,
            ),
            ("isPullRequest", "0", r#"{"isPullRequest":false}"#),
            ("isPullRequest", "", "none"),
            ("owner", "", "none"),
            ("number", " ", "none"),
        ] {
            assert_eq!(filter(name, value).unwrap(), means);
        }
        for (name, value) in [
            ("repo", "acme/rocket/x"),
            ("actor", "a b"),
            ("number", "x"),
            ("number", "0"),
            ("number", "7.5"),
            ("resourceId", "#7"),
            ("databaseId", "x"),
            ("isPullRequest", "perhaps"),
        ] {
            let refused = filter(name, value).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{name}: ")), "{refused}");
        }
    }

    #[test]
    fn an_offset_is_bounded_and_has_no_place_beside_a_cursor() {
        let offset = |query: &[(&str, &str)]| {
            let offset = read(query).unwrap().offset("cursor");
            offset.map_err(|error| error.to_string())
        };
        let most = MAX_OFFSET.to_string();
        for (sent, expected) in [("0", 0), ("7", 7), ("", 0), (&most, MAX_OFFSET)] {
            assert_eq!(offset(&[("offset", sent)]), Ok(expected), "{sent}");
        }
        assert_eq!(offset(&[]), Ok(0));
        assert_eq!(offset(&[("offset", "0"), ("cursor", "c")]), Ok(0));
        let beyond = (MAX_OFFSET + 1).to_string();
        for wrong in ["-1", "x", "1.5", &beyond] {
            let refused = offset(&[("offset", wrong)]).unwrap_err();
            assert!(refused.starts_with("offset: must be"), "{wrong}: {refused}");
        }
        let beside = offset(&[("offset", "1"), ("cursor", "c")]).unwrap_err();
        assert!(beside.contains("leave it out with cursor"), "{beside}");
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        for query in [
            [("resourceTyp", "issue")].as_slice(),
            &[("resourceType", "wiki page")],
            &[("owner", "a"), ("owner", "b")],
        ] {
            assert!(
                matches!(
                    read(query),
                    Err(ParameterError::Value { .. } | ParameterError::Filter(_))
                ),
                "{query:?}"
            );
        }
        let parameters = read(&[("limit", "0")]).unwrap();
        assert!(parameters.count("limit", 7, 10).is_err());
    }
}
