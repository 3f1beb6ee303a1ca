//! Lua scripts that change a lock, atomic in the server. The first key is the lock; see
//! `leases` for its fields.

use fred::types::scripts::Script;

/// Shared by the scripts. `ARGV` token, milliseconds to live, milliseconds to remember.
const PRELUDE: &str = r"
local lock, token, ttl, remembered = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
local held = redis.call('HMGET', lock, 'token', 'until', 'fence')
local holder = held[1] and tonumber(held[2]) > now and held[1]
";

/// Returns the fencing number, or 0 if another token holds the lock. A repeated call with the same
/// token returns the same number.
const ACQUIRE: &str = r"
if holder == token then return held[3] end
if holder then return '0' end
local fence = math.max(now, tonumber(held[3] or '0') + 1)
redis.call('HSET', lock, 'token', token, 'until', text(now + ttl * 1000), 'fence', text(fence))
redis.call('PEXPIRE', lock, text(ttl + remembered))
return text(fence)
";

/// Returns 1 if the token held the lock and it was extended, otherwise 0.
const EXTEND: &str = r"
if holder ~= token then return 0 end
redis.call('HSET', lock, 'until', text(now + ttl * 1000))
redis.call('PEXPIRE', lock, text(ttl + remembered))
return 1
";

/// Returns 1 if the token held the lock and it was released, otherwise 0.
const RELEASE: &str = r"
if holder ~= token then return 0 end
redis.call('HDEL', lock, 'token', 'until')
redis.call('PEXPIRE', lock, text(remembered))
return 1
";

/// The scripts with their digests, computed once.
pub(crate) struct LeaseScripts {
    pub(crate) acquire: Script,
    pub(crate) extend: Script,
    pub(crate) release: Script,
}

impl LeaseScripts {
    pub(crate) fn new() -> Self {
        let script = |body| Script::from_lua(format!("{PRELUDE}{body}"));
        Self {
            acquire: script(ACQUIRE),
            extend: script(EXTEND),
            release: script(RELEASE),
        }
    }
}
