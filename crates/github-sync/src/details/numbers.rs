//! The numbers of all issues of a repository.

use github::{GithubAccess, GithubError, GraphqlDocument};
use serde_json::{Value, json};

use super::{DetailAnswer, GithubDetails, connection, faults_of, points_of};
use crate::limits::LIST_PATIENCE;

/// A page of numbers.
#[derive(Debug)]
pub(crate) struct NumbersPage {
    /// How many issues the repository has, open and closed.
    pub(crate) total: usize,
    pub(crate) numbers: Vec<u64>,
    /// The cursor of the page after it.
    pub(crate) next: Option<String>,
}

impl GithubDetails {
    /// A page of the numbers of the issues of a repository: one query. `None` where GitHub does not give all of it.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn issue_numbers(
        &self,
        (owner, repo): (&str, &str),
        after: Option<&str>,
    ) -> Result<DetailAnswer<Option<NumbersPage>>, GithubError> {
        let access = GithubAccess::Owner(owner.to_owned());
        let variables = json!({ "owner": owner, "name": repo, "after": after });
        let asked_at = self.clock.now();
        let document = GraphqlDocument::ISSUE_NUMBERS;
        let asked =
            self.client
                .query_within::<_, Value>(&access, document, &variables, LIST_PATIENCE);
        let answer = asked.await?;
        let has_faults = faults_of(&answer, "repository.issues.nodes").text.is_some();
        let repository = &answer.data["repository"];
        let total = repository["issues"]["totalCount"].as_u64();
        let page = connection(repository, "issues").zip(total);
        let page = page.map(|(page, total)| NumbersPage {
            total: usize::try_from(total).unwrap_or(usize::MAX),
            numbers: page
                .nodes
                .iter()
                .filter_map(|node| node["number"].as_u64())
                .collect(),
            next: page.next,
        });
        Ok(DetailAnswer {
            read: page.filter(|_| !has_faults),
            points: points_of(&answer),
            asked_at,
        })
    }
}
