//! Scripts that try what the user of `redis.url` may do, and look at the keys that many calls share.

use fred::types::scripts::Script;

/// `KEYS` the key of the check, `ARGV` seconds that it lives. The first command shows that the server takes
/// changes: one without memory refuses only the first change of a script. Answers the first refusal as
/// `<command>: <the server's words>`.
const COMMANDS: &str = r"
local key = KEYS[1]
local taken = redis.call('SET', key, '', 'EX', ARGV[1])
local commands = {
  {'DEL', key}, {'UNLINK', key}, {'EXISTS', key}, {'TYPE', key}, {'TIME'},
  {'HSET', key, 'a', '1'}, {'HGET', key, 'a'}, {'HMGET', key, 'a'}, {'HEXISTS', key, 'a'}, {'HLEN', key},
  {'HINCRBY', key, 'a', '1'}, {'HDEL', key, 'a'},
  {'ZADD', key, '1', 'a'}, {'ZSCORE', key, 'a'}, {'ZCARD', key}, {'ZRANGE', key, '0', '-1'},
  {'ZRANGEBYLEX', key, '-', '+'}, {'ZRANGEBYSCORE', key, '-inf', '+inf'}, {'ZREM', key, 'a'},
  {'ZREMRANGEBYSCORE', key, '-inf', '+inf'}, {'ZPOPMIN', key}, {'ZUNIONSTORE', key, '1', key},
  {'PTTL', key}, {'PEXPIRE', key, '1000'}, {'PEXPIREAT', key, '1'},
}
local function refusal(command)
  local answer = redis.pcall(unpack(command))
  local said = type(answer) == 'table' and answer.err
  local refused = said and (string.find(said, 'NOPERM', 1, true)
    or string.find(said, 'user executing the script', 1, true) or string.find(said, 'ACL failure', 1, true))
  return refused and command[1] .. ': ' .. said
end
for _, command in ipairs(commands) do
  local refused = refusal(command)
  if refused then return redis.error_reply('NOPERM ' .. refused) end
end
return redis.call('SET', key, '', 'EX', ARGV[1])
";

/// `KEYS` a key of one kind.
const KEY: &str = "return redis.pcall('HDEL', KEYS[1], '-') and 1";

/// `KEYS` shared keys, `ARGV` the type of each. Returns the place of the first one that is of another type, or 0.
const TYPES: &str = r"
for place, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= ARGV[place] then return place end
end
return 0
";

pub(crate) struct CheckScripts {
    pub(crate) commands: Script,
    pub(crate) key: Script,
    pub(crate) types: Script,
}

impl CheckScripts {
    pub(crate) fn new() -> Self {
        Self {
            commands: Script::from_lua(COMMANDS),
            key: Script::from_lua(KEY),
            types: Script::from_lua(TYPES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command in the texts of the crate.
    #[test]
    fn the_check_runs_every_command_of_the_scripts() {
        let sources = [
            include_str!("lease_scripts.rs"),
            include_str!("budget_scripts.rs"),
            include_str!("records/scripts.rs"),
            include_str!("records/index_scripts.rs"),
            include_str!("mailbox/scripts.rs"),
            include_str!("mailbox/accounts.rs"),
        ];
        for source in sources {
            let calls = source.split("redis.call('").skip(1);
            let calls: Vec<_> = calls.filter_map(|rest| rest.split('\'').next()).collect();
            assert!(!calls.is_empty());
            for command in calls {
                let is_tried = COMMANDS.contains(&format!("'{command}'"));
                assert!(is_tried, "{command} is not tried");
            }
        }
    }
}
