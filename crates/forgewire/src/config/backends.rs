//! `[backends]`: which stores and which bus are used, and the properties of each choice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which stores and which bus are used. The defaults are embedded: one process, no server needed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Backends")]
pub(crate) struct BackendsSection {
    /// The event log. An older name of `log`, which wins.
    pub(crate) events: EventsBackend,
    /// Records, mailboxes and leases: what `records`, `mailboxes` and `leases` are where they are not set.
    pub(crate) sessions: SessionsBackend,
    /// The event log. Default: `events`.
    pub(crate) log: Option<EventsBackend>,
    /// Sessions of the handshake era, tasks, and whatever else has a state and a revision. Default: `sessions`.
    pub(crate) records: Option<SessionsBackend>,
    /// Messages that sessions have yet to read. Processes that share `records` have to share them. Default:
    /// `sessions`.
    pub(crate) mailboxes: Option<SessionsBackend>,
    /// Leases: which edge works on a call or task. Processes that share `records` have to share them. Default:
    /// `sessions`.
    pub(crate) leases: Option<SessionsBackend>,
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
    Log,
    /// The bus.
    Bus,
    /// Sessions and tasks.
    Records,
    /// Messages of sessions.
    Mailboxes,
    /// Leases.
    Leases,
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
    pub(crate) const ALL: [Self; 5] = [
        Self::Log,
        Self::Bus,
        Self::Records,
        Self::Mailboxes,
        Self::Leases,
    ];

    /// Every backend that the key can name.
    pub(crate) fn known(self) -> Vec<BackendProfile> {
        match self {
            Self::Log => EventsBackend::ALL.map(EventsBackend::profile).to_vec(),
            Self::Bus => BusBackend::ALL.map(BusBackend::profile).to_vec(),
            Self::Records | Self::Mailboxes | Self::Leases => {
                SessionsBackend::ALL.map(SessionsBackend::profile).to_vec()
            }
        }
    }
}

impl BackendsSection {
    /// The backend of the event log.
    pub(crate) fn log(&self) -> EventsBackend {
        self.log.unwrap_or(self.events)
    }

    /// The backend of records.
    pub(crate) fn records(&self) -> SessionsBackend {
        self.records.unwrap_or(self.sessions)
    }

    /// The backend of mailboxes.
    pub(crate) fn mailboxes(&self) -> SessionsBackend {
        self.mailboxes.unwrap_or(self.sessions)
    }

    /// The backend of leases.
    pub(crate) fn leases(&self) -> SessionsBackend {
        self.leases.unwrap_or(self.sessions)
    }

    /// Whether any state that edges share is in this backend.
    pub(crate) fn keeps_state_in(&self, backend: SessionsBackend) -> bool {
        [self.records(), self.mailboxes(), self.leases()].contains(&backend)
    }

    /// The backend of a shape.
    pub(crate) fn chosen(&self, key: BackendKey) -> BackendProfile {
        match key {
            BackendKey::Log => self.log().profile(),
            BackendKey::Bus => self.bus.profile(),
            BackendKey::Records => self.records().profile(),
            BackendKey::Mailboxes => self.mailboxes().profile(),
            BackendKey::Leases => self.leases().profile(),
        }
    }

    /// The key in `[backends]` that decides on a shape: its own, or the one that stands for it.
    pub(crate) const fn key_of(&self, key: BackendKey) -> &'static str {
        match key {
            BackendKey::Log if self.log.is_some() => "log",
            BackendKey::Log => "events",
            BackendKey::Bus => "bus",
            BackendKey::Records if self.records.is_some() => "records",
            BackendKey::Mailboxes if self.mailboxes.is_some() => "mailboxes",
            BackendKey::Leases if self.leases.is_some() => "leases",
            BackendKey::Records | BackendKey::Mailboxes | BackendKey::Leases => "sessions",
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
        assert_eq!(profiles(BackendKey::Log), names(&EventsBackend::ALL));
        assert_eq!(profiles(BackendKey::Records), names(&SessionsBackend::ALL));
        assert_eq!(profiles(BackendKey::Bus), names(&BusBackend::ALL));
    }

    #[test]
    fn each_shape_has_its_key_and_the_present_keys_stand_for_several() {
        let older = BackendsSection {
            events: EventsBackend::Jetstream,
            sessions: SessionsBackend::Redis,
            ..BackendsSection::default()
        };
        let names = |section: &BackendsSection| {
            BackendKey::ALL.map(|key| (section.key_of(key), section.chosen(key).name))
        };
        assert_eq!(
            names(&older),
            [
                ("events", "jetstream"),
                ("bus", "in-process"),
                ("sessions", "redis"),
                ("sessions", "redis"),
                ("sessions", "redis"),
            ]
        );
        let own = BackendsSection {
            log: Some(EventsBackend::Memory),
            leases: Some(SessionsBackend::Memory),
            ..older
        };
        assert_eq!(names(&own)[0], ("log", "memory"));
        assert_eq!(names(&own)[2], ("sessions", "redis"));
        assert_eq!(names(&own)[4], ("leases", "memory"));
        assert!(own.keeps_state_in(SessionsBackend::Memory));
        assert!(!older.keeps_state_in(SessionsBackend::Memory));
    }
}
