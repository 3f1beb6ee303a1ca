//! The repository to which a part of GitHub's JSON belongs, as far as the part says so.

use std::collections::HashMap;

use model::{GithubIds, OwnerId, RepositoryId};
use serde_json::{Map, Value};

/// Endings of keys under which GitHub puts content of another repository: `changes.new_issue`,
/// `changes.old_repository`, `changes.new_discussion`, `parent_issue`, `template_repository`, `sub_issue_repo`.
const ENDINGS: [&str; 5] = [
    "_issue",
    "_repository",
    "_repo",
    "_pull_request",
    "_discussion",
];
/// Other such keys.
const KEYS: [&str; 2] = ["forkee", "new_fork"];
/// First segments of paths on GitHub's site that are no owner.
const NO_OWNERS: [&str; 9] = [
    "orgs",
    "users",
    "apps",
    "enterprises",
    "settings",
    "marketplace",
    "sponsors",
    "topics",
    "login",
];
/// Keys of addresses on GitHub's site; the addresses of its API have `/repos/` and are known by that.
const SITE_KEYS: [&str; 4] = ["html_url", "diff_url", "patch_url", "href"];

/// The ids of a repository and of its owner, where they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct PlaceIds {
    pub(super) owner: Option<OwnerId>,
    pub(super) repository: Option<RepositoryId>,
}

/// A repository, by its names, and by its ids where the payload has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// This one.
    Repository {
        /// The owner's login.
        owner: String,
        /// The repository's name.
        repo: String,
        /// Empty until the whole payload is read ([`super::confirmed::ConfirmedNames::identify`]).
        ids: PlaceIds,
    },
    /// Another one than the event's own; the part does not say which.
    Unknown,
}

impl Place {
    fn new(owner: &str, repo: &str) -> Option<Self> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['{', '}']);
        (is_name(owner) && is_name(repo)).then(|| Self::Repository {
            owner: owner.to_owned(),
            repo: repo.to_owned(),
            ids: PlaceIds::default(),
        })
    }

    /// Whether this is the repository with these names and ids. Where both have an id, that decides.
    pub(super) fn is(&self, own: &OwnPlace) -> bool {
        let Self::Repository { owner, repo, ids } = self else {
            return false;
        };
        if let (Some(id), Some(own)) = (ids.repository, own.ids.repository) {
            return id == own;
        }
        let same = |name: &str, own: &Option<String>| {
            own.as_ref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        same(owner, &own.owner) && same(repo, &own.repo)
    }
}

/// The place of an event or of a resource itself, by its names at the time of the payload.
#[derive(Debug, Clone)]
pub(super) struct OwnPlace {
    pub(super) owner: Option<String>,
    pub(super) repo: Option<String>,
    pub(super) ids: GithubIds,
}

impl OwnPlace {
    /// With the names that the object says it has; those given where it says none.
    pub(super) fn of_object(object: &Value, otherwise: Self) -> Self {
        let said = object.as_object().map(said_by).unwrap_or_default();
        match said.into_iter().next() {
            Some(Place::Repository { owner, repo, .. }) => Self {
                owner: Some(owner),
                repo: Some(repo),
                ..otherwise
            },
            _ => otherwise,
        }
    }
}

/// Whether GitHub puts content of another repository under this key.
pub(super) fn is_foreign_key(key: &str) -> bool {
    KEYS.contains(&key) || ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// The places of members that say it only through a sibling: `new_issue` belongs to `new_repository`.
pub(super) fn places_of_siblings(members: &Map<String, Value>) -> HashMap<String, Place> {
    let mut places = HashMap::new();
    for (key, _) in members.iter().filter(|(key, _)| is_foreign_key(key)) {
        let Some((stem, _)) = key.rsplit_once('_') else {
            continue;
        };
        let named = [
            format!("{stem}_repository"),
            format!("{stem}_repo"),
            format!("{key}_repo"),
            format!("{key}_repository"),
        ];
        let sibling = named.iter().filter(|named| *named != key);
        let sibling = sibling.filter_map(|named| members.get(named)?.as_object());
        let place = sibling.flat_map(said_by).next();
        places.extend(place.map(|place| (key.clone(), place)));
    }
    places
}

/// All places that an object under this key says it belongs to.
pub(super) fn of_object(
    key: &str,
    sibling: Option<&Place>,
    members: &Map<String, Value>,
) -> Vec<Place> {
    let mut places = said_by(members);
    if is_foreign_key(key) {
        places.extend(sibling.cloned());
        if places.is_empty() {
            places.push(Place::Unknown);
        }
    }
    places
}

/// The place of a text: only addresses have one, and paths of workflows, which may be another repository's
/// (`acme/tools/.github/workflows/test.yml@main`). Titles and bodies are content of their own object, whatever they
/// mention.
pub(super) fn of_text(key: &str, text: &str) -> Option<Place> {
    if key == "path" {
        let (repository, _) = text.split_once("/.github/workflows/")?;
        let (owner, repo) = repository.split_once('/')?;
        return Place::new(owner, repo);
    }
    match key == "url" || key == "href" || key.ends_with("_url") {
        true => of_address(key, text),
        false => None,
    }
}

fn said_by(members: &Map<String, Value>) -> Vec<Place> {
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    let by_full_name = |members: &Map<String, Value>| {
        let (owner, repo) = full_name(members)?;
        Place::new(owner, repo)
    };
    let mut places: Vec<Place> = by_full_name(members).into_iter().collect();
    let repository = members.get("repository").and_then(Value::as_object);
    places.extend(repository.and_then(by_full_name));
    let owner = members.get("owner").and_then(Value::as_object);
    let owner = owner.and_then(|owner| owner.get("login")?.as_str());
    let both = owner.zip(text("name"));
    places.extend(both.and_then(|(owner, name)| Place::new(owner, name)));
    for key in ["repository_url", "url", "html_url"] {
        places.extend(text(key).and_then(|address| of_address(key, address)));
    }
    places
}

/// Owner and name of a repository that gives them in full.
pub(super) fn full_name(members: &Map<String, Value>) -> Option<(&str, &str)> {
    members.get("full_name")?.as_str()?.split_once('/')
}

/// Owner and name of a repository that gives its address in GitHub's API.
pub(super) fn api_name(members: &Map<String, Value>) -> Option<(&str, &str)> {
    let (_, path) = members.get("url")?.as_str()?.split_once("/repos/")?;
    path.split_once('/')
}

/// The repository in an address of GitHub's API, or of its site.
fn of_address(key: &str, address: &str) -> Option<Place> {
    if let Some((_, path)) = address.split_once("/repos/") {
        let mut segments = path.split(['/', '?', '#', '{']);
        return Place::new(segments.next()?, segments.next()?);
    }
    if !SITE_KEYS.contains(&key) {
        return None;
    }
    let (_, rest) = address.split_once("://")?;
    let mut segments = rest.split(['/', '?', '#']).skip(1);
    let (owner, repo) = (segments.next()?, segments.next()?);
    // An API without a repository: `https://api.github.com/users/octocat`.
    let is_site = !NO_OWNERS.contains(&owner) && owner != "api";
    is_site.then(|| Place::new(owner, repo)).flatten()
}
