//! Lua scripts that change and read a task, atomic in the server, with all keys in the owner's slot;
//! see `task_store` for their contents.

use fred::types::scripts::Script;

/// Shared by the scripts. `KEYS` task, its owner's index; `ARGV[1]` id. The answer begins with the
/// outcome: 0 missing, 1 conflict, 2 done, 3 foreign value, 4 exists, 5 too many.
const PRELUDE: &str = r"
local task, index, id = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function store(ttl, endless, state)
  local till = text(now + ttl)
  local before = redis.call('HGET', task, 'revision')
  -- As with sessions: the revisions of a lost time are not given out again.
  local revision = before and math.max(tonumber(before) + 1, time[1] * 1000000 + time[2]) or 1
  redis.call('HSET', task, 'state', state, 'endless', endless, 'revision', text(revision))
  redis.call('PEXPIREAT', task, till)
  redis.call('ZADD', index, till, id)
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', index, text(tonumber(last)))
  return {2, text(revision)}
end
";

/// `ARGV` id, milliseconds to live, endless, state, maximum number of tasks, milliseconds with which a
/// task can be spared. Returns the revision.
const CREATE: &str = r"
if redis.call('EXISTS', task) == 1 then return {4} end
redis.call('ZREMRANGEBYSCORE', index, '-inf', text(now))
local count, most = redis.call('ZCARD', index), tonumber(ARGV[5])
if count > most then return {5} end
if count == most then
  local till = text(now + tonumber(ARGV[6]))
  local spare = redis.call('ZRANGEBYSCORE', index, '-inf', till, 'LIMIT', 0, 1)[1]
  if not spare then return {5} end
  redis.call('ZREM', index, spare)
  -- The key of a task ends with its id.
  redis.call('DEL', string.sub(task, 1, -#id - 1) .. spare)
end
return store(tonumber(ARGV[2]), ARGV[3], ARGV[4])
";

/// `ARGV` id, milliseconds to live, endless, state, expected revision. Returns the revision that is
/// stored now.
const REPLACE: &str = r"
local revision = redis.call('HGET', task, 'revision')
if not revision then return {redis.call('EXISTS', task) * 3} end
if revision ~= ARGV[5] then return {1, revision} end
return store(tonumber(ARGV[2]), ARGV[3], ARGV[4])
";

/// `ARGV` id. Returns the revision, the milliseconds left, endless and the state.
const LOAD: &str = r"
local found = redis.call('HMGET', task, 'revision', 'endless', 'state')
if not (found[1] and found[2] and found[3]) then return {redis.call('EXISTS', task) * 3} end
return {2, found[1], redis.call('PTTL', task), found[2], found[3]}
";

/// The scripts with their digests, computed once.
pub(crate) struct TaskScripts {
    pub(crate) create: Script,
    pub(crate) replace: Script,
    pub(crate) load: Script,
}

impl TaskScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            create: script(CREATE),
            replace: script(REPLACE),
            load: script(LOAD),
        }
    }
}
