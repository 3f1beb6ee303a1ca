//! GitHub as it answers: the world, tokens, limits and faults behind one door. No I/O.

use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;

use super::{
    asked::{Asked, Refusal, RouteAnswer, SERVER_PREFIX, refusal_body},
    faults::FakeFault,
    outgoing::{Arrived, Outgoing, digest, http_date, secondary},
    routes,
    state::Github,
    versions::ApiVersion,
};
use crate::{auth::FakeCaller, budgets::FakeBudget, graphql};

/// Where GraphQL is.
const GRAPHQL_PATHS: [&str; 2] = ["/graphql", "/api/graphql"];

impl Github {
    /// Answers a request, while `at_once` are answered, this one included.
    pub(crate) fn answer(&mut self, arrived: &Arrived, at_once: usize) -> Outgoing {
        let fault = self.faults.next(&arrived.path);
        let mut outgoing = match fault {
            Some(fault) => self.faulty(arrived, fault, at_once),
            None => self.sound(arrived, None, at_once),
        };
        let id = self.world.fresh_guid().to_uppercase();
        outgoing.headers.push(("x-github-request-id", id));
        *self.counts.statuses.entry(outgoing.status).or_default() += 1;
        outgoing
    }

    fn faulty(&mut self, arrived: &Arrived, fault: FakeFault, at_once: usize) -> Outgoing {
        match fault {
            FakeFault::Status(status) => {
                let page = "<html><body>Unicorn! Something went wrong.</body></html>";
                let html = [("content-type", "text/html; charset=utf-8".to_owned())];
                Outgoing {
                    status,
                    headers: html.into(),
                    body: Bytes::from(page),
                    late: Duration::ZERO,
                    is_cut: false,
                }
            }
            FakeFault::Timeout(late) => Outgoing {
                late,
                ..self.faulty(arrived, FakeFault::Status(502), at_once)
            },
            FakeFault::Secondary {
                status,
                retry_after_seconds,
            } => secondary(status, retry_after_seconds),
            FakeFault::Unauthorized => Outgoing::of(401, &refusal_body(401, "Bad credentials")),
            FakeFault::BadJson => Outgoing {
                body: Bytes::from("{\"message\": \"half of a tr"),
                ..self.sound(arrived, None, at_once)
            },
            FakeFault::Slow(late) => Outgoing {
                late,
                ..self.sound(arrived, None, at_once)
            },
            FakeFault::CutBody => Outgoing {
                is_cut: true,
                ..self.sound(arrived, None, at_once)
            },
            FakeFault::PartialError(field) => self.sound(arrived, Some(field), at_once),
        }
    }

    fn sound(
        &mut self,
        arrived: &Arrived,
        broken_field: Option<&'static str>,
        at_once: usize,
    ) -> Outgoing {
        if at_once > self.limits.limits.concurrent {
            return secondary(403, Some(60));
        }
        let now = self.world.now();
        let authorization = arrived.authorization.as_deref();
        let caller = match self.tokens.caller(authorization, now) {
            Ok(caller) => caller,
            Err(message) => return Outgoing::of(401, &refusal_body(401, &message)),
        };
        if let FakeCaller::Installation(id) = caller {
            let installation = self.world.installations.get(&id);
            match installation.map(|it| it.suspended_at) {
                None => return Outgoing::of(401, &refusal_body(401, "Bad credentials")),
                Some(Some(_)) => {
                    let text = "This installation has been suspended";
                    return Outgoing::of(403, &refusal_body(403, text));
                }
                Some(None) => {}
            }
        }
        if GRAPHQL_PATHS.contains(&&*arrived.path) {
            return self.graphql(arrived, caller, broken_field, now);
        }
        self.rest(arrived, caller, now)
    }

    fn rest(&mut self, arrived: &Arrived, caller: FakeCaller, now: Timestamp) -> Outgoing {
        let version = match ApiVersion::read(arrived.version.as_deref()) {
            Ok(version) => version,
            Err(message) => return Outgoing::of(400, &refusal_body(400, &message)),
        };
        let points = if arrived.method == "GET" { 1 } else { 5 };
        if let Err(wait) = self
            .limits
            .take_of_minute(caller, FakeBudget::Core, points, now)
        {
            return secondary(403, Some(wait));
        }
        let prefixed = arrived.path.strip_prefix(SERVER_PREFIX);
        let path = prefixed.unwrap_or(&arrived.path);
        let prefix = if prefixed.is_some() {
            SERVER_PREFIX
        } else {
            ""
        };
        let found = routes::find(&arrived.method, path);
        let route = found.as_ref().map_or("other", |(route, _)| route.template);
        let counted = format!("{} {route}", arrived.method);
        *self.counts.requests.entry(counted).or_default() += 1;
        let state = self.limits.state(caller, FakeBudget::Core, now);
        let is_free = route == "/rate_limit";
        if state.remaining() == 0 && !is_free {
            let text = exhausted(caller);
            return Outgoing::of(403, &refusal_body(403, &text)).with_budget(state);
        }
        let handled = match found {
            Some((route, params)) => {
                let query = form_urlencoded::parse(arrived.query.as_bytes());
                let asked = Asked {
                    path: path.to_owned(),
                    params,
                    query: query.into_owned().collect(),
                    caller,
                    base: format!("http://{}{prefix}", arrived.host),
                };
                (route.handler)(self, &asked)
            }
            None => Err(Refusal::Missing),
        };
        let outgoing = self.outgoing(arrived, version, handled);
        let cost = u64::from(outgoing.status != 304 && !is_free);
        self.counts.points += cost;
        let state = self.limits.take(caller, FakeBudget::Core, cost, now);
        outgoing.with_budget(state)
    }

