//! Keys that many calls share: a value of another program under one of them fails all of these calls, so it is
//! named with the fix. It is never removed here, because another program may need it. Once it is removed or
//! renamed, the next call mends an index from its other keys (see `records::keys`); an account of
//! mailboxes begins anew; a lock is free.

use fred::types::{FromValue, Value, scripts::Script};
use ports::StoreFailure;

use crate::{
    RedisSessionStore,
    shared_keys::{RedisKey, RedisKeyKind, names},
};

/// A value of another program is stored under a shared key.
#[derive(Debug, thiserror::Error)]
#[error("the key {name} is not the {kind} that Forgewire keeps there: remove or rename it")]
struct ForeignKey {
    name: String,
    kind: RedisKeyKind,
}

impl RedisSessionStore {
    /// Runs a script on shared keys, of one slot; names the key under which another program's value is.
    pub(crate) async fn run_on_shared<R: FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        keys: &[RedisKey],
        arguments: Vec<Value>,
    ) -> Result<R, StoreFailure> {
        match self.run(op, script, names(keys), arguments).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.name_foreign_key(op, keys, failure).await),
        }
    }

    /// The reason for a failure of a command on these keys, if it is another program's value; otherwise the
    /// failure itself.
    pub(crate) async fn name_foreign_key(
        &self,
        op: &'static str,
        keys: &[RedisKey],
        failure: StoreFailure,
    ) -> StoreFailure {
        if !matches!(failure, StoreFailure::Corrupt { .. }) {
            return failure;
        }
        let checked = self.check_shared_keys(op, keys).await;
        checked.err().unwrap_or(failure)
    }

    /// Checks that no other program's value is under one of these keys, which are in one slot.
    pub(crate) async fn check_shared_keys(
        &self,
        op: &'static str,
        keys: &[RedisKey],
    ) -> Result<(), StoreFailure> {
        let script = &self.check_scripts.types;
        let types = keys
            .iter()
            .map(|key| key.kind().of_server().into())
            .collect();
        let foreign = self.run::<usize>(op, script, names(keys), types).await?;
        let Some(key) = foreign.checked_sub(1).and_then(|place| keys.get(place)) else {
            return Ok(());
        };
        let (name, kind) = (key.name().to_owned(), key.kind());
        Err(StoreFailure::corrupt(op, ForeignKey { name, kind }))
    }
}
