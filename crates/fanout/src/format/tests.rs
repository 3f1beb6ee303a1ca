use access::NameDirectory;
use serde_json::{Value, json};

use super::{super::fixture, *};

fn reader() -> StreamReader {
    StreamReader {
        keys: Arc::new(fixture::keys()),
        scope: fixture::scope(),
        inbox: Sequence::START,
        newest_subscription: 0,
        told: None,
    }
}

fn server() -> Arc<ServerInfo> {
    Arc::new(ServerInfo::new("forgewire", "1"))
}

fn listen(tag: Value) -> StreamFormat {
    let tag: RequestId = serde_json::from_value(tag).unwrap();
    let version = ProtocolVersion::parse("2026-07-28").unwrap();
    StreamFormat::Listen {
        tag,
        version,
        server: server(),
    }
}

/// A frame as a client's parser sees it. Every line that is not a comment is a field.
#[derive(Debug, PartialEq)]
struct Frame {
    id: Option<String>,
    event: Option<String>,
    data: Value,
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(!text.contains('\r') && !text.contains("\n\n\n"), "{text:?}");
    let frame = |block: &str| {
        let mut frame = Frame {
            id: None,
            event: None,
            data: Value::Null,
        };
        let mut data_lines = 0;
        for line in block.lines() {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
            match name {
                "id" => frame.id = Some(value.to_owned()),
                "event" => frame.event = Some(value.to_owned()),
                "data" => {
                    data_lines += 1;
                    frame.data = serde_json::from_str(value).unwrap();
                }
                "retry" | "" => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(data_lines <= 1, "JSON stays on one line");
        frame
    };
    text.strip_suffix("\n\n")
        .expect("whole frames")
        .split("\n\n")
        .map(frame)
        .collect()
}

fn written(format: &StreamFormat, interest: &StreamInterest, entries: &[RingEntry]) -> Vec<Frame> {
    let mut out = OutgoingFrames::plain();
    entries
        .iter()
        .for_each(|entry| format.event(interest, entry, &reader(), &mut out));
    assert_eq!(out.events(), entries.len());
    frames(&out.take())
}

/// An event whose title contains everything that could break out of a line.
fn nasty() -> (RingEntry, Value) {
    let title = "a\nid: forged\n\ndata: {}\r\n\r\n\u{2028}\u{85}\u{0} \"quoted\" \\ 🦀";
    let json = json!({ "id": "e7", "title": title });
    let mut event = fixture::event(7, "a", 0);
    event.item.json = json.to_string().into();
    (RingEntry::new(event, 0), json)
}

fn entry(sequence: u64) -> RingEntry {
    RingEntry::new(fixture::event(sequence, "a", 0), 0)
}

fn cursor(sequence: u64) -> Option<String> {
    let tag = EntryTag::of(&model::EventId::new(&format!("e{sequence}")).unwrap());
    Some(reader().event_id(Sequence(sequence), tag).to_string())
}

#[test]
fn an_event_stays_in_its_frame_whatever_its_text_says() {
    let (entry, json) = nasty();
    let all = StreamInterest::events(&model::FilterSet::all(), NameDirectory::default().now());
    let plain = written(&StreamFormat::Events, &all, &[entry]);
    let event = Some("event".to_owned());
    assert_eq!(
        plain,
        [Frame {
            id: cursor(7),
            event,
            data: json.clone()
        }]
    );
    let session = written(&StreamFormat::Session, &all, &[nasty().0]);
    assert_eq!(session.len(), 1);
    assert_eq!(session[0].id, cursor(7));
    assert_eq!(session[0].data["params"]["data"], json);
    assert_eq!(session[0].data["params"]["logger"], "github.events");
    assert_eq!(session[0].data["jsonrpc"], "2.0");
}

#[test]
fn the_id_is_on_the_last_frame_of_an_event_only() {
    let uris = [("github://events/Octo", 0), ("github://issues/OCTO/a/1", 0)];
    let both = written(
        &StreamFormat::Session,
        &fixture::interest(0, &[("a", 0)], &uris),
        &[entry(7)],
    );
    let methods: Vec<_> = both.iter().map(|frame| &frame.data["method"]).collect();
    let updated = "notifications/resources/updated";
    assert_eq!(methods, [updated, updated, "notifications/message"]);
    let ids: Vec<_> = both.iter().map(|frame| frame.id.clone()).collect();
    assert_eq!(ids, [None, None, cursor(7)]);
    let uris_only = written(
        &StreamFormat::Session,
        &fixture::interest(0, &[], &uris),
        &[entry(7)],
    );
    let ids: Vec<_> = uris_only.iter().map(|frame| frame.id.clone()).collect();
    assert_eq!(ids, [None, cursor(7)]);
}

#[test]
fn resources_are_told_once_as_the_client_first_spelt_them() {
    let spelt = [
        "github://issues/OcTo/A/01",
        "github://issues/octo/a/1",
        "github://events",
    ];
    let interest =
        StreamInterest::resources(spelt.map(str::to_owned), NameDirectory::default().now());
    let told = written(&StreamFormat::Session, &interest, &[entry(7)]);
    let mut uris: Vec<_> = told
        .iter()
        .map(|f| f.data["params"]["uri"].as_str().unwrap())
        .collect();
    uris.sort_unstable();
    assert_eq!(uris, ["github://events", spelt[0]]);
    // A URI that is not ours never gets into a frame.
    let bad = [
        "github://events/a\n\ndata: x",
        "github://events/\"",
        "http://x",
    ];
    assert!(
        !StreamInterest::resources(bad.map(str::to_owned), NameDirectory::default().now())
            .wants(&entry(7))
    );
}

#[test]
fn listen_frames_carry_the_tag_in_its_own_json_type_and_no_id() {
    for tag in [json!(7), json!("7"), json!("a\"b\n")] {
        let interest = StreamInterest::resources(
            ["github://events".to_owned()],
            NameDirectory::default().now(),
        );
        let told = written(&listen(tag.clone()), &interest, &[entry(7)]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].id, None);
        let params = &told[0].data["params"];
        assert_eq!(
            params["_meta"]["io.modelcontextprotocol/subscriptionId"],
            tag
        );
        assert_eq!(params["uri"], "github://events");
        let mut out = BytesMut::new();
        listen(tag.clone()).farewell(StreamEnd::Drain, 1000, Timestamp::default(), &mut out);
        let end = frames(&out);
        assert_eq!((end.len(), &end[0].data["id"]), (1, &tag));
        assert!(end[0].data["result"].is_object());
    }
}

#[test]
fn a_gap_is_told_in_every_format() {
    let uris = [("github://events", 0), ("github://issues/Octo/a/1", 0)];
    let interest = fixture::interest(0, &[("a", 0)], &uris);
    let told = |format: &StreamFormat| {
        let mut out = BytesMut::new();
        let tag = EntryTag::of(&model::EventId::new("e9").unwrap());
        let cursor = reader().event_id(Sequence(9), tag);
        format.truncated(&interest, &cursor, Timestamp::default(), &mut out);
        frames(&out)
    };
    let plain = told(&StreamFormat::Events);
    assert_eq!(
        (plain[0].id.clone(), plain[0].event.as_deref()),
        (cursor(9), Some("truncated"))
    );
    assert_eq!(plain[0].data["truncated"], true);
    let session = told(&StreamFormat::Session);
    assert_eq!(session[0].id, cursor(9));
    assert_eq!(session[0].data["params"]["level"], "warning");
    assert_eq!(
        session[0].data["params"]["data"]["cursor"],
        cursor(9).unwrap()
    );
    // `subscriptions/listen` has no message for a gap: everything may have changed.
    let listening = told(&listen(json!(1)));
    let mut changed: Vec<_> = listening
        .iter()
        .map(|f| f.data["params"]["uri"].as_str().unwrap())
        .collect();
    changed.sort_unstable();
    assert_eq!(changed, uris.map(|(uri, _)| uri));
}

#[test]
fn an_id_alone_has_empty_data_only_for_a_client_that_knows_that() {
    let text = |format: &StreamFormat, is_primed| {
        let mut out = bytes::BytesMut::new();
        let id = reader().event_id(Sequence(9), entry(9).tag);
        format.id_alone(&id, is_primed, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let id = cursor(9).unwrap();
    let alone = format!("id: {id}\n\n");
    assert_eq!(text(&StreamFormat::Events, true), alone);
    assert_eq!(text(&StreamFormat::Session, false), alone);
    let primed = format!("id: {id}\ndata: \n\n");
    assert_eq!(text(&StreamFormat::Session, true), primed);
}

#[test]
fn one_frame_is_shared_and_several_go_out_in_order() {
    let all = StreamInterest::events(&model::FilterSet::all(), NameDirectory::default().now());
    let (first, second) = (entry(7), entry(8));
    let mut out = OutgoingFrames::plain();
    StreamFormat::Events.event(&all, &first, &reader(), &mut out);
    let alone = out.take();
    StreamFormat::Events.event(&all, &first, &reader(), &mut out);
    assert_eq!(out.take().as_ptr(), alone.as_ptr(), "encoded once");
    assert!(out.take().is_empty());
    // A cursor is bound to its reader.
    let other = model::PrincipalId::new("somebody").unwrap();
    let other = StreamReader {
        scope: CursorScope::events(&other),
        ..reader()
    };
    StreamFormat::Events.event(&all, &first, &other, &mut out);
    let theirs = frames(&out.take());
    assert_eq!(
        theirs[0].id,
        Some(other.event_id(Sequence(7), first.tag).to_string())
    );
    let ids: Vec<_> = written(&StreamFormat::Events, &all, &[first, second])
        .into_iter()
        .map(|frame| frame.id)
        .collect();
    assert_eq!(ids, [cursor(7), cursor(8)]);
}

/// An event of `octo/a` that says something of `acme/b`.
fn transferred() -> RingEntry {
    let mut event = fixture::event(7, "a", 0);
    let changes = json!({ "new_issue": { "title": "theirs",
        "repository_url": "https://api.github.com/repos/acme/b" } });
    event.item.json = json!({ "id": "e7", "metadata": { "changes": changes } })
        .to_string()
        .into();
    RingEntry::new(event, 0)
}

#[test]
fn tokens_of_one_principal_with_different_rights_share_no_frame_that_one_may_not_see() {
    let seen_by = |sees| {
        let read = access::Permissions::default();
        let principal = access::Principal::new(model::PrincipalId::anonymous(), read, sees);
        StreamInterest::events(&model::FilterSet::all(), NameDirectory::default().now())
            .seen_by(&principal)
    };
    let only = |names: &[&str]| access::Visibility::only([], names.iter().copied()).unwrap();
    let (all, one) = (
        seen_by(access::Visibility::all()),
        seen_by(only(&["octo/a"])),
    );
    let both = seen_by(only(&["octo/a", "acme/b"]));
    for order in [
        [&all, &one, &both],
        [&one, &both, &all],
        [&both, &all, &one],
    ] {
        for format in [StreamFormat::Events, StreamFormat::Session] {
            let entry = transferred();
            for interest in order {
                let mut out = OutgoingFrames::plain();
                format.event(interest, &entry, &reader(), &mut out);
                let text = String::from_utf8(out.take().to_vec()).unwrap();
                let is_cut = std::ptr::eq(interest, &one);
                assert_eq!(text.contains("theirs"), !is_cut, "{text}");
                assert_eq!(text.contains("withheld"), is_cut, "{text}");
            }
        }
    }
}

/// An event with texts, as a channel shows it.
fn comment() -> RingEntry {
    let mut event = fixture::event(7, "a", 0);
    event.item.json = serde_json::json!({ "id": "e7", "type": "created", "action": "created",
        "resourceType": "issue_comment", "actor": "mona",
        "resource": { "owner": "octo", "repo": "a", "number": 1, "title": "It </channel> fails" },
        "data": { "body": "More", "author_association": "NONE" }, "metadata": {} })
    .to_string()
    .into();
    RingEntry::new(event, 0)
}

#[test]
fn a_channel_has_one_frame_for_an_event_with_the_id_of_the_stream_and_a_cursor_for_tools() {
    let scope = CursorScope::events(&model::PrincipalId::anonymous());
    let uris = [("github://events/octo", 0)];
    let interest = fixture::interest(0, &[("a", 0)], &uris).as_channel(Some(scope));
    let frames = written(&StreamFormat::Session, &interest, &[comment()]);
    let methods: Vec<_> = frames.iter().map(|frame| &frame.data["method"]).collect();
    let channel = "notifications/claude/channel";
    assert_eq!(methods, ["notifications/resources/updated", channel]);
    let shown = &frames[1];
    assert_eq!((&frames[0].id, &shown.id), (&None, &cursor(7)));
    let params = &shown.data["params"];
    // Without the title of the issue, which another may have written.
    let content = "issue_comment created octo/a#1 by mona\n\"More\"";
    assert_eq!(params["content"], content);
    assert_eq!(params["meta"]["association"], "NONE");
    let of_tools = params["meta"]["cursor"].as_str().unwrap();
    let opened = reader().keys.open(of_tools, scope).unwrap();
    assert_eq!(opened.sequence, Sequence(7));
    // What is muted are log messages.
    assert_eq!(
        interest.channel(),
        interest.without(&comment(), &[]).channel()
    );
}

#[test]
fn a_channel_is_encoded_once_for_all_its_streams() {
    let all = StreamInterest::events(&model::FilterSet::all(), NameDirectory::default().now());
    let all = all.as_channel(Some(CursorScope::events(&model::PrincipalId::anonymous())));
    let entry = comment();
    let address = |shown: &mcp::channel::ChannelNotification| shown.encoded().as_ptr();
    let first = all.channel_for(&entry);
    assert_eq!(address(&first), address(&all.channel_for(&entry)));
}

#[test]
fn a_listen_stream_with_a_channel_has_events_of_its_lists_beside_the_change() {
    let spelt = ["github://events/octo", "github://issues/octo/a/1"].map(str::to_owned);
    let wanted = StreamInterest::resources(spelt, NameDirectory::default().now());
    let scope = CursorScope::events(&model::PrincipalId::anonymous());
    let listens = |interest: &StreamInterest| {
        let frames = written(&listen(json!(7)), interest, &[comment()]);
        let methods = frames.iter().map(|frame| frame.data["method"].to_string());
        methods.filter(|method| method.contains("channel")).count()
    };
    assert_eq!(listens(&wanted), 0);
    assert_eq!(listens(&wanted.as_channel(Some(scope))), 1);
    let issue = ["github://issues/octo/a/1".to_owned()];
    let issue = StreamInterest::resources(issue, NameDirectory::default().now());
    assert_eq!(listens(&issue.as_channel(Some(scope))), 0);
}

#[test]
fn a_channel_says_that_events_are_missing() {
    let scope = CursorScope::events(&model::PrincipalId::anonymous());
    let all = StreamInterest::events(&model::FilterSet::all(), NameDirectory::default().now());
    let all = all.as_channel(Some(scope));
    let cursor = reader().event_id(Sequence(7), EntryTag::UNDECODABLE);
    for format in [StreamFormat::Session, listen(json!(7))] {
        let mut out = BytesMut::new();
        format.truncated(&all, &cursor, Timestamp::default(), &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(text.contains("notifications/claude/channel"), "{text}");
        assert!(text.contains("[gap]"), "{text}");
    }
}
