//! The name under which a client finds its subscriptions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_CLIENT_ID_BYTES;

/// A text that no client can have as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// Longer than the bound.
    #[error("up to {MAX_CLIENT_ID_BYTES} bytes")]
    TooLong,
}

/// A client's name of its own: any text up to [`MAX_CLIENT_ID_BYTES`], without white space around it. It means
/// something among the subscriptions of one owner only, so that nobody gets events by guessing it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Box<str>);

impl ClientId {
    /// Reads a name from outside.
    ///
    /// # Errors
    /// It is empty or too long.
    pub fn new(text: &str) -> Result<Self, ClientIdError> {
        match text.trim() {
            "" => Err(ClientIdError::Empty),
            text if text.len() > MAX_CLIENT_ID_BYTES => Err(ClientIdError::TooLong),
            text => Ok(Self(text.into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({:?})", self.0)
    }
}

impl TryFrom<String> for ClientId {
    type Error = ClientIdError;

    fn try_from(text: String) -> Result<Self, ClientIdError> {
        Self::new(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_text_up_to_its_bound() {
        let longest = "c".repeat(MAX_CLIENT_ID_BYTES);
        for (text, name) in [
            (" planner-1\n", "planner-1"),
            (&longest, &longest),
            ("é%", "é%"),
        ] {
            assert_eq!(ClientId::new(text).unwrap().as_str(), name);
        }
        let beyond = format!("{longest}c");
        assert_eq!(ClientId::new(&beyond), Err(ClientIdError::TooLong));
        assert_eq!(ClientId::new(" \t"), Err(ClientIdError::Empty));
        assert!(serde_json::from_value::<ClientId>("".into()).is_err());
    }
}
