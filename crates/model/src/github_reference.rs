//! References to GitHub as people write them: URLs and paths that name an owner, a repository, or something
//! that has a number.

use crate::{
    NameError, ResourceType, ResourceUri,
    github_name::{account, login, repository, trimmed},
};

/// An owner, a repository or a numbered resource, as a URL, a path (`acme/rocket`) or a `github://` URI names
/// it. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GithubReference {
    /// Login of the owner.
    pub owner: Option<String>,
    /// Name of the repository.
    pub repo: Option<String>,
    /// The kind and number of a resource.
    pub item: Option<(ResourceType, u64)>,
    /// GitHub's numeric id of what has no number, such as a comment, with its kind. A job of a workflow is a check run
    /// too, under the same id, and its page does not say which of them is meant.
    pub by_id: Option<(Option<ResourceType>, u64)>,
    /// A number without a kind: that of an issue, a pull request or a discussion.
    pub number: Option<u64>,
}

impl GithubReference {
    /// Reads a text that is a URL or a path; `None` for a plain name.
    ///
    /// # Errors
    /// A URL or a path that names nothing, or something whose meaning is not certain, such as a branch.
    pub fn read(text: &str) -> Result<Option<Self>, NameError> {
        let text = trimmed(text)?;
        let is_ours = |(scheme, _): (&str, &str)| scheme.eq_ignore_ascii_case("github");
        if text.split_once("://").is_some_and(is_ours) {
            let uri = ResourceUri::parse(text).map_err(|_| NameError::Url)?;
            return Ok(Some(Self::of_uri(uri)));
        }
        if let Some(path) = path_on_github(text)? {
            let fragment = path.split_once('#').map_or("", |(_, fragment)| fragment);
            return Self::of_page(&page_segments(path), fragment).map(Some);
        }
        if !text.contains('/') {
            return Ok(None);
        }
        // As package managers write it.
        let prefixes = ["github:", "gh:"];
        let path = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
        let text = path.unwrap_or(text);
        // As GitHub writes it in texts.
        let (text, number) = match text.split_once('#') {
            Some((text, number)) => (text, Some(count(number)?)),
            None => (text, None),
        };
        // Copied out of a URL.
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<_> = path.split('/').collect();
        let named = match segments.first() {
            // Names that GitHub gives to no account.
            Some(&"orgs" | &"users") => Self::of_page(&segments, "")?,
            _ => Self::of_path(&segments)?,
        };
        if number.is_some() && (named.repo.is_none() || named.names_resource()) {
            return Err(NameError::Url);
        }
        Ok(Some(Self { number, ..named }))
    }

    /// Whether it names a single resource, and not only where resources are.
    #[must_use]
    pub const fn names_resource(&self) -> bool {
        self.item.is_some() || self.by_id.is_some() || self.number.is_some()
    }

    /// Reads an owner: a login, or a URL that names only an owner. In lower case.
    ///
    /// # Errors
    /// Not a login, or the URL names more.
    pub fn read_owner(text: &str) -> Result<String, NameError> {
        match Self::read(text)? {
            None => login(trimmed(text)?),
            Some(Self {
                owner: Some(owner),
                repo: None,
                item: None,
                by_id: None,
                number: None,
            }) => Ok(owner),
            Some(_) => Err(NameError::MoreThanOwner),
        }
    }

    /// Reads a repository with its owner: `acme/rocket`, or its URL. In lower case.
    ///
    /// # Errors
    /// Not a repository, or the URL names less or more.
    pub fn read_repository(text: &str) -> Result<(String, String), NameError> {
        match Self::read(text)? {
            Some(Self {
                owner: Some(owner),
                repo: Some(repo),
                item: None,
                by_id: None,
                number: None,
            }) => Ok((owner, repo)),
            _ => Err(NameError::NotRepository),
        }
    }

