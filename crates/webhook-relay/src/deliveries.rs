//! GitHub's list of the deliveries of a repository's webhook (REST API, "Repository webhooks").

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_client::quoted;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::warn;

use crate::{
    client::{RelayClient, WholeAnswer},
    cursor::RelayedHook,
    error::{RelayError, RelayFailure},
    ingest::RelayedDelivery,
    limits::{MAX_REDIRECTS, PAGE_DELIVERIES},
    options::DeliveryList,
    refusal::{AskedRepository, refusal},
};

const ACCEPT: HeaderValue = HeaderValue::from_static("application/vnd.github+json");
const VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");

/// A delivery in the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ListedDelivery {
    pub(crate) id: u64,
    /// For the log.
    #[serde(default)]
    pub(crate) guid: Option<Box<str>>,
}

/// A page of the list, the newest first.
#[derive(Debug)]
pub(crate) struct DeliveryPage {
    pub(crate) deliveries: Vec<ListedDelivery>,
    /// Entries that cannot be read.
    pub(crate) unreadable: usize,
    /// The cursor of the next page.
    pub(crate) next: Option<String>,
    pub(crate) etag: Option<HeaderValue>,
}

/// A delivery by itself.
#[derive(Debug, Deserialize)]
struct WholeDelivery {
    guid: String,
    event: String,
    request: DeliveryRequest,
}

#[derive(Debug, Deserialize)]
struct DeliveryRequest {
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct ListedHook {
    id: u64,
}

/// The API.
#[derive(Debug)]
pub(crate) struct DeliveriesApi {
    client: RelayClient,
    list: DeliveryList,
    /// The repository in paths: `repos/owner/repo`, or what GitHub has redirected this to.
    base: String,
}

impl DeliveriesApi {
    pub(crate) fn new(client: RelayClient, list: DeliveryList) -> Self {
        let base = format!("repos/{}", list.repository);
        Self { client, list, base }
    }

    /// The webhook: the one that was named, or the only one.
    pub(crate) async fn hook(&mut self) -> Result<u64, RelayFailure> {
        if let Some(hook) = self.list.hook {
            return Ok(hook);
        }
        let path = format!("hooks?per_page={PAGE_DELIVERIES}");
        let answer = self.get(&path, None).await?;
        let hooks: Vec<ListedHook> = read(&answer)?;
        let repository = self.list.repository.clone();
        match &hooks[..] {
            [hook] => Ok(hook.id),
            [] => Err(RelayError::NoHook { repository }.into()),
            hooks => {
                let ids: Vec<_> = hooks.iter().map(|hook| hook.id.to_string()).collect();
                Err(RelayFailure::Final(RelayError::WhichHook {
                    repository,
                    count: ids.len(),
                    list: ids.join(", "),
                }))
            }
        }
    }

    /// The newest deliveries, the newest first.
    pub(crate) async fn newest(&mut self, hook: u64) -> Result<Vec<u64>, RelayFailure> {
        let Some(page) = self.page(hook, None, None).await? else {
            return Err(RelayFailure::unreadable("GitHub gives no list"));
        };
        if page.deliveries.is_empty() && page.unreadable > 0 {
            let what = "no entry of GitHub's list of deliveries can be read";
            return Err(RelayFailure::unreadable(what));
        }
        let ids = page.deliveries.iter().map(|delivery| delivery.id);
        Ok(ids.collect())
    }

