//! The routes of the REST API that this client knows: a test compares each with GitHub's OpenAPI description.

use http::Method;

use crate::metrics::GithubResource;

/// A route of the REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestRoute {
    pub(crate) method: RestMethod,
    /// As GitHub's description writes it.
    pub(crate) template: &'static str,
    pub(crate) resource: GithubResource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestMethod {
    Get,
    Post,
}

impl RestMethod {
    pub(crate) const fn of_http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
        }
    }
}

/// Names of routes, their templates and what they are about.
macro_rules! routes {
    ($($(#[$about:meta])* $name:ident: $method:ident $resource:ident $template:literal;)*) => {
        impl RestRoute {
            $($(#[$about])* pub const $name: Self = Self {
                method: RestMethod::$method,
                template: $template,
                resource: GithubResource::$resource,
            };)*

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

routes! {
    /// The App itself.
    APP: Get app "/app";
    /// The installation of the App for a repository.
    REPOSITORY_INSTALLATION: Get app "/repos/{owner}/{repo}/installation";
    /// The installation of the App for a user or an organization.
    OWNER_INSTALLATION: Get app "/users/{username}/installation";
    /// A token of an installation.
    INSTALLATION_TOKEN: Post app "/app/installations/{installation_id}/access_tokens";
    /// What is left of each limit; not counted itself.
    RATE_LIMIT: Get rate_limit "/rate_limit";
    /// The user of the token, whose answer names the token's scopes.
    USER: Get user "/user";
    /// A repository.
    REPOSITORY: Get repository "/repos/{owner}/{repo}";
    /// Repositories of an organization.
    ORG_REPOS: Get repository "/orgs/{org}/repos";
    /// A repository's webhooks.
    HOOKS: Get delivery "/repos/{owner}/{repo}/hooks";
    /// Deliveries of a repository's webhook.
    HOOK_DELIVERIES: Get delivery "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries";
    /// A delivery of a repository's webhook.
    HOOK_DELIVERY: Get delivery "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}";
    /// Delivers a repository's delivery again.
    HOOK_REDELIVERY: Post delivery "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
    /// An organization's webhooks.
    ORG_HOOKS: Get delivery "/orgs/{org}/hooks";
    /// Deliveries of an organization's webhook.
    ORG_HOOK_DELIVERIES: Get delivery "/orgs/{org}/hooks/{hook_id}/deliveries";
    /// A delivery of an organization's webhook.
    ORG_HOOK_DELIVERY: Get delivery "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}";
    /// Delivers an organization's delivery again.
    ORG_HOOK_REDELIVERY: Post delivery "/orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts";
    /// Deliveries of the App's webhook.
    APP_DELIVERIES: Get delivery "/app/hook/deliveries";
    /// A delivery of the App's webhook.
    APP_DELIVERY: Get delivery "/app/hook/deliveries/{delivery_id}";
    /// Delivers a delivery of the App again.
    APP_REDELIVERY: Post delivery "/app/hook/deliveries/{delivery_id}/attempts";
    /// Issues and pull requests of a repository.
    ISSUES: Get issue "/repos/{owner}/{repo}/issues";
    /// An issue.
    ISSUE: Get issue "/repos/{owner}/{repo}/issues/{issue_number}";
    /// The sub-issues of an issue.
    SUB_ISSUES: Get issue "/repos/{owner}/{repo}/issues/{issue_number}/sub_issues";
    /// The issues that block an issue.
    BLOCKED_BY: Get issue "/repos/{owner}/{repo}/issues/{issue_number}/dependencies/blocked_by";
    /// The issues that an issue blocks.
    BLOCKING: Get issue "/repos/{owner}/{repo}/issues/{issue_number}/dependencies/blocking";
    /// The issue types of an organization.
    ISSUE_TYPES: Get issue "/orgs/{org}/issue-types";
    /// Pull requests of a repository.
    PULLS: Get pull "/repos/{owner}/{repo}/pulls";
    /// A pull request.
    PULL: Get pull "/repos/{owner}/{repo}/pulls/{pull_number}";
    /// Reviews of a pull request.
    PULL_REVIEWS: Get pull "/repos/{owner}/{repo}/pulls/{pull_number}/reviews";
    /// Milestones of a repository.
    MILESTONES: Get milestone "/repos/{owner}/{repo}/milestones";
    /// Labels of a repository.
    LABELS: Get label "/repos/{owner}/{repo}/labels";
    /// Releases of a repository.
    RELEASES: Get release "/repos/{owner}/{repo}/releases";
    /// Workflow runs of a repository.
    WORKFLOW_RUNS: Get workflow_run "/repos/{owner}/{repo}/actions/runs";
    /// Check runs of a commit, branch or tag.
    CHECK_RUNS: Get check "/repos/{owner}/{repo}/commits/{ref}/check-runs";
    /// The commit statuses of a commit, branch or tag.
    COMMIT_STATUS: Get check "/repos/{owner}/{repo}/commits/{ref}/status";
    /// Projects of an organization.
    ORG_PROJECTS: Get project "/orgs/{org}/projectsV2";
}

impl RestRoute {
    /// The method.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self.method {
            RestMethod::Get => "get",
            RestMethod::Post => "post",
        }
    }

    /// The path, as GitHub's description writes it.
    #[must_use]
    pub const fn template(self) -> &'static str {
        self.template
    }

    /// The path with these values in the order of the template's names.
    ///
    /// # Panics
    /// There are more or fewer values than names: an error of the caller's code.
    pub(crate) fn path(&self, values: &[&str]) -> String {
        let mut path = String::with_capacity(self.template.len() + 32);
        let mut values = values.iter();
        let mut rest = self.template;
        while let Some((before, after)) = rest.split_once('{') {
            path.push_str(before);
            let value = values
                .next()
                .expect("a value for each name of the template");
            path.extend(escaped(value));
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
        assert!(
            values.next().is_none(),
            "more values than {} has names",
            self.template
        );
        path.push_str(rest);
        path
    }
}

/// A value as one segment of a path: nothing in it can lead elsewhere.
fn escaped(value: &str) -> impl Iterator<Item = char> + '_ {
    let is_dots = matches!(value, "." | "..");
    value.bytes().flat_map(move |byte| {
        let is_plain =
            byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && !is_dots);
        let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
        let text = match is_plain {
            true => [Some(char::from(byte)), None, None],
            false => [Some('%'), Some(digit(byte >> 4)), Some(digit(byte & 15))],
        };
        text.into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_segment() {
        let path = |owner, repo| RestRoute::REPOSITORY.path(&[owner, repo]);
        assert_eq!(path("octo-org", "tool.js"), "/repos/octo-org/tool.js");
        assert_eq!(path("..", "a/b?c#d"), "/repos/%2E%2E/a%2Fb%3Fc%23d");
        let status = RestRoute::COMMIT_STATUS.path(&["o", "r", "feature/é"]);
        assert_eq!(status, "/repos/o/r/commits/feature%2F%C3%A9/status");
    }
}
