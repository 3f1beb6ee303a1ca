//! A stream tells each state of a task once, and holds one state at a time.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
};

use access::SharedPlaces;
use mcp::task::{Task, changed};
use parking_lot::Mutex;

use super::*;

/// Tasks whose states the test sets.
#[derive(Debug)]
struct SetTasks {
    states: Mutex<BTreeMap<TaskId, (Task, Option<usize>)>>,
    reads: AtomicUsize,
    places: Arc<SharedPlaces>,
}

impl SetTasks {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            states: Mutex::default(),
            reads: AtomicUsize::new(0),
            places: SharedPlaces::new(64),
        })
    }

    /// A task in progress, or one that has ended with a result of so many bytes.
    fn set(&self, name: &str, result_bytes: Option<usize>) {
        let id = task(name);
        let new = Task::new(id.clone(), Timestamp::default(), None, None);
        self.states.lock().insert(id, (new, result_bytes));
    }
}

impl TaskSource for SetTasks {
    fn read(
        &self,
        reader: Arc<Principal>,
        task: TaskId,
        told: Option<ToldTask>,
    ) -> BoxFuture<'static, TaskReading> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (mut state, result_bytes) = self.states.lock()[&task].clone();
        if let Some(bytes) = result_bytes {
            let result = "x".repeat(bytes);
            state.complete(&result, Timestamp::default()).unwrap();
        }
        let message = changed(&state);
        let created_at = state.created_at();
        let is_told = told == Some(ToldTask::of(created_at, &message));
        let read = match is_told {
            true => TaskReading::Told,
            false => TaskReading::New(TaskNotice {
                message,
                created_at,
                is_over: result_bytes.is_some(),
                place: Some(self.places.take(&reader.id).unwrap()),
            }),
        };
        Box::pin(std::future::ready(read))
    }
}

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn follower(source: &Arc<SetTasks>, tasks: &[TaskId]) -> TaskFollower {
    let source: Arc<dyn TaskSource> = Arc::<SetTasks>::clone(source);
    let mut follower = TaskFollower::new(source, Arc::new(Principal::anonymous()));
    follower.add(tasks.iter().cloned().collect());
    follower
}

/// The names of the tasks that a stream tells until there is nothing new.
fn told(follower: &mut TaskFollower) -> Vec<String> {
    let mut cx = Context::from_waker(Waker::noop());
    let told = std::iter::from_fn(|| {
        follower.record_sent();
        follower.poll(&mut cx)
    });
    told.map(|(task, _)| task.to_string()).collect()
}

#[test]
fn a_state_is_told_once_and_another_one_again() {
    let source = SetTasks::new();
    source.set("a", None);
    source.set("b", Some(1));
    let both = [task("a"), task("b")];
    let mut stream = follower(&source, &both);
    assert_eq!(told(&mut stream), ["a", "b"]);
    for _ in 0..3 {
        stream.add([task("a")].into());
        assert_eq!(told(&mut stream), [""; 0], "it stands as it stood");
    }
    source.set("a", Some(1));
    stream.add([task("a")].into());
    assert_eq!(told(&mut stream), ["a"]);
    stream.add(both.iter().cloned().collect());
    assert_eq!(told(&mut stream), [""; 0], "a late hint of its end");
    assert_eq!(
        told(&mut follower(&source, &both)),
        ["a", "b"],
        "a new stream"
    );
}

/// 256 tasks of a megabyte each: a client that does not read has one of them on its way.
#[test]
fn a_client_that_does_not_read_holds_one_state() {
    let source = SetTasks::new();
    let tasks: Vec<_> = (0..256).map(|n| format!("t{n}")).collect();
    for name in &tasks {
        source.set(name, Some(1 << 20));
    }
    let ids: Vec<_> = tasks.iter().map(|name| task(name)).collect();
    let mut stream = follower(&source, &ids);
    let mut cx = Context::from_waker(Waker::noop());
    let (_, first) = stream.poll(&mut cx).unwrap();
    assert!(first.message.frame_head().len() > 1 << 20);
    drop(first);
    // The driver polls again when the socket has taken the first.
    assert_eq!(source.reads.load(Ordering::Relaxed), 1);
    assert!(stream.place.is_some(), "held until then");
    stream.record_sent();
    assert!(stream.place.is_none());
    assert!(stream.poll(&mut cx).is_some());
    assert_eq!(source.reads.load(Ordering::Relaxed), 2);
}
