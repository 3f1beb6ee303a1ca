//! A fake GitHub with a little life in it, a client, and a receiver of deliveries.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use fake_github::{
    server::GithubServer,
    world::{AccountKey, RepoKey},
};
use model::{ManualClock, Timestamp};
use reqwest::{Client, Method, Response, header::HeaderMap as Headers};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// 2026-11-30T12:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_796_040_000_000);
/// A user's token.
pub(crate) const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Value,
}

impl Said {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// The page that the header `Link` names.
    pub(crate) fn next(&self) -> Option<String> {
        let links = self.header("link").split(", ");
        let mut next = links.filter_map(|it| it.strip_suffix(">; rel=\"next\""));
        next.next().map(|it| it.trim_start_matches('<').to_owned())
    }
}

pub(crate) struct World {
    pub(crate) github: GithubServer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) http: Client,
    pub(crate) organization: AccountKey,
    pub(crate) repo: RepoKey,
}

impl World {
    /// An organization `octo` with a repository `reactor`, and a user with [`TOKEN`].
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let github = GithubServer::start(7, clock.clone()).await.unwrap();
        let (organization, repo, user) = github.change(|world| {
            let organization = world.add_organization("octo");
            (
                organization,
                world.create_repo(organization, "reactor"),
                world.actor(),
            )
        });
        github.admit(TOKEN, user);
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            github,
            clock,
            http: http.build().unwrap(),
            organization,
            repo,
        }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn get(&self, path: &str) -> Said {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Said {
        self.ask(Method::GET, path, TOKEN, headers).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
    ) -> Said {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.github.url())
        };
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        said(request.send().await.unwrap()).await
    }

    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Said {
        let body = json!({ "query": query, "variables": variables });
        let request = self.http.post(self.github.graphql_url()).bearer_auth(TOKEN);
        said(request.json(&body).send().await.unwrap()).await
    }

    /// Every page of a list, from the first to the last.
    pub(crate) async fn walk(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(url) = next {
            let page = self.get(&url).await;
            assert_eq!(page.status, 200, "{}", page.body);
            all.extend(page.body.as_array().unwrap().iter().cloned());
            next = page.next();
        }
        all
    }
}

async fn said(response: Response) -> Said {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Said {
        status,
        headers,
        body,
    }
}

/// What a receiver got: the headers and the body.
pub(crate) type Received = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

#[derive(Clone)]
struct Receiving {
    received: Received,
    answers: Arc<Mutex<Vec<u16>>>,
}

/// A receiver that gives these statuses in turn, then 200.
pub(crate) async fn receiver(statuses: &[u16]) -> (String, Received) {
    let mut answers = statuses.to_vec();
    answers.reverse();
    let receiving = Receiving {
        received: Received::default(),
        answers: Arc::new(Mutex::new(answers)),
    };
    let received = Arc::clone(&receiving.received);
    let app = Router::new()
        .route("/", post(receive))
        .with_state(receiving);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, received)
}

async fn receive(
    State(it): State<Receiving>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let status = it.answers.lock().unwrap().pop().unwrap_or(200);
    it.received
        .lock()
        .unwrap()
        .push((headers, serde_json::from_slice(&body).unwrap()));
    (StatusCode::from_u16(status).unwrap(), "noted")
}
