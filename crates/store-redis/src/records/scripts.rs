//! Lua scripts that change a record, atomic in the server. `KEYS[1]` is the record.
//!
//! A living record is a hash with `revision`, `owner`, `state`, `till` (its end in ms) and, if it weighs more than
//! one, `steps`; an ended one has only `ended`, for the rest of its time to live. Expiry removes either. A record
//! is therefore living exactly if its hash has `revision`.
//!
//! A revision is the server's time in microseconds, or one more than the last revision if the time has not
//! advanced: after a failover that loses the last writes, the revisions of the lost time are not given out again.

use fred::types::scripts::Script;

const PRELUDE: &str = r"
local record = KEYS[1]
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local function live(ttl)
  redis.call('PEXPIRE', record, ttl)
  redis.call('HSET', record, 'till', text(math.floor(micros / 1000) + tonumber(ttl)))
end
-- Returns the owner, for the update of the index, if the record has less time left than before.
local function restart(ttl)
  local left = redis.call('PTTL', record)
  live(ttl)
  return tonumber(ttl) < left and redis.call('HGET', record, 'owner') or ''
end
local function put(state, steps, revision)
  redis.call('HSET', record, 'state', state, 'revision', text(revision))
  if steps == '1' then redis.call('HDEL', record, 'steps') else redis.call('HSET', record, 'steps', steps) end
end
";

/// `ARGV` state, milliseconds to live, owner, steps. Returns 0 if the record has ended; 1 and the fields of `LOAD`
/// if it is there; 2 and the revision if it was stored.
const CREATE: &str = r"
if redis.call('EXISTS', record) == 1 then
  local found = redis.call('HMGET', record, 'revision', 'owner', 'state', 'till')
  if redis.call('HEXISTS', record, 'ended') == 1 then return {0} end
  return {1, unpack(found)}
end
local till = text(math.floor(micros / 1000) + tonumber(ARGV[2]))
local fields = {'state', ARGV[1], 'revision', text(micros), 'owner', ARGV[3], 'till', till}
if ARGV[4] ~= '1' then fields[9], fields[10] = 'steps', ARGV[4] end
redis.call('HSET', record, unpack(fields))
redis.call('PEXPIRE', record, ARGV[2])
return {2, text(micros)}
";

/// `ARGV` expected revision, state, milliseconds to live (or empty: unchanged), steps, the most steps for which
/// there is room. Returns 0 missing; 1 conflict, the revision, owner and steps that are stored; 2 replaced, the
/// new revision, the owner, the steps before, and the result of `restart`; 3 if the steps have to be taken first,
/// with revision, owner and steps.
const REPLACE: &str = r"
local found = redis.call('HMGET', record, 'revision', 'owner', 'steps')
local revision, owner, before = found[1], found[2] or '', found[3] or '1'
if not revision then return {0} end
if revision ~= ARGV[1] then return {1, revision, owner, before} end
if tonumber(ARGV[4]) > math.max(tonumber(before), tonumber(ARGV[5])) then return {3, revision, owner, before} end
local next = math.max(tonumber(revision) + 1, micros)
put(ARGV[2], ARGV[4], next)
local shortened = ARGV[3] ~= '' and restart(ARGV[3]) or ''
return {2, text(next), owner, before, shortened}
";

/// `ARGV` milliseconds to live. Returns whether the record is living, and the result of `restart`.
const TOUCH: &str = r"
if redis.call('HEXISTS', record, 'revision') == 0 then return {0, ''} end
return {1, restart(ARGV[1])}
";

/// Returns 1 if the record was living, and its owner. The time to live stays, because it belongs to the key. A
/// value of another program ends as well.
const END: &str = r"
local left, kind = redis.call('PTTL', record), redis.call('TYPE', record).ok
if kind == 'none' then return {0, ''} end
if kind ~= 'hash' then
  redis.call('UNLINK', record)
  redis.call('HSET', record, 'ended', '1')
  redis.call('PEXPIRE', record, left > 0 and left or 60000)
  return {1, ''}
end
if redis.call('HEXISTS', record, 'ended') == 1 then return {0, ''} end
local owner = redis.call('HGET', record, 'owner') or ''
-- First: a server without memory refuses only the first change of a script, and this one needs none.
redis.call('HDEL', record, 'revision', 'state', 'owner', 'till', 'steps')
redis.call('HSET', record, 'ended', '1')
redis.call('PEXPIRE', record, left > 0 and left or 60000)
return {1, owner}
";

/// Removes a living record with at most `ARGV` milliseconds left, as if it had expired. Returns 1 if it has more.
const SPARE: &str = r"
if redis.call('HEXISTS', record, 'revision') == 0 then return 0 end
if redis.call('PTTL', record) > tonumber(ARGV[1]) then return 1 end
redis.call('UNLINK', record)
return 0
";

/// The server's time in milliseconds. On a cluster each node has its own; the keys, which are not
/// used, choose the same one for every caller.
const TIME: &str = r"
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
";

/// The scripts with their digests, computed once.
pub(crate) struct RecordScripts {
    pub(super) create: Script,
    pub(super) replace: Script,
    pub(super) touch: Script,
    pub(super) end: Script,
    pub(super) spare: Script,
    pub(super) time: Script,
}

impl RecordScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            create: script(CREATE),
            replace: script(REPLACE),
            touch: script(TOUCH),
            end: script(END),
            spare: script(SPARE),
            time: Script::from_lua(TIME),
        }
    }
}
