//! The numbers of all issues of a repository.

use github::{GithubAccess, GithubError, GraphqlAnswer, GraphqlDocument, GraphqlFault};
use serde_json::{Value, json};

use super::{DetailAnswer, GithubDetails, connection, faults_of, points_of};
use crate::limits::LIST_PATIENCE;

/// What GitHub says of the issues of a repository.
#[derive(Debug)]
pub(crate) enum IssueNumbers {
    Page(NumbersPage),
    /// The repository has no issues: the feature is switched off. They are there again when it is switched on.
    SwitchedOff,
    /// The credentials may not ask.
    Refused,
    /// GitHub does not give all of it now.
    InPart,
}

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
    /// A page of the numbers of the issues of a repository: one query.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn issue_numbers(
        &self,
        (owner, repo): (&str, &str),
        after: Option<&str>,
    ) -> Result<DetailAnswer<IssueNumbers>, GithubError> {
        let access = GithubAccess::Owner(owner.to_owned());
        let variables = json!({ "owner": owner, "name": repo, "after": after });
        let asked_at = self.clock.now();
        let document = GraphqlDocument::ISSUE_NUMBERS;
        let asked =
            self.client
                .query_within::<_, Value>(&access, document, &variables, LIST_PATIENCE);
        let answer = asked.await?;
        Ok(DetailAnswer {
            read: read(&answer),
            points: points_of(&answer),
            asked_at,
        })
    }
}

fn read(answer: &GraphqlAnswer<Value>) -> IssueNumbers {
    let has_faults = faults_of(answer, "repository.issues.nodes").text.is_some();
    let repository = &answer.data["repository"];
    match page_of(repository).filter(|_| !has_faults) {
        _ if repository["hasIssuesEnabled"] == false => IssueNumbers::SwitchedOff,
        Some(page) => IssueNumbers::Page(page),
        None if answer.faults.iter().any(is_refusal) => IssueNumbers::Refused,
        None => IssueNumbers::InPart,
    }
}

/// The page of a repository that says that it has issues.
fn page_of(repository: &Value) -> Option<NumbersPage> {
    let total = repository["issues"]["totalCount"].as_u64()?;
    let page =
        connection(repository, "issues").filter(|_| repository["hasIssuesEnabled"] == true)?;
    let numbers = page.nodes.iter();
    Some(NumbersPage {
        total: usize::try_from(total).unwrap_or(usize::MAX),
        numbers: numbers.filter_map(|node| node["number"].as_u64()).collect(),
        next: page.next,
    })
}

fn is_refusal(fault: &GraphqlFault) -> bool {
    matches!(fault.kind.as_str(), "FORBIDDEN" | "NOT_FOUND")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_a_repository_that_has_issues_and_was_given_whole() {
        let page =
            json!({ "totalCount": 2, "nodes": [{ "number": 4 }, { "number": 7 }], "pageInfo": {} });
        let with = |repository: Value, fault: Option<&str>| {
            let fault = fault.map(|kind| GraphqlFault {
                kind: kind.to_owned(),
                path: "repository".to_owned(),
                message: String::new(),
            });
            read(&GraphqlAnswer {
                data: json!({ "repository": repository }),
                faults: fault.into_iter().collect(),
                cost: None,
            })
        };
        let on = json!({ "hasIssuesEnabled": true, "issues": page });
        let IssueNumbers::Page(whole) = with(on.clone(), None) else {
            panic!("it is whole")
        };
        assert_eq!(
            (whole.total, whole.numbers, whole.next),
            (2, vec![4, 7], None)
        );
        assert!(matches!(with(on, Some("")), IssueNumbers::InPart));
        let off = json!({ "hasIssuesEnabled": false, "issues": page });
        assert!(matches!(with(off, None), IssueNumbers::SwitchedOff));
        for kind in ["FORBIDDEN", "NOT_FOUND"] {
            let refused = with(Value::Null, Some(kind));
            assert!(matches!(refused, IssueNumbers::Refused), "{kind}");
        }
        let late = with(Value::Null, Some("SERVICE_UNAVAILABLE"));
        assert!(matches!(late, IssueNumbers::InPart));
        let unsaid = with(json!({ "issues": page }), None);
        assert!(matches!(unsaid, IssueNumbers::InPart));
    }
}
