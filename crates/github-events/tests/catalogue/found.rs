//! Every event is found by what it says of itself.

use model::{FilterMatcher, FilterRequest, FilterSet, ResourceEvent};

use crate::{
    events::{event_of, for_each_form},
    packages,
    payloads::{self, VARIANTS},
};

/// Kinds whose `resource.url` is the page of something else, which the URL names: a review has that of its run.
const ELSEWHERE: [&str; 3] = [
    "deployment_review",
    "secret_scanning_alert_location",
    "fork",
];

/// Whether a filter with these fields of its own finds an event; the refusal if it is none.
fn finds(event: &ResourceEvent, request: FilterRequest) -> Result<bool, String> {
    let filter = request.read().map_err(|error| error.to_string())?;
    let filters = FilterSet::new(vec![filter]).unwrap();
    Ok(FilterMatcher::of(&filters).matches(&event.facts()))
}

/// Each field alone, and all of them together.
fn requests(event: &ResourceEvent) -> Vec<FilterRequest> {
    let resource = &event.resource;
    let all = FilterRequest {
        resource_type: Some(event.resource_type.to_string()),
        event_type: Some(event.event_type.to_string()),
        action: Some(event.action.clone()),
        resource_id: Some(event.resource_id.to_string()),
        database_id: resource.database_id.filter(|id| *id > 0),
        owner: resource.owner.clone(),
        repo: resource.repo.clone(),
        number: resource.number.filter(|number| *number > 0),
        actor: event.actor.clone(),
        source: Some(event.source.to_string()),
        tags: event.metadata.tags.clone(),
        ..FilterRequest::default()
    };
    let none = FilterRequest::default;
    vec![
        FilterRequest {
            resource_type: all.resource_type.clone(),
            resource_id: all.resource_id.clone(),
            ..none()
        },
        FilterRequest {
            resource_id: all.resource_id.clone(),
            ..none()
        },
        FilterRequest {
            action: all.action.clone(),
            ..none()
        },
        FilterRequest {
            resource_type: all.resource_type.clone(),
            resource_id: all.database_id.map(|id| id.to_string()),
            ..none()
        },
        all,
    ]
}

fn check(name: &str, event: &ResourceEvent) {
    for request in requests(event) {
        assert_eq!(
            finds(event, request.clone()),
            Ok(true),
            "{name}: {request:?}"
        );
    }
    let url = event.resource.url.as_ref();
    // Made payloads have the name of the field in its place.
    let Some(url) = url.filter(|url| url.starts_with("https://")) else {
        return;
    };
    let by_url = FilterRequest {
        resource_id: Some(url.clone()),
        ..FilterRequest::default()
    };
    let address = event
        .resource
        .owner
        .as_ref()
        .zip(event.resource.repo.as_ref());
    let here = address.map(|(owner, repo)| format!("https://github.com/{owner}/{repo}/"));
    // In some examples it is not that of the repository which they name.
    let is_of_another = ELSEWHERE.contains(&event.resource_type.as_str())
        || here.is_some_and(|here| !url.starts_with(&here));
    let found = finds(event, by_url);
    assert!(
        is_of_another || found != Ok(false),
        "{name}: {url} is taken for something else"
    );
}

#[test]
fn every_documented_event_is_found_by_its_own_fields() {
    let mut count = 0;
    for_each_form(
        packages::descriptions(),
        |name, action, description, form| {
            for variant in VARIANTS {
                let action = action.filter(|action| *action != "*");
                let made = payloads::make(description, form, variant, action);
                if let Ok(event) = event_of(name, &made.payload) {
                    check(name, &event);
                    count += 1;
                }
            }
        },
    );
    assert!(count > 500, "{count} events");
}

#[test]
fn every_published_example_is_found_by_its_own_fields_and_its_url_is_its_or_refused() {
    let mut found_by_url = std::collections::BTreeSet::new();
    for (name, payload) in &packages::examples() {
        let Ok(event) = event_of(name, payload) else {
            continue;
        };
        check(name, &event);
        let by_url = FilterRequest {
            resource_id: event.resource.url.clone(),
            ..FilterRequest::default()
        };
        if event.resource.url.is_some() && finds(&event, by_url) == Ok(true) {
            found_by_url.insert(event.resource_type.to_string());
        }
    }
    for kind in [
        "issue",
        "pull_request",
        "issue_comment",
        "pull_request_review",
        "pull_request_review_comment",
        "commit_comment",
        "discussion",
        "discussion_comment",
        "check_run",
        "workflow_run",
        "workflow_job",
        "milestone",
        "code_scanning_alert",
    ] {
        assert!(found_by_url.contains(kind), "{kind}: {found_by_url:?}");
    }
}

#[test]
fn names_of_any_form_and_actions_of_any_form_are_found() {
    let dispatch = |action: &str, reference: &str| {
        serde_json::json!({
            "action": action,
            "ref": reference,
            "repository": { "id": 1, "node_id": "R_1", "name": "cat", "owner": { "login": "octo" } },
        })
    };
    for word in [
        "Deploy to Café",
        " padded ",
        " ",
        "a\nb",
        &"x".repeat(1024),
        &"x".repeat(1025),
        "100%",
    ] {
        let event = event_of_any("repository_dispatch", dispatch(word, "x"));
        check("repository_dispatch", &event);
        let event = event_of_any("push", dispatch("", &format!("refs/heads/{word}")));
        check("push", &event);
    }
    let leap = serde_json::json!({
        "action": "leapt",
        "quantum_leap": { "id": 4, "node_id": "a/b" },
        "repository": dispatch("", "")["repository"],
    });
    let event = event_of_any("quantum_leap", leap);
    assert_eq!(event.resource_id.as_str(), "R_1:quantum_leap/4");
    check("quantum_leap", &event);
}

fn event_of_any(name: &str, payload: serde_json::Value) -> ResourceEvent {
    let mut events = github_events::normalise(&crate::events::envelope(name), payload).unwrap();
    events.remove(0)
}
