//! How many sessions there are: what changes the index (see `index` for what it holds).

use std::time::Duration;

use fred::types::{Value, scripts::Script};
use futures_util::{StreamExt, TryStreamExt, stream};
use ports::{SessionLimits, SessionStoreError};
use tracing::debug;

use crate::{RedisSessionStore, config::PIPELINED, index::Entry, store::millis};

/// How long a create may be under way, many times over: after that its entry is looked at.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// What the scripts share: `KEYS` due, ids, owners.
const PRELUDE: &str = r"
local due, ids, owners = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function score_of(entry) return tonumber(redis.call('ZSCORE', due, entry) or nil) end
local function owner_of(entry) return string.match(entry, ' (.*)$') end
local function look_at(most) return redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, most) end
local function remove(entry)
  if redis.call('ZREM', due, entry) == 0 then return end
  redis.call('ZREM', ids, entry)
  local owner = owner_of(entry)
  if redis.call('HINCRBY', owners, owner, -1) <= 0 then redis.call('HDEL', owners, owner) end
end
";

/// `ARGV` entry, milliseconds until it is looked at, most sessions, most of an owner. Answers 0 if
/// there is room, now taken; 1 (all together) or 2 (the owner) if not, with what `DUE` answers.
const TAKE: &str = r"
local entry = ARGV[1]
local score = score_of(entry)
if score and score > now then return {0} end
if not score then
  local owner, full = owner_of(entry), 0
  if redis.call('ZCARD', due) >= tonumber(ARGV[3]) then full = 1
  elseif tonumber(redis.call('HGET', owners, owner) or '0') >= tonumber(ARGV[4]) then full = 2 end
  if full > 0 then return {full, text(now), unpack(look_at(256))} end
  redis.call('HINCRBY', owners, owner, 1)
  redis.call('ZADD', ids, 0, entry)
end
redis.call('ZADD', due, text(now + tonumber(ARGV[2])), entry)
return {0}
";

/// Answers 0, the time, and some entries whose time is over.
const DUE: &str = r"
return {0, text(now), unpack(look_at(64))}
";

/// `ARGV` entries, each with the time when it is due, or nothing if its session is gone. Entries that
/// are not due stay as they are.
const SETTLE: &str = r"
for n = 1, #ARGV, 2 do
  local score = score_of(ARGV[n])
  if score and score <= now then
    if ARGV[n + 1] == '' then remove(ARGV[n]) else redis.call('ZADD', due, ARGV[n + 1], ARGV[n]) end
  end
end
return {0}
";

/// `ARGV` entry, whose session has ended.
const GIVE_BACK: &str = r"
remove(ARGV[1])
return {0}
";

/// `ARGV` entry, milliseconds that its session has left, which are less than before.
const HASTEN: &str = r"
local score, till = score_of(ARGV[1]), now + tonumber(ARGV[2])
if score and score > till then redis.call('ZADD', due, text(till), ARGV[1]) end
return {0}
";

/// `KEYS` a session. Answers the milliseconds that it has left; 0 if it does not live. One that never
/// expires is not as we left it, and is looked at again later.
const LEFT: &str = r"
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left == -1 then return 60000 end
return math.max(left, 1)
";

/// The scripts with their digests, computed once.
pub(crate) struct BoundScripts {
    take: Script,
    due: Script,
    settle: Script,
    give_back: Script,
    hasten: Script,
    left: Script,
}

impl BoundScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            take: script(TAKE),
            due: script(DUE),
            settle: script(SETTLE),
            give_back: script(GIVE_BACK),
            hasten: script(HASTEN),
            left: Script::from_lua(LEFT),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the index of sessions has an answer that is not ours")]
struct NotOurs;

/// What a script answers.
struct Answer {
    outcome: u64,
    /// The server's time, in milliseconds, with what may have gone by then.
    now: u64,
    due: Vec<Entry>,
}

impl Answer {
    fn read(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter();
        let outcome = values.next()?.as_u64()?;
        let now = values.next().map_or(Some(0), |now| now.as_u64())?;
        let due = values.filter_map(|entry| entry.into_string().map(Entry::read));
        Some(Self {
            outcome,
            now,
            due: due.collect(),
        })
    }
}

