//! Where the packages are that describe GitHub's webhooks: set-up installs them for tests.

use std::{fs, path::PathBuf, sync::LazyLock};

use serde_json::Value;

use crate::{schema, shape::Description, typescript};

fn path(file: &str) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.setup/node_modules/@octokit");
    folder.join(file)
}

fn read(file: &str) -> String {
    let path = path(file);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} is missing ({error}): run `make setup`", path.display()))
}

/// The newest description of GitHub Enterprise Server: `ghes-3.19.json`.
fn newest_server() -> String {
    let folder = path("openapi-webhooks/generated");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!(
            "{} is missing ({error}): run `make setup`",
            folder.display()
        )
    });
    let versions = files.filter_map(|file| {
        let name = file.ok()?.file_name().into_string().ok()?;
        let version = name.strip_prefix("ghes-")?.strip_suffix(".json")?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    let (major, minor) = versions.max().expect("a description of a server");
    format!("openapi-webhooks/generated/ghes-{major}.{minor}.json")
}

/// All descriptions, the most used first. They are read once for all tests.
pub(crate) fn descriptions() -> &'static [Description] {
    static ALL: LazyLock<Vec<Description>> = LazyLock::new(read_descriptions);
    &ALL
}

fn read_descriptions() -> Vec<Description> {
    let schemas =
        ["api.github.com", "ghec"].map(|of| format!("openapi-webhooks/generated/{of}.json"));
    let schemas = schemas.into_iter().chain([newest_server()]);
    let mut all: Vec<_> = schemas.map(|file| schema::read(&read(&file))).collect();
    all.push(typescript::read(&read("openapi-webhooks-types/types.d.ts")));
    all
}

/// All published examples, with the names of their events.
pub(crate) fn examples() -> Vec<(String, Value)> {
    let text = read("webhooks-examples/api.github.com/index.json");
    let webhooks: Vec<Value> = serde_json::from_str(&text).unwrap();
    let examples = webhooks.iter().flat_map(|webhook| {
        let name = webhook["name"].as_str().unwrap();
        let examples = webhook["examples"].as_array().unwrap();
        examples
            .iter()
            .map(|payload| (name.to_owned(), payload.clone()))
    });
    examples.collect()
}
