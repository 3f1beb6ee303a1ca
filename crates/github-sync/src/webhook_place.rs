//! Where webhooks are configured, which of them are ours, and the routes of their deliveries.

use std::fmt;

use github::{GithubAccess, RestCall, RestRoute};
use http::Uri;

use crate::limits::SWEEP_PATIENCE;

/// The end of the path at which an ingest takes deliveries.
const WEBHOOK_PATH: &str = "/webhooks/github";

/// A place whose webhooks are looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SweptPlace {
    Repository {
        owner: String,
        repo: String,
    },
    Organization(String),
    /// The App of the credentials, which has one webhook.
    App,
}

impl fmt::Display for SweptPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { owner, repo } => write!(f, "{owner}/{repo}"),
            Self::Organization(login) => f.write_str(login),
            Self::App => f.write_str("the App"),
        }
    }
}

impl SweptPlace {
    /// The list of its webhooks; `None` for the App, which has no list.
    pub(crate) fn hooks(&self) -> Option<RestCall> {
        Some(match self {
            Self::Repository { owner, repo } => self.call(RestRoute::HOOKS, &[owner, repo]),
            Self::Organization(login) => self.call(RestRoute::ORG_HOOKS, &[login]),
            Self::App => return None,
        })
    }

    fn call(&self, route: RestRoute, values: &[&str]) -> RestCall {
        let access = match self {
            Self::Repository { owner, .. } => GithubAccess::Owner(owner.clone()),
            Self::Organization(login) => GithubAccess::Owner(login.clone()),
            Self::App => GithubAccess::App,
        };
        RestCall::new(route, access, values).patience(SWEEP_PATIENCE)
    }
}

/// A webhook whose deliveries are looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SweptHook {
    pub(crate) place: SweptPlace,
    /// `None` for that of the App.
    pub(crate) id: Option<u64>,
}

impl SweptHook {
    /// The list of its deliveries.
    pub(crate) fn deliveries(&self) -> RestCall {
        let id = self.id_text();
        let place = &self.place;
        match place {
            SweptPlace::Repository { owner, repo } => {
                place.call(RestRoute::HOOK_DELIVERIES, &[owner, repo, &id])
            }
            SweptPlace::Organization(login) => {
                place.call(RestRoute::ORG_HOOK_DELIVERIES, &[login, &id])
            }
            SweptPlace::App => place.call(RestRoute::APP_DELIVERIES, &[]),
        }
    }

    /// A delivery by itself.
    pub(crate) fn delivery(&self, delivery: u64) -> RestCall {
        let (id, delivery) = (self.id_text(), delivery.to_string());
        let place = &self.place;
        match place {
            SweptPlace::Repository { owner, repo } => {
                place.call(RestRoute::HOOK_DELIVERY, &[owner, repo, &id, &delivery])
            }
            SweptPlace::Organization(login) => {
                place.call(RestRoute::ORG_HOOK_DELIVERY, &[login, &id, &delivery])
            }
            SweptPlace::App => place.call(RestRoute::APP_DELIVERY, &[&delivery]),
        }
    }

    fn id_text(&self) -> String {
        self.id.map(|id| id.to_string()).unwrap_or_default()
    }
}

/// Where our webhooks send to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum WebhookTarget {
    /// Any URL that an ingest has by its path.
    #[default]
    AnyIngest,
    /// This URL.
    Url(Uri),
}

impl WebhookTarget {
    /// The target of a URL; `None` if no webhook can send there.
    pub(crate) fn at(text: &str) -> Option<Self> {
        let url: Uri = text.trim().parse().ok()?;
        let is_web = matches!(url.scheme_str(), Some("http" | "https"));
        (is_web && url.host().is_some()).then_some(Self::Url(url))
    }

    /// Whether a webhook with this URL is ours. Queries are not compared, since some keep secrets there.
    pub(crate) fn matches(&self, given: &str) -> bool {
        let Ok(url) = given.trim().parse::<Uri>() else {
            return false;
        };
        let path = |url: &Uri| url.path().trim_end_matches('/').to_owned();
        match self {
            Self::AnyIngest => path(&url).ends_with(WEBHOOK_PATH),
            Self::Url(own) => {
                let is_same_host = match (own.host(), url.host()) {
                    (Some(own), Some(host)) => own.eq_ignore_ascii_case(host),
                    _ => false,
                };
                let place = |url: &Uri| (url.scheme_str().map(str::to_owned), port(url), path(url));
                is_same_host && place(own) == place(&url)
            }
        }
    }
}

fn port(url: &Uri) -> Option<u16> {
    let usual = match url.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    };
    url.port_u16().or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_webhook_is_known_by_its_url_and_else_by_the_path_of_an_ingest() {
        let named = WebhookTarget::at("https://Hooks.example.com/in/webhooks/github").unwrap();
        for same in [
            "https://hooks.example.com/in/webhooks/github",
            "https://hooks.example.com:443/in/webhooks/github/",
            "https://hooks.example.com/in/webhooks/github?source=a",
        ] {
            assert!(named.matches(same), "{same}");
        }
        for other in [
            "http://hooks.example.com/in/webhooks/github",
            "https://hooks.example.com/webhooks/github",
            "https://hooks.example.com:8443/in/webhooks/github",
            "https://example.com/in/webhooks/github",
            "",
        ] {
            assert!(!named.matches(other), "{other}");
        }
        let any = WebhookTarget::default();
        assert!(any.matches("https://a.example/in/webhooks/github/"));
        assert!(any.matches("http://10.0.0.1:3001/webhooks/github?x=1"));
        assert!(!any.matches("https://ci.example/github-webhook/"));
        for none in ["", "hooks.example.com/a", "ftp://a/b", "/webhooks/github"] {
            assert_eq!(WebhookTarget::at(none), None, "{none}");
        }
    }
}
