//! The principal for which a request acts.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use model::PrincipalId;
use serde::{Deserialize, Serialize};

use super::{AuthError, Visibility};

/// A permission of a principal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read events and resources, and have sessions and streams of its own.
    Read,
    /// Send messages to its own sessions.
    Send,
    /// Operate the edge: inspect, write to and end sessions of other principals.
    Admin,
}

impl Permission {
    /// All permissions, in the order in which we list them to users.
    pub const ALL: [Self; 3] = [Self::Read, Self::Send, Self::Admin];

    /// The name in the file of tokens and in challenges.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }

    /// Reads a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.as_str() == name)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Admin => 2,
            Self::Send => 4,
        }
    }
}

/// A set of permissions. None includes another: an operator's token need not allow reading events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether `permission` is in the set.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }
}

impl Permissions {
    /// The type of a token with this set.
    pub const fn token_type(self) -> TokenType {
        if self.has(Permission::Admin) {
            TokenType::Master
        } else if self.has(Permission::Send) {
            TokenType::Team
        } else {
            TokenType::ReadOnly
        }
    }
}

/// The types of tokens that clients of `/mcp/sse` know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Operates the edge.
    Master,
    /// Reads and sends.
    Team,
    /// Reads.
    ReadOnly,
}

impl TokenType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Master, Self::Team, Self::ReadOnly];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Team => "team",
            Self::ReadOnly => "readonly",
        }
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |set, permission| set | permission.bit()),
        )
    }
}

/// The principal for which a request acts, with its rights. Shared by everything that was opened
/// with the token.
#[derive(Debug)]
pub struct Principal {
    /// The owner of its sessions, cursors and tasks.
    pub id: PrincipalId,
    /// Its permissions.
    pub permissions: Permissions,
    /// The events and resources that it may see.
    pub sees: Visibility,
    revoked: AtomicBool,
    /// The same token with other rights, which replaced this one.
    successor: OnceLock<Arc<Principal>>,
}

impl Principal {
    /// A valid principal.
    pub const fn new(id: PrincipalId, permissions: Permissions, sees: Visibility) -> Self {
        Self {
            id,
            permissions,
            sees,
            revoked: AtomicBool::new(false),
            successor: OnceLock::new(),
        }
    }

    /// The principal of `auth.mode = "none"`: it may read everything and write to every session,
    /// because all sessions are its own, and may not operate the edge.
    pub fn anonymous() -> Self {
        let read = Permissions::from_iter([Permission::Read, Permission::Send]);
        Self::new(PrincipalId::anonymous(), read, Visibility::all())
    }

    /// Refuses a principal without `permission`.
    ///
    /// # Errors
    /// As [`Self::lacks`] says.
    pub fn require(&self, permission: Permission) -> Result<(), AuthError> {
        match self.permissions.has(permission) {
            true => Ok(()),
            false => Err(self.lacks(permission)),
        }
    }

    /// The refusal for want of `permission`: no token is to blame where nobody has one.
    #[must_use]
    pub fn lacks(&self, permission: Permission) -> AuthError {
        match self.id == PrincipalId::anonymous() {
            true => AuthError::ForbiddenToAll(permission),
            false => AuthError::Forbidden(permission),
        }
    }

    /// Whether the token is still valid. Once false, it stays false: what was opened with the token
    /// has to end. Cheap. A stream checks it after it is registered (a token may be revoked while
    /// the stream opens), and each time [`super::Authenticator::revoked`] signals a revocation.
    pub fn is_valid(&self) -> bool {
        !self.revoked.load(Ordering::Acquire)
    }

    /// The principal with the rights that its token has at this moment. Work that outlives its request asks
    /// each time before it reads.
    ///
    /// # Errors
    /// The token was revoked or has expired.
    pub fn present(self: &Arc<Self>) -> Result<Arc<Self>, AuthError> {
        let mut principal = self;
        while !principal.is_valid() {
            principal = principal.successor.get().ok_or(AuthError::Unknown)?;
        }
        Ok(Arc::clone(principal))
    }

    /// Revokes the token, which has other rights from now on; `true` if it was valid until now.
    pub(super) fn replace(&self, by: &Arc<Self>) -> bool {
        // First: whoever sees the revocation finds the successor. The owner of what was begun stays.
        if self.id == by.id {
            let _ = self.successor.set(Arc::clone(by));
        }
        self.revoke()
    }

    /// Revokes the token; `true` if it was valid until now.
    pub(super) fn revoke(&self) -> bool {
        !self.revoked.swap(true, Ordering::AcqRel)
    }

    /// Whether `other` has the same name and rights.
    pub(super) fn has_same_rights(&self, other: &Self) -> bool {
        self.id == other.id && self.permissions == other.permissions && self.sees == other.sees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        for put in [
            &[][..],
            &[Permission::Read],
            &[Permission::Admin],
            &Permission::ALL,
        ] {
            let set: Permissions = put.iter().copied().collect();
            for permission in Permission::ALL {
                assert_eq!(set.has(permission), put.contains(&permission));
                assert_eq!(Permission::parse(permission.as_str()), Some(permission));
            }
        }
        assert_eq!(Permission::parse("admin:all"), None);
    }

    #[test]
    fn names_on_the_wire_are_those_that_are_shown() {
        for permission in Permission::ALL {
            let json = serde_json::to_value(permission).unwrap();
            assert_eq!(json, permission.as_str());
        }
        for token in TokenType::ALL {
            assert_eq!(serde_json::to_value(token).unwrap(), token.as_str());
        }
    }

    #[test]
    fn a_token_has_the_type_of_the_most_that_it_may_do() {
        let of = |permissions: &[Permission]| {
            let set: Permissions = permissions.iter().copied().collect();
            set.token_type().as_str()
        };
        assert_eq!(of(&Permission::ALL), "master");
        assert_eq!(of(&[Permission::Admin]), "master");
        assert_eq!(of(&[Permission::Read, Permission::Send]), "team");
        assert_eq!((of(&[Permission::Read]), of(&[])), ("readonly", "readonly"));
    }

    #[test]
    fn everybody_reads_and_nobody_operates_without_authentication() {
        let anonymous = Principal::anonymous();
        assert_eq!(anonymous.require(Permission::Read), Ok(()));
        let denied = AuthError::ForbiddenToAll(Permission::Admin);
        assert_eq!(anonymous.require(Permission::Admin), Err(denied));
        assert!(anonymous.is_valid());
    }
}
