//! Lists, page by page, along the links that GitHub gives.

use http::{HeaderMap, StatusCode, Uri, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    api_url::same_server,
    call::{RestAnswer, RestCall, Validators},
    client::GithubClient,
    error::GithubError,
    limits::MAX_PAGES,
};

/// Where a page of a list is: path and query below the base of the API. It may be stored, and read again by another
/// process; whatever text it is read from, it leads to no other server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageLink(String);

impl PageLink {
    /// Whether the page begins after a certain item, so that items which are moved between the pages hide no other ones.
    #[must_use]
    pub fn is_by_cursor(&self) -> bool {
        let (_, query) = self.0.split_once('?').unwrap_or_default();
        query.split('&').any(|pair| pair.starts_with("after="))
    }
}

impl TryFrom<String> for PageLink {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.starts_with('/') {
            true => Ok(Self(text)),
            false => Err("a page's path begins with a slash"),
        }
    }
}

impl From<PageLink> for String {
    fn from(link: PageLink) -> Self {
        link.0
    }
}

/// The answer to a call for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageAnswer<T> {
    /// It is as the caller knows it.
    NotModified,
    /// The present page.
    Modified {
        /// Its items.
        value: T,
        /// The tags for the next call for the same page.
        tags: Validators,
        /// The next page; `None` for the last one.
        next: Option<PageLink>,
    },
}

/// The pages of a list. Only links within the API of the same server are followed, each with the credentials of the
/// call, and no more of them than a list can have.
#[derive(Debug)]
pub struct RestPages {
    client: GithubClient,
    /// The next page.
    next: Option<RestCall>,
    pages: u32,
}

impl RestCall {
    /// The same call for another page.
    #[must_use]
    pub fn at(self, page: &PageLink) -> Self {
        let path_and_query = page.0.clone();
        Self {
            path_and_query,
            ..self
        }
    }
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

    /// One page of a list, for callers that keep the link to the next one; `NotModified` only for a call that knows
    /// something. A link outside of the API, or back to the same page, is an error.
    ///
    /// # Errors
    /// See [`GithubError`].
    pub async fn page<T: DeserializeOwned>(
        &self,
        call: &RestCall,
    ) -> Result<PageAnswer<T>, GithubError> {
        let (plan, answer) = self.rest(call).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(PageAnswer::NotModified);
        }
        let value = plan.read(&answer)?;
        let next = match next_link(&answer.headers) {
            None => None,
            Some(link) => {
                let base = &self.plans().urls.rest;
                let path = path_below(base, &plan.request.url, &link)
                    .ok_or_else(|| plan.malformed("its next page is outside of the API"))?;
                Some(PageLink(path))
            }
        };
        if next.as_ref().is_some_and(|it| it.0 == call.path_and_query) {
            let what = plan.request.what.clone();
            let max_pages = MAX_PAGES;
            return Err(GithubError::Endless { what, max_pages });
        }
        let tags = Validators::of(&answer.headers);
        Ok(PageAnswer::Modified { value, tags, next })
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
        let page = self.client.page(&call).await;
        if matches!(page, Err(GithubError::Endless { .. })) {
            self.next = None;
        }
        let PageAnswer::Modified { value, tags, next } = page? else {
            self.next = None;
            return Ok(Some(RestAnswer::NotModified));
        };
        self.pages += 1;
        if next.is_some() && self.pages >= MAX_PAGES {
            self.next = None;
            let what = call.what();
            let max_pages = MAX_PAGES;
            return Err(GithubError::Endless { what, max_pages });
        }
        self.next = next.map(|page| call.at(&page).unless(Validators::default()));
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
    fn a_stored_link_leads_to_no_other_server_and_says_what_it_counts_by() {
        let read = |text: &str| serde_json::from_value::<PageLink>(text.into());
        for hostile in ["", "@evil.test/x", ".evil.test/x", "https://evil.test/x"] {
            assert!(read(hostile).is_err(), "{hostile}");
        }
        for (text, is_by_cursor) in [
            ("/repositories/1/issues?state=all&after=Y3%3D&page=2", true),
            ("/orgs/o/projectsV2?after=x", true),
            ("/repositories/1/issues?state=all&page=2", false),
            ("/repos/o/after=/issues", false),
        ] {
            let link = read(text).unwrap();
            assert_eq!(link.is_by_cursor(), is_by_cursor, "{text}");
            assert_eq!(serde_json::to_value(&link).unwrap(), text);
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
