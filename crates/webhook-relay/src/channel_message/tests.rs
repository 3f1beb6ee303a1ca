use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn secrets() -> RelaySecrets {
    RelaySecrets::new(&["the ingest's secret"]).unwrap()
}

/// The message that smee.io makes of a body: the JSON that it has parsed, written anew.
fn smee(signed: &str, body: &str, signature: Option<&str>) -> String {
    let own = secrets().sign(signed.as_bytes());
    let signature = signature.map_or(own, str::to_owned);
    let signature = serde_json::to_string(&signature).unwrap();
    format!(
        r#"{{"host":"smee.io","x-github-event":"issues","x-github-delivery":"guid-1","x-github-hook-id":"7",
            "x-hub-signature-256":{signature},"query":{{}},"timestamp":1,"body":{body}}}"#
    )
}

fn read(data: &str) -> ChannelMessage {
    read_message(None, data, &secrets(), false)
}

fn payload(message: ChannelMessage) -> Option<Bytes> {
    match message {
        ChannelMessage::Delivery(delivery) => Some(delivery.payload),
        _ => None,
    }
}

#[test]
fn a_signed_message_is_passed_on_with_its_own_bytes_and_signature() {
    let body = r#"{"action":"opened","n":1.50}"#;
    let expected = RelayedDelivery {
        event: "issues".to_owned(),
        guid: "guid-1".to_owned(),
        hook: Some("7".to_owned()),
        payload: Bytes::from(body),
        signature: Some(secrets().sign(body.as_bytes())),
    };
    let message = smee(body, body, None);
    assert_eq!(read(&message), ChannelMessage::Delivery(expected.clone()));
    assert_eq!(
        read_message(Some("message"), &message, &secrets(), true),
        ChannelMessage::Delivery(expected)
    );
}

#[test]
fn the_signed_bytes_are_found_again_where_the_channel_has_spelled_them_anew() {
    // What GitHub signed, and what a channel makes of it.
    for (signed, body) in [
        (
            r#"{"a":"x y","b":[1,"\" "]}"#,
            "{ \"a\" : \"x y\",\n \"b\": [1, \"\\\" \"] }",
        ),
        (
            r#"{"a":"\u001B[0m \\u001b"}"#,
            r#"{"a":"\u001b[0m \\u001b"}"#,
        ),
        (
            r#"{"cvss":{"score":7.0},"epss":{"percentage":4.5e-05}}"#,
            r#"{"cvss":{"score":7},"epss":{"percentage":0.000045}}"#,
        ),
        (r#"{"a":"<é 🙂 \" \\"}"#, r#"{"a":"<é 🙂 \" \\"}"#),
        ("payload=%7B%7D", r#""payload=%7B%7D""#),
    ] {
        let found = payload(read(&smee(signed, body, None)));
        assert_eq!(found.as_deref(), Some(signed.as_bytes()), "{body}");
    }
    // gosmee keeps the bytes.
    let signed = b"{ \"a\" : 1.50 }";
    let message = json!({"x-github-event": "push", "x-github-delivery": "g", "bodyB": STANDARD.encode(signed),
        "x-hub-signature-256": secrets().sign(signed)});
    assert_eq!(
        payload(read(&message.to_string())).as_deref(),
        Some(&signed[..])
    );
}

#[test]
fn nothing_is_passed_on_or_signed_that_the_secret_did_not_sign() {
    let body = r#"{"action":"opened"}"#;
    let other = RelaySecrets::new(&["a stranger's"]).unwrap();
    let unverified = || ChannelMessage::Unverified {
        event: "issues".to_owned(),
        guid: "guid-1".to_owned(),
    };
    for signature in [
        "",
        "sha256=00",
        &other.sign(body.as_bytes()),
        &secrets().sign(b"{}"),
    ] {
        assert_eq!(
            read(&smee(body, body, Some(signature))),
            unverified(),
            "{signature}"
        );
    }
    let unsigned = smee(body, body, None).replace("x-hub-signature-256", "x-other");
    assert_eq!(read(&unsigned), unverified());
    let with_flag = read_message(None, &unsigned, &secrets(), true);
    let ChannelMessage::Delivery(taken) = with_flag else {
        panic!("{with_flag:?}");
    };
    assert_eq!(
        (&taken.payload[..], taken.signature),
        (body.as_bytes(), None)
    );
    let form = smee(
        body,
        r#"{"payload":"{\"action\": \"opened\"}"}"#,
        Some("sha256=00"),
    );
    let taken = payload(read_message(None, &form, &secrets(), true));
    assert_eq!(taken.as_deref(), Some(&br#"{"action": "opened"}"#[..]));
}

#[test]
fn headers_of_any_form_are_read_and_what_is_no_delivery_says_why() {
    let body = r#"{"action":"opened"}"#;
    let message: Value = serde_json::from_str(&smee(body, body, None)).unwrap();
    for (name, value) in [
        ("x-github-hook-id", json!(7)),
        ("x-github-hook-id", json!(null)),
        ("x-github-event", json!(["issues"])),
    ] {
        let mut message = message.clone();
        message[name] = value;
        assert!(payload(read(&message.to_string())).is_some(), "{message}");
    }
    let upper = message
        .to_string()
        .replace("x-github-event", "X-GitHub-Event");
    assert!(payload(read(&upper)).is_some());
    for (name, value, why) in [
        ("x-github-event", json!(null), "x-github-event"),
        ("x-github-event", json!(["a", "b"]), "x-github-event"),
        ("x-github-delivery", json!({}), "x-github-delivery"),
        ("body", json!(null), "no body"),
        ("bodyB", json!("?"), "base64"),
        ("bodyB", json!(1), "bodyB"),
    ] {
        let mut message = message.clone();
        message[name] = value;
        let read = read(&message.to_string());
        assert!(
            matches!(&read, ChannelMessage::NoDelivery(text) if text.contains(why)),
            "{read:?}"
        );
    }
    for (name, data) in [
        (Some("ready"), "{}"),
        (Some("ping"), "{}"),
        (None, "{}"),
        (None, "ready"),
        (None, ""),
        (None, r#"{"message":"connected"}"#),
    ] {
        assert_eq!(
            read_message(name, data, &secrets(), false),
            ChannelMessage::Control
        );
    }
    for broken in ["{oops", "[]", "null", "5"] {
        assert!(
            matches!(read(broken), ChannelMessage::NoDelivery(_)),
            "{broken}"
        );
    }
}

proptest! {
    #[test]
    fn any_json_has_its_compact_bytes_again(value in ".*", number in any::<i64>()) {
        let value = json!({"a": value, "b": [number, {"c": null}]});
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(compact(&pretty), value.to_string());
    }
}
