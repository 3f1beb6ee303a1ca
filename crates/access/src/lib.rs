//! Authentication and authorization: the principal of a request, its permissions and what it may
//! see.
//!
//! Every request has a [`Principal`]. With `auth.mode = "none"` all requests have the same one;
//! with `auth.mode = "tokens"` it is determined by the bearer token (RFC 6750, the header form
//! only: URLs end up in logs and histories, so a token in a query string is ignored, unless the edge passes it on).
//!
//! - The token file holds digests, never tokens. Reading it does not allow a request to be made
//!   with it.
//! - Sessions and cursors belong to the name of a principal, not to its token: a token can be
//!   replaced without losing them. Several tokens may have one name and different rights.
//! - A token that is removed from the file, expires, or changes its rights is revoked at once:
//!   requests are refused, and [`Principal::is_valid`] becomes false permanently, so that what was
//!   opened under it can be ended. [`Authenticator::revoked`] signals when to check.
//! - Names of owners and repositories are resolved once: a token follows what its names meant ([`NameDirectory`]).

mod authenticator;
mod bearer;
mod digest;
mod foreign;
pub mod limits;
mod names;
mod present;
mod principal;
mod shares;
mod table;
mod token_file;
mod visibility;

pub use authenticator::Authenticator;
pub use bearer::AuthError;
pub use digest::{InvalidToken, TokenDigest};
pub use foreign::{ForeignContent, without_foreign_content};
pub use names::{
    FollowedRename, NameChange, NameDirectory, NamesAt, ObservedNames, PinnedNames, ShownPlace,
};
pub use present::PresentRights;
pub use principal::{Permission, Permissions, Principal, TokenType};
pub use shares::{NoPlace, PlaceShares, SharedPlace, SharedPlaces};
pub use table::{TokenFileError, check_tokens};
pub use visibility::{Visibility, VisibilityError};
