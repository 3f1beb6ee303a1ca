//! What a process knows of a role, and a set of roles.

use std::{collections::BTreeSet, net::SocketAddr};

use service_kit::descriptors::ListenerUse;

use crate::config::{BackendKey, Config};

use super::startup::Startup;

/// A role that a process can play.
#[derive(Debug)]
pub(crate) struct RoleSpec {
    /// Its name on the command line and in the ready line, and of its section in the configuration.
    pub(crate) name: &'static str,
    /// No installation works without it: where it does not run in this process, it runs in another
    /// one, on the same stores.
    pub(crate) is_required: bool,
    /// The backends that it uses.
    pub(crate) uses: &'static [BackendKey],
    /// Those that it uses besides with these settings.
    pub(crate) uses_with: fn(&Config) -> &'static [BackendKey],
    /// Whether it creates the shared event log where that is missing, and strengthens its settings. The
    /// other roles wait for it.
    pub(crate) creates_log: bool,
    /// The address that it listens on.
    pub(crate) listen: fn(&Config) -> SocketAddr,
    /// The use of its listener, which decides on its part of the descriptors.
    pub(crate) listener_use: ListenerUse,
    /// Checks its section of the configuration, whether it runs here or not.
    pub(crate) check_section: fn(&Config) -> anyhow::Result<()>,
    /// Checks the settings that it needs when it runs together with these roles.
    pub(crate) check: fn(&Config, &RoleSet) -> anyhow::Result<()>,
    /// Starts it. It takes its listener.
    pub(crate) start: fn(&mut Startup<'_>) -> anyhow::Result<()>,
}

/// The roles that one process runs, out of all that there are.
#[derive(Debug, Clone)]
pub(crate) struct RoleSet {
    known: &'static [&'static RoleSpec],
    chosen: BTreeSet<&'static str>,
}

impl RoleSet {
    /// The `chosen` ones of the `known` roles.
    pub(crate) fn new(
        known: &'static [&'static RoleSpec],
        chosen: impl IntoIterator<Item = &'static RoleSpec>,
    ) -> Self {
        let chosen = chosen.into_iter().map(|role| role.name).collect();
        Self { known, chosen }
    }

    /// The chosen roles, in the order in which they start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static RoleSpec> {
        let known = self.known.iter().copied();
        known.filter(|role| self.contains(role))
    }

    /// Every role that there is, chosen or not.
    pub(crate) fn known(&self) -> &'static [&'static RoleSpec] {
        self.known
    }

    pub(crate) fn contains(&self, role: &RoleSpec) -> bool {
        self.chosen.contains(role.name)
    }

    /// Whether a role that every installation needs is missing. It then runs in another process, so
    /// the stores have to be shared. An optional role changes nothing: where it runs alone, the
    /// required ones are missing.
    pub(crate) fn is_split(&self) -> bool {
        let mut required = self.known.iter().filter(|role| role.is_required);
        required.any(|role| !self.contains(role))
    }

    /// Whether any chosen role creates the shared event log.
    pub(crate) fn creates_log(&self) -> bool {
        self.iter().any(|role| role.creates_log)
    }

    /// Whether any chosen role uses a backend with these settings.
    pub(crate) fn uses(&self, config: &Config, backend: BackendKey) -> bool {
        self.iter()
            .any(|role| role.uses.contains(&backend) || (role.uses_with)(config).contains(&backend))
    }
}
