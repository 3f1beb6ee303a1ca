//! Refusals of strangers, as lines of the audit log: a host, an origin or a token. A line names the client's address,
//! the route and the reason, and nothing that the client sent.

use axum::extract::Request;
use model::{PublicError, TraceContext};
use service_kit::{
    audit::{AuditLog, SecurityRefusal},
    http::RemoteAddr,
};

use super::ROUTES;
use crate::error::EdgeError;

/// The kinds of refusals.
pub(crate) const AUDIT_KINDS: [&str; 3] = ["host", "origin", "token"];

const fn kind_of(error: &EdgeError) -> Option<&'static str> {
    match error {
        EdgeError::Host => Some("host"),
        EdgeError::Origin => Some("origin"),
        EdgeError::Denied(_) => Some("token"),
        _ => None,
    }
}

/// Notes a refusal, if it is one of these.
pub(super) fn note(audit: &AuditLog, request: &Request, error: &EdgeError) {
    let Some(kind) = kind_of(error) else {
        return;
    };
    let extensions = request.extensions();
    let remote = extensions.get::<RemoteAddr>();
    let trace = extensions.get::<TraceContext>();
    let trace = trace.map(|trace| &trace.trace as &dyn std::fmt::Display);
    audit.refuse(&SecurityRefusal {
        kind,
        code: error.code(),
        source: remote.map(|remote| remote.0.ip().to_canonical()),
        about: Some(&surface_of(request.uri().path())),
        trace,
    });
}

/// The route of a path, which the client did not choose the words of.
fn surface_of(path: &str) -> &'static str {
    let fits = |route: &&&str| {
        let (mut own, mut given) = (route.split('/'), path.split('/'));
        let is_same = own.by_ref().all(|part| {
            let given = given.next();
            given == Some(part) || (part.starts_with('{') && given.is_some())
        });
        is_same && given.next().is_none()
    };
    ROUTES.iter().find(fits).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_is_a_route_and_never_what_a_client_sent() {
        for (path, surface) in [
            ("/mcp", "/mcp"),
            ("/events/subscribe", "/events/subscribe"),
            ("/events/subscribe/a-secret", "/events/subscribe/{id}"),
            ("/events/replay/2020-01-01", "/events/replay/{timestamp}"),
            ("/events/subscribe/a/b", "other"),
            ("/a-secret", "other"),
            ("", "other"),
        ] {
            assert_eq!(surface_of(path), surface, "{path}");
        }
    }
}
