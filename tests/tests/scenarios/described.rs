//! REST as its OpenAPI documents describe it: the documents are those of the routes, and a fuzzer that reads them
//! finds no answer that they do not have.

use std::{collections::BTreeSet, fs, process::Stdio, time::Duration};

use access::TokenDigest;
use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;
use testkit::cluster::{ClusterPlan, System, SystemKind, workspace};
use tests::{both, only};
use tokio::{process::Command, time::timeout};

use crate::sending::GithubSender;

/// Seconds of fuzzing for each document and mode, unless `REST_FUZZ_SECONDS` says otherwise.
const FUZZ_SECONDS: u64 = 8;
/// Time for everything else that the fuzzer does.
const FUZZ_EXTRA: Duration = Duration::from_secs(120);
/// The token of the fuzzer, which may do everything.
const TOKEN: &str = "fuzzers-token-long-enough-0123456789";

/// Checks that cannot hold: cursors are sealed, and ids are GitHub's, so a text of the right type may be refused; and
/// numbers, flags and empty values are read leniently, so one of another type may be taken. `GET /health` shows more
/// with a token and needs none. Deliveries without a signature are refused with 401, before other headers are
/// looked at.
const EXCLUDED: &str = "positive_data_acceptance,negative_data_rejection,missing_required_header";

async fn document(of: &Url) -> Result<Value> {
    let answer = reqwest::get(of.join("/openapi.json")?).await?;
    ensure!(
        answer.status() == StatusCode::OK,
        "{of}: {}",
        answer.status()
    );
    Ok(answer.json().await?)
}

fn committed(name: &str) -> Result<Value> {
    let path = workspace().join("docs").join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

/// The methods of a path, in upper case.
fn described(path: &Value) -> BTreeSet<String> {
    let methods = path.as_object().into_iter().flatten();
    methods.map(|(method, _)| method.to_uppercase()).collect()
}

/// Each path of the document is a route, with the methods that the document has: `Allow` of a refused method lists
/// them.
async fn has_these_routes(listener: &Url, document: &Value) -> Result<()> {
    let http = reqwest::Client::new();
    let paths = document["paths"].as_object().context("paths")?;
    for (path, methods) in paths {
        let url = listener.join(&path.replace("{timestamp}", "2026-11-20"))?;
        let unusual = Method::from_bytes(b"PROPFIND")?;
        let answer = http.request(unusual, url).send().await?;
        let status = answer.status();
        ensure!(status == StatusCode::METHOD_NOT_ALLOWED, "{path}: {status}");
        let allowed = answer.headers().get(header::ALLOW).context("Allow")?;
        let allowed = allowed.to_str()?.split(',').map(str::trim);
        let allowed: BTreeSet<_> = allowed
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        ensure!(allowed == described(methods), "{path}: {allowed:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listener_serves_the_committed_document_and_has_the_routes_of_it() -> Result<()> {
    both(async |system| {
        let listeners = system.edges().iter().map(|edge| (edge, "openapi.json"));
        let ingests = system.ingests().iter();
        let ingests = ingests.map(|ingest| (ingest, "openapi-ingest.json"));
        for (listener, name) in listeners.chain(ingests) {
            let served = document(listener).await?;
            ensure!(served == committed(name)?, "{listener}: not docs/{name}");
            has_these_routes(listener, &served).await?;
        }
        Ok(())
    })
    .await
}

/// How clients of the system are told apart.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Open,
    Tokens,
}

/// Runs the fuzzer over the document of a listener.
async fn fuzz(listener: &Url, secret: &str, mode: Mode) -> Result<()> {
    let fuzzer = workspace().join(".setup/venv-schemathesis/bin/st");
    ensure!(
        fuzzer.exists(),
        "{} is missing: run `make setup`",
        fuzzer.display()
    );
    let seconds = std::env::var("REST_FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(Ok(FUZZ_SECONDS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let mut excluded = EXCLUDED.to_owned();
    let mut command = Command::new(fuzzer);
    command
        .args(["--no-color", "--config-file"])
        .arg(workspace().join("tests/interop/schemathesis.toml"))
        .arg("run")
        .arg(listener.join("/openapi.json")?.as_str());
    match mode {
        Mode::Open => excluded += ",ignored_auth",
        Mode::Tokens => {
            command.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
        }
    }
    command
        .args(["--exclude-checks", &excluded])
        .args(["--max-time", &seconds.to_string()])
        .args(["--warnings", "off"])
        .env(
            "SCHEMATHESIS_HOOKS",
            workspace().join("tests/interop/schemathesis_hooks.py"),
        )
        .env("WEBHOOK_SECRET", secret)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let limit = FUZZ_EXTRA + Duration::from_secs(seconds);
    let output = timeout(limit, command.output()).await;
    let output = output.with_context(|| format!("the fuzzer of {listener} hangs"))??;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{listener}, {mode:?}:\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary = text.lines().rev().take(12).collect::<Vec<_>>();
    println!(
        "{mode:?}:\n{}",
        summary.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

async fn fuzz_all(system: &System, mode: Mode) -> Result<()> {
    // So that there are events to answer with.
    let mut github = GithubSender::of(system, 150);
    github.events(20).await?;
    let recent = reqwest::Client::new()
        .get(system.edges()[0].join("/events/recent")?)
        .bearer_auth(TOKEN)
        .send()
        .await?;
    ensure!(
        recent.status() == StatusCode::OK,
        "the token: {}",
        recent.status()
    );
    fuzz(&system.edges()[0], system.secret(), mode).await?;
    if matches!(mode, Mode::Open) {
        fuzz(&system.ingests()[0], system.secret(), mode).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_finds_no_answer_that_the_documents_do_not_have() -> Result<()> {
    let as_it_is = |plan: ClusterPlan| plan;
    let open = async |system: &mut System| fuzz_all(system, Mode::Open).await;
    only(SystemKind::Embedded, as_it_is, open).await?;
    let file = tempfile::NamedTempFile::new()?;
    let sha256 = TokenDigest::of_new(TOKEN)?.to_hex();
    let text = format!(
        "[[token]]\nid = \"fuzzer\"\nsha256 = \"{sha256}\"\nprincipal = \"fuzzer\"\n\
         permissions = [\"read\", \"send\", \"admin\"]\n"
    );
    fs::write(file.path(), text)?;
    let tokens = |plan: ClusterPlan| {
        plan.with_env("FORGEWIRE_AUTH__MODE", "tokens").with_env(
            "FORGEWIRE_AUTH__TOKEN_FILE",
            &file.path().display().to_string(),
        )
    };
    let with_tokens = async |system: &mut System| fuzz_all(system, Mode::Tokens).await;
    only(SystemKind::Embedded, tokens, with_tokens).await
}
