//! Third-party clients, through the balancer, in every revision that each supports: connect, list,
//! call, read, subscribe, and the notification of a webhook that the client posts itself. Installed
//! by `make setup`. Their expectations are one shared list, tests/interop/expectations.json.

mod rust_sdk;

use std::{path::PathBuf, process::Stdio, time::Duration};

use access::TokenDigest;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::cluster::{ClusterPlan, System, workspace};
use tests::{both, both_at_once, both_with};
use tokio::{process::Command, time::timeout};

/// Seconds that a client waits for an event: longer than two minutes, after which Claude Code puts a call into the
/// background.
const WAIT_SECONDS: u64 = 130;
/// Time allowed for a client: it needs a second for all its revisions, and more on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const MODERN: &str = "2026-07-28";
const ALL: [&str; 5] = [
    HANDSHAKE[0],
    HANDSHAKE[1],
    HANDSHAKE[2],
    HANDSHAKE[3],
    MODERN,
];

/// A script of tests/interop and the program that runs it.
struct Client {
    program: &'static str,
    script: &'static str,
    /// The transport: HTTP+SSE if true, otherwise Streamable HTTP.
    sse: bool,
}

const PYTHON_1: Client = Client {
    program: ".setup/venv-sdk1/bin/python",
    script: "tests/interop/python_sdk1.py",
    sse: false,
};
const PYTHON_2: Client = Client {
    program: ".setup/venv/bin/python",
    script: "tests/interop/python_sdk2.py",
    sse: false,
};
const TYPESCRIPT_1: Client = Client {
    program: ".setup/bin/node",
    script: "tests/interop/typescript_sdk1.mjs",
    sse: false,
};
const TYPESCRIPT_2: Client = Client {
    program: ".setup/bin/node",
    script: "tests/interop/typescript_sdk2.mjs",
    sse: false,
};
const EVENT_SOURCE: Client = Client {
    program: ".setup/bin/node",
    script: "tests/interop/eventsource.mjs",
    sse: false,
};
const EVENT_SOURCE_FULL: Client = Client {
    program: ".setup/bin/node",
    script: "tests/interop/eventsource_full.mjs",
    sse: false,
};
const CHROMIUM: Client = Client {
    program: ".setup/bin/node",
    script: "tests/interop/browser.mjs",
    sse: false,
};
const CURL: Client = Client {
    program: "/usr/bin/env",
    script: "tests/interop/curl.sh",
    sse: false,
};

fn installed(path: &str) -> Result<PathBuf> {
    let path = workspace().join(path);
    ensure!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    Ok(path)
}

impl Client {
    /// Runs the client with these revisions, one after the other, on both topologies.
    async fn run_on_both(&self, revisions: &[&str]) -> Result<()> {
        both(async |system| self.run(system, revisions).await).await
    }

    /// The client prints one JSON line for each revision, and exits with 0 if each met its
    /// expectations.
    async fn run(&self, system: &System, revisions: &[&str]) -> Result<()> {
        self.run_with(system, revisions, (&[], DEADLINE)).await
    }

    /// The client does nothing but wait for an event, with the defaults of its SDK and a handler of progress.
    async fn wait(&self, system: &System, revision: &str) -> Result<()> {
        let seconds = WAIT_SECONDS.to_string();
        let deadline = DEADLINE + Duration::from_secs(WAIT_SECONDS);
        let only = ["--wait-seconds", seconds.as_str()];
        self.run_with(system, &[revision], (&only, deadline)).await
    }

