//! Lists, page by page, along the links that GitHub gives.

use http::{HeaderMap, Uri, header};
use serde::de::DeserializeOwned;

use crate::{
    api_url::same_server,
    call::{RestAnswer, RestCall, Validators},
    client::GithubClient,
    error::GithubError,
    limits::MAX_PAGES,
};

/// The pages of a list. Only links within the API of the same server are followed, each with the credentials of the
/// call, and no more of them than a list can have.
#[derive(Debug)]
pub struct RestPages {
    client: GithubClient,
    /// The next page.
    next: Option<RestCall>,
    pages: u32,
}

impl GithubClient {
    /// The pages of a list, with as many items in each as GitHub gives.
    #[must_use]
    pub fn pages(&self, call: RestCall) -> RestPages {
        RestPages {
            client: self.clone(),
            next: Some(call.with("per_page", "100")),
            pages: 0,
        }
    }
}

impl RestPages {
    /// The next page, or `None` after the last one. The first page of a list that the caller knows is `NotModified`,
    /// and the last one then.
    ///
    /// # Errors
    /// See [`GithubError`]. After one that passes, the same page is asked for again.
    pub async fn next_page<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<RestAnswer<T>>, GithubError> {
        let Some(call) = self.next.clone() else {
            return Ok(None);
        };
        let (plan, answer) = self.client.rest(&call).await?;
        if answer.status == http::StatusCode::NOT_MODIFIED {
            self.next = None;
            return Ok(Some(RestAnswer::NotModified));
        }
        let value = plan.read(&answer)?;
        self.pages += 1;
        let what = plan.request.what.clone();
        let next = match next_link(&answer.headers) {
            None => None,
            Some(link) => {
                let base = &self.client.plans().urls.rest;
                Some(
                    path_below(base, &plan.request.url, &link)
                        .ok_or_else(|| plan.malformed("its next page is outside of the API"))?,
                )
            }
        };
        let is_circle = next.as_deref() == Some(&call.path_and_query);
        if next.is_some() && (self.pages >= MAX_PAGES || is_circle) {
            self.next = None;
            let max_pages = MAX_PAGES;
            return Err(GithubError::Endless { what, max_pages });
        }
        self.next = next.map(|path_and_query| RestCall {
            path_and_query,
            known: Validators::default(),
            ..call
        });
        let tags = Validators::of(&answer.headers);
        Ok(Some(RestAnswer::Modified { value, tags }))
    }
}

/// The target of `rel="next"` in the header `Link`.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    // A comma may be in a URL as well, so that links end where the next `<` begins.
    let mut links = links
        .split('<')
        .skip(1)
        .filter_map(|link| link.split_once('>'));
    let is_next = |parameters: &str| {
        parameters.split([';', ',']).any(|parameter| {
            let parameter = parameter.trim();
            parameter == "rel=\"next\"" || parameter == "rel=next"
        })
    };
    let (url, _) = links.find(|(_, parameters)| is_next(parameters))?;
    Some(url.to_owned())
}

/// The path and query of a link below the base of the API.
fn path_below(base: &Uri, page: &Uri, link: &str) -> Option<String> {
    let url = same_server(page, link).ok()?;
    let path = url.path_and_query()?.as_str();
    let below = path.strip_prefix(base.path().trim_end_matches('/'))?;
    below.starts_with('/').then(|| below.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let next = |links: &str| {
            next_link(
                &[(header::LINK, links.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };
        let url = "https://api.github.com/repositories/1/issues?labels=a,b&page=2";
        for links in [
            format!("<{url}>; rel=\"next\""),
            format!(
                "<https://x/?page=1>; rel=\"prev\", <{url}>; rel=\"next\", <https://x/?page=9>; rel=\"last\""
            ),
            format!("<{url}>; title=\"x\"; rel=next"),
        ] {
            assert_eq!(next(&links).as_deref(), Some(url), "{links}");
        }
        for links in [
            "",
            "<https://x/?page=1>; rel=\"prev\"",
            "rel=\"next\"",
            "<https://x",
        ] {
            assert_eq!(next(links), None, "{links}");
        }
    }

    #[test]
    fn a_link_stays_below_the_api() {
        let base: Uri = "https://ghe.test/api/v3".parse().unwrap();
        let page: Uri = "https://ghe.test/api/v3/repos/o/r/issues?page=1"
            .parse()
            .unwrap();
        let path = |link| path_below(&base, &page, link);
        let next = "https://ghe.test/api/v3/repositories/1/issues?page=2";
        assert_eq!(path(next).as_deref(), Some("/repositories/1/issues?page=2"));
        for link in [
            "https://evil.test/api/v3/repositories/1",
            "https://ghe.test/other/repositories/1",
            "https://ghe.test/api/v3evil/x",
            "http://ghe.test/api/v3/x",
        ] {
            assert_eq!(path(link), None, "{link}");
        }
    }
}
