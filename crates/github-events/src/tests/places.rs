//! Repositories, branches, checks: places and their names.

use super::*;

#[test]
fn push_create_and_delete_are_about_one_branch_or_tag() {
    let repository = json!({"node_id": "R_1", "name": "Repo", "owner": {"login": "Octo"}});
    let of = |event, mut payload: Value| {
        payload["repository"] = repository.clone();
        let event = one(event, &payload);
        (
            event.resource_id.to_string(),
            event.resource_type,
            event.event_type,
        )
    };
    for (kind, path, ref_type) in [
        (ResourceType::BRANCH, "refs/heads/a/b", "branch"),
        (ResourceType::TAG, "refs/tags/a/b", "tag"),
    ] {
        let id = format!("R_1:{path}");
        let named = json!({"ref": "a/b", "ref_type": ref_type});
        let pushed = |flag: &str| json!({"ref": path, flag: true});
        for (event, payload, what) in [
            ("create", named.clone(), EventType::CREATED),
            ("push", pushed("created"), EventType::CREATED),
            ("push", pushed("forced"), EventType::UPDATED),
            ("push", pushed("deleted"), EventType::DELETED),
            ("delete", named.clone(), EventType::DELETED),
        ] {
            assert_eq!(of(event, payload), (id.clone(), kind.clone(), what));
        }
    }
}

#[test]
fn a_run_has_the_number_of_the_only_pull_request_of_its_repository() {
    let pull = |number: u64, base: u64| json!({"number": number, "base": {"repo": {"id": base}}});
    let run = |pulls: Value| {
        let payload = json!({
            "action": "completed", "repository": {"id": 1, "name": "Repo", "owner": {"login": "Octo"}},
            "check_run": {"node_id": "CR_1", "name": "test", "pull_requests": pulls},
        });
        one("check_run", &payload).resource.number
    };
    assert_eq!(run(json!([pull(7, 1)])), Some(7));
    assert_eq!(run(json!([pull(7, 2), pull(8, 1)])), Some(8));
    assert_eq!(run(json!([pull(7, 1), pull(8, 1)])), None);
    assert_eq!(run(json!([pull(7, 2)])), None);
    assert_eq!(run(Value::Null), None);
}

#[test]
fn a_rename_or_transfer_names_the_address_before_it() {
    let former = |event, changes: Value| {
        let mut payload = in_repository("repository", "renamed");
        payload["repository"] =
            json!({"id": 1, "node_id": "R_1", "name": "new", "owner": {"login": "Octo", "id": 2}});
        payload["organization"] = json!({"id": 2, "node_id": "O_1", "login": "Octo"});
        payload["changes"] = changes;
        let event = one(event, &payload);
        let ResourceRef {
            former_owner,
            former_repo,
            ..
        } = event.resource;
        (former_owner, former_repo)
    };
    let some = |owner: &str, repo: &str| (Some(owner.to_owned()), Some(repo.to_owned()));
    let renamed = json!({"repository": {"name": {"from": "old"}}});
    assert_eq!(former("repository", renamed), some("Octo", "old"));
    for account in ["user", "organization"] {
        let transferred = json!({"owner": {"from": {account: {"login": "mona"}}}});
        assert_eq!(former("repository", transferred), some("mona", "new"));
    }
    let edited = json!({"description": {"from": "x"}});
    assert_eq!(former("repository", edited), (None, None));
    let organization = json!({"login": {"from": "Before"}});
    assert_eq!(
        former("organization", organization),
        (Some("Before".to_owned()), None)
    );
}
