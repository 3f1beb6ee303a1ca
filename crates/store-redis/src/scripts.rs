//! What changes a session: Lua scripts, atomic in the server. The first key is the session, the others
//! are its mailbox (`mailbox::scripts`), which lives and goes with it.
//!
//! A living session is a hash with `revision` and `session`; one that ended has `ended` alone, for
//! the rest of the session's time to live. Expiry removes either. So whoever asks for `revision`
//! asks whether the session lives.

use fred::types::scripts::Script;

/// `KEYS[1]` session, `ARGV` JSON, milliseconds to live. Answers 1, or 0 if the id is taken.
const CREATE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'revision', '1', 'session', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('UNLINK', unpack(KEYS, 2)) -- may outlive an expired session by a moment
return 1
";

/// `KEYS[1]` session, `ARGV` expected revision, JSON, milliseconds to live. Answers the outcome (0
/// missing, 1 conflict, 2 replaced) and the revision that is stored now.
const REPLACE: &str = r"
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return {0, '0'} end
if revision ~= ARGV[1] then return {1, revision} end
redis.call('HSET', KEYS[1], 'session', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'revision', 1)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
return {2, redis.call('HGET', KEYS[1], 'revision')}
";

/// `KEYS[1]` session. Answers 1 if it lived. The time to live stays: it belongs to the key.
const END: &str = r"
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'ended', '1')
redis.call('HDEL', KEYS[1], 'revision', 'session')
redis.call('UNLINK', unpack(KEYS, 2))
return 1
";

/// `KEYS[1]` session, `ARGV` milliseconds to live. Answers 1 if it lives.
const TOUCH: &str = r"
if redis.call('HEXISTS', KEYS[1], 'revision') == 0 then return 0 end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return 1
";

/// The scripts with their digests, computed once.
pub(crate) struct Scripts {
    pub(crate) create: Script,
    pub(crate) replace: Script,
    pub(crate) end: Script,
    pub(crate) touch: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            create: Script::from_lua(CREATE),
            replace: Script::from_lua(REPLACE),
            end: Script::from_lua(END),
            touch: Script::from_lua(TOUCH),
        }
    }
}
