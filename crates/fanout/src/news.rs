//! News beside events: a list changed, or the state of a task did. News is not in the log, because
//! a client that was away reads the list or the task again.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use mcp::{notification::ListKind, task::TaskId};
use ports::ListChanges;
use stream_driver::sync::{AtomicU8, Mutex};

use crate::{
    announcement::{Announcement, WaitingAnnouncement},
    limits::WAITING_ANNOUNCEMENTS,
};

/// The news that a stream wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewsSelection {
    /// The lists whose changes it wants to know.
    pub lists: ListChanges,
    /// Up to as many as one listen request may name.
    pub tasks: BTreeSet<TaskId>,
}

impl NewsSelection {
    /// Changes of every list: for the streams of sessions, which cannot choose.
    pub fn all_lists() -> Self {
        Self {
            lists: ListChanges {
                tools: true,
                prompts: true,
                resources: true,
            },
            tasks: BTreeSet::new(),
        }
    }
}

const TASKS: u8 = 1 << 7;
const ANNOUNCEMENTS: u8 = 1 << 6;

fn bits(lists: ListChanges) -> u8 {
    u8::from(lists.tools) | u8::from(lists.prompts) << 1 | u8::from(lists.resources) << 2
}

/// News waiting until the stream takes it. Several changes of one list or task count as one.
#[derive(Debug)]
pub(crate) struct PendingNews {
    wanted: u8,
    waiting: AtomicU8,
    /// Few streams follow tasks, so the others pay only a pointer.
    tasks: Option<Box<WantedTasks>>,
    /// Nearly always none, which costs a pointer.
    #[expect(
        clippy::box_collection,
        reason = "every stream has this place and nearly none uses it: 8 bytes, not 32"
    )]
    announcements: Mutex<Option<Box<VecDeque<WaitingAnnouncement>>>>,
}

#[derive(Debug)]
struct WantedTasks {
    wanted: BTreeSet<TaskId>,
    /// Their ids alone: a client that does not read holds no state of a task here.
    waiting: Mutex<BTreeSet<TaskId>>,
}

/// The news that a stream takes in one turn.
#[derive(Debug)]
pub(crate) struct StreamNews {
    lists: u8,
    /// Tasks that may have changed.
    pub(crate) tasks: BTreeSet<TaskId>,
    pub(crate) announcements: VecDeque<WaitingAnnouncement>,
}

impl StreamNews {
    pub(crate) fn lists(&self) -> impl Iterator<Item = ListKind> {
        let lists = self.lists;
        ListKind::ALL
            .into_iter()
            .enumerate()
            .filter_map(move |(bit, list)| (lists & 1 << bit != 0).then_some(list))
    }
}

impl PendingNews {
    /// News of the tasks waits from the beginning: the stream tells how they stand.
    pub(crate) fn new(wants: NewsSelection) -> Self {
        let tasks = (!wants.tasks.is_empty()).then(|| {
            Box::new(WantedTasks {
                waiting: Mutex::new(wants.tasks.clone()),
                wanted: wants.tasks,
            })
        });
        Self {
            wanted: bits(wants.lists),
            waiting: AtomicU8::new(if tasks.is_some() { TASKS } else { 0 }),
            tasks,
            announcements: Mutex::new(None),
        }
    }