    /// A page of the list; `None` if it is still that of the tag.
    pub(crate) async fn page(
        &mut self,
        hook: u64,
        cursor: Option<&str>,
        etag: Option<&HeaderValue>,
    ) -> Result<Option<DeliveryPage>, RelayFailure> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}"));
        let path = format!(
            "hooks/{hook}/deliveries?per_page={PAGE_DELIVERIES}{}",
            cursor.unwrap_or_default()
        );
        let answer = self.get(&path, etag).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        // One by one: an entry that makes no sense must not hide the others.
        let entries: Vec<&RawValue> = read(&answer)?;
        let deliveries: Vec<ListedDelivery> = entries
            .iter()
            .filter_map(|entry| serde_json::from_str(entry.get()).ok())
            .collect();
        Ok(Some(DeliveryPage {
            unreadable: entries.len() - deliveries.len(),
            deliveries,
            next: next_cursor(&answer.headers),
            etag: answer.headers.get(header::ETAG).cloned(),
        }))
    }

    /// A delivery; `None` if GitHub keeps no payload of it. A 404 does not say whether GitHub has forgotten the
    /// delivery, or does not let the token see it.
    pub(crate) async fn delivery(
        &mut self,
        hook: u64,
        id: u64,
    ) -> Result<Option<RelayedDelivery>, RelayFailure> {
        let path = format!("hooks/{hook}/deliveries/{id}");
        let answer = self.get(&path, None).await?;
        let whole: WholeDelivery = read(&answer)?;
        let Some(payload) = whole.request.payload else {
            return Ok(None);
        };
        let text: Box<str> = payload.into();
        Ok(Some(RelayedDelivery {
            event: whole.event,
            guid: whole.guid,
            hook: Some(hook.to_string()),
            payload: Bytes::from(text.into_string()),
            signature: None,
        }))
    }

    /// The webhook, as its cursor knows it.
    pub(crate) fn relayed_hook(&self, id: u64) -> RelayedHook {
        let api = self.list.api.to_string();
        RelayedHook {
            id,
            api: api.trim_end_matches('/').to_owned(),
            repository: self.list.repository.clone(),
        }
    }

    fn url(&self, path: &str) -> Result<Uri, RelayFailure> {
        let api = self.list.api.to_string();
        let url = format!("{}/{}/{path}", api.trim_end_matches('/'), self.base);
        url.parse()
            .map_err(|_| RelayFailure::passing("GitHub names a page that is no URL"))
    }

    /// Asks for a path of the repository, and follows redirects on the API's own host: GitHub gives them for a
    /// repository that was renamed or moved.
    async fn get(
        &mut self,
        path: &str,
        etag: Option<&HeaderValue>,
    ) -> Result<WholeAnswer, RelayFailure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert("x-github-api-version", VERSION);
        if let Some(token) = &self.list.token {
            headers.insert(header::AUTHORIZATION, token.header().clone());
        }
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        let mut url = self.url(path)?;
        for redirects in 0..=MAX_REDIRECTS {
            let asked = self
                .client
                .ask(Method::GET, &url, headers.clone(), Bytes::new());
            let answer = asked.await?;
            match answer.status.as_u16() {
                200 | 304 => {
                    if redirects > 0 {
                        self.remember(&url, path);
                    }
                    return Ok(answer);
                }
                301 | 302 | 307 | 308 => url = self.target(&answer, redirects)?,
                _ => return Err(refusal(&answer, &self.asked())),
            }
        }
        unreachable!("the last redirect is an error")
    }

    fn asked(&self) -> AskedRepository<'_> {
        AskedRepository {
            name: &self.list.repository,
            has_token: self.list.token.is_some(),
        }
    }

    /// Where a redirect leads, if it may be followed: the token is for the API's host alone.
    fn target(&self, answer: &WholeAnswer, redirects: usize) -> Result<Uri, RelayFailure> {
        let target = answer.headers.get(header::LOCATION);
        let target = target
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let moved = |problem| {
            RelayFailure::Final(RelayError::Moved {
                what: self.list.repository.clone(),
                status: answer.status.as_u16(),
                target: match target {
                    "" => "no place".to_owned(),
                    target => quoted(target),
                },
                problem,
            })
        };
        let api = &self.list.api;
        let absolute = match target.starts_with('/') {
            true => format!(
                "{}://{}{target}",
                api.scheme_str().unwrap_or_default(),
                api.authority().map_or("", |authority| authority.as_str())
            ),
            false => target.to_owned(),
        };
        let url: Uri = absolute.parse().map_err(|_| moved("which is no URL"))?;
        if (url.scheme(), url.authority()) != (api.scheme(), api.authority()) {
            return Err(moved("which is another host"));
        }
        if redirects == MAX_REDIRECTS {
            return Err(moved("which leads on and on"));
        }
        Ok(url)
    }

    /// Asks for the repository where it was found, from now on.
    fn remember(&mut self, url: &Uri, path: &str) {
        let api = self.list.api.path().trim_end_matches('/');
        let found = url.path_and_query().map_or("", |found| found.as_str());
        let base = found
            .strip_prefix(api)
            .and_then(|found| found.strip_suffix(path));
        let base = base.map(|base| base.trim_matches('/'));
        let Some(base) = base.filter(|base| !base.is_empty() && *base != self.base) else {
            return;
        };
        warn!(
            "GitHub has moved {} to {}; give --repository its present name",
            self.list.repository,
            quoted(base)
        );
        self.base = base.to_owned();
    }
}

fn read<'a, T: Deserialize<'a>>(answer: &'a WholeAnswer) -> Result<T, RelayFailure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        RelayFailure::unreadable(format!("GitHub's answer cannot be read: {error}"))
    })
}

/// The cursor of the next page, from the header `Link`. Only it is taken, so that no answer can lead the token to
/// another host.
fn next_cursor(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let next = links
        .split(',')
        .find(|link| link.contains("rel=\"next\""))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let query = url.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, cursor) = pairs.find(|(name, _)| *name == "cursor")?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b);
    (!cursor.is_empty() && cursor.bytes().all(is_plain)).then(|| cursor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_named_by_its_cursor_alone() {
        let next = |link: &str| {
            let link = HeaderValue::from_str(link).unwrap();
            next_cursor(&[(header::LINK, link)].into_iter().collect())
        };
        let url =
            "https://api.github.com/repositories/1/hooks/2/deliveries?per_page=100&cursor=v1_77";
        assert_eq!(
            next(&format!("<{url}>; rel=\"next\"")).as_deref(),
            Some("v1_77")
        );
        let both = format!("<https://x/?cursor=a>; rel=\"prev\", <{url}>; rel=\"next\"");
        assert_eq!(next(&both).as_deref(), Some("v1_77"));
        for none in [
            "",
            "<https://x/?cursor=a>; rel=\"prev\"",
            "<https://x/?cursor=a b>; rel=\"next\"",
        ] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
