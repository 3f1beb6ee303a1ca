use std::{collections::BTreeMap, ffi::OsString};

use service_kit::config::Value;

use super::{joined::with_redis_parts, *};

#[test]
fn milliseconds_are_rounded_up_to_seconds() {
    assert_eq!(seconds("1500"), Ok(Some(Value::from(2_u64))));
    assert!(seconds("soon").is_err());
}

#[test]
fn an_app_and_the_size_of_the_cache_are_numbers_and_nothing_without_text() {
    let set = |name: &str, text: &str| {
        let mut table = TABLE.iter();
        let older = table.find(|older| older.name == name).unwrap();
        (older.key, (older.convert)(text))
    };
    let number = |number: u64| Ok(Some(Value::from(number)));
    assert_eq!(set("GITHUB_APP_ID", " 5 "), ("github.app_id", number(5)));
    let cache = set("MAX_CACHE_ENTRIES", "10000");
    assert_eq!(cache, ("sync.max_resources", number(10_000)));
    assert_eq!(set("GITHUB_APP_ID", "").1, Ok(None));
    assert!(set("MAX_CACHE_ENTRIES", "many").1.is_err());
    for refused in [
        "GITHUB_APP_PRIVATE_KEY",
        "GITHUB_APP_INSTALLATION_ID",
        "SECRETS_DIR",
        "WEBHOOK_RATE_LIMIT",
        "WEBHOOK_RATE_WINDOW_MS",
        "MCP_TOOL_GROUPS",
    ] {
        assert!(set(refused, "7").1.is_err(), "{refused}");
    }
}

