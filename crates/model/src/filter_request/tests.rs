use proptest::prelude::*;

use super::*;

fn request(json: &str) -> Result<Filter, String> {
    let request: FilterRequest = serde_json::from_str(json).map_err(|error| error.to_string())?;
    request.read().map_err(|error| error.to_string())
}

/// The filter as the request that asks for exactly it.
fn asked(filter: &Filter) -> FilterRequest {
    let json = serde_json::to_value(filter).unwrap();
    serde_json::from_value(json).unwrap()
}

#[test]
fn an_unknown_name_of_a_user_is_refused_with_the_known_ones() {
    for (json, words) in [
        (
            r#"{"resourceType":"Wiki page"}"#,
            ["resourceType", "Wiki page", "pull_request"],
        ),
        (
            r#"{"eventType":"exploded"}"#,
            ["eventType", "exploded", "reopened"],
        ),
        (r#"{"source":"rumour"}"#, ["source", "rumour", "webhook"]),
        (
            r#"{"resourceId":"a b"}"#,
            ["resourceId", "character", "not allowed"],
        ),
    ] {
        let text = request(json).unwrap_err();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    assert!(request(r#"{"resourceTyp":"issue"}"#).is_err());
    let filter = request(r#"{"resourceType":"PULL_REQUEST","tags":["bug"]}"#).unwrap();
    assert_eq!(filter.resource_type, Some(ResourceType::PULL_REQUEST));
}

#[test]
fn a_blank_text_is_absent() {
    let blank = r#"{"resourceType":"","eventType":" ","action":"","resourceId":"","owner":"","repo":"",
        "actor":"","authors":[""],"authorAssociation":[""],"source":"","tags":["", " "]}"#;
    assert_eq!(request(blank), Ok(Filter::default()));
}

#[test]
fn short_forms_of_names_are_read_as_the_names() {
    for (given, means) in [
        (
            r#"{"repo":"Acme/rocket#7"}"#,
            r#"{"owner":"acme","repo":"rocket","number":7}"#,
        ),
        (
            r#"{"resourceId":"acme/rocket#7","repo":"rocket"}"#,
            r#"{"owner":"acme","repo":"rocket","number":7}"#,
        ),
        (
            r#"{"repo":"github:acme/rocket"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"repo":"gh:acme/rocket.wiki"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (r#"{"owner":"orgs/acme"}"#, r#"{"owner":"acme"}"#),
        (r#"{"owner":"users/acme"}"#, r#"{"owner":"acme"}"#),
    ] {
        let filter = request(given).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(serde_json::to_string(&filter).unwrap(), means, "{given}");
    }
}

#[test]
fn what_certainly_means_a_name_is_read_as_the_name() {
    for (given, means) in [
        (
            r#"{"repo":"acme/Rocket"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"repo":"https://github.com/acme/rocket"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"owner":"ACME","repo":"acme/rocket.git"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"owner":"https://github.com/acme/rocket"}"#,
            r#"{"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"owner":"@acme","actor":" @Mona "}"#,
            r#"{"owner":"acme","actor":"mona"}"#,
        ),
        (
            r#"{"repo":"https://github.com/acme/rocket/issues/7"}"#,
            r#"{"resourceType":"issue","owner":"acme","repo":"rocket","number":7}"#,
        ),
        (
            r#"{"resourceId":"https://github.com/acme/rocket/pull/7"}"#,
            r#"{"resourceType":"pull_request","owner":"acme","repo":"rocket","number":7}"#,
        ),
        (
            r#"{"resourceId":"github://projects/acme/3"}"#,
            r#"{"resourceType":"project","owner":"acme","number":3}"#,
        ),
        (
            r#"{"tags":["Bug","bug "," needs review, urgent"]}"#,
            r#"{"tags":["bug","needs review, urgent"]}"#,
        ),
        (r#"{"resourceId":" 4711 "}"#, r#"{"databaseId":4711}"#),
        (r#"{"action":" Labeled"}"#, r#"{"action":"labeled"}"#),
        (
            r#"{"action":"Deploy to Café"}"#,
            r#"{"action":"deploy to café"}"#,
        ),
        (
            r#"{"resourceType":"Quantum_leap"}"#,
            r#"{"resourceType":"quantum_leap"}"#,
        ),
        (
            r#"{"resourceId":" R_1:refs/heads/main "}"#,
            r#"{"resourceId":"R_1:refs/heads/main"}"#,
        ),
        (
            r#"{"resourceId":"installation/77"}"#,
            r#"{"resourceId":"installation/77"}"#,
        ),
        (
            r##"{"resourceId":"https://github.com/acme/rocket/issues/7#issuecomment-99"}"##,
            r#"{"resourceType":"issue_comment","databaseId":99,"owner":"acme","repo":"rocket"}"#,
        ),
        (
            r#"{"resourceId":"https://github.com/acme/rocket/discussions/7"}"#,
            r#"{"resourceType":"discussion","owner":"acme","repo":"rocket","number":7}"#,
        ),
        (
            r#"{"resourceType":"SPRINT"}"#,
            r#"{"resourceType":"sprint"}"#,
        ),
        (
            r#"{"resourceType":"ISSUE","isPullRequest":true}"#,
            r#"{"resourceType":"pull_request"}"#,
        ),
        (
            r#"{"isPullRequest":true}"#,
            r#"{"resourceType":"pull_request"}"#,
        ),
        (r#"{"isPullRequest":false}"#, r#"{"isPullRequest":false}"#),
        (
            r#"{"resourceType":"issue","includePullRequests":true}"#,
            r#"{"resourceType":"issue","includePullRequests":true}"#,
        ),
        (
            r#"{"resourceType":"issue","includePullRequests":true,"isPullRequest":false}"#,
            r#"{"resourceType":"issue"}"#,
        ),
        (
            r#"{"resourceType":"milestone","includePullRequests":true}"#,
            r#"{"resourceType":"milestone"}"#,
        ),
        (
            r#"{"resourceId":"MDU6SXNzdWUx="}"#,
            r#"{"resourceId":"MDU6SXNzdWUx="}"#,
        ),
    ] {
        let filter = request(given).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(serde_json::to_string(&filter).unwrap(), means, "{given}");
    }
}

fn assert_refused(given: &str, field: &str, fix: &str) {
    let text = request(given).unwrap_err();
    assert!(
        text.contains(field) && text.contains(fix),
        "{given}: {text}"
    );
}

#[test]
fn ids_actions_and_kinds_that_can_never_match_are_refused_with_the_fix() {
    for (given, field, fix) in [
        (
            r#"{"resourceId":"0"}"#.to_owned(),
            "resourceId",
            "begin at 1",
        ),
        (
            r#"{"resourceId":"99999999999999999999"}"#.into(),
            "resourceId",
            "node id",
        ),
        (
            r#"{"resourceId":"4711","databaseId":4712}"#.into(),
            "databaseId",
            "leave one of them out",
        ),
        (r#"{"databaseId":0}"#.into(), "databaseId", "begin at 1"),
        (
            format!(r#"{{"action":"{}"}}"#, "x".repeat(1025)),
            "action",
            "up to 1024",
        ),
        (
            r#"{"resourceId":"R_1:refs/heads/a%2"}"#.into(),
            "resourceId",
            "`%25`",
        ),
        (
            r#"{"resourceType":"milestone","isPullRequest":true}"#.into(),
            "isPullRequest",
            "leave one of them out",
        ),
        (
            r#"{"resourceType":"pull_request","isPullRequest":false}"#.into(),
            "isPullRequest",
            "leave one of them out",
        ),
    ] {
        assert_refused(&given, field, fix);
    }
}

#[test]
fn what_can_never_match_is_refused_with_the_field_and_the_fix() {
    let long = |count| "x".repeat(count);
    for (given, field, fix) in [
        (r#"{"owner":"a b"}"#.to_owned(), "owner", "instance octo"),
        (
            format!(r#"{{"owner":"{}"}}"#, long(40)),
            "owner",
            "up to 39",
        ),
        (
            format!(r#"{{"repo":"{}"}}"#, long(101)),
            "repo",
            "up to 100",
        ),
        (r#"{"owner":" @acme/crew"}"#.into(), "owner", "a team"),
        (r#"{"repo":"@acme"}"#.into(), "repo", "put it into owner"),
        (r#"{"repo":"*"}"#.into(), "repo", "acme/rocket"),
        (
            r#"{"repo":"https://gitlab.com/a/b"}"#.into(),
            "repo",
            "github.com",
        ),
        (
            r#"{"repo":"https://github.com/a/b/tree/main"}"#.into(),
            "repo",
            "give owner, repo and number",
        ),
        (
            r#"{"owner":"octo","repo":"acme/rocket"}"#.into(),
            "repo",
            "leave one of them out",
        ),
        (
            r#"{"repo":"a/b/issues/7","number":8}"#.into(),
            "number",
            "leave one of them out",
        ),
        (
            r#"{"actor":"mona@example.com"}"#.into(),
            "actor",
            "for instance mona",
        ),
        (
            r#"{"resourceId":"https://github.com/a/b"}"#.into(),
            "resourceId",
            "put it into repo",
        ),
        (
            r#"{"resourceId":"git@github.com:a/b.git"}"#.into(),
            "resourceId",
            "put it into repo",
        ),
        (
            r#"{"resourceId":"github://events/a/b"}"#.into(),
            "resourceId",
            "put it into repo",
        ),
        (
            r#"{"resourceId":"a/b"}"#.into(),
            "resourceId",
            "put it into repo",
        ),
        (
            r#"{"resourceId":"https://github.com/a"}"#.into(),
            "resourceId",
            "put it into owner",
        ),
        (
            r#"{"resourceId":"github://events"}"#.into(),
            "resourceId",
            "node id",
        ),
        (r##"{"resourceId":"#7"}"##.into(), "resourceId", "node id"),
        (
            r##"{"resourceId":"rocket#3"}"##.into(),
            "resourceId",
            "give owner, repo and number",
        ),
        (r#"{"number":0}"#.into(), "number", "begin at 1"),
        (r#"{"repo":"a/b/pull/0"}"#.into(), "number", "begin at 1"),
        (
            format!(r#"{{"tags":["{}"]}}"#, "\u{e9}".repeat(51)),
            "tags",
            "1 to 50 characters",
        ),
    ] {
        assert_refused(&given, field, fix);
    }
    let longest = format!(r#"{{"tags":["{}"]}}"#, "\u{e9}".repeat(50));
    assert!(request(&longest).is_ok());
    let many = FilterRequest {
        tags: vec!["bug".into(); MAX_FILTER_TAGS + 1],
        ..FilterRequest::default()
    };
    assert_eq!(
        many.read().unwrap_err().to_string(),
        "tags: at most 32 are allowed"
    );
}

/// A value of a field in one of its spellings, most of them valid.
fn spelling() -> impl Strategy<Value = Option<String>> {
    let plain = "[a-zA-Z0-9_-]{1,12}";
    prop::option::of(prop_oneof![
        plain,
        plain.prop_map(|name| format!(" @{name} ")),
        (plain, plain).prop_map(|(owner, repo)| format!("{owner}/{repo}")),
        (plain, plain).prop_map(|(owner, repo)| format!("https://github.com/{owner}/{repo}")),
        (plain, plain, 1..99_u64)
            .prop_map(|(owner, repo, n)| format!("github.com/{owner}/{repo}/issues/{n}")),
        ".{0,20}",
    ])
}

#[test]
fn the_operator_and_the_caller_say_whether_issues_include_pull_requests() {
    let read = |include: Option<bool>, operator: bool| {
        let request = FilterRequest {
            resource_type: Some("ISSUE".into()),
            include_pull_requests: include,
            ..FilterRequest::default()
        };
        let defaults = FilterDefaults {
            issues_include_pull_requests: operator,
        };
        request.read_with(defaults).unwrap().include_pull_requests
    };
    assert_eq!(
        [read(None, false), read(None, true)],
        [false, true],
        "the operator's choice"
    );
    assert_eq!(
        [read(Some(false), true), read(Some(true), false)],
        [false, true],
        "the caller's choice comes first"
    );
    let by_address = FilterRequest {
        resource_id: Some("https://github.com/a/b/issues/7".into()),
        include_pull_requests: Some(true),
        ..FilterRequest::default()
    };
    assert!(by_address.read().unwrap().include_pull_requests);
}

proptest! {
    #[test]
    fn a_filter_that_was_read_reads_as_itself(
        owner in spelling(), repo in spelling(), actor in spelling(), resource_id in spelling(),
        number in prop::option::of(0..9_u64), tags in prop::collection::vec("(.{0,8}|[\u{130}\u{1e9e}]{49,51})", 0..4),
        (action, database_id) in (spelling(), prop::option::of(0..9_u64)),
        is_pull_request in prop::option::of(any::<bool>()), include_pull_requests in prop::option::of(any::<bool>()),
        resource_type in prop::option::of(prop::sample::select(vec!["ISSUE", "pull_request", "Sprint", "wiki"])),
    ) {
        let request = FilterRequest {
            owner, repo, actor, resource_id, number, tags, action, database_id, is_pull_request,
            include_pull_requests, resource_type: resource_type.map(str::to_owned), ..FilterRequest::default()
        };
        if let Ok(filter) = request.read() {
            prop_assert_eq!(asked(&filter).read(), Ok(filter));
        }
    }

    #[test]
    fn spellings_of_one_repository_are_one_filter(owner in "[a-zA-Z0-9-]{1,39}", repo in "[a-zA-Z0-9._-]{1,90}x") {
        let filter = |owner: Option<String>, repo: String| {
            let request = FilterRequest { owner, repo: Some(repo), ..FilterRequest::default() };
            request.read()
        };
        let plain = filter(Some(owner.clone()), repo.clone());
        prop_assert!(plain.is_ok());
        for other in [
            format!("{owner}/{repo}"),
            format!("@{}/{}", owner.to_uppercase(), repo.to_lowercase()),
            format!("https://github.com/{owner}/{repo}.git"),
            format!("GITHUB://events/{owner}/{repo}/"),
        ] {
            prop_assert_eq!(&filter(None, other.clone()), &plain, "{}", other);
            prop_assert_eq!(&filter(Some(format!("@{owner}")), other), &plain);
        }
    }
}

#[test]
fn the_names_of_the_fields_are_those_that_are_read() {
    let refused = request(r#"{"unknown": null}"#).unwrap_err();
    let mut words = refused.split('`').skip(1).step_by(2);
    assert_eq!(words.next(), Some("unknown"), "{refused}");
    let mut known: Vec<_> = words.collect();
    let mut named = FilterRequest::FIELDS.to_vec();
    known.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn authors_are_read_in_any_case_and_what_is_none_is_refused() {
    let read = |json: &str| serde_json::from_str::<FilterRequest>(json).unwrap().read();
    let filter = read(
        r#"{"authors":["@Mona","hubot","mona"],"authorAssociation":["member","First-Timer","OWNER"]}"#,
    );
    let filter = filter.unwrap();
    assert_eq!(filter.authors, ["hubot", "mona"]);
    assert_eq!(
        filter.author_association,
        ["FIRST_TIMER", "MEMBER", "OWNER"]
    );
    assert_eq!(asked(&filter).read(), Ok(filter));
    let refused = read(r#"{"authorAssociation":["maintainer"]}"#)
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("authorAssociation: unknown name \"maintainer\"; known: OWNER"),
        "{refused}"
    );
    let refused = read(r#"{"authors":["Mona Lisa"]}"#)
        .unwrap_err()
        .to_string();
    assert!(refused.starts_with("authors: "), "{refused}");
    let many = FilterRequest {
        authors: (0..33).map(|n| format!("a{n}")).collect(),
        ..FilterRequest::default()
    };
    assert_eq!(
        many.read().unwrap_err().to_string(),
        "authors: at most 32 are allowed"
    );
}

#[test]
fn the_name_of_earlier_systems_for_webhooks_is_their_origin() {
    for name in ["github", "GitHub", "webhook"] {
        let filter = request(&format!(r#"{{"source":"{name}"}}"#)).unwrap();
        assert_eq!(filter.source, EventOrigin::parse("webhook"), "{name}");
    }
}