    /// Reads a number as people write it: `7`, `#7`. Numbers begin at 1.
    ///
    /// # Errors
    /// Anything else, also the URL of something with a number.
    pub fn read_number(text: &str) -> Result<u64, NameError> {
        let text = text.trim();
        let digits = text.strip_prefix('#').unwrap_or(text);
        match count(digits) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(NameError::Number),
        }
    }

    /// Reads the account that acted: a login, that of an app (`dependabot[bot]`), or the URL of either. In
    /// lower case.
    ///
    /// # Errors
    /// Not a login, or the URL of something else.
    pub fn read_account(text: &str) -> Result<String, NameError> {
        let text = trimmed(text)?;
        let Some(path) = path_on_github(text)? else {
            return account(text);
        };
        match page_segments(path).as_slice() {
            ["apps", app] => account(&format!("app/{app}")),
            [user] => account(user),
            _ => Err(NameError::Actor),
        }
    }

    fn of_uri(uri: ResourceUri) -> Self {
        match uri {
            ResourceUri::Events { owner, repo } => Self {
                owner,
                repo,
                ..Self::default()
            },
            ResourceUri::Project { owner, number } => Self {
                owner: Some(owner),
                item: Some((ResourceType::PROJECT, number)),
                ..Self::default()
            },
            ResourceUri::Numbered {
                collection,
                owner,
                repo,
                number,
            } => Self {
                owner: Some(owner),
                repo: Some(repo),
                item: item(collection).map(|kind| (kind, number)),
                ..Self::default()
            },
        }
    }

    /// The path of a page or of a resource of the API.
    fn of_page(segments: &[&str], fragment: &str) -> Result<Self, NameError> {
        let owner_alone = |owner: &str| {
            Ok(Self {
                owner: Some(login(owner)?),
                ..Self::default()
            })
        };
        let [owner, repo, within @ ..] = segments else {
            return owner_alone(segments.first().copied().unwrap_or_default());
        };
        let in_repository = !["orgs", "users", "apps", "repos"].contains(owner);
        if let Some(by_id) = named_by_id(within, fragment)?.filter(|_| in_repository) {
            return Ok(Self {
                by_id: Some(by_id),
                ..Self::of_repository(owner, repo)?
            });
        }
        match segments {
            [owner] | ["orgs" | "users", owner] => owner_alone(owner),
            ["orgs" | "users", owner, "projects", number, ..] => Ok(Self {
                item: Some((ResourceType::PROJECT, count(number)?)),
                ..owner_alone(owner)?
            }),
            ["orgs" | "users" | "apps", ..] => Err(NameError::Url),
            ["repos", rest @ ..] if rest.len() >= 2 => Self::of_path(rest),
            [owner, repo, "security", alerts, number] => Ok(Self {
                item: Some((alert(alerts).ok_or(NameError::Url)?, count(number)?)),
                ..Self::of_repository(owner, repo)?
            }),
            // A pull request's pages (files, commits) are about the same pull request.
            [owner, repo, "pull", number, ..] => Self::of_path(&[owner, repo, "pull", number]),
            all => Self::of_path(all),
        }
    }

    /// A repository, or a numbered resource in it.
    fn of_path(segments: &[&str]) -> Result<Self, NameError> {
        match segments {
            [owner, repo] => Self::of_repository(owner, repo),
            [owner, repo, collection, number] => Ok(Self {
                item: Some((item(collection).ok_or(NameError::Url)?, count(number)?)),
                ..Self::of_repository(owner, repo)?
            }),
            _ => Err(NameError::Url),
        }
    }

    fn of_repository(owner: &str, repo: &str) -> Result<Self, NameError> {
        Ok(Self {
            owner: Some(login(owner)?),
            repo: Some(repository(repo)?),
            ..Self::default()
        })
    }
}

/// The kind of the resources in a collection, as GitHub's pages, its API and our URIs call it.
fn item(collection: &str) -> Option<ResourceType> {
    match collection {
        "issues" => Some(ResourceType::ISSUE),
        "pull" | "pulls" => Some(ResourceType::PULL_REQUEST),
        "milestone" | "milestones" => Some(ResourceType::MILESTONE),
        "discussions" => Some(ResourceType::DISCUSSION),
        _ => None,
    }
}

/// The kind of the alerts on a page about a repository's security.
fn alert(alerts: &str) -> Option<ResourceType> {
    match alerts {
        "code-scanning" => Some(ResourceType::CODE_SCANNING_ALERT),
        "dependabot" => Some(ResourceType::DEPENDABOT_ALERT),
        "secret-scanning" => Some(ResourceType::SECRET_SCANNING_ALERT),
        _ => None,
    }
}

