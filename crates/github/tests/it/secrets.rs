//! Tokens: they follow their file, and nothing shows them.

use std::{io::Write, sync::Arc};

use github::{GithubError, GithubIdentity, RestCall, RestRoute};
use parking_lot::Mutex;
use serde_json::{Value, json as value};
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{FAST, ScriptedGithub, json, memory, owner, repository};

#[tokio::test]
async fn a_rotated_token_is_used_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "ghp_old\n").unwrap();
    // GitHub knows the new token only.
    let github = ScriptedGithub::start(|seen| match seen.header("authorization") {
        "Bearer ghp_new" => json(200, &value!({})),
        _ => json(401, &value!({"message": "Bad credentials"})),
    })
    .await;
    let mut pace = FAST;
    // Only the refusal makes the client look at the file.
    pace.secret_check = std::time::Duration::from_secs(3600);
    let client = github.client_with(GithubIdentity::TokenFile(path.clone()), memory(), pace);
    let error = client.get::<Value>(&repository()).await.unwrap_err();
    assert!(matches!(error, GithubError::Unauthorized { .. }), "{error}");
    std::fs::write(&path, "ghp_new\n").unwrap();
    client.get::<Value>(&repository()).await.unwrap();
    let tokens: Vec<_> = github
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").to_owned())
        .collect();
    assert_eq!(
        tokens,
        ["Bearer ghp_old", "Bearer ghp_old", "Bearer ghp_new"]
    );
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct LogKeeper(Arc<Mutex<Vec<u8>>>);

impl Write for LogKeeper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogKeeper {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_error_or_debug_output_shows_a_token() {
    const SECRET: &str = "ghp_hunter2";
    let log = LogKeeper::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // A GitHub that repeats the token where it can.
    let github = ScriptedGithub::start(|seen| match seen.path.as_str() {
        "/repos/octo/limited" => json(
            403,
            &value!({"message": "You have exceeded a secondary rate limit."}),
        ),
        "/repos/octo/broken" => json(500, &value!({})),
        "/repos/octo/shape" => json(200, &value!({"id": SECRET})),
        _ => json(401, &value!({})),
    })
    .await;
    let identity = GithubIdentity::Token(SECRET.to_owned());
    let config = github.config(identity.clone(), FAST);
    let mut shown = format!("{identity:?} {config:?}");
    for name in ["tool", "broken", "shape", "limited"] {
        let client = github.client_with(identity.clone(), memory(), FAST);
        let call = RestCall::new(RestRoute::REPOSITORY, owner(), &["octo", name]);
        let call = call.patience(std::time::Duration::from_millis(100));
        let error = client.get::<Vec<u64>>(&call).await.unwrap_err();
        shown.push_str(&format!(" {client:?} {error} {error:?}"));
    }
    shown.push_str(&String::from_utf8_lossy(&log.0.lock()));
    assert!(shown.contains("secondary rate limit"), "the log is there");
    assert!(!shown.contains("hunter2"), "{shown}");
}