#[test]
fn pairs_are_decoded_and_wrong_ones_refused() {
    let read = |text| pairs(text).unwrap().unwrap();
    let expected = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| (*key, *value));
        Value::from(pairs.collect::<BTreeMap<_, _>>())
    };
    assert_eq!(
        read("authorization=Bearer%20a%3D%c3%bc, x = 1,"),
        expected(&[("authorization", "Bearer a=ü"), ("x", "1")])
    );
    assert_eq!(pairs(""), Ok(None));
    for wrong in ["x", "x=%", "x=%2", "x=%zz", "x=%+f", "x=%ff"] {
        assert!(pairs(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_host_and_a_port_of_redis_are_one_url() {
    let url = |url: &str| Ok(Some(Value::from(url)));
    assert_eq!(redis_host("redis"), url("redis://redis:6379"));
    assert_eq!(redis_host("10.0.0.1:7000"), url("redis://10.0.0.1:7000"));
    assert_eq!(redis_host("[::1]"), url("redis://[::1]:6379"));
    assert_eq!(redis_host("[::1]:7000"), url("redis://[::1]:7000"));
    assert_eq!(redis_host(""), Ok(None));
    for wrong in ["redis://redis", "::1", "a b", "user@redis", "redis:x"] {
        assert!(redis_host(wrong).unwrap_err().contains("redis.url"));
    }
    let joined = |pairs: &[(&str, &str)]| {
        let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
        with_redis_parts(pairs.iter().map(owned))
    };
    let one = joined(&[("A", "1"), ("REDIS_PORT", " 7000"), ("REDIS_HOST", "redis")]);
    let expected = [("A", "1"), ("REDIS_HOST", "redis:7000")];
    assert_eq!(one, joined(&expected));
    let link = [
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
    ];
    assert_eq!(joined(&link).len(), 2);
    let beside = [("REDIS_PORT", "7000"), ("REDIS_URL", "redis://r:1")];
    assert_eq!(joined(&beside), joined(&beside[1..]));
    let empty = [("REDIS_PORT", "7000"), ("REDIS_HOST", "")];
    assert_eq!(joined(&empty).len(), 2, "refused by name");
    assert!(redis_port("7000").unwrap_err().contains("redis.url"));
}

#[test]
fn a_password_and_a_database_of_redis_are_in_its_url_or_refused() {
    let joined = |pairs: &[(&str, &str)]| {
        let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
        with_redis_parts(pairs.iter().map(owned))
    };
    let all = [
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "7000"),
        ("REDIS_PASSWORD", "a:b/c@d"),
        ("REDIS_DB", "2"),
    ];
    let url = [("REDIS_URL", "redis://:a%3Ab%2Fc%40d@redis:7000/2")];
    assert_eq!(joined(&all), joined(&url));
    assert_eq!(
        joined(&[all[0], all[3]]),
        joined(&[("REDIS_URL", "redis://redis:6379/2")])
    );
    let beside = [("REDIS_URL", "redis://r:1"), all[2], all[3]];
    assert_eq!(joined(&beside), joined(&beside[..1]));
    for refused in [&all[2..3], &all[3..], &[all[0], ("REDIS_DB", "two")]] {
        assert_eq!(joined(refused).len(), refused.len());
        let (_, text) = refused.last().unwrap();
        assert!(redis_part(text).unwrap_err().contains("redis.url"));
    }
    assert_eq!(redis_part(" "), Ok(None));
}

#[test]
fn a_host_a_level_and_a_repository_are_honoured_or_refused_by_name() {
    let set = |text: &str| Ok(Some(Value::from(text)));
    assert_eq!(host("0.0.0.0"), set("0.0.0.0:3000"));
    assert_eq!(host(" localhost "), set("127.0.0.1:3000"));
    assert_eq!(host("[::1]"), set("[::1]:3000"));
    assert_eq!(host(""), Ok(None));
    for address in ["0.0.0.0", " localhost ", "[::1]", ""] {
        assert_eq!(of_others("HOST", address), None);
    }
    for name in ["x86_64-conda-linux-gnu", "edge.example.com", "10.0.0.1:80"] {
        let reason = of_others("HOST", name).unwrap();
        assert!(reason.contains("edge.listen"), "{reason}");
    }
    assert_eq!(log_level("WARNING"), set("warn"));
    assert_eq!(log_level("silent"), set("off"));
    assert_eq!(log_level(" "), Ok(None));
    assert!(log_level("loud").unwrap_err().contains("telemetry.filter"));
    let together = |pairs: &[(&str, &str)]| {
        let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
        with_joined_parts(pairs.iter().map(owned))
    };
    let one = |name: &str, text: &str| vec![(OsString::from(name), OsString::from(text))];
    let listener = together(&[("PORT", "8080"), ("HOST", "0.0.0.0")]);
    assert_eq!(listener, one("PORT", "0.0.0.0:8080"));
    assert_eq!(address("0.0.0.0:8080"), set("0.0.0.0:8080"));
    assert_eq!(address("8080"), set("127.0.0.1:8080"));
    let kept = together(&[("PORT", "8080"), ("HOST", "a-name")]);
    assert_eq!(kept.len(), 2, "the name is another program's");
    let named = together(&[("GITHUB_OWNER", "octo"), ("GITHUB_REPO", "cat")]);
    assert_eq!(named, one("GITHUB_REPO", "octo/cat"));
    let listed = Value::from(vec!["octo/cat"]);
    assert_eq!(repository("octo/cat"), Ok(Some(listed)));
    for refused in [owner("octo"), repository("cat")] {
        assert!(refused.unwrap_err().contains("sync.repositories"));
    }
    assert_eq!((owner(""), repository("")), (Ok(None), Ok(None)));
}

#[test]
fn what_kubernetes_sets_for_a_service_is_no_port_of_ours() {
    let link = "tcp://10.0.0.1:80";
    for (name, key) in [
        ("PORT", "edge.listen"),
        ("WEBHOOK_PORT", "ingest.listen"),
        ("REDIS_PORT", "redis.url"),
    ] {
        let reason = of_others(name, link).unwrap();
        assert!(reason.contains(key), "{reason}");
        for ours in ["", "8080", "http"] {
            assert_eq!(of_others(name, ours), None, "{name}={ours}");
        }
    }
    assert_eq!(of_others("REDIS_URL", link), None);
}

#[test]
fn what_would_leave_a_door_open_is_refused_by_name() {
    for text in ["secret", "a,b"] {
        let refused = tokens(text).unwrap_err();
        assert!(
            refused.contains("auth.mode") && !refused.contains(text),
            "{refused}"
        );
    }
    assert!(
        unsigned("true")
            .unwrap_err()
            .contains("ingest.webhook_secrets")
    );
    for off in ["", "false", "0"] {
        assert_eq!(unsigned(off), Ok(None));
    }
    assert_eq!(tokens(""), Ok(None));
}

#[test]
fn a_wildcard_is_no_origin() {
    assert!(
        origins("https://a.example, *")
            .unwrap_err()
            .contains("edge.allowed_origins")
    );
    let listed = Value::from(vec!["https://a.example", "https://b.example"]);
    assert_eq!(
        origins("https://a.example,https://b.example"),
        Ok(Some(listed))
    );
}

#[test]
fn a_switch_that_is_on_leaves_the_key_as_it_is() {
    assert_eq!(enabled("true"), Ok(None));
    assert_eq!(enabled("off"), Ok(Some(Value::from(0_u64))));
    assert!(enabled("perhaps").is_err());
}
