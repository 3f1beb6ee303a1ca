//! Refuses unsafe combinations of settings at start, with a sentence that names the fix.

use anyhow::bail;

use crate::{
    config::{BackendKey, BackendProfile, BackendsSection, Config, Presence},
    roles::RoleSet,
    telemetry, trust,
};

/// Checks every section, and the rules that span sections.
///
/// # Errors
/// A setting or a combination is unsafe, or a backend is not in this build; the text names the fix.
pub(crate) fn check(config: &Config, roles: &RoleSet) -> anyhow::Result<()> {
    let backends = &config.backends;
    for key in BackendKey::ALL {
        in_this_build((key, backends.key_of(key)), backends.chosen(key))?;
    }
    if roles.is_split() {
        for key in BackendKey::ALL
            .into_iter()
            .filter(|key| roles.uses(config, *key))
        {
            shared((key, backends.key_of(key)), backends.chosen(key))?;
        }
    }
    together(backends)?;
    config.layers.keys()?;
    for role in roles.known() {
        (role.check_section)(config)?;
    }
    for role in roles.iter() {
        (role.check)(config, roles)?;
    }
    #[cfg(feature = "nats")]
    crate::backends::nats_settings(config).check()?;
    trust::check(config)?;
    telemetry::check(&config.telemetry, roles)?;
    config.github.check()?;
    if config.retention.max_memory_events == 0 {
        bail!("retention.max_memory_events = 0 would keep no event; use 1 or more");
    }
    if config.retention.event_days < 3 {
        bail!(
            "retention.event_days = {} is shorter than GitHub's redelivery window; use 3 or more",
            config.retention.event_days
        );
    }
    Ok(())
}

fn in_this_build(
    (key, key_name): (BackendKey, &str),
    chosen: BackendProfile,
) -> anyhow::Result<()> {
    let name = chosen.name;
    let others = alternatives(key, |backend| backend.presence == Presence::Here, "");
    match chosen.presence {
        Presence::Here => Ok(()),
        Presence::NeedsFeature(feature) => bail!(
            "backends.{key_name} = \"{name}\" is not in this build, which lacks the cargo feature \
             \"{feature}\"; build with --features {feature}, or use {others}"
        ),
        Presence::Planned => {
            bail!("backends.{key_name} = \"{name}\" is not in this build yet; use {others}")
        }
    }
}

/// A backend inside one process cannot be shared by roles that run in several.
fn shared((key, key_name): (BackendKey, &str), chosen: BackendProfile) -> anyhow::Result<()> {
    if chosen.is_shared {
        return Ok(());
    }
    let name = chosen.name;
    let can_be_shared =
        |backend: &BackendProfile| backend.is_shared && backend.presence != Presence::Planned;
    let fix = alternatives(key, can_be_shared, "\"");
    bail!(
        "backends.{key_name} = \"{name}\" belongs to one process, but only some roles run in this one; \
         use {fix}, or run all roles in one process (no --role)"
    )
}

/// Shapes that depend on each other: edges that share records have to share what goes with them.
fn together(backends: &BackendsSection) -> anyhow::Result<()> {
    let of = |key| {
        let (name, chosen) = (backends.key_of(key), backends.chosen(key));
        (format!("backends.{name} = \"{}\"", chosen.name), chosen)
    };
    let (records, kept) = of(BackendKey::Records);
    for (key, name, reason) in [
        (
            BackendKey::Mailboxes,
            "mailboxes",
            "a message to a session would stay on the edge that took it",
        ),
        (
            BackendKey::Leases,
            "leases",
            "edges that share records would each hold the lease of the same call",
        ),
    ] {
        let (other, chosen) = of(key);
        if kept.is_shared && !chosen.is_shared {
            bail!(
                "{other}, but {records}: {reason}; set backends.{name} = \"{}\", or leave it out",
                kept.name
            );
        }
    }
    Ok(())
}

