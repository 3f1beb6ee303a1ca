//! Paths as people configure them.

use http::{Uri, uri::PathAndQuery};

/// Rewrites `/mcp/` and `//mcp` to `/mcp`: a base URL with a slash at its end, joined with a path, and a
/// path with a slash at its end mean the same route. The query stays as it is.
pub(super) fn normalise(uri: &mut Uri) {
    let path = uri.path();
    let is_plain = !path.contains("//") && (path == "/" || !path.ends_with('/'));
    if is_plain || !path.starts_with('/') {
        return;
    }
    let mut rewritten = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        rewritten.push('/');
        rewritten.push_str(part);
    }
    if rewritten.is_empty() {
        rewritten.push('/');
    }
    if let Some(query) = uri.query() {
        rewritten.push('?');
        rewritten.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    // Parts of a valid path make a valid path.
    let Ok(path) = PathAndQuery::try_from(rewritten) else {
        return;
    };
    parts.path_and_query = Some(path);
    if let Ok(plain) = Uri::from_parts(parts) {
        *uri = plain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_many_makes_no_difference() {
        for (sent, meant) in [
            ("/mcp", "/mcp"),
            ("/mcp/", "/mcp"),
            ("//mcp", "/mcp"),
            ("/fw//mcp//", "/fw/mcp"),
            ("/messages/?sessionId=a//b/", "/messages?sessionId=a//b/"),
            ("/", "/"),
            ("//", "/"),
            ("/?a", "/?a"),
            (
                "/events/replay/2026-11-20T10:00:00Z/",
                "/events/replay/2026-11-20T10:00:00Z",
            ),
            ("/a%2Fb/", "/a%2Fb"),
            ("*", "*"),
            (
                "http://localhost:3000/mcp/?x=1",
                "http://localhost:3000/mcp?x=1",
            ),
            ("localhost:3000", "localhost:3000"),
        ] {
            let mut uri: Uri = sent.parse().unwrap();
            normalise(&mut uri);
            assert_eq!(uri, meant.parse::<Uri>().unwrap(), "{sent}");
        }
    }
}
