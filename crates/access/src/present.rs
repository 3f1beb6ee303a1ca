//! The rights that a principal has at this moment, for work that outlives the request which began it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{AuthError, Permission, Principal, Visibility};

/// The rights of a call, asked each time that it reads: a token may be narrowed or revoked while the call
/// waits. Clones share what was read.
#[derive(Debug, Clone)]
pub struct PresentRights {
    principal: Arc<Principal>,
    last: Arc<Mutex<Visibility>>,
}

impl PresentRights {
    /// The rights of a call that this principal began.
    #[must_use]
    pub fn new(principal: Arc<Principal>) -> Self {
        let last = Arc::new(Mutex::new(principal.sees.clone()));
        Self { principal, last }
    }

    /// The principal that began the call.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The principal with its present rights, for one read.
    ///
    /// # Errors
    /// The token was revoked or has expired, or may not read any more.
    pub fn now(&self) -> Result<Arc<Principal>, AuthError> {
        let now = self.principal.present()?;
        now.require(Permission::Read)?;
        self.last.lock().clone_from(&now.sees);
        Ok(now)
    }

    /// What could be seen when the call read last: its answer may show that much.
    #[must_use]
    pub fn last(&self) -> Visibility {
        self.last.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use model::PrincipalId;

    use super::*;
    use crate::Permissions;

    fn principal(name: &str, permissions: &[Permission], sees: Visibility) -> Arc<Principal> {
        let permissions = permissions.iter().copied().collect::<Permissions>();
        let name = PrincipalId::new(name).unwrap();
        Arc::new(Principal::new(name, permissions, sees))
    }

    fn sees(owner: &str) -> Visibility {
        Visibility::only([owner], []).unwrap()
    }

    #[test]
    fn a_call_reads_with_the_rights_of_the_moment() {
        let wide = principal("a", &[Permission::Read], Visibility::all());
        let rights = PresentRights::new(Arc::clone(&wide));
        let shared = rights.clone();
        assert_eq!(rights.now().unwrap().sees, Visibility::all());
        let narrow = principal("a", &[Permission::Read], sees("octo"));
        assert!(wide.replace(&narrow));
        // What was read before stays what it was, until the next read.
        assert_eq!(shared.last(), Visibility::all());
        assert_eq!(rights.now().unwrap().sees, sees("octo"));
        assert_eq!(shared.last(), sees("octo"));
        let other = principal("a", &[Permission::Read], sees("acme"));
        assert!(narrow.replace(&other));
        assert_eq!(rights.now().unwrap().sees, sees("acme"));
        assert!(other.revoke());
        assert_eq!(rights.now().unwrap_err(), AuthError::Unknown);
    }

    #[test]
    fn a_call_does_not_read_without_the_permission_nor_for_another_principal() {
        let reads = principal("a", &[Permission::Read], Visibility::all());
        let rights = PresentRights::new(Arc::clone(&reads));
        reads.replace(&principal("a", &[Permission::Send], Visibility::all()));
        let denied = AuthError::Forbidden(Permission::Read);
        assert_eq!(rights.now().unwrap_err(), denied);
        let reads = principal("a", &[Permission::Read], Visibility::all());
        let rights = PresentRights::new(Arc::clone(&reads));
        reads.replace(&principal("b", &[Permission::Read], Visibility::all()));
        assert_eq!(rights.now().unwrap_err(), AuthError::Unknown);
    }
}
