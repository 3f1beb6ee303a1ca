//! Which web pages may talk to us (MCP, Streamable HTTP, "Security warning": DNS rebinding).

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::error::EdgeError;

/// Headers that a page may send.
const ALLOWED_HEADERS: &str = "content-type, accept, authorization, last-event-id, mcp-session-id, \
                               mcp-protocol-version, mcp-method, mcp-name, traceparent";
/// Headers that a page may read.
const EXPOSED_HEADERS: &str = "mcp-session-id, retry-after, traceparent, www-authenticate";

/// The rule: named origins, and this machine's own pages when we listen on loopback.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    loopback: bool,
}

impl Origins {
    pub(crate) fn new(allowed: &[String], loopback: bool) -> Self {
        let allowed = allowed
            .iter()
            .map(|o| o.trim_end_matches('/').to_ascii_lowercase());
        Self {
            allowed: allowed.collect(),
            loopback,
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.allowed.contains(&origin) || (self.loopback && is_local(&origin))
    }

    /// On loopback a foreign Host is a rebound name; elsewhere the balancer decides on hosts.
    fn allows_host(&self, headers: &HeaderMap) -> bool {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let named = |host: &str| {
            self.allowed
                .iter()
                .any(|origin| origin.ends_with(&format!("//{host}")))
        };
        !self.loopback || host.is_none_or(|host| is_local(&format!("http://{host}")) || named(host))
    }
}

fn is_local(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Refuses foreign origins with 403, answers preflights, and adds the CORS headers for allowed ones.
pub(crate) async fn check(
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    if !origins.allows_host(request.headers()) {
        return EdgeError::Origin.into_response();
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if !origin.to_str().is_ok_and(|origin| origins.allows(origin)) {
        return EdgeError::Origin.into_response();
    }
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED_HEADERS),
    );
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static(ALLOWED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_pages_and_this_machine_may() {
        let origins = Origins::new(&["https://App.example.com/".into()], true);
        for good in [
            "https://app.example.com",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:3000",
        ] {
            assert!(origins.allows(good), "{good}");
        }
        for bad in [
            "https://evil.example",
            "http://localhost.evil.example",
            "http://evil.example:80",
            "null",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(!origins.allows(bad), "{bad}");
        }
        assert!(!Origins::new(&[], false).allows("http://localhost"));
    }
}
