//! Requests made of routes and documents.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    api_url::ApiUrls,
    api_version::GithubApiVersion,
    document::GraphqlDocument,
    error::GithubError,
    exchange::{HiddenLimit, RequestPlan},
    limits::{MAX_ATTEMPTS, MAX_QUERY_ATTEMPTS},
    metrics::{GithubApi, GithubResource},
    quota::RequestQuota,
    route::{RestMethod, RestRoute},
    transport::WireRequest,
    verdict::WholeResponse,
};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("forgewire/", env!("CARGO_PKG_VERSION")));
const ACCEPT: HeaderValue = HeaderValue::from_static("application/vnd.github+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Makes plans of requests.
#[derive(Debug, Clone)]
pub(crate) struct RequestPlans {
    pub(crate) urls: ApiUrls,
    pub(crate) version: GithubApiVersion,
    /// A window of the primary limits.
    pub(crate) window: Duration,
}

impl RequestPlans {
    /// A request for a route, with these values in its path.
    pub(crate) fn rest(
        &self,
        route: RestRoute,
        values: &[&str],
        deadline: Instant,
    ) -> Result<RequestPlan, GithubError> {
        self.rest_with(route, &route.path(values), deadline)
    }

    /// A request for a route, at this path and query.
    pub(crate) fn rest_with(
        &self,
        route: RestRoute,
        path_and_query: &str,
        deadline: Instant,
    ) -> Result<RequestPlan, GithubError> {
        let path = path_and_query.split('?').next().unwrap_or_default();
        let what = http_client::quoted(path.trim_start_matches('/'));
        let url = self
            .urls
            .rest(path_and_query)
            .ok_or_else(|| GithubError::Malformed {
                what: what.clone(),
                why: "it makes no URL".to_owned(),
            })?;
        let is_read = route.method == RestMethod::Get;
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, AGENT);
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert("x-github-api-version", self.version.header());
        Ok(RequestPlan {
            request: WireRequest {
                method: route.method.of_http(),
                url,
                headers,
                body: Bytes::new(),
                what,
            },
            api: GithubApi::rest,
            resource: route.resource,
            quota: RequestQuota::of_rest(is_read, self.window),
            attempts: if is_read { MAX_ATTEMPTS } else { 1 },
            deadline,
            hidden_limit: |_| None,
        })
    }

    /// A request with a query.
    pub(crate) fn query(
        &self,
        document: GraphqlDocument,
        body: Bytes,
        deadline: Instant,
        hidden_limit: fn(&WholeResponse) -> Option<HiddenLimit>,
    ) -> RequestPlan {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, AGENT);
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert(header::CONTENT_TYPE, JSON);
        RequestPlan {
            request: WireRequest {
                method: Method::POST,
                url: self.urls.graphql.clone(),
                headers,
                body,
                what: document.name.to_owned(),
            },
            api: GithubApi::graphql,
            resource: GithubResource::query,
            quota: RequestQuota::of_query(document.cost, self.window),
            attempts: MAX_QUERY_ATTEMPTS,
            deadline,
            hidden_limit,
        }
    }
}

impl RequestPlan {
    /// The answer as JSON.
    pub(crate) fn read<'a, T: Deserialize<'a>>(
        &self,
        answer: &'a WholeResponse,
    ) -> Result<T, GithubError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            // The parser's own words would repeat the text, which may be a token.
            self.malformed(&format!("line {} column {}", error.line(), error.column()))
        })
    }

    pub(crate) fn malformed(&self, why: &str) -> GithubError {
        GithubError::Malformed {
            what: self.request.what.clone(),
            why: why.to_owned(),
        }
    }
}
