//! Which URI means what.

use model::GithubReference;

const SCHEME: &str = "github://";
/// Longest URI that is read, in bytes: three names, an id and the scheme.
const MAX_BYTES: usize = 600;

/// A resource of the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MirrorUri {
    Config,
    Projects,
    Milestones,
    CurrentSprints,
    Tools,
    Repository {
        owner: String,
        repo: String,
    },
    Sprint {
        owner: String,
        project: u64,
        iteration: String,
    },
}

impl MirrorUri {
    /// `None` if it is one of others, or of nobody. Scheme and names are in any case.
    pub(super) fn parse(uri: &str) -> Option<Self> {
        let scheme = uri.get(..SCHEME.len())?;
        if uri.len() > MAX_BYTES || !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let path = &uri[SCHEME.len()..];
        let parts: Vec<_> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let (collection, names) = parts.split_first()?;
        match (collection.to_ascii_lowercase().as_str(), names) {
            ("config", []) => Some(Self::Config),
            ("projects", []) => Some(Self::Projects),
            ("milestones", []) => Some(Self::Milestones),
            ("tools", []) => Some(Self::Tools),
            ("sprints", [current]) if current.eq_ignore_ascii_case("current") => {
                Some(Self::CurrentSprints)
            }
            ("repositories", [owner, repo]) => {
                let name = format!("{owner}/{repo}");
                let (owner, repo) = GithubReference::read_repository(&name).ok()?;
                Some(Self::Repository { owner, repo })
            }
            ("sprints", [owner, project, iteration]) => {
                let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                let is_number = project.bytes().all(|byte| byte.is_ascii_digit());
                if !is_number || iteration.is_empty() || !iteration.bytes().all(is_id) {
                    return None;
                }
                Some(Self::Sprint {
                    owner: GithubReference::read_owner(owner).ok()?,
                    project: project.parse().ok()?,
                    iteration: (*iteration).to_owned(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_means_one_resource_or_none() {
        for (uri, expected) in [
            ("github://config", MirrorUri::Config),
            ("GitHub://Projects/", MirrorUri::Projects),
            ("github://sprints/current", MirrorUri::CurrentSprints),
            (
                "github://repositories/Acme/Rocket",
                MirrorUri::Repository {
                    owner: "acme".to_owned(),
                    repo: "rocket".to_owned(),
                },
            ),
            (
                "github://sprints/acme/3/cfc16e4d",
                MirrorUri::Sprint {
                    owner: "acme".to_owned(),
                    project: 3,
                    iteration: "cfc16e4d".to_owned(),
                },
            ),
        ] {
            assert_eq!(MirrorUri::parse(uri), Some(expected), "{uri}");
        }
        for uri in [
            "github://projects/acme/3",
            "github://milestones/acme/rocket/1",
            "github://sprints",
            "github://sprints/acme/x/y",
            "github://sprints/acme/3/a b",
            "github://repositories/acme",
            "github://repositories//rocket",
            "github://events",
            "http://config",
            "github:/",
            "",
        ] {
            assert_eq!(MirrorUri::parse(uri), None, "{uri}");
        }
    }
}
