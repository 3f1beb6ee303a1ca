use super::*;

#[test]
fn a_rate_limit_out_of_bounds_is_named() {
    for (set, key) in [
        (
            (|rates| rates.memory_calls_per_second = 0) as fn(&mut RateLimits),
            "memory_calls",
        ),
        (
            |rates| rates.store_calls_per_second = 1_000_001,
            "store_calls",
        ),
        (|rates| rates.waiting_calls = 0, "waiting_calls"),
    ] {
        let mut config = EdgeConfig::default();
        config.check().unwrap();
        set(&mut config.rates);
        let wrong = config.check().unwrap_err().to_string();
        assert!(wrong.contains(&format!("edge.rates.{key}")), "{wrong}");
    }
}

#[test]
fn a_stream_lives_for_some_heartbeats_or_for_ever() {
    let config = |heartbeat_seconds, max_stream_seconds| EdgeConfig {
        heartbeat_seconds,
        max_stream_seconds,
        ..EdgeConfig::default()
    };
    assert!(config(15, 120).check().is_ok());
    assert!(config(15, 0).check().is_ok());
    assert!(config(u64::MAX, 0).check().is_ok());
    for wrong in [config(15, 119), config(15, 1), config(u64::MAX, 3600)] {
        let refused = wrong.check().unwrap_err().to_string();
        assert!(refused.contains("edge.max_stream_seconds"), "{refused}");
    }
}

#[test]
fn idle_connections_close_within_bounds() {
    let config = |idle_seconds| EdgeConfig {
        idle_seconds,
        ..EdgeConfig::default()
    };
    assert_eq!(EdgeConfig::default().idle_seconds, 75);
    assert!(config(1).check().is_ok() && config(700).check().is_ok());
    for wrong in [0, 701] {
        let refused = config(wrong).check().unwrap_err().to_string();
        assert!(refused.contains("edge.idle_seconds"), "{refused}");
    }
}

#[test]
fn a_body_fits_into_the_memory_for_bodies() {
    let config = |max_body_bytes| EdgeConfig {
        max_body_bytes,
        ..EdgeConfig::default()
    };
    assert!(config(1).check().is_ok() && config(64 << 20).check().is_ok());
    for wrong in [0, (64 << 20) + 1] {
        let refused = config(wrong).check().unwrap_err().to_string();
        assert!(refused.contains("edge.max_body_bytes"), "{refused}");
    }
}

#[test]
fn a_session_cannot_be_idle_for_longer_than_it_may_live() {
    let config = |session_idle_seconds, session_max_seconds| EdgeConfig {
        session_idle_seconds,
        session_max_seconds,
        ..EdgeConfig::default()
    };
    assert!(config(60, 60).check().is_ok());
    let refused = config(60, 59).check().unwrap_err().to_string();
    assert!(refused.contains("edge.session_max_seconds"), "{refused}");
}
