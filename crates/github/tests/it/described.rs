//! Every route and query that the client knows is one of GitHub's own descriptions: npm `@octokit/openapi` and
//! `@octokit/graphql-schema`, which set-up installs.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use github::{GraphqlDocument, RestRoute};
use serde_json::Value;

fn installed(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../.setup")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    path
}

/// A description of the REST API.
fn description(name: &str) -> Value {
    let path = installed("node_modules/@octokit/openapi/generated").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn unknown(description: &Value) -> Vec<&'static str> {
    let routes = RestRoute::ALL.iter();
    let unknown =
        routes.filter(|route| description["paths"][route.template()][route.method()].is_null());
    unknown.map(|route| route.template()).collect()
}

#[test]
fn every_route_is_one_of_githubs_description() {
    assert_eq!(unknown(&description("api.github.com.json")), [""; 0]);
    // These are newer than this Enterprise Server, or not published for it.
    let newer = [
        RestRoute::SUB_ISSUES,
        RestRoute::BLOCKED_BY,
        RestRoute::BLOCKING,
        RestRoute::ISSUE_TYPES,
        RestRoute::ORG_PROJECTS,
    ];
    assert_eq!(
        unknown(&description("ghes-3.17.json")),
        newer.map(RestRoute::template)
    );
}

/// What is wrong with each document, as the reference implementation of GraphQL sees it.
fn faults(documents: &[&str]) -> Vec<Vec<String>> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/validate.mjs");
    let mut node = Command::new(installed("bin/node"))
        .arg(script)
        .arg(installed("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(documents).unwrap();
    node.stdin.take().unwrap().write_all(&text).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_query_fits_githubs_schema() {
    let mut documents: Vec<_> = GraphqlDocument::ALL
        .iter()
        .map(|document| document.text)
        .collect();
    documents.push("query Wrong { viewer { nothing } }");
    let mut faults = faults(&documents);
    let wrong = faults.pop().unwrap();
    assert!(
        wrong.len() == 1 && wrong[0].contains("nothing"),
        "{wrong:?}"
    );
    for (document, faults) in GraphqlDocument::ALL.iter().zip(faults) {
        assert!(faults.is_empty(), "{}: {faults:?}", document.name);
        assert!(
            document
                .text
                .starts_with(&format!("query {}", document.name)),
            "{}",
            document.name
        );
        assert!(
            document
                .text
                .contains("rateLimit { cost limit remaining resetAt }"),
            "{}",
            document.name
        );
    }
}
