//! News beside events: a list changed, or the state of a task did. News is not in the log, because
//! a client that was away reads the list or the task again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use mcp::{notification::ListKind, tagged::TaggedNotification, task::TaskId};
use ports::ListChanges;
use stream_driver::sync::{AtomicU8, Mutex};

/// The news that a stream wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// The lists whose changes it wants to know.
    pub lists: ListChanges,
    /// Up to as many as one listen request may name.
    pub tasks: BTreeSet<TaskId>,
}

impl Wants {
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

fn bits(lists: ListChanges) -> u8 {
    u8::from(lists.tools) | u8::from(lists.prompts) << 1 | u8::from(lists.resources) << 2
}

/// News waiting until the stream takes it. Several changes of one list or task count as one.
#[derive(Debug)]
pub(crate) struct Notices {
    wanted: u8,
    waiting: AtomicU8,
    /// Few streams follow tasks, so the others pay only a pointer.
    tasks: Option<Box<Tasks>>,
}

#[derive(Debug)]
struct Tasks {
    wanted: BTreeSet<TaskId>,
    /// Up to one entry per followed task.
    waiting: Mutex<BTreeMap<TaskId, TaggedNotification>>,
}

/// The news that a stream takes in one turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    lists: u8,
    pub(crate) tasks: Vec<TaggedNotification>,
}

impl News {
    pub(crate) fn lists(&self) -> impl Iterator<Item = ListKind> {
        let lists = self.lists;
        ListKind::ALL
            .into_iter()
            .enumerate()
            .filter_map(move |(bit, list)| (lists & 1 << bit != 0).then_some(list))
    }
}

impl Notices {
    pub(crate) fn new(wants: Wants) -> Self {
        let tasks = (!wants.tasks.is_empty()).then(|| {
            Box::new(Tasks {
                wanted: wants.tasks,
                waiting: Mutex::default(),
            })
        });
        Self {
            wanted: bits(wants.lists),
            waiting: AtomicU8::new(0),
            tasks,
        }
    }

    /// The tasks that the stream follows.
    pub(crate) fn wanted_tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().flat_map(|tasks| &tasks.wanted)
    }

    /// Records that lists changed; returns whether the stream wants to know.
    pub(crate) fn lists_changed(&self, lists: ListChanges) -> bool {
        let wanted = self.wanted & bits(lists);
        self.waiting.fetch_or(wanted, Ordering::AcqRel);
        wanted != 0
    }

    /// Records that a task changed; returns whether the stream wants to know.
    pub(crate) fn task_changed(&self, id: &TaskId, how: &TaggedNotification) -> bool {
        let Some(tasks) = self.tasks.as_deref().filter(|t| t.wanted.contains(id)) else {
            return false;
        };
        tasks.waiting.lock().insert(id.clone(), how.clone());
        self.waiting.fetch_or(TASKS, Ordering::AcqRel);
        true
    }

    pub(crate) fn take(&self) -> Option<News> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let waiting = self.waiting.swap(0, Ordering::AcqRel);
        let tasks = self.tasks.as_deref().filter(|_| waiting & TASKS != 0);
        let tasks = tasks.map(|tasks| std::mem::take(&mut *tasks.waiting.lock()));
        Some(News {
            lists: waiting & !TASKS,
            tasks: tasks.unwrap_or_default().into_values().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(name: &str) -> TaskId {
        TaskId::new(name).unwrap()
    }

    #[test]
    fn only_what_is_wanted_is_told_and_several_changes_are_one() {
        let tools = ListChanges {
            tools: true,
            ..ListChanges::default()
        };
        let notices = Notices::new(Wants {
            lists: tools,
            tasks: BTreeSet::from([task("mine")]),
        });
        assert_eq!(notices.take(), None);
        assert!(!notices.lists_changed(ListChanges {
            tools: false,
            ..Wants::all_lists().lists
        }));
        assert!(notices.lists_changed(Wants::all_lists().lists) && notices.lists_changed(tools));
        let how = |n: u8| TaggedNotification::new("notifications/tasks", &json!({"n": n}));
        assert!(!notices.task_changed(&task("other"), &how(1)));
        assert!(notices.task_changed(&task("mine"), &how(1)));
        assert!(notices.task_changed(&task("mine"), &how(2)));
        let news = notices.take().unwrap();
        assert_eq!(news.lists().collect::<Vec<_>>(), [ListKind::Tools]);
        assert_eq!(news.tasks, [how(2)]);
        assert_eq!(notices.take(), None);
    }

    #[test]
    fn a_session_is_told_of_every_list() {
        let notices = Notices::new(Wants::all_lists());
        notices.lists_changed(Wants::all_lists().lists);
        let news = notices.take().unwrap();
        assert_eq!(news.lists().collect::<Vec<_>>(), ListKind::ALL);
        assert_eq!(notices.wanted_tasks().count(), 0);
    }
}