    /// The tasks that the stream follows.
    pub(crate) fn wanted_tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().flat_map(|tasks| &tasks.wanted)
    }

    /// Records that lists changed; returns whether the stream wants to know.
    pub(crate) fn notify_lists(&self, lists: ListChanges) -> bool {
        let wanted = self.wanted & bits(lists);
        self.waiting.fetch_or(wanted, Ordering::AcqRel);
        wanted != 0
    }

    /// Whether the stream wants to know of changes of these lists.
    pub(crate) fn wants_lists(&self, lists: ListChanges) -> bool {
        self.wanted & bits(lists) != 0
    }

    /// Records a message to many clients. The oldest is left out if the client takes none.
    pub(crate) fn announce(&self, announcement: &Arc<Announcement>) {
        let waiting = WaitingAnnouncement::new(announcement);
        let mut kept = self.announcements.lock();
        let announcements = kept.get_or_insert_default();
        let left_out = match announcements.len() < WAITING_ANNOUNCEMENTS {
            true => None,
            false => announcements.pop_front(),
        };
        announcements.push_back(waiting);
        drop(kept);
        drop(left_out);
        self.waiting.fetch_or(ANNOUNCEMENTS, Ordering::AcqRel);
    }

    /// Records that a task may have changed; returns whether the stream wants to know.
    pub(crate) fn notify_task(&self, id: &TaskId) -> bool {
        let Some(tasks) = self.tasks.as_deref().filter(|t| t.wanted.contains(id)) else {
            return false;
        };
        tasks.waiting.lock().insert(id.clone());
        self.waiting.fetch_or(TASKS, Ordering::AcqRel);
        true
    }

    pub(crate) fn take(&self) -> Option<StreamNews> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let waiting = self.waiting.swap(0, Ordering::AcqRel);
        let tasks = self.tasks.as_deref().filter(|_| waiting & TASKS != 0);
        let tasks = tasks.map(|tasks| std::mem::take(&mut *tasks.waiting.lock()));
        let announcements = match waiting & ANNOUNCEMENTS {
            0 => None,
            _ => self.announcements.lock().take(),
        };
        let announcements = announcements.map_or_else(VecDeque::new, |waiting| *waiting);
        Some(StreamNews {
            lists: waiting & !(TASKS | ANNOUNCEMENTS),
            tasks: tasks.unwrap_or_default(),
            announcements,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> TaskId {
        TaskId::new(name).unwrap()
    }

    #[test]
    fn only_what_is_wanted_is_told_and_several_changes_are_one() {
        let tools = ListChanges {
            tools: true,
            ..ListChanges::default()
        };
        let pending = PendingNews::new(NewsSelection {
            lists: tools,
            tasks: BTreeSet::from([task("mine")]),
        });
        let mine = BTreeSet::from([task("mine")]);
        let first = pending.take().unwrap();
        assert_eq!((first.lists().count(), first.tasks), (0, mine.clone()));
        assert!(pending.take().is_none());
        assert!(!pending.notify_lists(ListChanges {
            tools: false,
            ..NewsSelection::all_lists().lists
        }));
        assert!(
            pending.notify_lists(NewsSelection::all_lists().lists) && pending.notify_lists(tools)
        );
        assert!(!pending.notify_task(&task("other")));
        assert!(pending.notify_task(&task("mine")) && pending.notify_task(&task("mine")));
        let news = pending.take().unwrap();
        assert_eq!(news.lists().collect::<Vec<_>>(), [ListKind::Tools]);
        assert_eq!(news.tasks, mine);
        assert!(pending.take().is_none());
    }

    #[test]
    fn a_client_that_reads_nothing_holds_few_announcements_and_the_oldest_are_not_delivered() {
        let pending = PendingNews::new(NewsSelection::default());
        let raw = serde_json::value::to_raw_value(&serde_json::json!({ "method": "n" })).unwrap();
        let message = mcp::connection::BroadcastMessage::read(&raw, model::Timestamp::default());
        let announcements: Vec<_> = (0..WAITING_ANNOUNCEMENTS + 3)
            .map(|_| Arc::new(Announcement::new(message.clone().unwrap())))
            .collect();
        announcements.iter().for_each(|one| pending.announce(one));
        let news = pending.take().unwrap();
        assert_eq!(news.announcements.len(), WAITING_ANNOUNCEMENTS);
        news.announcements
            .into_iter()
            .for_each(WaitingAnnouncement::taken);
        let delivered: Vec<_> = announcements.iter().map(|one| one.delivered()).collect();
        assert_eq!(delivered[..3], [0, 0, 0]);
        assert!(delivered[3..].iter().all(|count| *count == 1));
        assert!(pending.take().is_none());
    }

    #[test]
    fn a_session_is_told_of_every_list() {
        let pending = PendingNews::new(NewsSelection::all_lists());
        pending.notify_lists(NewsSelection::all_lists().lists);
        let news = pending.take().unwrap();
        assert_eq!(news.lists().collect::<Vec<_>>(), ListKind::ALL);
        assert_eq!(pending.wanted_tasks().count(), 0);
    }
}