/// The kinds of what pages show within them, by what the fragment of its address begins with, after which its
/// numeric id follows.
const ANCHORS: [(&str, ResourceType); 6] = [
    ("issuecomment-", ResourceType::ISSUE_COMMENT),
    ("discussioncomment-", ResourceType::DISCUSSION_COMMENT),
    ("commitcomment-", ResourceType::COMMIT_COMMENT),
    ("pullrequestreview-", ResourceType::PULL_REQUEST_REVIEW),
    ("discussion_r", ResourceType::PULL_REQUEST_REVIEW_COMMENT),
    ("r", ResourceType::PULL_REQUEST_REVIEW_COMMENT),
];

/// What a page of a repository shows that has a numeric id and no number; `None` for any other page.
///
/// # Errors
/// The place of the id has none.
fn named_by_id(
    segments: &[&str],
    fragment: &str,
) -> Result<Option<(Option<ResourceType>, u64)>, NameError> {
    let (kind, id) = match segments {
        ["issues" | "pull" | "discussions", _, ..] | ["commit", _] => {
            let anchors = ANCHORS.iter().filter_map(|(prefix, kind)| {
                let id = fragment.strip_prefix(prefix)?;
                Some((Some(kind.clone()), count(id).ok()?))
            });
            return Ok(anchors.into_iter().next());
        }
        ["actions", "runs", _, "job", id] | ["runs", id] => (None, id),
        ["actions", "runs", id] | ["actions", "runs", id, "attempts", _] => {
            (Some(ResourceType::WORKFLOW_RUN), id)
        }
        ["packages", id] => (Some(ResourceType::PACKAGE), id),
        _ => return Ok(None),
    };
    Ok(Some((kind, count(id)?)))
}

fn count(number: &str) -> Result<u64, NameError> {
    match number.bytes().all(|byte| byte.is_ascii_digit()) {
        true => number.parse().map_err(|_| NameError::Url),
        false => Err(NameError::Url),
    }
}

/// The segments of a page's path, without its query and fragment.
fn page_segments(path: &str) -> Vec<&str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.strip_suffix('/').unwrap_or(path).split('/').collect()
}

