//! A session as it is stored: JSON with a version, so that a later build can tell what it reads.

use model::Session;
use ports::SessionStoreError;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Stored<'a> {
    version: u32,
    session: &'a Session,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct Loaded {
    session: Session,
}

#[derive(Debug, thiserror::Error)]
#[error("session record version {0} is not known; this build knows 1")]
struct UnknownVersion(u32);

pub(crate) fn encode(session: &Session) -> Result<String, SessionStoreError> {
    serde_json::to_string(&Stored {
        version: VERSION,
        session,
    })
    .map_err(corrupt)
}

pub(crate) fn decode(json: &str) -> Result<Session, SessionStoreError> {
    let Version { version } = serde_json::from_str(json).map_err(corrupt)?;
    if version != VERSION {
        return Err(corrupt(UnknownVersion(version)));
    }
    let loaded: Loaded = serde_json::from_str(json).map_err(corrupt)?;
    Ok(loaded.session)
}

fn corrupt(source: impl Into<ports::Source>) -> SessionStoreError {
    SessionStoreError::Corrupt {
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_corrupt() {
        for other in [
            "",
            "{}",
            "{\"version\":2,\"session\":{}}",
            "{\"version\":1,\"session\":7}",
        ] {
            assert!(
                matches!(decode(other), Err(SessionStoreError::Corrupt { .. })),
                "{other}"
            );
        }
    }
}
