//! Lua scripts that change the index of a collection, atomic in the server; see `keys` for its contents.

use fred::types::scripts::Script;

/// Shared by the scripts. `KEYS` due, ids, owned, owners, weights.
const PRELUDE: &str = r"
local due, ids, owned, owners, weights = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function score_of(entry) return tonumber(redis.call('ZSCORE', due, entry) or nil) end
local function owner_of(entry) return string.match(entry, ' (.*)$') or '' end
local function turned(entry)
  local first, second = string.match(entry, '^(%S*) (.*)$')
  return (second or '') .. ' ' .. (first or entry)
end
local function due_entries(most) return redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, most) end
local function extra_of(field) return tonumber(redis.call('HGET', weights, field) or '0') end
local function add(field, extra)
  if redis.call('HINCRBY', weights, field, text(extra)) <= 0 then redis.call('HDEL', weights, field) end
end
local function weigh(entry, extra)
  local more = extra - extra_of(entry)
  if more == 0 then return end
  for _, field in ipairs({entry, '+' .. owner_of(entry), '+'}) do add(field, more) end
end
local function enter(entry, due_at)
  redis.call('HINCRBY', owners, owner_of(entry), 1)
  redis.call('ZADD', ids, 0, entry)
  redis.call('ZADD', owned, 0, turned(entry))
  redis.call('ZADD', due, text(due_at), entry)
end
local function remove(entry)
  if redis.call('ZREM', due, entry) == 0 then return end
  weigh(entry, 0)
  redis.call('ZREM', ids, entry)
  redis.call('ZREM', owned, turned(entry))
  local owner = owner_of(entry)
  if redis.call('HINCRBY', owners, owner, -1) <= 0 then redis.call('HDEL', owners, owner) end
end
";

/// Makes the index whole again after a server removed one of its keys, which one that evicts does: what one
/// of the sorted sets has lost is taken from the others, and the records of each owner are counted. An entry
/// that gets no due time this way is due at once. A key of another type fails the script, which changes nothing
/// then.
const MEND: &str = r"
local in_due, in_ids, in_owned = redis.call('ZCARD', due), redis.call('ZCARD', ids), redis.call('ZCARD', owned)
if in_due ~= in_ids or in_due ~= in_owned or (in_due == 0) ~= (redis.call('HLEN', owners) == 0) then
  redis.call('ZUNIONSTORE', due, 2, due, ids, 'WEIGHTS', 1, 0, 'AGGREGATE', 'MAX')
  for _, member in ipairs(redis.call('ZRANGE', owned, 0, -1)) do
    redis.call('ZADD', due, 'NX', 0, turned(member))
  end
  redis.call('ZUNIONSTORE', ids, 1, due, 'WEIGHTS', 0)
  redis.call('UNLINK', owned, owners)
  for _, entry in ipairs(redis.call('ZRANGE', due, 0, -1)) do
    redis.call('ZADD', owned, 0, turned(entry))
    redis.call('HINCRBY', owners, owner_of(entry), 1)
  end
  in_due = redis.call('ZCARD', due)
end
";

/// `ARGV` entry, milliseconds until the entry is checked, steps beyond the first, maximum number of records,
/// maximum per owner, maximum steps, maximum per owner, an entry of the owner that may give its place (or empty).
/// Returns 0 if there was room, which is now taken, and the steps of the entry that gave its place, which is
/// removed, or 0 if none did; 1 if the entry is there and not due; or the bound that is reached (2 records, 3
/// those of the owner, 4 steps, 5 those of the owner), followed by the number of the owner's records, the time
/// and entries as in `DUE`.
const RESERVE: &str = r"
local entry, extra, spare = ARGV[1], tonumber(ARGV[3]), ARGV[8]
local score = score_of(entry)
if score and score > now then return {1} end
local owner = owner_of(entry)
local theirs = tonumber(redis.call('HGET', owners, owner) or '0')
local new = score and 0 or 1
local freed, freed_steps = 0, 0
if new == 1 and theirs >= tonumber(ARGV[5]) and spare ~= '' and score_of(spare) then
  freed, freed_steps = 1, 1 + extra_of(spare)
end
local more = new + extra - (score and extra_of(entry) or 0)
local count, full = in_due, 0
if new == 1 and theirs - freed >= tonumber(ARGV[5]) then full = 3
elseif new == 1 and count - freed >= tonumber(ARGV[4]) then full = 2
elseif more > 0 then
  if theirs + extra_of('+' .. owner) - freed_steps + more > tonumber(ARGV[7]) then full = 5
  elseif count + extra_of('+') - freed_steps + more > tonumber(ARGV[6]) then full = 4 end
