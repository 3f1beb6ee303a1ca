//! Official clients of others, through the balancer, both eras: connect, list, call, read, and a
//! notification after a webhook that the client posts itself. Installed by `make setup`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use testkit::cluster::{System, workspace};
use tests::both;
use tokio::{process::Command, time::timeout};

/// An SDK's client needs a second; a busy machine more.
const PATIENCE: Duration = Duration::from_secs(60);

fn installed(path: &str) -> Result<PathBuf> {
    let path = workspace().join(path);
    ensure!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    Ok(path)
}

/// Runs a client; it prints one JSON line and exits 0 if it got all that it wanted.
async fn client(system: &System, program: &str, script: &str, era: &str) -> Result<()> {
    let mut command = Command::new(installed(program)?);
    command
        .arg(installed(script)?)
        .args(["--url", system.balancer().join("/mcp")?.as_str()])
        .args(["--era", era])
        .args([
            "--webhook-url",
            system.ingest_balancer().join("/webhooks/github")?.as_str(),
        ])
        .args(["--secret", system.secret()])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.with_context(|| format!("{script} --era {era} hangs"))??;
    ensure!(
        output.status.success(),
        "{script} --era {era}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_works_in_both_eras() -> Result<()> {
    both(async |system| {
        for era in ["handshake", "modern"] {
            client(
                system,
                ".setup/venv/bin/python",
                "tests/interop/client.py",
                era,
            )
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_works_in_both_eras() -> Result<()> {
    both(async |system| {
        for era in ["handshake", "modern"] {
            client(system, ".setup/bin/node", "tests/interop/client.mjs", era).await?;
        }
        Ok(())
    })
    .await
}