    async fn run_with(
        &self,
        system: &System,
        revisions: &[&str],
        (arguments, deadline): (&[&str], Duration),
    ) -> Result<()> {
        let script = self.script;
        let edge = system.balancer().as_str().trim_end_matches('/');
        let mut command = Command::new(installed(self.program)?);
        command
            .arg(installed(script)?)
            .args(["--edge", edge])
            .args([
                "--webhook-url",
                system.ingest_balancer().join("/webhooks/github")?.as_str(),
            ])
            .args(["--secret", system.secret()])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if self.sse {
            command.args(["--transport", "sse"]);
        }
        for revision in revisions {
            command.args(["--revision", revision]);
        }
        let output = timeout(deadline, command.output()).await;
        let output = output.with_context(|| format!("{script} {revisions:?} hangs"))??;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let passed: Vec<String> = stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|report| report["ok"] == true)
            .filter_map(|report| report["revision"].as_str().map(ToOwned::to_owned))
            .collect();
        ensure!(
            output.status.success() && passed == revisions,
            "{script}: of {revisions:?} only {passed:?} pass\n{stdout}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_1_speaks_every_handshake_revision() -> Result<()> {
    PYTHON_1.run_on_both(&HANDSHAKE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_2_speaks_every_revision() -> Result<()> {
    PYTHON_2.run_on_both(&ALL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_1_speaks_every_handshake_revision() -> Result<()> {
    TYPESCRIPT_1.run_on_both(&HANDSHAKE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_2_speaks_every_revision() -> Result<()> {
    TYPESCRIPT_2.run_on_both(&ALL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_wait_for_longer_than_two_minutes_with_their_own_defaults() -> Result<()> {
    both_at_once(async |system| {
        let system = &*system;
        let waits = [
            (PYTHON_1, HANDSHAKE[3]),
            (PYTHON_2, HANDSHAKE[3]),
            (PYTHON_2, MODERN),
            (TYPESCRIPT_1, HANDSHAKE[3]),
            (TYPESCRIPT_2, HANDSHAKE[3]),
            (TYPESCRIPT_2, MODERN),
        ];
        let waits = waits.map(async |(client, revision)| client.wait(system, revision).await);
        futures_util::future::try_join_all(waits).await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_speaks_every_revision() -> Result<()> {
    both(async |system| {
        for revision in ALL {
            let walked = rust_sdk::walk(system, revision).await;
            walked.with_context(|| format!("rmcp in {revision}"))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_every_revision_and_follows_the_event_stream() -> Result<()> {
    both(async |system| {
        for revision in ALL.into_iter().chain(["events"]) {
            CURL.run(system, &[revision]).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_event_source_resumes_where_it_was_cut_off() -> Result<()> {
    EVENT_SOURCE.run_on_both(&["events"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_event_source_that_finds_no_room_comes_back_by_itself() -> Result<()> {
    let one_place = |plan: ClusterPlan| plan.with_env("FORGEWIRE_EDGE__MAX_STREAMS", "1");
    both_with(one_place, async |system| {
        EVENT_SOURCE_FULL.run(system, &["events"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_uses_the_page_for_trying_the_edge() -> Result<()> {
    CHROMIUM.run_on_both(&["demo"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_browser_client_of_mcp_sse_runs_in_a_real_browser() -> Result<()> {
    // As in tests/interop/browser.mjs.
    const TOKEN: &str = "the-token-of-a-page-that-may-do-everything";
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tokens.toml");
    let sha256 = TokenDigest::of_new(TOKEN)?.to_hex();
    let entry = format!(
        "[[token]]\nid = \"page\"\nsha256 = \"{sha256}\"\nprincipal = \"page\"\n\
         permissions = [\"read\", \"send\", \"admin\"]\n"
    );
    std::fs::write(&path, entry)?;
    let with_tokens = |plan: ClusterPlan| {
        plan.with_env("FORGEWIRE_AUTH__MODE", "tokens")
            .with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path.display().to_string())
            .with_env("FORGEWIRE_EDGE__QUERY_TOKENS", "true")
    };
    both_with(with_tokens, async |system| {
        CHROMIUM.run(system, &["documented"]).await
    })
    .await
}

/// The transport of 2024-11-05: `/sse`, with the messages posted to any edge.
#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_1_speak_http_and_sse_of_2024_11_05() -> Result<()> {
    for client in [PYTHON_1, TYPESCRIPT_1] {
        let client = Client {
            sse: true,
            ..client
        };
        client.run_on_both(&HANDSHAKE[..1]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_plugin_for_claude_code_fits_the_schema_of_its_client() -> Result<()> {
    let check = Command::new(installed(".setup/bin/node")?)
        .arg(installed("tests/interop/claude_plugin.mjs")?)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, check)
        .await
        .context("the check hangs")??;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
