use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::roles;

/// The path of every key of the schema.
fn keys() -> BTreeSet<String> {
    fn walk(schema: &Value, path: &str, of: &Value, keys: &mut BTreeSet<String>) {
        let pointer = of["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        let of = pointer
            .and_then(|pointer| schema.pointer(pointer))
            .unwrap_or(of);
        match of["properties"].as_object() {
            None => {
                keys.insert(path.to_owned());
            }
            Some(fields) => {
                for (name, field) in fields {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    walk(schema, &path, field, keys);
                }
            }
        }
    }
    let schema = schemars::schema_for!(Config).to_value();
    let mut keys = BTreeSet::new();
    walk(&schema, "", &schema, &mut keys);
    keys
}

fn given(key: &str, kind: SettingOrigin) -> GivenKey {
    GivenKey {
        key: key.to_owned(),
        origin: "flag --f".to_owned(),
        kind,
    }
}

fn idle_in(key: &str, config: &Config, roles: &RoleSet) -> IdleSettings {
    idle(&[given(key, SettingOrigin::File)], config, roles).unwrap()
}

fn only(role: &str) -> RoleSet {
    RoleSet::new(&roles::ALL, roles::find(role))
}

#[test]
fn every_key_of_the_schema_has_a_reader_or_a_reason_for_none() {
    let table: BTreeSet<_> = READERS.iter().map(|(key, _)| (*key).to_owned()).collect();
    let keys = keys();
    let missing: Vec<_> = keys.difference(&table).collect();
    assert!(
        missing.is_empty(),
        "keys without a reader; add to READERS what reads them: {missing:?}"
    );
    let gone: Vec<_> = table.difference(&keys).collect();
    assert!(
        gone.is_empty(),
        "READERS has keys that do not exist: {gone:?}"
    );
    assert_eq!(table.len(), READERS.len(), "a key has two readers");
}

#[test]
fn readers_name_roles_that_exist() {
    for (key, reader) in READERS {
        if let Reader::Roles(names) | Reader::While(names, _) = reader {
            for name in *names {
                assert!(roles::find(name).is_some(), "{key}: {name}");
            }
        }
    }
}

#[test]
fn what_no_version_reads_yet_is_a_warning_in_every_role() {
    let config = Config::default();
    let key = "postgres.url";
    for roles in [roles::all(), only("ingest"), only("sync"), only("edge")] {
        let idle = idle_in(key, &config, &roles);
        let text = idle.warnings[0].to_string();
        assert!(
            text.starts_with(&format!("{key} has no effect: this version")),
            "{text}"
        );
        assert!(text.contains("flag --f"), "{text}");
    }
}

#[test]
fn a_setting_of_a_backend_that_is_not_used_is_a_warning() {
    let mut config = Config::default();
    for key in [
        "retention.max_memory_events",
        "redis.url",
        "nats.url",
        "nats.replicas",
    ] {
        let idle = idle_in(key, &config, &roles::all());
        assert!(idle.warnings[0].to_string().contains("backends."), "{key}");
    }
    assert_eq!(
        idle_in("sqlite.path", &config, &roles::all()),
        IdleSettings::default()
    );
    config.backends.events = EventsBackend::Memory;
    let memory = idle_in("retention.max_memory_events", &config, &roles::all());
    assert_eq!(memory, IdleSettings::default());
    config.backends.sessions = SessionsBackend::Memory;
    assert_eq!(
        idle_in("sqlite.path", &config, &roles::all())
            .warnings
            .len(),
        1
    );
}

#[test]
fn what_is_asked_of_github_counts_only_with_credentials() {
    let mut with_token = Config::default();
    with_token.github.token_file = Some("token".into());
    for key in [
        "sync.repositories",
        "sync.initial_timeout_seconds",
        "sync.resources",
        "sync.interval_seconds",
    ] {
        let idle = idle_in(key, &Config::default(), &only("sync"));
        let text = idle.warnings[0].to_string();
        assert!(text.contains("github.token_file"), "{text}");
        let idle = idle_in(key, &with_token, &only("sync"));
        assert_eq!(idle, IdleSettings::default());
    }
}

/// All processes of an installation may share one file.
#[test]
fn a_setting_of_another_role_is_named_and_is_no_warning() {
    let idle = idle_in("ingest.listen", &Config::default(), &only("edge"));
    assert_eq!(
        (idle.warnings.len(), idle.of_other_roles),
        (0, vec!["ingest.listen".to_owned()])
    );
}

#[test]
fn a_flag_without_effect_is_refused() {
    let mut config = Config::default();
    let flag = [given("sqlite.path", SettingOrigin::Flag)];
    assert!(idle(&flag, &config, &roles::all()).is_ok());
    config.backends.events = EventsBackend::Jetstream;
    config.backends.sessions = SessionsBackend::Redis;
    let text = idle(&flag, &config, &roles::all()).unwrap_err().to_string();
    assert!(
        text.contains("--f") && text.contains("backends.log"),
        "{text}"
    );
    config.backends.sessions = SessionsBackend::Sqlite;
    assert!(
        idle(&flag, &config, &only("ingest")).is_err(),
        "an ingest has no sessions"
    );
    let skip = [given("sync.initial_timeout_seconds", SettingOrigin::Flag)];
    config.sync.initial_timeout_seconds = 0;
    let skipped = idle(&skip, &config, &roles::all()).unwrap();
    assert_eq!(skipped, IdleSettings::default());
}
