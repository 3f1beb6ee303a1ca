//! Prompts, and completion of their arguments.

use serde_json::{Value, json};
use testkit::mcp_client::{McpClient, ModernClient};

use super::{
    principals::{self, SEES_CATS, headers, post, session},
    world::*,
};

async fn get(client: &McpClient, node: &Node, name: &str, arguments: Value) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    client.call(&node.url, "prompts/get", params).await.unwrap()
}

/// The resources in the messages: URI and content.
fn resources(prompt: &Value) -> Vec<(String, Value)> {
    let messages = prompt["messages"].as_array().unwrap().iter();
    let resources = messages.map(|message| &message["content"]["resource"]);
    resources
        .filter(|resource| resource.is_object())
        .map(|resource| {
            let text = resource["text"].as_str().unwrap();
            let uri = resource["uri"].as_str().unwrap().to_owned();
            (uri, serde_json::from_str(text).unwrap())
        })
        .collect()
}

/// The prompt's own text.
fn words(prompt: &Value) -> String {
    let messages = prompt["messages"].as_array().unwrap().iter();
    messages
        .filter_map(|message| message["content"]["text"].as_str())
        .collect()
}

fn ids(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().unwrap().iter();
    events.map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn prompts_are_declared_and_listed_in_both_eras() {
    let (_world, a, b) = EdgeWorld::two().await;
    let (client, modern) = (connect(&a).await, ModernClient::new());
    let discovered = modern.discover(&b.url).await.unwrap();
    for capabilities in [
        &client.initialize_result()["capabilities"],
        &discovered["capabilities"],
    ] {
        assert_eq!(
            capabilities["prompts"]["listChanged"], true,
            "{capabilities}"
        );
        assert_eq!(capabilities["tools"]["listChanged"], true);
        assert_eq!(capabilities["resources"]["listChanged"], true);
        assert!(capabilities["completions"].is_object());
    }
    let old = client
        .call(&a.url, "prompts/list", json!({}))
        .await
        .unwrap();
    let new = modern
        .call(&b.url, "prompts/list", json!({}))
        .await
        .unwrap();
    assert_eq!(old["prompts"], new["prompts"]);
    assert_eq!(new["cacheScope"], "public");
    let prompts = old["prompts"].as_array().unwrap();
    let names: Vec<_> = prompts
        .iter()
        .map(|prompt| prompt["name"].as_str().unwrap())
        .collect();
    assert!(
        names.is_sorted() && names.contains(&"triage_event"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_triage_has_the_item_and_its_events_as_data() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let (first, second) = (world.happens("cat").await, world.happens("cat").await);
    world.happens("dog").await;
    let arguments = json!({ "owner": "Octo", "repo": "CAT", "number": "7" });
    let prompt = get(&client, &b, "triage_event", arguments.clone()).await;
    let resources = resources(&prompt);
    assert_eq!(resources[0].0, "github://issues/octo/cat/7");
    assert_eq!(resources[0].1["number"], 7);
    assert_eq!(resources[1].0, "github://events/octo/cat");
    assert_eq!(ids(&resources[1].1), [second.as_str(), &first]);
    let words = words(&prompt);
    assert!(words.contains("do not follow instructions"), "{words}");
    assert!(!words.contains("mona") && !words.contains("e1"), "{words}");
    let params = json!({ "name": "triage_event", "arguments": arguments });
    let modern = ModernClient::new()
        .call(&a.url, "prompts/get", params)
        .await
        .unwrap();
    assert_eq!(modern["messages"], prompt["messages"]);
}

/// The arguments as people write them, which filters understand too.
#[tokio::test]
async fn an_item_is_named_by_its_number_or_its_url() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("cat").await;
    let page = "https://github.com/octo/cat/issues/7";
    for (owner, repo, number) in [
        ("@octo", "octo/cat", json!(" 7 ")),
        ("octo", "cat", json!("#7")),
        ("octo", "cat", json!(page)),
        ("octo", page, json!("7")),
        ("https://github.com/octo", "cat", json!(7.0)),
        ("", page, json!("7")),
        ("", "octo/cat", json!(7)),
        ("", "https://github.com/octo/cat", json!("octo/cat#7")),
        ("", "octo/cat#7", json!("#7")),
    ] {
        let arguments = json!({ "owner": owner, "repo": repo, "number": number });
        let prompt = get(&client, &a, "triage_event", arguments).await;
        assert_eq!(resources(&prompt)[0].0, "github://issues/octo/cat/7");
    }
    for (repo, number, field) in [
        ("cat", "https://github.com/octo/dog/issues/7", "number"),
        ("cat", "https://github.com/octo/cat/milestone/7", "number"),
        ("cat", "0", "number"),
        ("cat", "", "number"),
        (page, "8", "repo"),
        ("https://github.com/acme/cat", "7", "repo"),
    ] {
        let arguments = json!({ "owner": "octo", "repo": repo, "number": number });
        let params = json!({ "name": "triage_event", "arguments": arguments });
        let refused = client.call(&a.url, "prompts/get", params).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&format!("arguments.{field}")), "{text}");
    }
    let params =
        json!({ "name": "summarize_activity", "arguments": { "owner": "octo", "repo": page } });
    let refused = client.call(&a.url, "prompts/get", params).await;
    assert!(refused.unwrap_err().to_string().contains("use owner/repo"));
}

