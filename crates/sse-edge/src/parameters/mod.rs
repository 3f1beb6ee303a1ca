//! Query parameters of the REST routes: a filter, and parameters of each route. Public for the fuzz targets,
//! which read what strangers send.

mod routes;

use std::collections::BTreeMap;

use mcp::lenient::{resource_number, whole_number};
use model::{FilterError, FilterRequest, FilterSet, Timestamp, label_list};

pub use self::routes::{RecentParameters, ReplayParameters, StreamParameters};
pub use event_flow::query::{MAX_QUERY_EVENTS as MAX_LIMIT, Order};

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

/// The parameters that make a filter.
const FILTER: [&str; 9] = [
    "resourceType",
    "eventType",
    "resourceId",
    "owner",
    "repo",
    "number",
    "actor",
    "source",
    "tags",
];

/// The notations of a time, for refusals.
const TIME_FORMAT: &str =
    "use RFC 3339, for instance 2026-11-20T10:00:00Z, or seconds or milliseconds since 1970";

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
    Ok(FilterRequest {
        resource_type: value("resourceType"),
        event_type: value("eventType"),
        resource_id: value("resourceId"),
        owner: value("owner"),
        repo: value("repo"),
        number: number.transpose()?,
        actor: value("actor"),
        source: value("source"),
        tags,
    })
}

impl Parameters {
    /// Reads the pairs; `own` are the names of the route's own parameters.
    ///
    /// # Errors
    /// An unknown name, a name that occurs twice, or a filter with an unknown value.
    fn read(pairs: Vec<(String, String)>, own: &[&str]) -> Result<Self, ParameterError> {
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
            } else if FILTER.contains(&name.as_str()) {
                filter.insert(name.clone(), value).is_some()
            } else if own.contains(&name.as_str()) {
                parameters.own.insert(name.clone(), value).is_some()
            } else {
                let known = [own, &FILTER[..]].concat().join(", ");
                return Err(invalid(&name, format!("unknown parameter; known: {known}")));
            };
            if repeated {
                return Err(invalid(&name, "must not occur twice"));
            }
        }
        if !filter.is_empty() || !tags.is_empty() {
            let request = request(filter, tags)?;
            parameters.filters =
                FilterSet::new(vec![request.read()?]).map_err(FilterError::from)?;
        }
        Ok(parameters)
    }

    /// A parameter of the route's own, without white space around it; an empty one counts as absent, as
    /// forms send it.
    fn get(&self, name: &str) -> Option<&str> {
        let text = self.own.get(name)?.trim();
        Some(text).filter(|text| !text.is_empty())
    }

    /// A time; see [`Timestamp::from_input`] for the notations.
    fn time(&self, name: &str) -> Result<Option<Timestamp>, ParameterError> {
        let read = |text| Timestamp::from_input(text).ok_or_else(|| invalid(name, TIME_FORMAT));
        self.get(name).map(read).transpose()
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
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Parameters, ParameterError> {
        let pairs = query
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Parameters::read(pairs, &["limit"])
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
        ] {
            let parameters = read(&[("tags", tags)]).unwrap();
            assert_eq!(parameters.filters.filters()[0].tags, means, "{tags}");
        }
        for wrong in [r#""open"#, r#""a"b"#, "", "bug,,docs", "bug,"] {
            let refused = read(&[("tags", wrong)]).unwrap_err().to_string();
            assert!(refused.starts_with("tags: "), "{wrong}: {refused}");
        }
    }

    #[test]
    fn a_reference_is_understood_and_what_is_none_is_refused_by_name() {
        let filter = |name, value| {
            let read = read(&[(name, value)]);
            read.map(|read| serde_json::to_string(&read.filters.filters()[0]).unwrap())
        };
        for (name, value, means) in [
            ("repo", "acme/Rocket", r#"{"owner":"acme","repo":"rocket"}"#),
            ("actor", "@mona", r#"{"actor":"mona"}"#),
            ("number", "7", r#"{"number":7}"#),
            ("number", "7.0", r#"{"number":7}"#),
            ("number", " #7", r#"{"number":7}"#),
        ] {
            assert_eq!(filter(name, value).unwrap(), means);
        }
        for (name, value) in [
            ("repo", "acme/rocket/x"),
            ("owner", ""),
            ("actor", "a b"),
            ("number", "x"),
            ("number", "0"),
            ("number", "7.5"),
            ("resourceId", "#7"),
        ] {
            let refused = filter(name, value).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{name}: ")), "{refused}");
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        for query in [
            [("resourceTyp", "issue")].as_slice(),
            &[("resourceType", "wiki")],
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
