//! Lua scripts that change the index of sessions, atomic in the server (see `index` for its contents).

use fred::types::scripts::Script;

/// Shared by the scripts. `KEYS` due, ids, owners.
const PRELUDE: &str = r"
local due, ids, owners = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function score_of(entry) return tonumber(redis.call('ZSCORE', due, entry) or nil) end
local function owner_of(entry) return string.match(entry, ' (.*)$') or '' end
local function due_entries(most) return redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, most) end
local function remove(entry)
  if redis.call('ZREM', due, entry) == 0 then return end
  redis.call('ZREM', ids, entry)
  local owner = owner_of(entry)
  if redis.call('HINCRBY', owners, owner, -1) <= 0 then redis.call('HDEL', owners, owner) end
end
";

/// Makes the index whole again after a server removed one of its keys, which one that evicts does: what one
/// of the sorted sets has lost is taken from the other, and the sessions of each owner are counted. An entry
/// that gets no due time this way is due at once. A key of another type fails the script, which changes nothing
/// then.
const MEND: &str = r"
local in_due, in_ids = redis.call('ZCARD', due), redis.call('ZCARD', ids)
if in_due ~= in_ids or (in_due == 0) ~= (redis.call('HLEN', owners) == 0) then
  redis.call('ZUNIONSTORE', due, 2, due, ids, 'WEIGHTS', 1, 0, 'AGGREGATE', 'MAX')
  redis.call('ZUNIONSTORE', ids, 1, due, 'WEIGHTS', 0)
  local counts = {}
  for _, entry in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    local owner = owner_of(entry)
    counts[owner] = (counts[owner] or 0) + 1
  end
  redis.call('UNLINK', owners)
  for owner, count in pairs(counts) do redis.call('HSET', owners, owner, count) end
end
";

/// `ARGV` entry, milliseconds until the entry is checked, maximum number of sessions, maximum
/// number per owner. Returns 0 if there was room, which is now taken; 1 (bound of all sessions) or
/// 2 (bound of the owner) if there was not, followed by the time and entries as in `DUE`.
const RESERVE: &str = r"
local entry = ARGV[1]
local score = score_of(entry)
if score and score > now then return {0} end
if not score then
  local owner, full = owner_of(entry), 0
  if redis.call('ZCARD', due) >= tonumber(ARGV[3]) then full = 1
  elseif tonumber(redis.call('HGET', owners, owner) or '0') >= tonumber(ARGV[4]) then full = 2 end
  if full > 0 then return {full, text(now), unpack(due_entries(256))} end
  redis.call('HINCRBY', owners, owner, 1)
  redis.call('ZADD', ids, 0, entry)
end
redis.call('ZADD', due, text(now + tonumber(ARGV[2])), entry)
return {0}
";

/// Returns 0, the time, and some of the entries that are due.
const DUE: &str = r"
return {0, text(now), unpack(due_entries(64))}
";

/// `ARGV` entries, each followed by its next due time, or by an empty string if its session is
/// gone. Entries that are not due stay unchanged.
const RESCHEDULE: &str = r"
for n = 1, #ARGV, 2 do
  local score = score_of(ARGV[n])
  if score and score <= now then
    if ARGV[n + 1] == '' then remove(ARGV[n]) else redis.call('ZADD', due, ARGV[n + 1], ARGV[n]) end
  end
end
return {0}
";

/// `ARGV` the entry of a session that has ended.
const REMOVE: &str = r"
remove(ARGV[1])
return {0}
";

/// `ARGV` entry, milliseconds that its session has left, which are fewer than before.
const MAKE_DUE_EARLIER: &str = r"
local score, till = score_of(ARGV[1]), now + tonumber(ARGV[2])
if score and score > till then redis.call('ZADD', due, text(till), ARGV[1]) end
return {0}
";

/// `KEYS` a session. Returns the milliseconds that it has left; 0 if it is not living. A session
/// without an expiry was not written by this crate, and is checked again later.
const REMAINING_TTL: &str = r"
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left == -1 then return 60000 end
return math.max(left, 1)
";

/// The scripts with their digests, computed once.
pub(crate) struct BoundScripts {
    pub(crate) reserve: Script,
    pub(crate) due: Script,
    pub(crate) reschedule: Script,
    pub(crate) remove: Script,
    pub(crate) make_due_earlier: Script,
    pub(crate) remaining_ttl: Script,
}

impl BoundScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        let mending = |body| Script::from_lua(format!("{PRELUDE}{MEND}{body}"));
        Self {
            reserve: mending(RESERVE),
            due: mending(DUE),
            reschedule: script(RESCHEDULE),
            remove: script(REMOVE),
            make_due_earlier: script(MAKE_DUE_EARLIER),
            remaining_ttl: Script::from_lua(REMAINING_TTL),
        }
    }
}
