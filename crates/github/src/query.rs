//! Queries of GraphQL: data, errors that concern a part of it, and what it cost.

use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    call::RestCall,
    client::GithubClient,
    credentials::GithubAccess,
    document::GraphqlDocument,
    error::GithubError,
    exchange::HiddenLimit,
    graphql_error::{GraphqlFault, WrittenFault},
    limits::MAX_PAGES,
    verdict::WholeResponse,
};

/// What a query cost, in points of the primary limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryCost {
    /// Points of this query.
    pub cost: u32,
    /// Points of a window.
    pub limit: u32,
    /// Points that are left.
    pub remaining: u32,
    /// When the window ends.
    #[serde(deserialize_with = "timestamp")]
    pub reset_at: Timestamp,
}

fn timestamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of RFC 3339"))
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphqlAnswer<T> {
    /// The data. A part that has an error is `null` in it.
    pub data: T,
    /// The errors of parts.
    pub faults: Vec<GraphqlFault>,
    /// What it cost, unless it is an Enterprise Server without limits.
    pub cost: Option<QueryCost>,
}

#[derive(Serialize)]
struct WrittenQuery<'a, V> {
    query: &'a str,
    #[serde(rename = "operationName")]
    operation: &'a str,
    variables: &'a V,
}

#[derive(Deserialize)]
struct WrittenAnswer<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<WrittenFault>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithCost {
    #[serde(default)]
    rate_limit: Option<QueryCost>,
}

/// A rate limit in an answer, which has the status 200.
fn hidden_limit(answer: &WholeResponse) -> Option<HiddenLimit> {
    let written: WrittenAnswer<'_> = serde_json::from_slice(&answer.body).ok()?;
    let mut faults = written.errors.iter();
    faults.find_map(
        |fault| match (fault.is_secondary_limit(), fault.is_limit()) {
            (true, _) => Some(HiddenLimit::Secondary),
            (false, true) => Some(HiddenLimit::Primary),
            (false, false) => None,
        },
    )
}

impl GithubClient {
    /// Asks a query. A part that GitHub does not give is `null`, with a fault that names it.
    ///
    /// # Errors
    /// See [`GithubError`]; [`GithubError::Query`] if there is no data at all.
    pub async fn query<V: Serialize + Sync, T: DeserializeOwned>(
        &self,
        access: &GithubAccess,
        document: GraphqlDocument,
        variables: &V,
    ) -> Result<GraphqlAnswer<T>, GithubError> {
        self.query_within(access, document, variables, RestCall::PATIENCE)
            .await
    }

    /// As [`Self::query`], and waits for up to `patience`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_within<V: Serialize + Sync, T: DeserializeOwned>(
        &self,
        access: &GithubAccess,
        document: GraphqlDocument,
        variables: &V,
        patience: Duration,
    ) -> Result<GraphqlAnswer<T>, GithubError> {
        let body = serde_json::to_vec(&WrittenQuery {
            query: document.text,
            operation: document.name,
            variables,
        });
        let body = body.map_err(|error| GithubError::Refused {
            what: document.name.to_owned(),
            status: 0,
            said: error.to_string(),
        })?;
        let deadline = Instant::now() + patience;
        let plan = self
            .plans()
            .query(document, Bytes::from(body), deadline, hidden_limit);
        let answer = self.run(&plan, access).await?;
        let written: WrittenAnswer<'_> = plan.read(&answer)?;
        let faults = written.errors.into_iter().map(GraphqlFault::from).collect();
        let data = written.data.filter(|data| data.get() != "null");
        let Some(data) = data else {
            let what = document.name.to_owned();
            return Err(GithubError::Query { what, faults });
        };
        let cost: Option<WithCost> = serde_json::from_str(data.get()).ok();
        let cost = cost.and_then(|with| with.rate_limit);
        if let Some(cost) = cost {
            self.metrics().points.inc_by(u64::from(cost.cost));
        }
        let data = serde_json::from_str(data.get()).map_err(|error| {
            plan.malformed(&format!(
                "data, line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
        Ok(GraphqlAnswer { data, faults, cost })
    }
}

/// A page of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// Whether there is another page.
    pub has_next_page: bool,
    /// Where it begins.
    pub end_cursor: Option<String>,
}

/// Where the next page of a connection begins.
#[derive(Debug, Default)]
pub struct ConnectionCursor {
    after: Option<String>,
    pages: u32,
}

impl ConnectionCursor {
    /// The value of the variable `$after`; `None` for the first page.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Goes on to the page after this one; whether there is one.
    ///
    /// # Errors
    /// GitHub names the same page again, or more than any connection has.
    pub fn advance(&mut self, what: &str, page: PageInfo) -> Result<bool, GithubError> {
        let next = page.end_cursor.filter(|_| page.has_next_page);
        self.pages += 1;
        if next.is_some() && (next == self.after || self.pages >= MAX_PAGES) {
            return Err(GithubError::Endless {
                what: what.to_owned(),
                max_pages: MAX_PAGES,
            });
        }
        let has_next = next.is_some();
        self.after = next;
        Ok(has_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &'static str) -> WholeResponse {
        WholeResponse {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_limit_is_found_behind_the_status_200() {
        for (body, limit) in [
            (
                r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}"#,
                Some(HiddenLimit::Primary),
            ),
            (
                r#"{"errors":[{"type":"RATE_LIMIT","message":"x"}],"data":null}"#,
                Some(HiddenLimit::Primary),
            ),
            (
                r#"{"errors":[{"type":"RATE_LIMITED","message":"You have exceeded a secondary rate limit."}]}"#,
                Some(HiddenLimit::Secondary),
            ),
            (
                r#"{"data":{"a":null},"errors":[{"type":"NOT_FOUND","path":["a"],"message":"x"}]}"#,
                None,
            ),
            (r#"{"data":{}}"#, None),
            ("", None),
        ] {
            assert_eq!(hidden_limit(&answer(body)), limit, "{body}");
        }
    }

    #[test]
    fn a_connection_ends_and_a_circle_is_found() {
        let page = |next: Option<&str>| PageInfo {
            has_next_page: next.is_some(),
            end_cursor: next.map(str::to_owned),
        };
        let mut cursor = ConnectionCursor::default();
        assert!(cursor.advance("x", page(Some("a"))).unwrap());
        assert_eq!(cursor.after(), Some("a"));
        assert!(cursor.advance("x", page(Some("a"))).is_err());
        assert!(cursor.advance("x", page(Some("b"))).unwrap());
        assert!(!cursor.advance("x", page(None)).unwrap());
        // GitHub gives the last page a cursor, too.
        let last = PageInfo {
            has_next_page: false,
            end_cursor: Some("b".into()),
        };
        assert!(!ConnectionCursor::default().advance("x", last).unwrap());
    }
}