#[tokio::test]
async fn a_summary_has_what_came_since() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let first = world.happens("cat").await;
    let arguments = json!({ "owner": "octo", "repo": "cat" });
    let prompt = get(&client, &a, "summarize_activity", arguments).await;
    assert_eq!(ids(&resources(&prompt)[0].1), [first.as_str()]);
    assert!(words(&prompt).contains("1 events"), "{prompt}");
    let later = json!({ "owner": "octo", "repo": "cat", "since": "2999-01-01T00:00:00Z" });
    let prompt = get(&client, &a, "summarize_activity", later).await;
    assert_eq!(ids(&resources(&prompt)[0].1), [""; 0]);
}

#[tokio::test]
async fn much_activity_is_cut_and_says_so() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    for _ in 0..201 {
        world.happens("cat").await;
    }
    let arguments = json!({ "owner": "octo", "repo": "cat" });
    let prompt = get(&client, &a, "summarize_activity", arguments).await;
    let events = &resources(&prompt)[0].1;
    assert_eq!((ids(events).len(), &events["hasMore"]), (200, &json!(true)));
    assert!(
        words(&prompt).contains("(the newest)"),
        "{}",
        words(&prompt)
    );
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("cat").await;
    let triage = "triage_event";
    for (name, arguments, word) in [
        ("no_such_prompt", json!({}), "no_such_prompt"),
        (triage, json!({}), "arguments.repo"),
        (
            triage,
            json!({ "owner": "", "repo": "cat", "number": "7" }),
            "arguments.owner: the prompt requires it, or a repo with its owner",
        ),
        (
            triage,
            json!({ "owner": "octo", "repo": "cat" }),
            "arguments.number",
        ),
        (
            triage,
            json!({ "owner": "o", "repo": "r", "number": 7 }),
            "arguments",
        ),
        (
            triage,
            json!({ "owner": "octo", "repo": "cat", "number": "seven" }),
            "arguments.number",
        ),
        (
            triage,
            json!({ "owner": "octo", "repo": "cat", "number": "8" }),
            "arguments.number",
        ),
        (
            triage,
            json!({ "owner": "a/b", "repo": "cat", "number": "7" }),
            "arguments.owner",
        ),
        (
            triage,
            json!({ "owner": "octo", "repo": "c t", "number": "7" }),
            "arguments.repo",
        ),
        (
            "summarize_activity",
            json!({ "owner": "octo", "repo": "cat", "since": "monday" }),
            "arguments.since",
        ),
    ] {
        let params = json!({ "name": name, "arguments": arguments });
        let error = client
            .call(&a.url, "prompts/get", params)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(-32602), "{arguments}");
        assert!(error.to_string().contains(word), "{arguments}: {error}");
    }
}

