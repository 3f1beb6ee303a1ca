//! Reads GitHub's lists, a request at a time: [`GithubLists::step`].
//!
//! A caller takes steps until a pass is at its end, and begins the next pass minutes later with the checkpoint of the
//! last one. It may store the checkpoint after any step, with the objects of that step: a process that goes on from a
//! stored one repeats some requests and misses nothing. A pass over a list that has not changed is one request for each
//! page that could have changed first, and all of them are answered with 304, which costs nothing of the primary limit.
//!
//! | kinds | walk |
//! | --- | --- |
//! | issues | `since_walk`: ascending by the last change |
//! | pull requests, runs of workflows | `newest_walk`: descending, down to what is known |
//! | milestones, labels, releases, projects, repositories of an organization | `whole_walk`: all pages, which also shows what vanished |
//! | a repository | `one_walk` |
//!
//! The walks are machines without I/O: what is asked for next, and what an answer means. `address` says where a list is,
//! `item` reads what is in it, `page` is what walks see of it, `checkpoint` is what is stored. `places` finds repositories.
//!
//! An issue that is deleted or moved to another repository is in no list any more, and only its event says so. The same is true of
//! a run that ends when it is beyond the first page. GitHub's tags differ between tokens, so the passes after a change of the
//! token are not free.

mod address;
mod checkpoint;
mod issue_fate;
mod item;
mod newest_walk;
mod one_walk;
mod page;
mod places;
mod since_walk;
#[cfg(test)]
mod tests;
mod walk;
mod whole_walk;

use std::sync::Arc;

use github::{GithubClient, GithubError, PageAnswer, RestCall};
use model::{Clock, Timestamp};
use ports::MirroredKind;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::{
    address::ListAddress,
    item::read_items,
    page::{ReadPage, WalkedPage},
};
use crate::{
    limits::{LIST_PAGE_ITEMS, MAX_PASS_PAGES},
    listed::{ListedObject, ListedPlace},
};

pub(crate) use checkpoint::ListCheckpoint;
pub(crate) use issue_fate::IssueFate;

/// What a step has brought.
#[derive(Debug)]
pub(crate) struct ListStep {
    /// The objects of the page; an object may be in several steps.
    pub(crate) objects: Vec<ListedObject>,
    /// Numbers that were in a list that is always read whole, and are not in it any more. Only the last step of a pass
    /// has any.
    pub(crate) gone: Vec<u64>,
    /// What the next step is made with.
    pub(crate) checkpoint: ListCheckpoint,
    /// The pass is at its end.
    pub(crate) end: bool,
    /// At the end of a pass: everything that the list had then is in the objects of its steps, or of the passes before. The time
    /// before the request, by the own clock.
    pub(crate) as_of: Timestamp,
    /// GitHub says that nothing has changed.
    pub(crate) was_unmodified: bool,
    /// Items of the page that make no sense and are left out.
    pub(crate) unreadable: usize,
}

/// Reads lists.
#[derive(Debug, Clone)]
pub(crate) struct GithubLists {
    client: GithubClient,
    clock: Arc<dyn Clock>,
    page_items: usize,
}

/// The list of runs, whose items have a name.
#[derive(Deserialize)]
struct WrittenRuns {
    workflow_runs: Vec<Box<RawValue>>,
}

impl GithubLists {
    pub(crate) fn new(client: GithubClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            page_items: LIST_PAGE_ITEMS,
        }
    }

    /// One request: the next page of a kind's list of a place. A kind that the place has no list of is at its end at once.
    ///
    /// # Errors
    /// Those of the client. The checkpoint stays good: the same step may be taken again. `Endless` after
    /// [`MAX_PASS_PAGES`] requests of one pass, which ends it: begin with no checkpoint.
    pub(crate) async fn step(
        &self,
        place: &ListedPlace,
        kind: MirroredKind,
        checkpoint: &ListCheckpoint,
    ) -> Result<ListStep, GithubError> {
        match ListAddress::of(place, kind) {
            Some(list) => self.walk(&list, checkpoint).await,
            None => Ok(ListStep {
                objects: Vec::new(),
                gone: Vec::new(),
                checkpoint: checkpoint.clone(),
                end: true,
                as_of: self.clock.now(),
                was_unmodified: false,
                unreadable: 0,
            }),
        }
    }

    /// A step of a list.
    async fn walk(
        &self,
        list: &ListAddress,
        checkpoint: &ListCheckpoint,
    ) -> Result<ListStep, GithubError> {
        let mut walk = checkpoint.walk_of(list);
        if checkpoint.pages >= MAX_PASS_PAGES {
            let (what, max_pages) = (list.to_string(), MAX_PASS_PAGES);
            return Err(GithubError::Endless { what, max_pages });
        }
        let (asked_at, (objects, walked)) = loop {
            let asked_at = self.clock.now();
            let call = walk.call(list, self.page_items);
            match self.read(list, &call, asked_at).await {
                Ok(read) => break (asked_at, read),
                // GitHub may take the link of a page no longer. A first page has none, so that this comes once.
                Err(GithubError::Refused { .. }) if walk.forget_link() => {}
                Err(error) => return Err(error),
            }
        };
        let unreadable = match &walked {
            WalkedPage::Unmodified => 0,
            WalkedPage::Page(page) => page.unreadable,
        };
        let was_unmodified = matches!(walked, WalkedPage::Unmodified);
        let turn = walk.take(walked, asked_at, list, self.page_items);
        Ok(ListStep {
            objects,
            checkpoint: checkpoint.after(walk, &turn),
            gone: turn.gone,
            end: turn.end,
            as_of: turn.as_of,
            was_unmodified,
            unreadable,
        })
    }

    async fn read(
        &self,
        list: &ListAddress,
        call: &RestCall,
        asked_at: Timestamp,
    ) -> Result<(Vec<ListedObject>, WalkedPage), GithubError> {
        let answer = match list.kind {
            MirroredKind::WorkflowRun => match self.client.page::<WrittenRuns>(call).await? {
                PageAnswer::NotModified => PageAnswer::NotModified,
                PageAnswer::Modified { value, tags, next } => PageAnswer::Modified {
                    value: value.workflow_runs,
                    tags,
                    next,
                },
            },
            MirroredKind::Repository if !list.is_of_owner() => {
                match self.client.page::<Box<RawValue>>(call).await? {
                    PageAnswer::NotModified => PageAnswer::NotModified,
                    PageAnswer::Modified { value, tags, next } => PageAnswer::Modified {
                        value: vec![value],
                        tags,
                        next,
                    },
                }
            }
            _ => self.client.page(call).await?,
        };
        let PageAnswer::Modified { value, tags, next } = answer else {
            return Ok((Vec::new(), WalkedPage::Unmodified));
        };
        let items = value.len();
        let read = read_items(list.kind, value, asked_at);
        let page = ReadPage {
            items,
            unreadable: read.unreadable,
            numbers: read.objects.iter().map(|it| it.number).collect(),
            newest: read.newest,
            oldest: read.oldest,
            tags,
            next,
        };
        Ok((read.objects, WalkedPage::Page(page)))
    }
}
