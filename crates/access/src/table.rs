//! The tokens of a token file, by digest.
//!
//! ```toml
//! [[token]]
//! id = "ci-2026"            # for people and logs; unique
//! sha256 = "…"              # 64 hexadecimal digits, of `forgewire tokens new` or `tokens hash`
//! principal = "ci"          # its name; owns sessions and cursors
//! permissions = ["read"]    # read, admin; read if left out
//! owners = ["octo"]         # what it sees; everything if both are left out
//! repositories = ["acme/tool"]
//! expires_at = 2027-01-01T00:00:00Z
//! ```
//!
//! Errors name the line and never repeat a value: the token itself may have been written there by
//! mistake.

mod entry;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, io,
    sync::Arc,
};

use model::{FileTextError, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use super::{AuthError, NameDirectory, Principal, TokenDigest};
use entry::Fields;

/// Maximum number of tokens in one file.
const MAX_TOKENS: usize = 10_000;

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("cannot read the file")]
    Read(#[source] io::Error),
    /// A folder, a pipe, or something else without an end.
    #[error("not a file")]
    NotAFile,
    /// Larger than the bound.
    #[error("larger than {max_bytes} bytes")]
    TooLarge {
        /// The bound.
        max_bytes: u64,
    },
    /// Not UTF-8.
    #[error(transparent)]
    NotText(#[from] FileTextError),
    /// Not in the format of a token file.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The error in that line.
        reason: String,
    },
}

/// Checks the content of a token file.
///
/// # Errors
/// See [`TokenFileError`], with the line.
pub fn check_tokens(text: &str) -> Result<(), TokenFileError> {
    TokenTable::parse(text).map(drop)
}

/// The rights of one token.
struct TokenGrant {
    /// The name of the token, for operators and logs.
    name: Box<str>,
    principal: Arc<Principal>,
    expires_at: Option<Timestamp>,
}

impl TokenGrant {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// All tokens, by digest.
#[derive(Default)]
pub(super) struct TokenTable {
    grants: HashMap<TokenDigest, TokenGrant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Spanned<Fields>>,
}

impl TokenTable {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, TokenFileError> {
        let at = |place: usize, reason: String| TokenFileError::Line {
            line: 1 + text
                .as_bytes()
                .iter()
                .take(place)
                .filter(|b| **b == b'\n')
                .count(),
            reason,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            // The parser's own message would repeat the text of the file.
            let reason = match toml::from_str::<BTreeMap<String, toml::Value>>(text) {
                Err(_) => "not TOML, or a key is given twice",
                Ok(_) => "only [[token]] blocks are allowed here",
            };
            at(place, reason.to_owned())
        })?;
        let (mut table, mut names) = (Self::default(), HashSet::new());
        for block in file.token {
            let start = block.span().start;
            let entry = entry::read(start, block.into_inner())
                .map_err(|wrong| at(wrong.place, wrong.reason))?;
            if !names.insert(entry.name.clone()) {
                return Err(at(start, "id: another token has the same".to_owned()));
            }
            let grant = TokenGrant {
                name: entry.name,
                principal: Arc::new(entry.principal),
                expires_at: entry.expires_at,
            };
            if table.grants.insert(entry.digest, grant).is_some() {
                return Err(at(start, "sha256: another token has the same".to_owned()));
            }
            if table.grants.len() > MAX_TOKENS {
                return Err(at(start, format!("more than {MAX_TOKENS} tokens")));
            }
        }
        Ok(table)
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    /// Whether some token sees only what it names.
    pub(super) fn names_places(&self) -> bool {
        let mut grants = self.grants.values();
        grants.any(|grant| !grant.principal.sees.is_all())
    }

    /// The ids that names mean decide from now on.
    pub(super) fn follow_ids(&self, names: &Arc<NameDirectory>) {
        let principals = self.grants.values().map(|grant| &grant.principal);
        principals.for_each(|principal| principal.sees.follow_ids(&principal.id, names));
    }

    /// The principal of a token, by its digest.
    pub(super) fn find(
        &self,
        token: &TokenDigest,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        let grant = self.grants.get(token).ok_or(AuthError::Unknown)?;
        if grant.is_expired(now) {
            return Err(AuthError::Expired);
        }
        Ok(Arc::clone(&grant.principal))
    }

    /// Replaces `old`: tokens with unchanged rights keep what is open under them, the others are
    /// revoked. Returns the names of the revoked ones.
    pub(super) fn replace(&mut self, old: &Self) -> Vec<Box<str>> {
        let mut revoked = Vec::new();
        for (digest, before) in &old.grants {
            match self.grants.get_mut(digest) {
                Some(now)
                    if before.principal.is_valid()
                        && now.principal.has_same_rights(&before.principal) =>
                {
                    now.principal = Arc::clone(&before.principal);
                }
                Some(now) if before.principal.is_valid() => {
                    before.principal.replace(&now.principal);
                    revoked.push(before.name.clone());
                }
                _ if before.principal.revoke() => revoked.push(before.name.clone()),
                _ => {}
            }
        }
        revoked
    }

    /// Revokes expired tokens; returns their names.
    pub(super) fn expire(&self, now: Timestamp) -> Vec<Box<str>> {
        let over = self.grants.values().filter(|grant| grant.is_expired(now));
        over.filter(|grant| grant.principal.revoke())
            .map(|grant| grant.name.clone())
            .collect()
    }
}

impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenTable")
            .field("tokens", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