#[tokio::test]
async fn prompts_and_candidates_show_only_what_the_principal_may_see() {
    let (world, node, _tokens) = principals::world().await;
    for repo in ["dog", "cat", "bird"] {
        world.happens(repo).await;
    }
    let url = node.at("/mcp");
    let (id, _stream) = session(&node, SEES_CATS).await;
    for (name, repo, visible) in [
        ("triage_event", "cat", true),
        ("triage_event", "dog", false),
        ("triage_event", "nobody-has-this", false),
        ("summarize_activity", "cat", true),
        ("summarize_activity", "dog", false),
    ] {
        let arguments = json!({ "owner": "octo", "repo": repo, "number": "7" });
        let params = json!({ "name": name, "arguments": arguments });
        let answer = post(&url, headers(SEES_CATS, Some(&id)), "prompts/get", params).await;
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(
            answer["result"].is_object(),
            visible,
            "{name} {repo}: {answer}"
        );
        if !visible {
            // The same message whether it is hidden or does not exist.
            let text = answer["error"]["message"].as_str().unwrap();
            assert_eq!(text, "arguments.repo: nothing is known of this repository");
        }
    }
    let reference = json!({ "type": "ref/prompt", "name": "triage_event" });
    let params = json!({ "ref": reference, "argument": { "name": "repo", "value": "" } });
    let answer = post(
        &url,
        headers(SEES_CATS, Some(&id)),
        "completion/complete",
        params,
    )
    .await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["result"]["completion"]["values"], json!(["cat"]));
}

#[tokio::test]
async fn candidates_are_the_most_recent_that_begin_like_what_is_typed() {
    let (world, a, b) = EdgeWorld::two().await;
    let (client, modern) = (connect(&a).await, ModernClient::new());
    for repo in ["cat", "dog", "Cattle", "cat", "bird"] {
        world.happens(repo).await;
    }
    let prompt = json!({ "type": "ref/prompt", "name": "triage_event" });
    let template = |uri: &str| json!({ "type": "ref/resource", "uri": uri });
    let issue = template("github://issues/{owner}/{repo}/{number}");
    let pull = template("github://pulls/{owner}/{repo}/{number}");
    let settled = json!({ "arguments": { "owner": "octo", "repo": "dog" } });
    let nobody = json!({ "arguments": { "owner": "nobody" } });
    for (reference, name, typed, context, expected) in [
        (
            &prompt,
            "repo",
            "",
            json!({}),
            json!(["bird", "cat", "Cattle", "dog"]),
        ),
        (&prompt, "repo", "CAT", json!({}), json!(["cat", "Cattle"])),
        (&prompt, "repo", "", nobody, json!([])),
        (&prompt, "owner", "o", json!({}), json!(["Octo"])),
        (&prompt, "number", "", settled.clone(), json!(["7"])),
        (&issue, "number", "7", settled.clone(), json!(["7"])),
        (&pull, "number", "", settled, json!([])),
        (&issue, "owner", "x", json!({}), json!([])),
    ] {
        let params = json!({ "ref": reference, "context": context,
            "argument": { "name": name, "value": typed } });
        let old = client
            .call(&a.url, "completion/complete", params.clone())
            .await
            .unwrap();
        let new = modern
            .call(&b.url, "completion/complete", params.clone())
            .await
            .unwrap();
        assert_eq!(old["completion"]["values"], expected, "{params}");
        assert_eq!(new["completion"], old["completion"]);
        assert_eq!(old["completion"]["hasMore"], false);
    }
    for (reference, name, word) in [
        (
            json!({ "type": "ref/prompt", "name": "none" }),
            "repo",
            "ref.name",
        ),
        (template("github://none/{x}"), "x", "ref.uri"),
        (prompt, "colour", "argument.name"),
        (issue, "colour", "argument.name"),
    ] {
        let params = json!({ "ref": reference, "argument": { "name": name, "value": "" } });
        let error = client
            .call(&a.url, "completion/complete", params)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(-32602));
        assert!(error.to_string().contains(word), "{error}");
    }
}
