//! Requests of the stateless era: the checks in the order in which clients expect their answers.

use http::HeaderMap;
use serde_json::value::RawValue;

use super::{Claims, RequestMeta, Surface, VersionClaim, meta::Parts};
use crate::{
    envelope::RequestId,
    headers::{self, AcceptedTypes, decode_value, single},
    method,
    refusal::HttpRefusal,
    task,
    version::{Era, ProtocolVersion},
};

/// A request of the stateless era: headers and `_meta` are complete and agree, the method is
/// served.
#[derive(Clone, Debug)]
pub struct ModernRequest {
    /// The revision.
    pub version: ProtocolVersion,
    /// The content of `_meta`.
    pub meta: RequestMeta,
    /// Echoed in the answer.
    pub id: RequestId,
    /// One of the [`Surface`].
    pub method: String,
    /// The parameters, `_meta` included.
    pub params: Option<Box<RawValue>>,
    /// The content types that the client accepts; at least one, and SSE for a listen stream.
    pub accepts: AcceptedTypes,
    /// The `Mcp-Param-*` headers of a `tools/call`, not checked yet: only the tool knows their
    /// expected values ([`crate::tool::check_param_headers`]). Empty for other methods.
    pub param_headers: HeaderMap,
}

/// The headers that mirror arguments, copied out of all headers.
pub(super) fn param_headers(method: &str, headers: &HeaderMap) -> HeaderMap {
    let mut mirrored = HeaderMap::new();
    if method == method::TOOLS_CALL {
        for (name, value) in headers {
            if name.as_str().starts_with(headers::PARAM_PREFIX) {
                mirrored.append(name, value.clone());
            }
        }
    }
    mirrored
}

/// Checks a request. The first failure is the answer, in this order: `_meta` is complete, the
/// headers that are present agree with it, the revision is supported, all required headers are
/// present, the method is served, `Mcp-Name` agrees, the extension is declared, an acceptable
/// content type exists, the rest of `_meta` is well-formed.
pub(super) fn check(
    surface: &Surface,
    claims: &Claims<'_>,
    method: &str,
    parts: &Parts<'_>,
) -> Result<(ProtocolVersion, RequestMeta), HttpRefusal> {
    let requested = parts.version()?;
    let capabilities = parts.capabilities()?;
    check_present_headers(claims, &requested, method)?;
    let version = ProtocolVersion::parse(&requested)
        .filter(|version| version.era() == Era::Stateless)
        .ok_or_else(|| HttpRefusal::unsupported_version(&requested))?;
    check_required_headers(claims)?;
    if !surface.serves(method) {
        return Err(HttpRefusal::method_not_found(method));
    }
    check_name(claims, method, parts)?;
    if method::TASKS.contains(&method) {
        task::require_extension(&capabilities)?;
    }
    let needs_stream = method == method::LISTEN;
    if claims.accepts.is_nothing() || (needs_stream && !claims.accepts.sse) {
        // Not 406: clients read a 4xx other than 400, 404 and 405 as a server of the handshake era.
        return Err(HttpRefusal::header_mismatch(
            "Accept has to list application/json and text/event-stream",
        ));
    }
    Ok((version, parts.meta(capabilities)?))
}

fn check_present_headers(
    claims: &Claims<'_>,
    requested: &str,
    method: &str,
) -> Result<(), HttpRefusal> {
    let agrees = match claims.version {
        VersionClaim::Absent => true,
        VersionClaim::Known(version) => version.as_str() == requested,
        VersionClaim::Unknown(name) => name == requested,
        VersionClaim::Illegal => false,
    };
    if !agrees {
        return Err(HttpRefusal::header_mismatch(
            "MCP-Protocol-Version and _meta name different revisions",
        ));
    }
    match single(claims.headers, &headers::METHOD) {
        Ok(None) => Ok(()),
        Ok(Some(named)) if named == method => Ok(()),
        _ => Err(HttpRefusal::header_mismatch(
            "Mcp-Method and the body name different methods",
        )),
    }
}

fn check_required_headers(claims: &Claims<'_>) -> Result<(), HttpRefusal> {
    // An empty version counts as none.
    if claims.version == VersionClaim::Absent {
        return Err(HttpRefusal::header_mismatch(
            "MCP-Protocol-Version is missing",
        ));
    }
    if !claims.headers.contains_key(headers::METHOD) {
        return Err(HttpRefusal::header_mismatch("Mcp-Method is missing"));
    }
    Ok(())
}

/// Checks `Mcp-Name` (MCP 2026-07-28, Streamable HTTP, "Standard Request Headers"). Methods that
/// are not served have been answered with 404 before.
fn check_name(claims: &Claims<'_>, method: &str, parts: &Parts<'_>) -> Result<(), HttpRefusal> {
    let in_body = match method {
        method::TOOLS_CALL | method::PROMPTS_GET => parts.name,
        method::RESOURCES_READ => parts.uri,
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => parts.task_id,
        _ => return Ok(()),
    };
    let in_header = match single(claims.headers, &headers::NAME) {
        Ok(Some(value)) => decode_value(value)
            .map_err(|_| HttpRefusal::header_mismatch("Mcp-Name has a bad base64 value"))?,
        Ok(None) => return Err(HttpRefusal::header_mismatch("Mcp-Name is missing")),
        Err(_) => return Err(HttpRefusal::header_mismatch("Mcp-Name is illegal")),
    };
    let in_body = in_body.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    if in_body.as_deref() == Some(in_header.as_ref()) {
        Ok(())
    } else {
        Err(HttpRefusal::header_mismatch(
            "Mcp-Name and the body name different things",
        ))
    }
}
