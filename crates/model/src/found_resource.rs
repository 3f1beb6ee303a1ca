//! What is known of a resource that was found by its node id.

use crate::{GithubIds, ResourceId};

/// Where a resource of a repository is, and what names it there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundResource {
    /// Login of the owner of its repository; as GitHub spells it, unless that was renamed since it was seen.
    pub owner: String,
    /// Name of its repository, as well.
    pub repo: String,
    /// Its number there.
    pub number: u64,
    /// Its own id, and those of its repository and that one's owner; each is absent where no event had it.
    pub ids: GithubIds,
    /// Node id of its repository, where an event had it.
    pub repository_node_id: Option<ResourceId>,
    /// Its title.
    pub title: Option<String>,
    /// Its page on GitHub.
    pub url: Option<String>,
    /// The names of the labels that it has now.
    pub labels: Vec<String>,
}
