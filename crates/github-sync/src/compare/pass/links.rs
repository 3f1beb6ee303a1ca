//! Sub-issues of issues: those that have some, when they have changed.

use ports::MirroredKind;
use serde::Deserialize;

use super::Pass;
use crate::{
    compare::error::CompareError,
    details::{DetailFacts, DetailToRead},
    limits::{ISSUES_PER_QUERY, MAX_LINKS_PER_PASS},
    listed::ListedPlace,
    mirror::LivingState,
};

const KIND: MirroredKind = MirroredKind::IssueLinks;

#[derive(Deserialize)]
struct WrittenIssue {
    sub_issues_summary: Option<WrittenSummary>,
}

#[derive(Deserialize)]
struct WrittenSummary {
    #[serde(default)]
    total: u64,
}

impl Pass<'_> {
    /// Reads the sub-issues of issues that may have others now.
    pub(super) async fn links(&mut self, place: &ListedPlace) -> Result<(), CompareError> {
        let began_at = self.comparer.clock.now();
        let mut due = self.due_links(place);
        let is_all = due.len() <= MAX_LINKS_PER_PASS;
        due.truncate(MAX_LINKS_PER_PASS);
        let mut fault = None;
        for batch in due.chunks(ISSUES_PER_QUERY) {
            self.begin_query()?;
            let details = &self.comparer.details;
            let answer = details.issue_links(&place.owner, batch).await?;
            self.note_points(&answer);
            let (page, asked_at) = (answer.read, answer.asked_at);
            self.take_details(place, &page, asked_at).await?;
            fault = fault.or(page.fault);
        }
        // They are as whole as the list of issues.
        let is_whole = is_all && self.is_read(MirroredKind::Issue);
        self.note_details(KIND, is_whole.then_some(began_at), fault.as_deref());
        Ok(())
    }

    /// The issues to read. What is known of one that has no sub-issues any more is gone.
    fn due_links(&self, place: &ListedPlace) -> Vec<DetailToRead> {
        let mirror = &self.comparer.mirror;
        let known = mirror.living(place, KIND);
        let mut due = Vec::new();
        for issue in mirror.living(place, MirroredKind::Issue) {
            let links = known.binary_search_by_key(&issue.number, |links| links.number);
            let links = links.ok().map(|at| &known[at]);
            if !has_sub_issues(&issue) {
                if links.is_some() {
                    mirror.show_gone(place, KIND, issue.number, self.comparer.clock.now());
                }
                continue;
            }
            let read_for = links.and_then(|links| DetailFacts::of(&links.json).read_for);
            if read_for.is_none_or(|read_for| issue.updated_at > read_for) {
                due.push(DetailToRead {
                    number: issue.number,
                    node_id: issue.node_id,
                    updated_at: issue.updated_at,
                });
            }
        }
        due
    }
}

fn has_sub_issues(issue: &LivingState) -> bool {
    let written: Option<WrittenIssue> = serde_json::from_slice(&issue.json).ok();
    let summary = written.and_then(|issue| issue.sub_issues_summary);
    summary.is_some_and(|summary| summary.total > 0)
}