/// The names of the backends that fit, each in `quote`, as a sentence lists them.
fn alternatives(key: BackendKey, fits: impl Fn(&BackendProfile) -> bool, quote: &str) -> String {
    let fitting = key.known().into_iter().filter(fits);
    let names: Vec<_> = fitting
        .map(|backend| format!("{quote}{}{quote}", backend.name))
        .collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{AuthMode, BusBackend, EventsBackend, SessionsBackend},
        roles::{self, RoleSpec},
    };

    const ALL: [&str; 3] = ["ingest", "sync", "edge"];

    fn named(names: &[&str]) -> RoleSet {
        RoleSet::new(
            &roles::ALL,
            names.iter().map(|name| roles::find(name).unwrap()),
        )
    }

    fn with_secret() -> Config {
        let mut config = Config::default();
        config.ingest.webhook_secrets = vec![service_kit::config::Secret::new("s")];
        config
    }

    fn refusal(roles: &[&str], change: impl FnOnce(&mut Config)) -> String {
        let mut config = with_secret();
        change(&mut config);
        let error = check(&config, &named(roles)).expect_err("refused");
        error.to_string()
    }

    fn cluster(config: &mut Config) {
        config.backends.events = EventsBackend::Jetstream;
        config.backends.sessions = SessionsBackend::Redis;
        config.backends.bus = BusBackend::Nats;
        config.sync.endpoint = Some("http://sync:3002".to_owned());
        config.sync.listen = "0.0.0.0:3002".parse().unwrap();
        config.nats.url = service_kit::config::Secret::new("nats://nats:4222");
        config.roles.keys = vec![service_kit::config::Secret::new("k".repeat(32))];
    }

    #[test]
    fn the_defaults_are_safe_for_one_process() {
        check(&with_secret(), &roles::all()).unwrap();
    }

    #[test]
    fn a_cluster_is_safe_role_by_role() {
        let mut config = with_secret();
        cluster(&mut config);
        for role in ALL {
            check(&config, &named(&[role])).unwrap();
        }
    }

    #[test]
    fn roles_that_meet_on_another_machine_need_a_key() {
        for role in ALL {
            let without = |config: &mut Config| {
                cluster(config);
                config.roles.keys.clear();
            };
            let text = refusal(&[role], without);
            assert!(text.contains("roles.key_files"), "{role}: {text}");
            let mut config = with_secret();
            without(&mut config);
            config.roles.i_understand = true;
            check(&config, &named(&[role])).unwrap();
            // All of it on one machine, as in `make cluster`.
            config.roles.i_understand = false;
            config.sync.listen = "127.0.0.1:3002".parse().unwrap();
            config.sync.endpoint = Some("http://127.0.0.1:3002".to_owned());
            config.nats.url = service_kit::config::Secret::new("nats://127.0.0.1:4222");
            check(&config, &named(&[role])).unwrap();
        }
        let open = |config: &mut Config| config.sync.listen = "0.0.0.0:3002".parse().unwrap();
        assert!(refusal(&ALL, open).contains("sync.listen"));
    }

    #[test]
    fn parts_of_one_process_are_refused_for_split_roles_with_the_fix() {
        assert!(refusal(&["edge"], |_| {}).contains("jetstream"));
        let text = refusal(&["ingest"], |config| {
            config.backends.events = EventsBackend::Jetstream;
        });
        assert!(text.contains("nats"), "{text}");
        let text = refusal(&["edge"], |config| {
            cluster(config);
            config.backends.sessions = SessionsBackend::Sqlite;
        });
        assert!(text.contains("redis"), "{text}");
    }

    #[test]
    fn an_open_edge_wants_to_be_understood() {
        let open = |config: &mut Config| config.edge.listen = "0.0.0.0:3000".parse().unwrap();
        assert!(refusal(&ALL, open).contains("auth.i_understand"));
        let mut config = with_secret();
        open(&mut config);
        config.auth.i_understand = true;
        check(&config, &roles::all()).unwrap();
    }

    #[test]
    fn tokens_need_a_good_file_and_open_any_address() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tokens = |config: &mut Config| {
            config.edge.listen = "0.0.0.0:3000".parse().unwrap();
            config.auth.mode = AuthMode::Tokens;
        };
        let text = refusal(&ALL, tokens);
        assert!(
            text.contains("auth.token_file") && text.contains("tokens new"),
            "{text}"
        );
        let mut config = with_secret();
        tokens(&mut config);
        config.auth.token_file = Some(file.path().to_owned());
        check(&config, &roles::all()).unwrap();
        std::fs::write(file.path(), "[[token]]\nid = 7\n").unwrap();
        let error = check(&config, &roles::all()).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("auth.token_file") && text.contains("line "),
            "{text}"
        );
    }

    #[test]
    fn a_token_file_that_nobody_reads_is_refused() {
        let text = refusal(&ALL, |config| {
            config.auth.token_file = Some("tokens.toml".into());
        });
        assert!(text.contains("auth.mode = \"tokens\""), "{text}");
    }

    #[test]
    fn an_edge_without_sync_has_to_know_where_it_is() {
        let text = refusal(&["edge"], |config| {
            cluster(config);
            config.sync.endpoint = None;
        });
        assert!(text.contains("sync.endpoint"), "{text}");
    }

    #[test]
    fn ingest_without_a_secret_is_refused_and_names_the_key() {
        let none = |config: &mut Config| config.ingest.webhook_secrets.clear();
        assert!(refusal(&ALL, none).contains("ingest.webhook_secrets"));
        let mut config = Config::default();
        cluster(&mut config);
        check(&config, &named(&["edge"])).unwrap();
    }

    #[test]
    fn a_backend_of_a_smaller_build_is_refused_with_its_feature() {
        let chosen = BackendProfile {
            presence: Presence::NeedsFeature("nats"),
            ..EventsBackend::Jetstream.profile()
        };
        let error = in_this_build((BackendKey::Log, "log"), chosen).expect_err("refused");
        let text = error.to_string();
        assert!(
            text.contains("--features nats") && text.contains("sqlite"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_built_yet_says_so() {
        let text = refusal(&ALL, |config| {
            config.backends.events = EventsBackend::Postgres;
        });
        assert!(text.contains("not in this build"), "{text}");
        assert!(refusal(&ALL, |c| c.retention.event_days = 1).contains("redelivery"));
    }

    #[test]
    fn credentials_of_github_that_contradict_each_other_are_refused() {
        let text = refusal(&ALL, |config| {
            config.github.api_url = "api.github.com".to_owned();
        });
        assert!(
            text.contains("github.api_url") && text.contains("https://"),
            "{text}"
        );
        let text = refusal(&ALL, |config| config.github.app_id = Some(7));
        assert!(text.contains("github.private_key_file"), "{text}");
        let text = refusal(&ALL, |config| {
            config.github.app_id = Some(7);
            config.github.private_key_file = Some("key.pem".into());
            config.github.token_file = Some("token".into());
        });
        assert!(text.contains("github.token_file"), "{text}");
    }

    /// A role that an installation may do without, as a later one will be.
    static OPTIONAL: RoleSpec = RoleSpec {
        name: "optional",
        is_required: false,
        uses: &BackendKey::ALL,
        uses_with: |_| &[],
        creates_log: false,
        listen: |config| config.sync.listen,
        listener_use: service_kit::descriptors::ListenerUse::Requests,
        check_section: |_| Ok(()),
        check: |_, _| Ok(()),
        start: |_| Ok(()),
    };
    static WITH_OPTIONAL: [&RoleSpec; 4] = [roles::ALL[0], roles::ALL[1], roles::ALL[2], &OPTIONAL];

    #[test]
    fn an_optional_role_changes_nothing_about_what_has_to_be_shared() {
        let chosen = |roles: &[&'static RoleSpec]| {
            let roles = RoleSet::new(&WITH_OPTIONAL, roles.iter().copied());
            check(&with_secret(), &roles).map_err(|error| error.to_string())
        };
        // SQLite in one process, with it and without it.
        assert_eq!(chosen(&roles::ALL), Ok(()));
        assert_eq!(chosen(&WITH_OPTIONAL), Ok(()));
        // A required role is elsewhere, so its stores are too.
        for split in [&WITH_OPTIONAL[3..], &WITH_OPTIONAL[1..]] {
            let text = chosen(split).expect_err("refused");
            assert!(text.contains("jetstream"), "{text}");
        }
    }

    #[test]
    fn shapes_that_depend_on_each_other_are_refused_apart_with_the_fix() {
        let text = refusal(&ALL, |config| {
            config.backends.sessions = SessionsBackend::Redis;
            config.backends.mailboxes = Some(SessionsBackend::Memory);
        });
        assert!(
            text.contains("backends.mailboxes = \"memory\"")
                && text.contains("backends.sessions = \"redis\"")
                && text.contains("leave it out"),
            "{text}"
        );
        let text = refusal(&ALL, |config| {
            config.backends.sessions = SessionsBackend::Redis;
            config.backends.leases = Some(SessionsBackend::Sqlite);
        });
        assert!(text.contains("backends.leases = \"redis\""), "{text}");
        let mut config = with_secret();
        config.backends.leases = Some(SessionsBackend::Memory);
        config.backends.mailboxes = Some(SessionsBackend::Memory);
        config.backends.log = Some(EventsBackend::Memory);
        check(&config, &roles::all()).unwrap();
        let text = refusal(&["edge"], |config| {
            cluster(config);
            config.backends.log = Some(EventsBackend::Sqlite);
        });
        assert!(text.contains("backends.log = \"sqlite\""), "{text}");
    }

    #[test]
    fn keys_that_seal_are_checked_at_the_start() {
        let text = refusal(&ALL, |config| {
            config.layers.seal_keys = vec![service_kit::config::Secret::new("short")];
        });
        assert!(
            text.contains("layers.seal_keys") && !text.contains("short,"),
            "{text}"
        );
    }

    #[test]
    fn a_sync_role_that_sweeps_shares_its_leases() {
        let sweeping = |config: &mut Config| {
            cluster(config);
            config.github.token = Some(service_kit::config::Secret::new("ghp_of_nobody"));
            config.sync.organizations = vec!["octo".to_owned()];
        };
        let mut config = with_secret();
        sweeping(&mut config);
        check(&config, &named(&["sync"])).unwrap();
        let text = refusal(&["sync"], |config| {
            sweeping(config);
            config.backends.sessions = SessionsBackend::Sqlite;
        });
        assert!(text.contains("backends.sessions = \"sqlite\""), "{text}");
        let text = refusal(&ALL, |config| config.sync.app_webhook = true);
        assert!(text.contains("github.app_id"), "{text}");
    }

    #[test]
    fn only_what_the_chosen_roles_use_has_to_be_shared() {
        let mut config = with_secret();
        cluster(&mut config);
        config.backends.sessions = SessionsBackend::Sqlite;
        check(&config, &named(&["ingest", "sync"])).unwrap();
        check(&config, &named(&["edge", "sync"])).unwrap_err();
    }
}
