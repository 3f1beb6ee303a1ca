//! The URLs of a GitHub: `https://api.github.com`, or `https://HOST/api/v3` and `https://HOST/api/graphql`.

use http::Uri;
use http_client::{ServerUrlError, quoted, server_url};

/// The URLs of the two APIs.
#[derive(Debug, Clone)]
pub(crate) struct ApiUrls {
    /// Without a slash at its end.
    pub(crate) rest: Uri,
    pub(crate) graphql: Uri,
}

impl ApiUrls {
    pub(crate) fn new(rest: &str, graphql: &str) -> Result<Self, (&'static str, ServerUrlError)> {
        let rest = server_url(rest.trim_end_matches('/')).map_err(|error| ("api_url", error))?;
        let graphql = server_url(graphql).map_err(|error| ("graphql_url", error))?;
        Ok(Self { rest, graphql })
    }

    /// The URL of a path that begins with a slash.
    pub(crate) fn rest(&self, path_and_query: &str) -> Option<Uri> {
        let base = self.rest.to_string();
        format!("{}{path_and_query}", base.trim_end_matches('/'))
            .parse()
            .ok()
    }

    /// The server, for names of budgets and lines of the log.
    pub(crate) fn host(&self) -> &str {
        self.rest
            .authority()
            .map_or("", |authority| authority.as_str())
    }
}

/// Where an answer of `from` leads, if it is the same server: credentials are for it alone.
///
/// # Errors
/// The target, cut and on one line, and the reason why it is not followed.
pub(crate) fn same_server(from: &Uri, target: &str) -> Result<Uri, (String, &'static str)> {
    // Two slashes begin the name of a server.
    let absolute = match target.starts_with('/') && !target.starts_with("//") {
        true => format!(
            "{}://{}{target}",
            from.scheme_str().unwrap_or_default(),
            from.authority().map_or("", |authority| authority.as_str())
        ),
        false => target.to_owned(),
    };
    let refused = |problem| match target {
        "" => ("no place".to_owned(), problem),
        target => (quoted(target), problem),
    };
    let url: Uri = absolute.parse().map_err(|_| refused("which is no URL"))?;
    match (url.scheme(), url.authority()) == (from.scheme(), from.authority()) {
        true => Ok(url),
        false => Err(refused("which is another server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_below_that_of_an_enterprise_server() {
        let urls =
            ApiUrls::new("https://ghe.test/api/v3/", "https://ghe.test/api/graphql").unwrap();
        let url = urls.rest("/repos/o/r?per_page=1").unwrap();
        assert_eq!(url, "https://ghe.test/api/v3/repos/o/r?per_page=1");
        let urls =
            ApiUrls::new("https://api.github.com", "https://api.github.com/graphql").unwrap();
        assert_eq!(urls.rest("/user").unwrap(), "https://api.github.com/user");
        let (key, _) = ApiUrls::new("https://x", "api.github.com/graphql").unwrap_err();
        assert_eq!(key, "graphql_url");
    }

    #[test]
    fn only_the_same_server_is_followed() {
        let from: Uri = "https://ghe.test:8443/api/v3/repos/o/r".parse().unwrap();
        let url = same_server(&from, "https://ghe.test:8443/api/v3/repositories/1").unwrap();
        assert_eq!(url.path(), "/api/v3/repositories/1");
        assert_eq!(same_server(&from, "/x").unwrap(), "https://ghe.test:8443/x");
        for target in [
            "https://ghe.test/x",
            "http://ghe.test:8443/x",
            "https://evil.test:8443/x",
            "https://ghe.test:8443@evil.test/x",
            "//evil.test/x",
            "",
            "x y",
        ] {
            assert!(same_server(&from, target).is_err(), "{target}");
        }
    }
}