    fn outgoing(
        &mut self,
        arrived: &Arrived,
        version: ApiVersion,
        handled: Result<RouteAnswer, Refusal>,
    ) -> Outgoing {
        let chosen = version.name().to_owned();
        let mut answer = match handled {
            Ok(answer) => answer,
            Err(refusal) => {
                let (status, body, location) = refusal.answer();
                let mut outgoing = Outgoing::of(status, &body);
                outgoing.headers.extend(location.map(|it| ("location", it)));
                return outgoing.with("x-github-api-version-selected", chosen);
            }
        };
        version.shape(&mut answer.body);
        let changed = answer.body["updated_at"]
            .as_str()
            .and_then(Timestamp::parse);
        let outgoing = Outgoing::of(answer.status, &answer.body);
        let tag = digest(&chosen, &outgoing.body);
        let is_same = arrived.method == "GET"
            && match (&arrived.if_none_match, &arrived.if_modified_since) {
                (Some(known), _) => known.split(',').any(|it| it.trim() == tag),
                (None, Some(since)) => changed.is_some_and(|at| http_date(at) == *since),
                (None, None) => false,
            };
        let mut outgoing = if is_same {
            self.counts.not_modified += 1;
            Outgoing {
                status: 304,
                headers: Vec::new(),
                body: Bytes::new(),
                ..outgoing
            }
        } else {
            outgoing
        };
        outgoing
            .headers
            .extend(changed.map(|at| ("last-modified", http_date(at))));
        if !answer.links.is_empty() {
            let links = answer.links.iter();
            let links: Vec<_> = links
                .map(|(rel, url)| format!("<{url}>; rel=\"{rel}\""))
                .collect();
            outgoing = outgoing.with("link", links.join(", "));
        }
        outgoing
            .with("etag", tag)
            .with("cache-control", "private, max-age=60, s-maxage=60")
            .with("vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
            .with("x-github-media-type", "github.v3; format=json")
            .with("x-github-api-version-selected", chosen)
    }

    fn graphql(
        &mut self,
        arrived: &Arrived,
        caller: FakeCaller,
        broken_field: Option<&'static str>,
        now: Timestamp,
    ) -> Outgoing {
        let counted = format!("{} /graphql", arrived.method);
        *self.counts.requests.entry(counted).or_default() += 1;
        if caller == FakeCaller::Anonymous || caller == FakeCaller::App {
            let text = "This endpoint requires you to be authenticated.";
            return Outgoing::of(401, &refusal_body(401, text));
        }
        let state = self.limits.state(caller, FakeBudget::Graphql, now);
        if let Err(wait) = self
            .limits
            .take_of_minute(caller, FakeBudget::Graphql, 1, now)
        {
            return secondary(403, Some(wait));
        }
        if state.remaining() == 0 {
            let errors = graphql::exhausted(&exhausted(caller));
            return Outgoing::of(200, &errors).with_budget(state);
        }
        let asked = graphql::GraphqlRequest {
            caller,
            state,
            broken_field,
        };
        let answered = graphql::answer(&mut self.world, &asked, &arrived.body);
        self.counts.points += answered.cost;
        let state = self
            .limits
            .take(caller, FakeBudget::Graphql, answered.cost, now);
        Outgoing::of(answered.status, &answered.body).with_budget(state)
    }
}

/// GitHub's words for an hour that is used up.
fn exhausted(caller: FakeCaller) -> String {
    let whose = match caller {
        FakeCaller::Anonymous => {
            "127.0.0.1. (But here's the good news: Authenticated requests get a higher rate \
                                  limit. Check out the documentation for more details.)"
                .to_owned()
        }
        FakeCaller::User(key) => format!("user ID {}.", key.0),
        FakeCaller::Installation(id) => format!("installation ID {id}."),
        FakeCaller::App => "the app.".to_owned(),
    };
    format!("API rate limit exceeded for {whose}")
}
