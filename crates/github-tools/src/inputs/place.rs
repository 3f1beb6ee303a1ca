//! The owner and the repository.

use mcp::params::InputError;
use mcp_server::arguments::ArgumentGroup;
use model::GithubReference;
use schemars::JsonSchema;
use serde::Deserialize;

/// Owner and repository of a tool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(extend("required" = ["owner", "repo"]))]
pub(crate) struct PlaceInput {
    /// Login of the owner of the repository: a user or an organization.
    owner: Option<String>,
    /// Name of the repository.
    repo: Option<String>,
}

/// Owner, and one repository of it or all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub(crate) struct OwnerInput {
    /// Login of the owner: a user or an organization.
    owner: Option<String>,
    /// Name of the repository; without it, all of the owner that are known here.
    repo: Option<String>,
}

impl ArgumentGroup for PlaceInput {
    const FIELDS: &[&str] = &["owner", "repo"];
}

impl ArgumentGroup for OwnerInput {
    const FIELDS: &[&str] = &["owner", "repo"];
}

/// A repository, or an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryPlace {
    /// Login of the owner, in lower case.
    pub(crate) owner: String,
    /// Name of the repository, in lower case.
    pub(crate) repo: Option<String>,
}

impl RepositoryPlace {
    /// Of an owner and a repository as people write them: `repo` may be `owner/repo`, or a URL.
    ///
    /// # Errors
    /// A name is none of GitHub's, or the two contradict each other.
    pub(crate) fn read(
        owner: Option<&str>,
        repo: Option<&str>,
    ) -> Result<Option<Self>, InputError> {
        let owner = owner.map(|owner| {
            let owner = GithubReference::read_owner(owner);
            owner.map_err(|error| InputError::new("owner", &error.to_string()))
        });
        let owner = owner.transpose()?;
        let wrong = |error: &dyn std::fmt::Display| InputError::new("repo", &error.to_string());
        let (owner, repo) = match (owner, repo) {
            (None, None) => return Ok(None),
            (Some(owner), None) => (owner, None),
            (owner, Some(repo)) if repo.contains('/') => {
                let (named, repo) =
                    GithubReference::read_repository(repo).map_err(|error| wrong(&error))?;
                if owner.is_some_and(|owner| owner != named) {
                    return Err(wrong(
                        &"belongs to another owner than owner says; leave one out",
                    ));
                }
                (named, Some(repo))
            }
            (Some(owner), Some(repo)) => {
                let both = format!("{owner}/{}", repo.trim());
                let read = GithubReference::read_repository(&both);
                let (owner, repo) = read.map_err(|error| wrong(&error))?;
                (owner, Some(repo))
            }
            (None, Some(_)) => return Err(InputError::new("owner", "is missing")),
        };
        Ok(Some(Self { owner, repo }))
    }

    /// As people write it.
    pub(crate) fn name(&self) -> String {
        match &self.repo {
            Some(repo) => format!("{}/{repo}", self.owner),
            None => self.owner.clone(),
        }
    }
}

impl PlaceInput {
    /// The repository.
    ///
    /// # Errors
    /// As [`RepositoryPlace::read`]; one of them is missing.
    pub(crate) fn repository(&self) -> Result<RepositoryPlace, InputError> {
        let place = RepositoryPlace::read(self.owner.as_deref(), self.repo.as_deref())?;
        let place = place.ok_or_else(|| InputError::new("owner", "is missing"))?;
        match place.repo {
            Some(_) => Ok(place),
            None => Err(InputError::new("repo", "is missing")),
        }
    }
}

impl OwnerInput {
    /// The place, if one is given.
    ///
    /// # Errors
    /// As [`RepositoryPlace::read`].
    pub(crate) fn place(&self) -> Result<Option<RepositoryPlace>, InputError> {
        RepositoryPlace::read(self.owner.as_deref(), self.repo.as_deref())
    }
}
