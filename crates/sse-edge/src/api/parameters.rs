//! Query parameters of the REST routes: a filter, and parameters of each route.

use std::collections::BTreeMap;

use model::{FilterRequest, FilterSet, Timestamp};
use serde_json::{Map, Value};

use crate::error::EdgeError;

/// The parameters that make a filter.
const FILTER: [&str; 8] = [
    "resourceType",
    "eventType",
    "resourceId",
    "owner",
    "repo",
    "actor",
    "source",
    "tags",
];

/// The notations of a time, for refusals.
pub(crate) const TIME_FORMAT: &str =
    "use RFC 3339, for instance 2026-11-20T10:00:00Z, or seconds or milliseconds since 1970";

/// The parameters of a query string.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) filters: FilterSet,
    own: BTreeMap<String, String>,
}

fn invalid(field: &str, reason: impl Into<String>) -> EdgeError {
    EdgeError::Parameter {
        field: field.to_owned(),
        reason: reason.into(),
    }
}

impl Parameters {
    /// Reads the pairs; `own` are the names of the route's own parameters.
    ///
    /// # Errors
    /// An unknown name, a name that occurs twice, or a filter with an unknown value.
    pub(crate) fn read(pairs: Vec<(String, String)>, own: &[&str]) -> Result<Self, EdgeError> {
        let mut filter = Map::new();
        let mut tags = Vec::new();
        let mut parameters = Self::default();
        for (name, value) in pairs {
            let repeated = if name == "tags" {
                tags.extend(
                    value
                        .split(',')
                        .map(|tag| Value::String(tag.trim().to_owned())),
                );
                false
            } else if FILTER.contains(&name.as_str()) {
                filter.insert(name.clone(), Value::String(value)).is_some()
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
        if !tags.is_empty() {
            filter.insert("tags".into(), Value::Array(tags));
        }
        if !filter.is_empty() {
            let request: FilterRequest = serde_json::from_value(Value::Object(filter))
                .map_err(|error| invalid("filter", error.to_string()))?;
            parameters.filters = FilterSet::new(vec![request.read()?])?;
        }
        Ok(parameters)
    }

    /// A parameter of the route's own, without white space around it; an empty one counts as absent, as
    /// forms send it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let text = self.own.get(name)?.trim();
        Some(text).filter(|text| !text.is_empty())
    }

    /// A time; see [`Timestamp::from_input`] for the notations.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, EdgeError> {
        let read = |text| Timestamp::from_input(text).ok_or_else(|| invalid(name, TIME_FORMAT));
        self.get(name).map(read).transpose()
    }

    /// A number between `1` and `max`.
    pub(crate) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, EdgeError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(count) if (1..=max).contains(&count) => Ok(count),
                _ => Err(invalid(name, format!("must be a number from 1 to {max}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Parameters, EdgeError> {
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
        for (sent, expected) in [(" 9 ", 9), ("", 7)] {
            let parameters = read(&[("limit", sent)]).unwrap();
            assert_eq!(parameters.count("limit", 7, 10).unwrap(), expected);
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
                    Err(EdgeError::Parameter { .. } | EdgeError::Filter(_))
                ),
                "{query:?}"
            );
        }
        let parameters = read(&[("limit", "0")]).unwrap();
        assert!(parameters.count("limit", 7, 10).is_err());
    }
}
