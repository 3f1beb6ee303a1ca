//! The routes of the REST API.

mod app;
mod hooks;
mod issues;
mod repos;

use std::collections::BTreeMap;

use super::{
    asked::{Asked, Refusal, RouteAnswer},
    state::Github,
};

/// What a handler gives.
pub(crate) type Handled = Result<RouteAnswer, Refusal>;

/// A route: method, path with names in braces, handler.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// As GitHub's description writes it.
    pub(crate) template: &'static str,
    pub(crate) handler: fn(&mut Github, &Asked) -> Handled,
}

const fn get(template: &'static str, handler: fn(&mut Github, &Asked) -> Handled) -> Route {
    Route {
        method: "GET",
        template,
        handler,
    }
}

const fn post(template: &'static str, handler: fn(&mut Github, &Asked) -> Handled) -> Route {
    Route {
        method: "POST",
        template,
        handler,
    }
}

/// All routes. Below `/repos/{owner}/{repo}` each exists below `/repositories/{repository_id}`, too.
pub(crate) const ROUTES: &[Route] = &[
    get("/repos/{owner}/{repo}", repos::one),
    get("/orgs/{org}/repos", repos::of_organization),
    get("/installation/repositories", repos::of_installation),
    get("/repos/{owner}/{repo}/issues", issues::list),
    get(
        "/repos/{owner}/{repo}/issues/comments",
        issues::all_comments,
    ),
    get("/repos/{owner}/{repo}/issues/{issue_number}", issues::one),
    get(
        "/repos/{owner}/{repo}/issues/{issue_number}/comments",
        issues::comments,
    ),
    get(
        "/repos/{owner}/{repo}/issues/{issue_number}/sub_issues",
        issues::sub_issues,
    ),
    get(
        "/repos/{owner}/{repo}/issues/{issue_number}/parent",
        issues::parent,
    ),
    get(
        "/repos/{owner}/{repo}/issues/{issue_number}/dependencies/blocked_by",
        issues::blocked_by,
    ),
    get(
        "/repos/{owner}/{repo}/issues/{issue_number}/dependencies/blocking",
        issues::blocking,
    ),
    get("/repos/{owner}/{repo}/pulls", repos::pulls),
    get("/repos/{owner}/{repo}/pulls/{pull_number}", repos::pull),
    get(
        "/repos/{owner}/{repo}/pulls/{pull_number}/reviews",
        repos::reviews,
    ),
    get(
        "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
        repos::requested_reviewers,
    ),
    get("/repos/{owner}/{repo}/commits/{ref}/status", repos::status),
    get(
        "/repos/{owner}/{repo}/commits/{ref}/check-runs",
        repos::check_runs,
    ),
    get("/repos/{owner}/{repo}/milestones", repos::milestones),
    get("/repos/{owner}/{repo}/labels", repos::labels),
    get("/repos/{owner}/{repo}/releases", repos::releases),
    get("/repos/{owner}/{repo}/actions/runs", repos::runs),
    get("/repos/{owner}/{repo}/hooks", hooks::of_repo),
    get(
        "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries",
        hooks::list,
    ),
    get(
        "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}",
        hooks::one,
    ),
    post(
        "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
        hooks::again,
    ),
    get("/orgs/{org}/hooks", hooks::of_organization),
    get("/orgs/{org}/hooks/{hook_id}/deliveries", hooks::list),
    get(
        "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}",
        hooks::one,
    ),
    post(
        "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
        hooks::again,
    ),
    get("/app/hook/deliveries", hooks::list),
    get("/app/hook/deliveries/{delivery_id}", hooks::one),
    post("/app/hook/deliveries/{delivery_id}/attempts", hooks::again),
    get(
        "/repos/{owner}/{repo}/installation",
        app::installation_of_repo,
    ),
    get("/users/{username}/installation", app::installation_of_user),
    get("/orgs/{org}/issue-types", repos::issue_types),
    get("/orgs/{org}/projectsV2", repos::projects),
    get("/app", app::one),
    get("/app/installations", app::installations),
    post(
        "/app/installations/{installation_id}/access_tokens",
        app::access_token,
    ),
    get("/rate_limit", app::rate_limit),
    get("/user", app::user),
    get("/meta", app::meta),
];

/// The route of a request, and what stands for its names.
pub(crate) fn find(
    method: &str,
    path: &str,
) -> Option<(&'static Route, BTreeMap<&'static str, String>)> {
    let by_id = path.strip_prefix("/repositories/").map(|rest| {
        let (id, rest) = rest
            .split_once('/')
            .map_or((rest, ""), |(id, rest)| (id, rest));
        let slash = if rest.is_empty() { "" } else { "/" };
        (id.to_owned(), format!("/repos/-/-{slash}{rest}"))
    });
    let path = by_id.as_ref().map_or(path, |(_, path)| path.as_str());
    let mut all = ROUTES.iter().filter(|it| it.method == method);
    let (route, mut params) = all.find_map(|it| Some((it, matched(it.template, path)?)))?;
    if let Some((id, _)) = by_id {
        params.insert("repository_id", id);
    }
    Some((route, params))
}

fn matched(template: &'static str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    let (mut names, mut parts) = (template.split('/'), path.split('/'));
    let mut params = BTreeMap::new();
    loop {
        match (names.next(), parts.next()) {
            (None, None) => return Some(params),
            (Some(name), Some(part)) => match name.strip_prefix('{') {
                Some(name) => {
                    params.insert(name.trim_end_matches('}'), part.to_owned());
                }
                None if name == part => {}
                None => return None,
            },
            _ => return None,
        }
    }
}
