//! The stored form of a session: JSON with a version, so that a later build recognises what it
//! reads.

use model::Session;
use ports::SessionStoreError;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct EncodedRecord<'a> {
    version: u32,
    session: &'a Session,
}

#[derive(Deserialize)]
struct RecordVersion {
    version: u32,
}

#[derive(Deserialize)]
struct DecodedRecord {
    session: Session,
}

#[derive(Debug, thiserror::Error)]
#[error("session record version {0} is not known; this build knows 1")]
struct UnknownVersion(u32);

#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("the session's hash has lost one of its fields")]
    Incomplete,
    #[error("the session under this id is another one")]
    OtherId,
}

/// The error if one of the two fields of a living session is missing.
pub(crate) fn incomplete() -> SessionStoreError {
    unreadable(Malformed::Incomplete)
}

pub(crate) fn encode(session: &Session) -> Result<String, SessionStoreError> {
    serde_json::to_string(&EncodedRecord {
        version: VERSION,
        session,
    })
    .map_err(unreadable)
}

/// Decodes the record stored under an id.
pub(crate) fn decode(id: &str, json: &str) -> Result<Session, SessionStoreError> {
    let RecordVersion { version } = serde_json::from_str(json).map_err(unreadable)?;
    if version != VERSION {
        return Err(unreadable(UnknownVersion(version)));
    }
    let loaded: DecodedRecord = serde_json::from_str(json).map_err(unreadable)?;
    if loaded.session.id.as_str() != id {
        return Err(unreadable(Malformed::OtherId));
    }
    Ok(loaded.session)
}

pub(crate) fn unreadable(source: impl Into<ports::BoxError>) -> SessionStoreError {
    SessionStoreError::Unreadable {
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_unreadable() {
        for other in [
            "",
            "{}",
            "{\"version\":2,\"session\":{}}",
            "{\"version\":1,\"session\":7}",
        ] {
            assert!(
                matches!(
                    decode("one", other),
                    Err(SessionStoreError::Unreadable { .. })
                ),
                "{other}"
            );
        }
    }
}
