//! Lua scripts that change a session, atomic in the server.
//!
//! A living session is a hash with `revision`, `session` and the `owner` that it counts for; an
//! ended session has only `ended`, for the rest of its time to live. Expiry removes either. A
//! session is therefore living exactly if its hash has `revision`.
//!
//! The revision after a change is the server's time in microseconds, or one more than the last
//! revision if the time has not advanced: after a failover that loses the last writes, the revisions
//! of the lost time are not given out again. Nodes of a build before this rule only count, which
//! stays correct beside it.

use fred::types::scripts::Script;

/// `KEYS[1]` session, `ARGV` JSON, milliseconds to live, owner. Returns 1, or 0 if the id is in
/// use.
const CREATE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'revision', '1', 'session', ARGV[1], 'owner', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Sets the time to live. Returns the owner, for the update of the index, if the session now has
/// less time left than before.
const SET_TTL: &str = r"
local function set_ttl(ttl)
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ttl)
  return tonumber(ttl) < left and redis.call('HGET', KEYS[1], 'owner') or ''
end
";

/// `KEYS[1]` session, `ARGV` expected revision, JSON, milliseconds to live. Returns the outcome (0
/// missing, 1 conflict, 2 replaced), the revision that is stored now, and the result of `set_ttl`.
const REPLACE: &str = r"
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return {0, '0', ''} end
if revision ~= ARGV[1] then return {1, revision, ''} end
local time = redis.call('TIME')
local next = math.max(tonumber(revision) + 1, time[1] * 1000000 + time[2])
redis.call('HSET', KEYS[1], 'session', ARGV[2], 'revision', string.format('%.0f', next))
local shortened = set_ttl(ARGV[3])
return {2, redis.call('HGET', KEYS[1], 'revision'), shortened}
";

/// `KEYS[1]` session. Returns 1 if the session was living, and its owner. The time to live stays, because it belongs
/// to the key.
const END: &str = r"
local ttl = redis.call('PTTL', KEYS[1])
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return {0, ''} end
local owner = redis.call('HGET', KEYS[1], 'owner') or ''
-- First: a server without memory refuses only the first change of a script, and this one needs none.
redis.call('HDEL', KEYS[1], 'revision', 'session', 'owner')
redis.call('HSET', KEYS[1], 'ended', '1')
redis.call('PEXPIRE', KEYS[1], ttl)
return {1, owner}
";

/// `KEYS[1]` session, `ARGV` milliseconds to live. Returns 1 if the session is living, and the
/// result of `set_ttl`.
const TOUCH: &str = r"
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return {0, ''} end
return {1, set_ttl(ARGV[1])}
";

/// The server's time in milliseconds. On a cluster each node has its own; the keys, which are not
/// used, choose the same one for every caller.
const TIME: &str = r"
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
";

/// The scripts with their digests, computed once.
pub(crate) struct SessionScripts {
    pub(crate) create: Script,
    pub(crate) replace: Script,
    pub(crate) end: Script,
    pub(crate) touch: Script,
    pub(crate) time: Script,
}

impl SessionScripts {
    pub(crate) fn new() -> Self {
        Self {
            create: Script::from_lua(CREATE),
            replace: Script::from_lua(format!("{SET_TTL}{REPLACE}")),
            end: Script::from_lua(END),
            touch: Script::from_lua(format!("{SET_TTL}{TOUCH}")),
            time: Script::from_lua(TIME),
        }
    }
}