impl RedisSessionStore {
    async fn on_index(
        &self,
        op: &'static str,
        script: &Script,
        arguments: Vec<String>,
    ) -> Result<Answer, SessionStoreError> {
        let arguments = arguments.into_iter().map(Value::from).collect();
        let call =
            self.run::<Vec<Value>, SessionStoreError>(op, script, self.index.keys(), arguments);
        Answer::read(call.await?).ok_or_else(|| SessionStoreError::Corrupt {
            source: NotOurs.into(),
        })
    }

    /// Takes room for a session that is to be stored. At a bound it looks first at all that may have
    /// gone; each look takes entries away or puts them off, so it comes to an end.
    pub(crate) async fn take_room(
        &self,
        op: &'static str,
        entry: &Entry,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<(), SessionStoreError> {
        loop {
            let arguments = vec![
                entry.clone().into_text(),
                millis(ttl.min(SETTLED_AFTER)),
                limits.max_sessions.to_string(),
                limits.max_sessions_per_owner.to_string(),
            ];
            let script = &self.bound_scripts.take;
            let answer = self.on_index(op, script, arguments).await?;
            match answer.outcome {
                0 => return Ok(()),
                1 if answer.due.is_empty() => return Err(SessionStoreError::too_many()),
                _ if answer.due.is_empty() => return Err(SessionStoreError::too_many_of_owner()),
                _ => self.look(op, answer).await?,
            }
        }
    }

    /// Now and then looks at entries whose time is over, so that most that is gone does not stay in
    /// the index, however many sessions come and expire.
    pub(crate) async fn sweep(&self, op: &'static str) {
        if !self.index.is_time_to_sweep() {
            return;
        }
        let sweeping = async {
            let script = &self.bound_scripts.due;
            let answer = self.on_index(op, script, Vec::new()).await?;
            self.look(op, answer).await
        };
        later(sweeping.await);
    }

    /// Looks at the sessions of entries, and settles these.
    async fn look(&self, op: &'static str, answer: Answer) -> Result<(), SessionStoreError> {
        let mut looks = Vec::with_capacity(answer.due.len());
        for entry in &answer.due {
            let keys = vec![self.index.session_key(entry.id())];
            let script = &self.bound_scripts.left;
            looks.push(self.run::<u64, SessionStoreError>(op, script, keys, Vec::new()));
        }
        let left: Vec<u64> = stream::iter(looks)
            .buffered(PIPELINED)
            .try_collect()
            .await?;
        let due_at = left.into_iter().map(|left| match left {
            0 => None,
            left => Some(answer.now + left),
        });
        self.settle(op, answer.due.into_iter().zip(due_at).collect())
            .await
    }

    /// Removes entries that are due without a time, and puts the others off.
    pub(crate) async fn settle(
        &self,
        op: &'static str,
        entries: Vec<(Entry, Option<u64>)>,
    ) -> Result<(), SessionStoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let arguments = entries.into_iter().flat_map(|(entry, due_at)| {
            let due_at = due_at.map(|at| at.to_string()).unwrap_or_default();
            [entry.into_text(), due_at]
        });
        let script = &self.bound_scripts.settle;
        self.on_index(op, script, arguments.collect())
            .await
            .map(drop)
    }

    /// A session has ended, and counts no more.
    pub(crate) async fn give_back(&self, op: &'static str, entry: Entry) {
        let script = &self.bound_scripts.give_back;
        let arguments = vec![entry.into_text()];
        later(self.on_index(op, script, arguments).await.map(drop));
    }

    /// A session has less time left than it had.
    pub(crate) async fn hasten(&self, op: &'static str, entry: Entry, ttl: Duration) {
        let script = &self.bound_scripts.hasten;
        let arguments = vec![entry.into_text(), millis(ttl)];
        later(self.on_index(op, script, arguments).await.map(drop));
    }
}

/// What counts has been done: the index learns the rest when the entry's time is over.
fn later(outcome: Result<(), SessionStoreError>) {
    if let Err(error) = outcome {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        debug!(%error, source, "the index of sessions is put right later");
    }
}