/// The path of a URL of github.com, with or without a scheme, or of a clone address
/// (`git@github.com:acme/rocket.git`); `None` if the text is no URL.
///
/// # Errors
/// A URL of another host.
fn path_on_github(text: &str) -> Result<Option<&str>, NameError> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let ports: &[&str] = match scheme.as_deref() {
        Some("https" | "git+https") => &["443"],
        Some("http") => &["80"],
        // GitHub takes SSH also where only the port of HTTPS is open.
        Some("ssh" | "git+ssh") => &["22", "443"],
        Some("git") => &["9418"],
        Some(_) => return Err(NameError::Url),
        None => &[],
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The user of a clone address, which names nothing that can be read.
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, path) = match host.split_once(':') {
        None if scheme.is_none() => {
            // A repository may be called github.com, and `mona@github.com` is no clone address.
            let is_address = authority.len() < rest.len() && matches!(user, None | Some("git"));
            match is_address {
                true => (host, path),
                false => return Ok(None),
            }
        }
        None => (host, path),
        Some((host, port)) if ports.contains(&port) => (host, path),
        Some((host, after)) => {
            let has_port = scheme.is_some() && after.bytes().all(|byte| byte.is_ascii_digit());
            let is_ssh = matches!(scheme.as_deref(), Some("ssh" | "git+ssh"));
            if has_port && !(after.is_empty() && is_ssh) {
                return Err(NameError::Url);
            }
            // As scp writes it: the path begins after the colon, maybe with a slash.
            let path = &rest[authority.len() - after.len()..];
            (host, path.strip_prefix('/').unwrap_or(path))
        }
    };
    let hosts = [
        "github.com",
        "www.github.com",
        "api.github.com",
        "ssh.github.com",
    ];
    match hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        true => Ok(Some(path)),
        false if scheme.is_some() || user == Some("git") => Err(NameError::Url),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> GithubReference {
        GithubReference::read(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .unwrap_or_else(|| panic!("{text} is a plain name"))
    }

    #[test]
    fn every_usual_spelling_of_a_repository_is_the_repository() {
        for text in [
            "acme/rocket",
            "/acme/rocket",
            "acme/rocket/",
            " Acme/Rocket ",
            "@acme/rocket",
            "https://github.com/acme/rocket",
            "HTTPS://GitHub.com/ACME/rocket/",
            "http://www.github.com/acme/rocket.git",
            "https://github.com/acme/rocket.wiki.git",
            "github.com/acme/rocket",
            "https://github.com/acme/rocket?tab=readme-ov-file#use",
            "git@github.com:acme/rocket.git",
            "ssh://git@github.com/acme/rocket.git",
            "ssh://git@ssh.github.com:443/acme/rocket.git",
            "ssh://git@github.com:22/acme/rocket",
            "git+ssh://git@github.com/acme/rocket.git",
            "git+https://github.com/acme/rocket.git#v1",
            "git@ssh.github.com:acme/rocket.git",
            "https://mona@github.com/acme/rocket.git",
            "https://github.com:443/acme/rocket?tab=readme",
            "http://www.github.com:80/acme/rocket/",
            "ssh://git@github.com:acme/rocket.git",
            "ssh://git@github.com:/acme/rocket.git",
            "ssh://github.com:acme/rocket",
            "git+ssh://git@github.com:acme/rocket.git",
            "git://github.com:acme/rocket.git",
            "https://github.com:acme/rocket.git",
            "https://mona:secret@github.com:acme/rocket",
            "git@github.com:/acme/rocket.git",
            "git@github.com/acme/rocket",
            "org-7@github.com:acme/rocket.git",
            "github.com:acme/rocket.git",
            "https://api.github.com/repos/acme/rocket",
            "github://events/acme/rocket",
            "GITHUB://events/acme/rocket/",
            "github:acme/rocket",
            "gh:acme/rocket",
            "https://github.com/acme/rocket.wiki.git",
        ] {
            let names = GithubReference::read_repository(text);
            assert_eq!(names, Ok(("acme".into(), "rocket".into())), "{text}");
            assert!(GithubReference::read_owner(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_url_of_a_numbered_resource_names_its_kind_and_number() {
        for (text, kind, has_repo) in [
            ("https://github.com/acme/rocket/issues/7", "issue", true),
            (
                "https://github.com/acme/rocket/issues/7#issue-1",
                "issue",
                true,
            ),
            (
                "https://github.com/acme/rocket/discussions/7",
                "discussion",
                true,
            ),
            (
                "https://github.com/acme/rocket/security/dependabot/7",
                "dependabot_alert",
                true,
            ),
            (
                "https://api.github.com/repos/acme/rocket/issues/7",
                "issue",
                true,
            ),
            ("acme/rocket/issues/7", "issue", true),
            ("github://issues/acme/rocket/7", "issue", true),
            (
                "https://github.com/acme/rocket/pull/7/files",
                "pull_request",
                true,
            ),
            ("github://pulls/acme/rocket/7", "pull_request", true),
            (
                "https://github.com/acme/rocket/milestone/7",
                "milestone",
                true,
            ),
            (
                "https://github.com/orgs/acme/projects/7/views/1",
                "project",
                false,
            ),
            ("github://projects/acme/7", "project", false),
        ] {
            let read = read(text);
            assert_eq!(read.owner.as_deref(), Some("acme"), "{text}");
            assert_eq!(read.repo.is_some(), has_repo, "{text}");
            let kind = ResourceType::parse(kind).unwrap();
            assert_eq!(read.item, Some((kind, 7)), "{text}");
        }
    }

    #[test]
    fn the_url_of_what_has_no_number_names_it_by_its_numeric_id() {
        for (page, kind) in [
            ("issues/7#issuecomment-99", Some("issue_comment")),
            ("pull/7#issuecomment-99", Some("issue_comment")),
            ("pull/7#discussion_r99", Some("pull_request_review_comment")),
            ("pull/7/files#r99", Some("pull_request_review_comment")),
            ("pull/7#pullrequestreview-99", Some("pull_request_review")),
            (
                "discussions/7#discussioncomment-99",
                Some("discussion_comment"),
            ),
            ("commit/0a1b#commitcomment-99", Some("commit_comment")),
            ("actions/runs/99", Some("workflow_run")),
            ("actions/runs/99/attempts/2", Some("workflow_run")),
            ("actions/runs/7/job/99", None),
            ("runs/99?check_suite_focus=true", None),
            ("packages/99", Some("package")),
        ] {
            let read = read(&format!("https://github.com/acme/rocket/{page}"));
            let kind = kind.map(|kind| ResourceType::parse(kind).unwrap());
            assert_eq!(read.by_id, Some((kind, 99)), "{page}");
            assert_eq!((read.item, read.repo.as_deref()), (None, Some("rocket")));
        }
        for page in [
            "actions/runs/x",
            "commit/0a1b",
            "releases/tag/v1",
            "tree/main",
        ] {
            let url = format!("https://github.com/acme/rocket/{page}");
            assert_eq!(GithubReference::read(&url), Err(NameError::Url), "{page}");
        }
    }

    #[test]
    fn a_number_after_a_repository_is_one_in_it() {
        let named = read("Acme/rocket#7");
        let names = (named.owner.as_deref(), named.repo.as_deref(), named.number);
        assert_eq!(names, (Some("acme"), Some("rocket"), Some(7)));
        assert!(
            named.names_resource() && GithubReference::read_repository("acme/rocket#7").is_err()
        );
        for text in [
            "acme/rocket#",
            "acme/rocket#x",
            "acme/rocket/issues/7#8",
            "orgs/acme#7",
        ] {
            assert_eq!(GithubReference::read(text), Err(NameError::Url), "{text}");
        }
    }

    #[test]
    fn a_number_may_have_its_sign() {
        for text in ["7", " 7 ", "#7", " #07"] {
            assert_eq!(GithubReference::read_number(text), Ok(7), "{text}");
        }
        for text in ["", "#", "0", "-7", "+7", "7.5", "##7", "a/b/issues/7"] {
            let read = GithubReference::read_number(text);
            assert_eq!(read, Err(NameError::Number), "{text}");
        }
    }

    #[test]
    fn accounts_are_read_with_and_without_signs_and_addresses() {
        for (text, login) in [
            ("mona", "mona"),
            ("@Mona", "mona"),
            ("https://github.com/mona", "mona"),
            ("dependabot[bot]", "dependabot[bot]"),
            ("app/dependabot", "dependabot[bot]"),
            ("https://github.com/apps/dependabot", "dependabot[bot]"),
        ] {
            assert_eq!(GithubReference::read_account(text), Ok(login.into()));
        }
        for text in [
            "mona@example.com",
            "Mona Lisa",
            "",
            "https://github.com/a/b",
        ] {
            assert!(GithubReference::read_account(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_may_mean_several_things_is_refused() {
        for text in [
            "https://gitlab.com/acme/rocket",
            "https://github.com",
            "https://github.com/acme/rocket/tree/main",
            "https://github.com/acme/rocket/issues",
            "https://github.com/acme/rocket/issues/x",
            "https://github.com/acme/rocket/issues/+7",
            "ftp://github.com/acme/rocket",
            "https://github.com:8443/acme/rocket",
            "ssh://git@github.com:2222/acme/rocket",
            "ssh://git@github.com:22:acme/rocket",
            "ssh://git@github.com:acme",
            "ssh://git@github.com:22/rocket",
            "ssh://git@gitlab.com:acme/rocket.git",
            "git@gitlab.com:acme/rocket.git",
            "gitlab.com:acme/rocket.git",
            "git@ssh.github.com:443/acme/rocket.git",
            "https://github.com:acme@evil.example/acme/rocket",
            "https://github.com:acme:rocket/a",
            "https://github.com:/acme/rocket",
            "https://github.com@evil.example/acme/rocket",
            "https://evil.example/@github.com/acme/rocket",
            "mona@github.com/acme/rocket",
            "acme/rocket/main",
            "acme//rocket",
            "//acme/rocket",
            "acme/rocket//",
            "acme/",
            "/acme/",
            "/rocket",
            "acme/..",
            "acme/rocket#7",
            "orgs/acme/projects/7",
            "github://events/a/b/c",
        ] {
            let names = GithubReference::read_repository(text);
            assert!(names.is_err(), "{text}: {names:?}");
        }
        for name in ["rocket", "github.com", "git@github.com"] {
            assert_eq!(GithubReference::read(name), Ok(None), "{name}");
        }
        let long = "a".repeat(40);
        assert_eq!(GithubReference::read_owner(&long), Err(NameError::Owner));
        assert!(GithubReference::read_owner(&long[1..]).is_ok());
        let path = format!("a/{}", "r".repeat(101));
        assert!(GithubReference::read_repository(&path).is_err());
        assert!(GithubReference::read_repository(&path[..102]).is_ok());
    }
}
