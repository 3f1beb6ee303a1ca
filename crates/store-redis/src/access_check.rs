//! Whether the user of `redis.url` may do all that the store does, and whether the keys that many calls share are
//! the store's own.
//!
//! A user's ACL allows commands and keys one by one, also within scripts. The check runs every command on a
//! key of its own, where it changes nothing, and touches a key of each kind by a command that finds
//! nothing; what the server says there about types and counts is of no interest. The keys of an index are
//! looked at themselves.

use fred::{interfaces::LuaInterface, types::Value};
use ports::StoreFailure;
use tokio::time::Instant;

use crate::{RedisSessionStore, config::CHECK_SECONDS, shared_keys::RedisKey};

impl RedisSessionStore {
    /// Checks commands, a key of each of these kinds, and the keys of an index.
    pub(crate) async fn check_access(
        &self,
        op: &'static str,
        kinds: impl IntoIterator<Item = String> + Send,
        index: &[RedisKey],
    ) -> Result<(), StoreFailure> {
        // A server that is read-only after a failover, or has no memory or disk left, answers PING.
        let (scripts, key) = (&self.check_scripts, vec![self.keys.check_key()]);
        let arguments = vec![CHECK_SECONDS.into()];
        self.run::<()>(op, &scripts.commands, key, arguments)
            .await?;
        for key in kinds {
            self.run::<()>(op, &scripts.key, vec![key], Vec::new())
                .await?;
        }
        self.check_shared_keys(op, index).await?;
        // `run` sends the whole script only to a server that does not know it.
        let client = self.connection.client();
        let began = Instant::now();
        let whole = client.eval("return 1", Vec::<String>::new(), Vec::<Value>::new());
        whole.await.map_err(|error| self.failed(op, began, error))
    }
}
