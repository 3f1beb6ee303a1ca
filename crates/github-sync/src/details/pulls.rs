//! States of pull requests and sub-issues of issues, several with one query, and what of them decides whether they are read
//! again.

use github::{GithubAccess, GithubError, GraphqlDocument};
use model::{ResourceId, Timestamp};
use ports::MirroredKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    DetailAnswer, DetailPage, GithubDetails, faults_of,
    node::{listed, ours},
    points_of,
};
use crate::limits::{LIST_PATIENCE, SETTLED_AFTER};

/// A pull request, or an issue, of which details are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetailToRead {
    pub(crate) number: u64,
    pub(crate) node_id: ResourceId,
    /// The time of its object in the list.
    pub(crate) updated_at: Timestamp,
}

/// What of a stored state decides whether it is read again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DetailFacts {
    /// GitHub is still finding out whether it can be merged, or checks have not ended.
    pub(crate) is_unsettled: bool,
    /// It has all changes of the pull request up to here.
    pub(crate) read_for: Option<Timestamp>,
    /// And all pushes to the repository up to here.
    pub(crate) pushed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenState {
    mergeable: Option<String>,
    status_check_rollup: Option<WrittenRollup>,
}

#[derive(Deserialize)]
struct WrittenRollup {
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenOurs {
    read_for: Option<Timestamp>,
    pushed_at: Option<Timestamp>,
}

impl DetailFacts {
    /// Of a stored state.
    pub(crate) fn of(json: &[u8]) -> Self {
        let state: Option<WrittenState> = serde_json::from_slice(json).ok();
        let ours = ours(json).and_then(|ours| serde_json::from_value::<WrittenOurs>(ours).ok());
        let (Some(state), Some(ours)) = (state, ours) else {
            return Self::default();
        };
        let rollup = state.status_check_rollup.and_then(|rollup| rollup.state);
        let is_pending = matches!(rollup.as_deref(), Some("PENDING" | "EXPECTED"));
        Self {
            is_unsettled: state.mergeable.as_deref() == Some("UNKNOWN") || is_pending,
            read_for: ours.read_for,
            pushed_at: ours.pushed_at,
        }
    }
}

impl GithubDetails {
    /// The states of some pull requests of an owner: one query. `pushed_at` is the last push to their repository that is
    /// known. Where some are missing from the page, it has a fault.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn pull_states(
        &self,
        owner: &str,
        pulls: &[DetailToRead],
        pushed_at: Option<Timestamp>,
    ) -> Result<DetailAnswer<DetailPage>, GithubError> {
        let asked = (MirroredKind::PullState, GraphqlDocument::PULL_STATES);
        self.by_ids(owner, asked, pulls, pushed_at).await
    }

    /// The sub-issues of some issues of an owner, as [`Self::pull_states`].
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn issue_links(
        &self,
        owner: &str,
        issues: &[DetailToRead],
    ) -> Result<DetailAnswer<DetailPage>, GithubError> {
        let asked = (MirroredKind::IssueLinks, GraphqlDocument::ISSUE_LINKS);
        self.by_ids(owner, asked, issues, None).await
    }

    async fn by_ids(
        &self,
        owner: &str,
        (kind, document): (MirroredKind, GraphqlDocument),
        resources: &[DetailToRead],
        pushed_at: Option<Timestamp>,
    ) -> Result<DetailAnswer<DetailPage>, GithubError> {
        let access = GithubAccess::Owner(owner.to_owned());
        let ids: Vec<_> = resources.iter().map(|it| &it.node_id).collect();
        let asked_at = self.clock.now();
        let variables = json!({ "ids": ids });
        let answer = self
            .client
            .query_within::<_, Value>(&access, document, &variables, LIST_PATIENCE)
            .await?;
        let nodes = answer.data["nodes"].as_array();
        let nodes = nodes.map_or(&[][..], Vec::as_slice);
        let faults = faults_of(&answer, "nodes");
        let nodes = resources.iter().zip(nodes).enumerate();
        let whole = nodes.filter(|(at, _)| !faults.nodes.contains(at));
        let objects = whole.filter_map(|(_, (asked, node))| {
            let ours = json!({
                "readFor": settled(asked.updated_at, asked_at),
                "pushedAt": pushed_at.map(|at| settled(at, asked_at)),
            });
            listed(kind, Some(asked.number), node, (ours, asked_at))
        });
        let objects: Vec<_> = objects.collect();
        let lacks_some = objects.len() < resources.len();
        let fault = faults
            .text
            .or_else(|| lacks_some.then(|| format!("GitHub does not give some of the {kind}")));
        Ok(DetailAnswer {
            read: DetailPage {
                objects,
                next: None,
                fault,
            },
            points: points_of(&answer),
            asked_at,
        })
    }
}

/// Up to when changes are in an answer: GitHub's times are whole seconds, and another change may have the same one.
pub(crate) fn settled(changed_at: Timestamp, asked_at: Timestamp) -> Timestamp {
    changed_at.min(asked_at.minus(SETTLED_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_unsettled_while_github_or_a_check_is_not_through() {
        let facts = |mergeable: &str, rollup: Value| {
            let state = json!({ "mergeable": mergeable, "statusCheckRollup": rollup,
                "forgewire": { "readFor": "1970-01-01T00:00:03.000Z", "pushedAt": null } });
            DetailFacts::of(state.to_string().as_bytes())
        };
        for (mergeable, rollup, is_unsettled) in [
            ("UNKNOWN", Value::Null, true),
            ("MERGEABLE", Value::Null, false),
            ("CONFLICTING", json!({ "state": "PENDING" }), true),
            ("MERGEABLE", json!({ "state": "EXPECTED" }), true),
            ("MERGEABLE", json!({ "state": "FAILURE" }), false),
        ] {
            let facts = facts(mergeable, rollup);
            assert_eq!(facts.is_unsettled, is_unsettled, "{mergeable}");
            assert_eq!(facts.read_for, Some(Timestamp::from_unix_millis(3_000)));
        }
        assert_eq!(DetailFacts::of(b"null"), DetailFacts::default());
    }
}
