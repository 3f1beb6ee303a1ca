//! The version at the head of each stored state.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A stored state that this build cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateVersionError {
    /// Nothing is stored, not even a version.
    #[error("the stored state is empty: it has no version")]
    Empty,
    /// Another build wrote it.
    #[error(
        "the stored state has version {found}, and this build reads version {known}: run the build that wrote it, \
         or begin anew"
    )]
    Unknown {
        /// The version in the state.
        found: u8,
        /// The version that this build reads and writes.
        known: u8,
    },
}

/// Puts a version before a state.
pub fn with_version(version: u8, state: &[u8]) -> Bytes {
    let mut stored = BytesMut::with_capacity(1 + state.len());
    stored.put_u8(version);
    stored.put_slice(state);
    stored.freeze()
}

/// The state after its version, which has to be this one.
///
/// # Errors
/// It has another version, or none.
pub fn of_version(known: u8, mut stored: Bytes) -> Result<Bytes, StateVersionError> {
    let found = *stored.first().ok_or(StateVersionError::Empty)?;
    if found != known {
        return Err(StateVersionError::Unknown { found, known });
    }
    stored.advance(1);
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_by_its_own_version_alone() {
        for state in [&b""[..], b"state", b"\x01\x02"] {
            let stored = with_version(3, state);
            assert_eq!(of_version(3, stored.clone()).unwrap(), state);
            let refused = of_version(2, stored).unwrap_err();
            assert_eq!(refused, StateVersionError::Unknown { found: 3, known: 2 });
            let text = refused.to_string();
            assert!(
                text.contains("version 3") && text.contains("version 2"),
                "{text}"
            );
        }
        assert_eq!(of_version(1, Bytes::new()), Err(StateVersionError::Empty));
    }
}
