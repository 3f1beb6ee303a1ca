//! `[backends]`: which stores and which bus are used, and the properties of each choice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which stores and which bus are used. The defaults are embedded: one process, no server needed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Backends")]
pub(crate) struct BackendsSection {
    /// The event log.
    pub(crate) events: EventsBackend,
    /// Sessions of the handshake era.
    pub(crate) sessions: SessionsBackend,
    /// Hints between processes.
    pub(crate) bus: BusBackend,
}

/// Where events are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventsBackend {
    /// A file that a single process uses.
    #[default]
    Sqlite,
    /// Memory only: lost when the process ends.
    Memory,
    /// NATS JetStream, shared by all processes.
    Jetstream,
    /// PostgreSQL (not in this build yet).
    Postgres,
    /// Redis (not in this build yet).
    Redis,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionsBackend {
    /// A file that a single process uses.
    #[default]
    Sqlite,
    /// Memory only: lost when the process ends.
    Memory,
    /// Redis, shared by all processes.
    Redis,
    /// PostgreSQL (not in this build yet).
    Postgres,
}

/// The bus that carries hints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BusBackend {
    /// The memory of this process.
    #[default]
    InProcess,
    /// NATS, shared by all processes.
    Nats,
}

/// What a role uses: the keys of `[backends]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BackendKey {
    /// The event log.
    Events,
    /// The bus.
    Bus,
    /// Sessions, their mailboxes, tasks and locks.
    Sessions,
}

/// Whether this build has a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// This build has it.
    Here,
    /// This cargo feature adds it.
    NeedsFeature(&'static str),
    /// No build has it yet.
    Planned,
}

/// Properties of a backend that do not depend on its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackendProfile {
    /// Its name in the configuration.
    pub(crate) name: &'static str,
    /// Several processes can use it together.
    pub(crate) is_shared: bool,
    /// It removes events past their retention by itself.
    pub(crate) trims_itself: bool,
    pub(crate) presence: Presence,
}

const NATS: Presence = feature(cfg!(feature = "nats"), "nats");
const REDIS: Presence = feature(cfg!(feature = "redis"), "redis");

const fn feature(is_on: bool, name: &'static str) -> Presence {
    if is_on {
        Presence::Here
    } else {
        Presence::NeedsFeature(name)
    }
}

impl BackendProfile {
    /// A backend inside this process.
    const fn embedded(name: &'static str) -> Self {
        Self {
            name,
            is_shared: false,
            trims_itself: false,
            presence: Presence::Here,
        }
    }

    /// A server that all processes use.
    const fn server(name: &'static str, presence: Presence) -> Self {
        Self {
            name,
            is_shared: true,
            trims_itself: false,
            presence,
        }
    }
}

impl EventsBackend {
    const ALL: [Self; 5] = [
        Self::Sqlite,
        Self::Memory,
        Self::Jetstream,
        Self::Postgres,
        Self::Redis,
    ];

    pub(crate) const fn profile(self) -> BackendProfile {
        match self {
            Self::Sqlite => BackendProfile::embedded("sqlite"),
            Self::Memory => BackendProfile::embedded("memory"),
            Self::Jetstream => BackendProfile {
                trims_itself: true,
                ..BackendProfile::server("jetstream", NATS)
            },
            Self::Postgres => BackendProfile::server("postgres", Presence::Planned),
            Self::Redis => BackendProfile::server("redis", Presence::Planned),
        }
    }
}

impl SessionsBackend {
    const ALL: [Self; 4] = [Self::Sqlite, Self::Memory, Self::Redis, Self::Postgres];

    pub(crate) const fn profile(self) -> BackendProfile {
        match self {
            Self::Sqlite => BackendProfile::embedded("sqlite"),
            Self::Memory => BackendProfile::embedded("memory"),
            Self::Redis => BackendProfile::server("redis", REDIS),
            Self::Postgres => BackendProfile::server("postgres", Presence::Planned),
        }
    }
}

impl BusBackend {
    const ALL: [Self; 2] = [Self::InProcess, Self::Nats];

    pub(crate) const fn profile(self) -> BackendProfile {
        match self {
            Self::InProcess => BackendProfile::embedded("in-process"),
            Self::Nats => BackendProfile::server("nats", NATS),
        }
    }
}

impl BackendKey {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::Bus, Self::Sessions];

    /// The key in `[backends]`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Bus => "bus",
            Self::Sessions => "sessions",
        }
    }

    /// Every backend that the key can name.
    pub(crate) fn known(self) -> Vec<BackendProfile> {
        match self {
            Self::Events => EventsBackend::ALL.map(EventsBackend::profile).to_vec(),
            Self::Bus => BusBackend::ALL.map(BusBackend::profile).to_vec(),
            Self::Sessions => SessionsBackend::ALL.map(SessionsBackend::profile).to_vec(),
        }
    }
}

impl BackendsSection {
    /// The backend that a key names.
    pub(crate) const fn chosen(&self, key: BackendKey) -> BackendProfile {
        match key {
            BackendKey::Events => self.events.profile(),
            BackendKey::Bus => self.bus.profile(),
            BackendKey::Sessions => self.sessions.profile(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_name_that_the_configuration_has() {
        fn names<B: Serialize>(backends: &[B]) -> Vec<String> {
            let name = |backend| serde_json::to_value(backend).unwrap();
            let names = backends.iter().map(name);
            names
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        }
        let profiles = |key: BackendKey| -> Vec<_> {
            key.known().iter().map(|backend| backend.name).collect()
        };
        assert_eq!(profiles(BackendKey::Events), names(&EventsBackend::ALL));
        assert_eq!(profiles(BackendKey::Sessions), names(&SessionsBackend::ALL));
        assert_eq!(profiles(BackendKey::Bus), names(&BusBackend::ALL));
    }
}
