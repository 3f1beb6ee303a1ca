//! Who asks, what they may do and what they may see.
//!
//! Every request has a [`Principal`]. With `auth.mode = "none"` everybody is the same one; with
//! `auth.mode = "tokens"` the bearer token says who it is (RFC 6750, the header form only: a URL ends
//! up in logs and histories, so a token in a query string is not looked at).
//!
//! - The file of tokens holds digests, never tokens. Whoever reads it cannot ask with it.
//! - What belongs to a principal (sessions, cursors) belongs to its name, not to the token: a token is
//!   replaced without losing them. Several tokens may have one name and different rights.
//! - A token that leaves the file, expires, or changes its rights ends at once: requests are refused,
//!   and [`Principal::stands`] turns false for good, so that what is open under it can be ended.
//!   [`Authenticator::revoked`] says when to look.

mod authenticator;
mod bearer;
mod digest;
mod principal;
mod table;
mod token_file;
mod visibility;

pub use authenticator::Authenticator;
pub use bearer::Denied;
pub use digest::{InvalidToken, TokenDigest};
pub use principal::{Permission, Permissions, Principal};
pub use table::{TokenFileError, check_tokens};
pub use visibility::{Visibility, VisibilityError};
