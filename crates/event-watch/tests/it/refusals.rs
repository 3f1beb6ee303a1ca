//! Refusals: final ones end the watch with a code and the way out, others are tried again.

use crate::edge::{Answer, FakeEdge, event, kept, line, opening, watched};

fn problem(detail: &str) -> String {
    serde_json::json!({ "title": "refused", "detail": detail }).to_string()
}

#[tokio::test]
async fn a_final_refusal_ends_the_watch_with_its_code_and_the_way_out() {
    for (status, headers, code, words) in [
        (400, &[][..], 2, &["400", "actor: not a name"][..]),
        (
            401,
            &[],
            3,
            &[
                "401",
                "actor: not a name",
                "--token-file",
                "FORGEWIRE_TOKEN",
            ],
        ),
        (403, &[], 4, &["403", "actor: not a name", "--url"]),
        (404, &[], 4, &["404", "--url"]),
        (
            302,
            &[("location", "https://login.example/")],
            4,
            &["302", "https://login.example/"],
        ),
        (431, &[], 2, &["431"]),
    ] {
        let refusal = Answer::Refusal(status, headers, problem("actor: not a name\u{1b}[2J"));
        let edge = FakeEdge::start([refusal]).await;
        let folder = tempfile::tempdir().unwrap();
        let (output, ended) = watched(edge.options(folder.path())).await;
        let error = ended.unwrap_err();
        assert_eq!((output.as_str(), error.exit_code()), ("", code), "{error}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{text}");
        }
        assert!(
            !text.contains('\u{1b}') && !text.contains("fw_token"),
            "{text:?}"
        );
        assert_eq!(edge.asked().len(), 1, "{status} is asked once");
        assert_eq!(kept(folder.path()), "");
    }
}

#[tokio::test]
async fn a_refusal_is_about_the_token_where_the_edge_says_so() {
    for (code, exit_code, has, lacks) in [
        ("permission-missing", 3, "--token-file", "--url"),
        ("host-refused", 4, "the host in --url", "--token-file"),
        (
            "of-a-proxy",
            4,
            "without a word about the token",
            "--token-file",
        ),
    ] {
        let body = serde_json::json!({ "title": "no", "detail": "no way", "code": code });
        let edge = FakeEdge::start([Answer::Refusal(403, &[], body.to_string())]).await;
        let folder = tempfile::tempdir().unwrap();
        let error = watched(edge.options(folder.path())).await.1.unwrap_err();
        assert_eq!(error.exit_code(), exit_code, "{error}");
        let text = error.to_string();
        assert!(text.contains(has) && text.contains("no way"), "{text}");
        assert!(!text.contains(lacks), "{text}");
    }
}

/// What is asked for stays out of errors and logs.
#[tokio::test]
async fn an_error_has_no_query() {
    let edge = FakeEdge::start([Answer::Refusal(404, &[], String::new())]).await;
    let folder = tempfile::tempdir().unwrap();
    let error = watched(edge.options(folder.path())).await.1.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/events/stream answers"), "{text}");
    assert!(!text.contains("rocket"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_no_edge() {
    let page = Answer::Refusal(200, &[("content-type", "text/html")], "<html>".to_owned());
    let edge = FakeEdge::start([page]).await;
    let folder = tempfile::tempdir().unwrap();
    let error = watched(edge.options(folder.path())).await.1.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("--url"), "{error}");
}

#[tokio::test]
async fn a_subscription_that_does_not_exist_is_said() {
    let edge = FakeEdge::start([Answer::Refusal(404, &[], problem("no"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let plain = event_watch::WatchFilter::default();
    let options = event_watch::WatchOptions::new(&edge.url, None, &plain, folder.path().into());
    let options = options.unwrap().with_subscription("s-1").unwrap();
    let error = watched(options).await.1.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("no subscription s-1"), "{error}");
}

/// Time is virtual, and passes whenever nothing else happens.
#[tokio::test(start_paused = true)]
async fn an_edge_that_is_busy_is_asked_again_when_it_says() {
    let edge = FakeEdge::start([
        Answer::Refusal(429, &[("retry-after", "7")], problem("too many")),
        Answer::Refusal(503, &[("retry-after", "20")], String::new()),
        Answer::Refusal(502, &[], "<html>bad gateway".to_owned()),
        Answer::Open(opening("c0") + &event("c1")),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = edge.options(folder.path());
    options.once = true;
    let begun = tokio::time::Instant::now();
    assert_eq!(watched(options).await.0, line("c1"));
    assert!(begun.elapsed().as_secs() >= 27, "{:?}", begun.elapsed());
}