end
if full > 0 then return {full, theirs, text(now), unpack(due_entries(256))} end
local due_at = now + tonumber(ARGV[2])
if new == 1 then enter(entry, due_at) else redis.call('ZADD', due, text(due_at), entry) end
if new == 0 or extra > 0 then weigh(entry, extra) end
-- Last: a server without memory refuses only the first change of a script.
if freed == 1 then remove(spare) end
return {0, freed_steps}
";

/// Undoes `RESERVE`: `ARGV` the entry of a record that was not stored (or empty), the entry that gave its place
/// (or empty), its steps beyond the first. That one is due at once, since its record may have changed meanwhile.
const RELEASE: &str = r"
-- First: it needs no memory, and a server without any takes the changes after it.
if ARGV[1] ~= '' then remove(ARGV[1]) end
if ARGV[2] ~= '' and not score_of(ARGV[2]) then
  enter(ARGV[2], now)
  weigh(ARGV[2], tonumber(ARGV[3]))
end
return {0}
";

/// `ARGV` entry, steps beyond the first, maximum steps, maximum per owner. Returns 0 if there was room for the
/// weight, or the bound as `RESERVE` does. An entry that is not there has room: it does not count.
const GROW: &str = r"
local entry, extra = ARGV[1], tonumber(ARGV[2])
if not score_of(entry) then return {0} end
local owner, more, full = owner_of(entry), extra - extra_of(entry), 0
local theirs = tonumber(redis.call('HGET', owners, owner) or '0')
if theirs + extra_of('+' .. owner) + more > tonumber(ARGV[4]) then full = 5
elseif redis.call('ZCARD', due) + extra_of('+') + more > tonumber(ARGV[3]) then full = 4 end
if full > 0 and more > 0 then return {full, theirs, text(now), unpack(due_entries(256))} end
weigh(entry, extra)
return {0}
";

/// `ARGV` entry, steps beyond the first: what its record weighs.
const WEIGH: &str = r"
if score_of(ARGV[1]) then weigh(ARGV[1], tonumber(ARGV[2])) end
return {0}
";

/// Returns 0, 0, the time, and some of the entries that are due.
const DUE: &str = r"
return {0, 0, text(now), unpack(due_entries(64))}
";

/// `ARGV` entries, each followed by its next due time, or by an empty string if its record is gone, and by the
/// steps of the record beyond the first. Entries that are not due stay unchanged.
const RESCHEDULE: &str = r"
for n = 1, #ARGV, 3 do
  local score = score_of(ARGV[n])
  if score and score <= now then
    if ARGV[n + 1] == '' then
      remove(ARGV[n])
    else
      redis.call('ZADD', due, ARGV[n + 1], ARGV[n])
      weigh(ARGV[n], tonumber(ARGV[n + 2]))
    end
  end
end
return {0}
";

/// `ARGV` the entry of a record that has ended.
const REMOVE: &str = r"
remove(ARGV[1])
return {0}
";

/// `ARGV` entry, milliseconds that its record has left, which are fewer than before.
const MAKE_DUE_EARLIER: &str = r"
local score, till = score_of(ARGV[1]), now + tonumber(ARGV[2])
if score and score > till then redis.call('ZADD', due, text(till), ARGV[1]) end
return {0}
";

/// `KEYS` a record. Returns the milliseconds that it has left, 0 if it is not living, and its steps. A record
/// without an expiry was not written by this crate, and is checked again later.
const REMAINING_TTL: &str = r"
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {0, 1} end
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return {0, 1} end
local left = redis.call('PTTL', KEYS[1])
if left == -1 then left = 60000 end
return {math.max(left, 1), tonumber(redis.call('HGET', KEYS[1], 'steps') or '1')}
";

/// The scripts with their digests, computed once.
pub(crate) struct RecordIndexScripts {
    pub(super) reserve: Script,
    pub(super) release: Script,
    pub(super) grow: Script,
    pub(super) weigh: Script,
    pub(super) due: Script,
    pub(super) reschedule: Script,
    pub(super) remove: Script,
    pub(super) make_due_earlier: Script,
    pub(super) remaining_ttl: Script,
}

impl RecordIndexScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        let mending = |body| Script::from_lua(format!("{PRELUDE}{MEND}{body}"));
        Self {
            reserve: mending(RESERVE),
            release: script(RELEASE),
            grow: script(GROW),
            weigh: script(WEIGH),
            due: mending(DUE),
            reschedule: script(RESCHEDULE),
            remove: script(REMOVE),
            make_due_earlier: script(MAKE_DUE_EARLIER),
            remaining_ttl: Script::from_lua(REMAINING_TTL),
        }
    }
}
