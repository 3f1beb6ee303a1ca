use std::time::Instant;

use tokio::sync::mpsc;

use super::*;
use crate::backlog::MAX_QUEUED_JOBS;

const DEADLINE: Duration = Duration::from_secs(10);

/// A writer on its own file with a table `numbers` and a constraint that SQLite checks only at
/// COMMIT.
fn writer(folder: &tempfile::TempDir) -> Writer {
    let connection = Connection::open(folder.path().join("db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA foreign_keys = ON;
             CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
             CREATE TABLE numbers (n INTEGER PRIMARY KEY);
             CREATE TABLE children (
                 n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED
             );",
        )
        .unwrap();
    let lock = File::create(folder.path().join("db.lock")).unwrap();
    let files = DatabaseFiles::look(&folder.path().join("db")).unwrap();
    Writer::start(connection, lock, Arc::new(files)).unwrap()
}

async fn insert(writer: &Writer, n: i64) -> Result<usize, SqliteCallError> {
    let insert = move |c: &Connection| c.execute("INSERT INTO numbers VALUES (?1)", [n]);
    writer.run(Lane::State, DEADLINE, 0, insert).await
}

async fn count(writer: &Writer) -> i64 {
    let count = |c: &Connection| c.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0));
    writer.run(Lane::State, DEADLINE, 0, count).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_takes_no_other_job_of_its_commit_along() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(writer(&folder));
    let tasks: Vec<_> = (0..200)
        .map(|task| {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move { insert(&writer, task / 2).await.is_ok() })
        })
        .collect();
    let mut succeeded = 0;
    for task in tasks {
        succeeded += usize::from(task.await.unwrap());
    }
    assert_eq!(succeeded, 100, "of two equal inserts one fails");
    assert_eq!(count(&writer).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_job_wrote_before_it_failed_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder);
    let failed = writer.run(Lane::State, DEADLINE, 0, |connection| {
        connection.execute("INSERT INTO numbers VALUES (1)", [])?;
        connection.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(matches!(failed.await, Err(SqliteCallError::Statement(_))));
    assert_eq!(count(&writer).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_commit_that_failed_nothing_is_acknowledged_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder);
    insert(&writer, 1).await.unwrap();
    writer.check().unwrap();
    let orphan = |c: &Connection| c.execute("INSERT INTO children VALUES (99)", []);
    let refused = writer.run(Lane::State, DEADLINE, 0, orphan).await;
    assert!(
        matches!(refused, Err(SqliteCallError::Commit(_))),
        "{refused:?}"
    );
    let later = insert(&writer, 2).await;
    assert!(matches!(later, Err(SqliteCallError::Stopped)), "{later:?}");
    assert!(matches!(writer.check(), Err(SqliteCallError::Stopped)));
    tokio::time::timeout(DEADLINE, writer.failed())
        .await
        .expect("its owner learns that it has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_closed_has_not_failed() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder);
    let thread = writer.close().unwrap();
    thread.join().unwrap();
    let mut failed = Box::pin(writer.failed());
    assert!(poll_once(failed.as_mut()).is_none());
    // Its end has been seen by now, and means nothing.
    let again = tokio::time::timeout(Duration::from_millis(20), failed);
    assert!(again.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(writer(&folder));
    let (started, mut has_started) = mpsc::channel(1);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let blocking = tokio::spawn({
        let writer = Arc::clone(&writer);
        async move {
            let block = move |_: &Connection| {
                started.blocking_send(()).ok();
                released.recv().ok();
                Ok(())
            };
            writer
                .run(Lane::State, DEADLINE, MAX_QUEUED_STATE_BYTES - 10, block)
                .await
        }
    });
    has_started.recv().await.unwrap();
    let too_much = writer.run(Lane::State, DEADLINE, 11, |_| Ok(())).await;
    assert!(
        matches!(too_much, Err(SqliteCallError::QueueFull)),
        "{too_much:?}"
    );
    let mut waiting = Vec::new();
    for _ in 0..MAX_QUEUED_JOBS {
        let mut job = Box::pin(insert(&writer, 1));
        assert!(poll_once(job.as_mut()).is_none());
        waiting.push(job);
    }
    let refused = insert(&writer, 2).await;
    assert!(
        matches!(refused, Err(SqliteCallError::QueueFull)),
        "{refused:?}"
    );
    drop(waiting);
    release.send(()).unwrap();
    blocking.await.unwrap().unwrap();
    // Callers that gave up while waiting make room, and have written nothing.
    let deadline = Instant::now() + DEADLINE;
    while writer
        .run(Lane::State, DEADLINE, 0, |_| Ok(()))
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the queue stays full");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(count(&writer).await, 0);
    assert_eq!(
        writer.queued_bytes.load(Ordering::Relaxed),
        0,
        "the reservation is released"
    );
}

/// The order in which jobs did their work.
type WorkOrder = Arc<Mutex<Vec<&'static str>>>;

fn note<T: Default>(
    order: &WorkOrder,
    name: &'static str,
) -> impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static {
    let order = Arc::clone(order);
    move |_| {
        order.lock().push(name);
        Ok(T::default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_log_does_not_wait_for_the_state_of_clients() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(writer(&folder));
    let order = WorkOrder::default();
    let (release, released) = std::sync::mpsc::channel::<()>();
    // Longer than the state of clients may take while an entry waits.
    let long = move |_: &Connection| {
        released.recv().ok();
        thread::sleep(STATE_WORK * 2);
        Ok(())
    };
    let mut first = Box::pin(writer.run(Lane::State, DEADLINE, 0, long));
    let mut state = Box::pin(writer.run(Lane::State, DEADLINE, 0, note::<()>(&order, "state")));
    assert!(poll_once(first.as_mut()).is_none());
    assert!(poll_once(state.as_mut()).is_none());
    let mut log = Box::pin(writer.run(Lane::Log, DEADLINE, 0, note::<()>(&order, "log")));
    assert!(poll_once(log.as_mut()).is_none());
    release.send(()).unwrap();
    let (first, state, log) = tokio::join!(first, state, log);
    assert!(first.is_ok() && state.is_ok() && log.is_ok());
    assert_eq!(*order.lock(), ["log", "state"]);
}

/// Polls the future once.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// Otherwise a write-ahead log that SQLite itself cut would end the process.
#[test]
fn sqlite_cuts_the_write_ahead_log_to_the_length_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let (writer, _) = crate::schema::open_writer(&path).unwrap();
    let limit = writer.query_row("PRAGMA journal_size_limit", [], |row| row.get::<_, i64>(0));
    assert_eq!(limit, Ok(crate::files::WAL_KEPT_BYTES.cast_signed()));
}

/// An append that notes each of its calls.
fn noted_append(
    order: &WorkOrder,
    name: &'static str,
    number: i64,
) -> impl Fn(&Connection) -> rusqlite::Result<usize> + Send + 'static {
    let order = Arc::clone(order);
    move |connection| {
        order.lock().push(name);
        connection.execute("INSERT INTO numbers VALUES (?1)", [number])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_one_commit_are_written_together_and_apart_where_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder);
    let order = WorkOrder::default();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, mut has_started) = mpsc::channel(1);
    let block = move |_: &Connection| {
        started.blocking_send(()).ok();
        released.recv().ok();
        Ok(())
    };
    let append =
        |name, number| Box::pin(writer.append(DEADLINE, 0, noted_append(&order, name, number)));
    let mut blocking = Box::pin(writer.run(Lane::State, DEADLINE, 0, block));
    let (mut first, mut again, mut last) = (append("1", 1), append("1 again", 1), append("2", 2));
    assert!(poll_once(blocking.as_mut()).is_none());
    has_started.recv().await.unwrap();
    for waiting in [&mut first, &mut again, &mut last] {
        assert!(poll_once(waiting.as_mut()).is_none());
    }
    release.send(()).unwrap();
    let (first, again, last) = tokio::join!(first, again, last);
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(
        matches!(again, Err(SqliteCallError::Statement(_))),
        "{again:?}"
    );
    blocking.await.unwrap();
    let together = ["1", "1 again"];
    let apart = ["1", "1 again", "2"];
    assert_eq!(*order.lock(), [&together[..], &apart].concat());
    assert_eq!(count(&writer).await, 2);
}
