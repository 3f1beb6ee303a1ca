//! Reads with GraphQL what GitHub's lists do not show, a query at a time.
//!
//! | module | idea |
//! | --- | --- |
//! | `node` | GraphQL's object as that of a list, with a member of ours |
//! | `numbers` | how many issues a repository has, and their numbers |
//! | `projects` | fields, views and items of a project |
//! | `pulls` | states of pull requests, and sub-issues, several with one query |
//!
//! Callers count the points and decide when to read: an unchanged resource is not asked for.

mod node;
mod numbers;
mod projects;
mod pulls;

use std::{collections::BTreeSet, sync::Arc};

use github::{GithubClient, GraphqlAnswer};
use model::{Clock, Timestamp};
use serde_json::Value;

use crate::listed::ListedObject;

pub(crate) use node::project_of;
pub(crate) use numbers::IssueNumbers;
pub(crate) use projects::ProjectToRead;
pub(crate) use pulls::{DetailFacts, DetailToRead, settled};

/// Reads details.
#[derive(Debug, Clone)]
pub(crate) struct GithubDetails {
    client: GithubClient,
    clock: Arc<dyn Clock>,
}

/// A page of details.
#[derive(Debug)]
pub(crate) struct DetailPage {
    pub(crate) objects: Vec<ListedObject>,
    /// The cursor of the page after it.
    pub(crate) next: Option<String>,
    /// What GitHub did not give, and why: what is not in the page may be there all the same.
    pub(crate) fault: Option<String>,
}

/// An answer: its data, what it does not have, what it cost, and the time before the request.
#[derive(Debug)]
pub(crate) struct DetailAnswer<T> {
    pub(crate) read: T,
    /// Points of the limit.
    pub(crate) points: u32,
    pub(crate) asked_at: Timestamp,
}

impl GithubDetails {
    pub(crate) fn new(client: GithubClient, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock }
    }
}

/// What GitHub does not give below a part of an answer.
#[derive(Debug, Default)]
struct PartFaults {
    /// The first fault, and how many there are.
    text: Option<String>,
    /// The nodes of a list that lack something: what is known of them is better.
    nodes: BTreeSet<usize>,
}

/// The faults of a list, which is at this path of the answer; those of what it is in concern it as well.
fn faults_of(answer: &GraphqlAnswer<Value>, list: &str) -> PartFaults {
    let mut faults = PartFaults::default();
    let mut more = 0;
    for fault in &answer.faults {
        let below = fault.path.strip_prefix(list);
        if below.is_none() && !list.starts_with(&fault.path) {
            continue;
        }
        let mut below = below.unwrap_or_default().split('.');
        faults
            .nodes
            .extend(below.nth(1).and_then(|at| at.parse::<usize>().ok()));
        match &faults.text {
            None => {
                let (path, message) = (&fault.path, &fault.message);
                faults.text = Some(format!("GitHub does not give {path}: {message}"));
            }
            Some(_) => more += 1,
        }
    }
    if let (Some(text), true) = (&mut faults.text, more > 0) {
        text.push_str(&format!(" (and {more} more)"));
    }
    faults
}

/// What an answer cost; 1 where GitHub does not say, which is the least.
fn points_of(answer: &GraphqlAnswer<Value>) -> u32 {
    answer.cost.map_or(1, |cost| cost.cost)
}

/// A connection's page.
#[derive(Debug)]
struct ConnectionPage<'v> {
    nodes: &'v [Value],
    next: Option<String>,
}

/// The page in a member of an object; `None` if it is not there.
fn connection<'v>(of: &'v Value, name: &str) -> Option<ConnectionPage<'v>> {
    let connection = of.get(name)?;
    let page = &connection["pageInfo"];
    let next = page["endCursor"]
        .as_str()
        .filter(|_| page["hasNextPage"] == true);
    Some(ConnectionPage {
        nodes: connection["nodes"].as_array()?,
        next: next.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use github::GraphqlFault;

    use super::*;

    #[test]
    fn a_fault_concerns_the_list_that_it_is_in_and_one_of_its_nodes() {
        let fault = |path: &str| GraphqlFault {
            kind: "SERVICE_UNAVAILABLE".to_owned(),
            path: path.to_owned(),
            message: "timeout".to_owned(),
        };
        let answer = GraphqlAnswer {
            data: Value::Null,
            faults: vec![
                fault("node.views.nodes.3.filter"),
                fault("node.views.nodes.5"),
            ],
            cost: None,
        };
        let views = faults_of(&answer, "node.views.nodes");
        assert_eq!(views.nodes, [3, 5].into_iter().collect());
        assert_eq!(
            views.text.as_deref(),
            Some("GitHub does not give node.views.nodes.3.filter: timeout (and 1 more)")
        );
        assert!(faults_of(&answer, "node.fields.nodes").text.is_none());
        let whole = GraphqlAnswer {
            faults: vec![fault("node")],
            ..answer
        };
        assert!(faults_of(&whole, "node.fields.nodes").text.is_some());
    }
}
