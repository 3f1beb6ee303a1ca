//! The database file: the settings of a connection, the tables, and the schema version.

use std::path::Path;

use model::{Epoch, IdSource, RandomIds};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::DatabaseOpenError;

/// `PRAGMA application_id`: "FWIR", which distinguishes Forgewire's files from those of other
/// programs.
const APPLICATION_ID: i64 = 0x4657_4952;

/// `watermark` is the highest `received_at` up to and including the row, so an index finds the first
/// event received at or after a time, although the receive times themselves may jump. It decreases
/// along the sequence only after an event whose receive time was in the future. `AUTOINCREMENT` keeps sequences rising after all rows have
/// been trimmed.
const EVENTS_AND_SESSIONS: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        received_at INTEGER NOT NULL,
        watermark INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX events_by_watermark ON events (watermark);
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        body BLOB -- NULL: the session has ended
    );
    CREATE INDEX sessions_by_expiry ON sessions (expires_at);
    INSERT INTO meta (key, value) VALUES ('trimmed_through', 0);
";

/// A mailbox row is created with its session's first stream and deleted with its session's row, or
/// earlier when the session ends. `last_fence` is counted over all locks, so that rows of released
/// locks can be deleted.
const MAILBOXES_AND_LOCKS: &str = "
    CREATE TABLE mailboxes (
        session TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
        last INTEGER NOT NULL DEFAULT 0,
        forgotten_through INTEGER NOT NULL DEFAULT 0, -- streams that ended up to here may be forgotten
        messages INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE mailbox_streams (
        session TEXT NOT NULL REFERENCES mailboxes (session) ON DELETE CASCADE,
        stream TEXT NOT NULL,
        opened INTEGER NOT NULL,
        last INTEGER NOT NULL,
        lost_through INTEGER NOT NULL, -- its last message that was removed
        closed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (session, stream)
    ) WITHOUT ROWID;
    CREATE INDEX mailbox_streams_to_forget ON mailbox_streams (session, closed DESC, last);
    CREATE TABLE mailbox_messages (
        session TEXT NOT NULL REFERENCES mailboxes (session) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        stream TEXT NOT NULL,
        appended_at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (session, sequence)
    );
    CREATE INDEX mailbox_messages_by_stream ON mailbox_messages (session, stream, sequence);
    CREATE TABLE locks (
        name TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX locks_by_expiry ON locks (expires_at);
    INSERT INTO meta (key, value) VALUES ('last_fence', 0);
";

/// `tasks_by_owner` counts the living tasks of an owner without reading their states.
const TASKS: &str = "
    CREATE TABLE tasks (
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        endless INTEGER NOT NULL, -- no expiry requested: expires_at is only the store's own bound
        state BLOB NOT NULL,
        PRIMARY KEY (owner, id)
    );
    CREATE INDEX tasks_by_owner ON tasks (owner, expires_at);
    CREATE INDEX tasks_by_expiry ON tasks (expires_at);
";

/// `living_sessions` and `session_owners` count the sessions that have a body, including expired
/// ones that have not been swept yet, so that a create need not count a million rows. They are
/// maintained by triggers, so that no statement can forget to update them. Rows whose owner cannot
/// be read count only towards the total.
const SESSION_BOUNDS: &str = "
    ALTER TABLE sessions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    UPDATE sessions SET owner = coalesce(json_extract(CAST(body AS TEXT), '$.owner'), '')
        WHERE body IS NOT NULL AND json_valid(CAST(body AS TEXT));
    CREATE INDEX living_sessions_by_expiry ON sessions (expires_at) WHERE body IS NOT NULL;
    CREATE INDEX living_sessions_by_owner ON sessions (owner, expires_at) WHERE body IS NOT NULL;
    CREATE TABLE session_owners (
        owner TEXT PRIMARY KEY,
        sessions INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO session_owners
        SELECT owner, count(*) FROM sessions WHERE body IS NOT NULL GROUP BY owner;
    INSERT INTO meta (key, value)
        SELECT 'living_sessions', count(*) FROM sessions WHERE body IS NOT NULL;
    CREATE TRIGGER session_comes AFTER INSERT ON sessions WHEN NEW.body IS NOT NULL BEGIN
        UPDATE meta SET value = value + 1 WHERE key = 'living_sessions';
        INSERT INTO session_owners VALUES (NEW.owner, 1)
            ON CONFLICT (owner) DO UPDATE SET sessions = sessions + 1;
    END;
    CREATE TRIGGER session_goes AFTER DELETE ON sessions WHEN OLD.body IS NOT NULL BEGIN
        UPDATE meta SET value = value - 1 WHERE key = 'living_sessions';
        UPDATE session_owners SET sessions = sessions - 1 WHERE owner = OLD.owner;
        DELETE FROM session_owners WHERE owner = OLD.owner AND sessions <= 0;
    END;
    CREATE TRIGGER session_leaves AFTER UPDATE OF body, owner ON sessions
    WHEN OLD.body IS NOT NULL AND (NEW.body IS NULL OR NEW.owner <> OLD.owner) BEGIN
        UPDATE meta SET value = value - 1 WHERE key = 'living_sessions';
        UPDATE session_owners SET sessions = sessions - 1 WHERE owner = OLD.owner;
        DELETE FROM session_owners WHERE owner = OLD.owner AND sessions <= 0;
    END;
    CREATE TRIGGER session_enters AFTER UPDATE OF body, owner ON sessions
    WHEN NEW.body IS NOT NULL AND (OLD.body IS NULL OR NEW.owner <> OLD.owner) BEGIN
        UPDATE meta SET value = value + 1 WHERE key = 'living_sessions';
        INSERT INTO session_owners VALUES (NEW.owner, 1)
            ON CONFLICT (owner) DO UPDATE SET sessions = sessions + 1;
    END;
";

/// `counted` is what a mailbox weighs in the account of its owner, 0 while it does not count; `counted_at` is
/// the time of its last append that counted. Mailboxes of earlier versions count from their next append on.
const MAIL_ACCOUNTS: &str = "
    ALTER TABLE mailboxes ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE mailboxes ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE mailboxes ADD COLUMN counted_at INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX counted_mailboxes ON mailboxes (owner, counted_at, counted) WHERE counted > 0;
";

/// Tasks are kept as records. No released build has written any.
const TASKS_ARE_RECORDS: &str = "
    DROP TABLE tasks;
";

/// `state` is null once a record has ended. `record_accounts` counts the records that have a state, and their
/// weight in steps, for each owner and, under the empty name, for each collection: expired ones too that have not
/// been swept yet. Triggers maintain it, so that no statement can forget to.
const RECORDS: &str = "
    CREATE TABLE records (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        owner TEXT NOT NULL,
        revision INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        state BLOB,
        PRIMARY KEY (collection, id)
    );
    CREATE INDEX records_by_expiry ON records (collection, expires_at);
    CREATE INDEX records_by_owners_expiry ON records (collection, owner, expires_at)
        WHERE state IS NOT NULL;
    CREATE INDEX records_by_owner ON records (collection, owner, id) WHERE state IS NOT NULL;
    CREATE TABLE record_accounts (
        collection TEXT NOT NULL,
        owner TEXT NOT NULL,
        records INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        PRIMARY KEY (collection, owner)
    ) WITHOUT ROWID;
    CREATE TRIGGER record_comes AFTER INSERT ON records WHEN NEW.state IS NOT NULL BEGIN
        INSERT INTO record_accounts VALUES (NEW.collection, NEW.owner, 1, NEW.steps),
            (NEW.collection, '', 1, NEW.steps)
            ON CONFLICT (collection, owner) DO UPDATE
            SET records = records + 1, steps = steps + excluded.steps;
    END;
    CREATE TRIGGER record_goes AFTER DELETE ON records WHEN OLD.state IS NOT NULL BEGIN
        UPDATE record_accounts SET records = records - 1, steps = steps - OLD.steps
            WHERE collection = OLD.collection AND owner IN (OLD.owner, '');
        DELETE FROM record_accounts
            WHERE collection = OLD.collection AND owner = OLD.owner AND records <= 0;
    END;
    CREATE TRIGGER record_leaves AFTER UPDATE OF state, owner, steps ON records
    WHEN OLD.state IS NOT NULL
        AND (NEW.state IS NULL OR NEW.owner <> OLD.owner OR NEW.steps <> OLD.steps) BEGIN
        UPDATE record_accounts SET records = records - 1, steps = steps - OLD.steps
            WHERE collection = OLD.collection AND owner IN (OLD.owner, '');
        DELETE FROM record_accounts
            WHERE collection = OLD.collection AND owner = OLD.owner AND records <= 0;
    END;
    CREATE TRIGGER record_enters AFTER UPDATE OF state, owner, steps ON records
    WHEN NEW.state IS NOT NULL
        AND (OLD.state IS NULL OR NEW.owner <> OLD.owner OR NEW.steps <> OLD.steps) BEGIN
        INSERT INTO record_accounts VALUES (NEW.collection, NEW.owner, 1, NEW.steps),
            (NEW.collection, '', 1, NEW.steps)
            ON CONFLICT (collection, owner) DO UPDATE
            SET records = records + 1, steps = steps + excluded.steps;
    END;
";

/// A mailbox lives until `expires_at`, whatever becomes of its session; `began` is the sequence of its opening. Mailboxes
/// of earlier versions are dropped: no released build has written any. `mailboxes_through` is the highest sequence
/// of a mailbox that was deleted: a later one under the same name begins after it.
const MAILBOXES_LIVE_BY_THEMSELVES: &str = "
    DROP TABLE mailbox_messages;
    DROP TABLE mailbox_streams;
    DROP TABLE mailboxes;
    CREATE TABLE mailboxes (
        session TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        began INTEGER NOT NULL,
        last INTEGER NOT NULL,
        forgotten_through INTEGER NOT NULL DEFAULT 0, -- streams that ended up to here may be forgotten
        messages INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        counted INTEGER NOT NULL DEFAULT 0, -- in the account of the owner; 0 while it does not count
        counted_at INTEGER NOT NULL DEFAULT 0 -- the time of its last append that counted
    ) WITHOUT ROWID;
    CREATE INDEX mailboxes_by_expiry ON mailboxes (expires_at);
    CREATE INDEX counted_mailboxes ON mailboxes (owner, counted_at, counted, expires_at)
        WHERE counted > 0;
    CREATE TABLE mailbox_streams (
        session TEXT NOT NULL REFERENCES mailboxes (session) ON DELETE CASCADE,
        stream TEXT NOT NULL,
        opened INTEGER NOT NULL,
        last INTEGER NOT NULL,
        lost_through INTEGER NOT NULL, -- its last message that was removed
        closed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (session, stream)
    ) WITHOUT ROWID;
    CREATE INDEX mailbox_streams_to_forget ON mailbox_streams (session, closed DESC, last);
    CREATE TABLE mailbox_messages (
        session TEXT NOT NULL REFERENCES mailboxes (session) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        stream TEXT NOT NULL,
        appended_at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (session, sequence)
    );
    CREATE INDEX mailbox_messages_by_stream ON mailbox_messages (session, stream, sequence);
    INSERT INTO meta (key, value) VALUES ('mailboxes_through', 0);
    CREATE TRIGGER mailbox_goes AFTER DELETE ON mailboxes BEGIN
        UPDATE meta SET value = OLD.last WHERE key = 'mailboxes_through' AND value < OLD.last;
    END;
";

/// Sessions are kept as records. No released build has written any.
const SESSIONS_ARE_RECORDS: &str = "
    DROP TABLE sessions;
    DROP TABLE session_owners;
    DELETE FROM meta WHERE key = 'living_sessions';
";

/// The migrations: step n leads from version n to version n + 1. A step is never changed once it
/// was released.
const STEPS: [&str; 9] = [
    EVENTS_AND_SESSIONS,
    MAILBOXES_AND_LOCKS,
    TASKS,
    SESSION_BOUNDS,
    MAIL_ACCOUNTS,
    RECORDS,
    TASKS_ARE_RECORDS,
    MAILBOXES_LIVE_BY_THEMSELVES,
    SESSIONS_ARE_RECORDS,
];
/// `PRAGMA user_version` of the newest schema that this build knows.
const SCHEMA_VERSION: i64 = 9;
/// Number of prepared statements that a connection caches: enough for all statements of this crate.
const PREPARED_STATEMENTS: usize = 96;

/// Bytes of a page of a new file; one that exists keeps its own. An event of 25 KB takes 4 pages of this size and 7 of SQLite's
/// default, each of which is written twice, with a call of the system for itself and one for its head. Larger ones would
/// make the many small writes of sessions longer.
const PAGE_BYTES: u32 = 8192;

/// Settings of every connection. `FULL` syncs the write-ahead log at each commit, so an
/// acknowledged write is on the disk. The writer runs checkpoints itself, because an automatic
/// checkpoint hides its errors.
///
/// The cache is small, since the system caches the file too, and each connection fills whatever it may have and keeps it: an
/// append to one of 10,000 mailboxes takes 94 µs with 16 MB, and 102 with 2. A commit has up to 2000 pages (16 MB) in memory all the
/// same: pages that leave it early, and are changed once more, are read and written again at its end.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA busy_timeout = 2000;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -2000;
    PRAGMA cache_spill = 2000;
    PRAGMA journal_size_limit = 67108864;
";

fn failed(op: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> DatabaseOpenError {
    move |source| DatabaseOpenError::Sqlite {
        op,
        path: path.to_owned(),
        source,
    }
}

/// Opens the file for writing, creates missing tables, and returns the log's epoch.
pub(crate) fn open_writer(path: &Path) -> Result<(Connection, Epoch), DatabaseOpenError> {
    let mut connection = Connection::open(path).map_err(failed("open", path))?;
    connection
        .execute_batch(SETTINGS)
        .map_err(failed("set up", path))?;
    // Check before changing anything: the file of another program must stay as it is.
    let version = version(&connection, path)?;
    if version == 0 {
        connection
            .pragma_update(None, "page_size", PAGE_BYTES)
            .map_err(failed("set up", path))?;
    }
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(failed("set up", path))?;
    if mode != "wal" {
        return Err(DatabaseOpenError::NoWriteAheadLog {
            path: path.to_owned(),
        });
    }
    migrate(&mut connection, version).map_err(failed("create the tables of", path))?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    let epoch = connection.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| {
        row.get(0).map(i64::cast_unsigned).map(Epoch)
    });
    Ok((connection, epoch.map_err(failed("read", path))?))
}

/// Opens the file for reading; it has been opened for writing before.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, DatabaseOpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
    connection
        .execute_batch(SETTINGS)
        .map_err(failed("set up", path))?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}

fn number(connection: &Connection, sql: &str, path: &Path) -> Result<i64, DatabaseOpenError> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(failed("read", path))
}

/// The schema's version; 0 for a new file.
fn version(connection: &Connection, path: &Path) -> Result<i64, DatabaseOpenError> {
    let found = number(connection, "PRAGMA user_version", path)?;
    let application = number(connection, "PRAGMA application_id", path)?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema", path)?;
    let path = path.to_owned();
    match (application, found) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, 1..=SCHEMA_VERSION) => Ok(found),
        (APPLICATION_ID, _) => Err(DatabaseOpenError::Newer {
            path,
            found,
            known: SCHEMA_VERSION,
        }),
        _ => Err(DatabaseOpenError::Foreign { path }),
    }
}

/// Applies all steps after a version, or none of them.
fn migrate(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or_default();
    if done == STEPS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &STEPS[done..] {
        transaction.execute_batch(step)?;
    }
    if done == 0 {
        let epoch = RandomIds.random_u64().cast_signed();
        transaction.execute(
            "INSERT INTO meta (key, value) VALUES ('epoch', ?1)",
            params![epoch],
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}
