//! A GitHub App: its own token, and those of its installations.

use std::{path::Path, sync::Arc};

use axum::response::Response;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use github::{GithubAccess, GithubError, GithubIdentity, RestCall, RestRoute};
use parking_lot::Mutex;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json as value};

use crate::server::{ScriptedGithub, SeenRequest, json, repository};

const FIRST: &str = include_str!("../keys/first.pem");
const SECOND: &str = include_str!("../keys/second.pem");

fn app(key: &Path) -> GithubIdentity {
    let key_file = key.to_owned();
    GithubIdentity::App { id: 42, key_file }
}

/// Whether the token of a request was signed with this key; its claims.
fn claims(seen: &SeenRequest, pem: &str) -> Option<Value> {
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => unreachable!("an RSA key"),
    };
    let pair = pair.unwrap();
    let token = seen
        .header("authorization")
        .strip_prefix("Bearer ")
        .unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public.verify(signed.as_bytes(), &signature).ok()?;
    let (header, claims) = signed.split_once('.').unwrap();
    let read =
        |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(read(header), value!({"alg": "RS256", "typ": "JWT"}));
    Some(read(claims))
}

/// A token of the newer form: 520 characters with two dots.
fn long_token(number: usize) -> String {
    format!("ghs_{number}.{}.{}", "a".repeat(250), "b".repeat(260))
}

/// What GitHub answers to the App 42 with installation 7; `tokens` counts the tokens that it has made.
fn installed(seen: &SeenRequest, tokens: &Mutex<usize>) -> Response {
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/users/octo/installation") => json(200, &value!({"id": 7})),
        ("POST", "/app/installations/7/access_tokens") => {
            let mut tokens = tokens.lock();
            *tokens += 1;
            json(
                201,
                &value!({"token": long_token(*tokens), "expires_at": "2099-01-01T00:00:00Z"}),
            )
        }
        ("GET", path) if path.starts_with("/repos/octo/") => json(200, &value!({"id": 1})),
        _ => json(404, &value!({})),
    }
}

#[tokio::test]
async fn a_hundred_calls_at_once_make_one_token_of_the_installation() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, FIRST).unwrap();
    let tokens = Arc::new(Mutex::new(0));
    let made = Arc::clone(&tokens);
    let github = ScriptedGithub::start(move |seen| installed(seen, &made)).await;
    let client = github.client_as(app(&key));
    let call = repository();
    let answers = join_all((0..100).map(|_| client.get::<Value>(&call))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap()["id"] == 1)
    );
    assert_eq!(*tokens.lock(), 1);
    let seen = github.seen();
    let count = |path: &str| seen.iter().filter(|seen| seen.path == path).count();
    assert_eq!(
        (
            count("/users/octo/installation"),
            count("/repos/octo/tool"),
            seen.len()
        ),
        (1, 100, 102)
    );
    let made = seen.iter().find(|seen| seen.method == "POST").unwrap();
    let claims = claims(made, FIRST).unwrap();
    assert_eq!(claims["iss"], "42");
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 600);
    let used = seen
        .iter()
        .find(|seen| seen.path == "/repos/octo/tool")
        .unwrap();
    assert_eq!(
        used.header("authorization"),
        format!("Bearer {}", long_token(1))
    );
}

#[tokio::test]
async fn a_token_that_github_refuses_is_made_anew_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, FIRST).unwrap();
    let tokens = Arc::new(Mutex::new(0));
    let made = Arc::clone(&tokens);
    // The first token was revoked, and those for `never` are all refused.
    let github = ScriptedGithub::start(move |seen| {
        let is_first = seen.header("authorization").contains("ghs_1.");
        match (seen.path.as_str(), is_first) {
            ("/repos/octo/tool", true) | ("/repos/octo/never", _) => {
                json(401, &value!({"message": "Bad credentials"}))
            }
            _ => installed(seen, &made),
        }
    })
    .await;
    let client = github.client_as(app(&key));
    client.get::<Value>(&repository()).await.unwrap();
    assert_eq!(*tokens.lock(), 2);
    let never = RestCall::new(
        RestRoute::REPOSITORY,
        GithubAccess::Installation(7),
        &["octo", "never"],
    );
    let error = client.get::<Value>(&never).await.unwrap_err();
    assert!(matches!(error, GithubError::Unauthorized { .. }), "{error}");
    assert_eq!(*tokens.lock(), 3);
}

#[tokio::test]
async fn a_rotated_key_signs_the_next_token_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, FIRST).unwrap();
    let github = ScriptedGithub::start(|_| json(200, &value!({"id": 42}))).await;
    let client = github.client_as(app(&key));
    let call = RestCall::new(RestRoute::APP, GithubAccess::App, &[]);
    client.get::<Value>(&call).await.unwrap();
    // As a Kubernetes Secret changes: another file comes under the name.
    std::fs::write(folder.path().join("new"), SECOND).unwrap();
    std::fs::rename(folder.path().join("new"), &key).unwrap();
    client.get::<Value>(&call).await.unwrap();
    let seen = github.seen();
    assert!(claims(&seen[0], FIRST).is_some() && claims(&seen[0], SECOND).is_none());
    assert!(claims(&seen[1], SECOND).is_some() && claims(&seen[1], FIRST).is_none());
}

#[tokio::test]
async fn an_owner_without_the_app_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, FIRST).unwrap();
    let github = ScriptedGithub::start(|seen| installed(seen, &Mutex::new(0))).await;
    let owner = GithubAccess::Owner("stranger".to_owned());
    let call = RestCall::new(RestRoute::REPOSITORY, owner, &["stranger", "tool"]);
    let error = github
        .client_as(app(&key))
        .get::<Value>(&call)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, GithubError::NotInstalled { owner } if owner == "stranger"),
        "{error}"
    );
}
