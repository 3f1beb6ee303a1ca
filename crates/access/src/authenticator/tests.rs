use std::fs;

use http::{HeaderValue, header};
use model::{ManualClock, Timestamp};

use super::*;
use crate::TokenDigest;

/// A folder with a token file, a clock, and the authenticator that uses both.
struct Stage {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    authenticator: Authenticator,
}

fn block(token: &str, more: &str) -> String {
    let sha256 = TokenDigest::of(token).unwrap().to_hex();
    format!("[[token]]\nid = \"{token}\"\nsha256 = \"{sha256}\"\nprincipal = \"p\"\n{more}\n")
}

impl Stage {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        fs::write(&path, text).unwrap();
        let clock = Arc::new(ManualClock::at(
            Timestamp::parse("2026-11-20T12:00:00Z").unwrap(),
        ));
        let authenticator = Authenticator::tokens(&path, Arc::clone(&clock) as _).unwrap();
        Self {
            folder,
            clock,
            authenticator,
        }
    }

    fn tokens(&self) -> &Tokens {
        match &self.authenticator.0 {
            Mode::Tokens(tokens) => tokens,
            Mode::None { .. } => panic!("the stage has tokens"),
        }
    }

    /// Replaces the file as an editor does, and checks it.
    fn replace(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.path().join("tokens.toml")).unwrap();
        self.tokens().reload();
    }

    fn ask(&self, token: &str) -> Result<Arc<Principal>, AuthError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        self.authenticator.authenticate(&headers)
    }
}

#[test]
fn without_authentication_everybody_is_one_whatever_they_send() {
    let authenticator = Authenticator::none();
    let mut headers = HeaderMap::new();
    let one = authenticator.authenticate(&headers).unwrap();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic x"));
    assert_eq!(one.id, authenticator.authenticate(&headers).unwrap().id);
    assert!(!authenticator.revoked().has_changed().unwrap());
}

#[test]
fn a_new_file_adds_and_revokes_at_once_and_tells_who_waits() {
    let stage = Stage::new(&(block("t1", "") + &block("t2", "")));
    let revoked = stage.authenticator.revoked();
    let (one, two) = (stage.ask("t1").unwrap(), stage.ask("t2").unwrap());
    stage.replace(&(block("t2", "") + &block("t3", "")));
    assert_eq!(stage.ask("t1").unwrap_err(), AuthError::Unknown);
    assert!(!one.is_valid() && two.is_valid());
    assert!(stage.ask("t3").is_ok());
    assert!(revoked.has_changed().unwrap());
}

#[test]
fn a_file_that_only_adds_disturbs_nobody() {
    let stage = Stage::new(&block("t1", ""));
    let revoked = stage.authenticator.revoked();
    let one = stage.ask("t1").unwrap();
    stage.replace(&(block("t1", "") + &block("t2", "")));
    assert!(one.is_valid() && stage.ask("t2").is_ok());
    assert!(!revoked.has_changed().unwrap());
}

#[test]
fn a_broken_or_missing_file_leaves_the_tokens_of_before_until_it_is_good_again() {
    let stage = Stage::new(&block("t1", ""));
    let path = stage.folder.path().join("tokens.toml");
    let one = stage.ask("t1").unwrap();
    for broken in [
        "[[token]",
        "[[token]]\nid = \"x\"\n",
        &"#".repeat((4 << 20) + 1),
    ] {
        stage.replace(broken);
        assert!(stage.ask("t1").is_ok() && one.is_valid());
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    stage.tokens().reload();
    fs::remove_file(&path).unwrap();
    stage.tokens().reload();
    fs::create_dir(&path).unwrap();
    stage.tokens().reload();
    assert!(stage.ask("t1").is_ok() && one.is_valid());
    fs::remove_dir(&path).unwrap();
    stage.replace(&block("t2", ""));
    assert_eq!(stage.ask("t1").unwrap_err(), AuthError::Unknown);
    assert!(stage.ask("t2").is_ok() && !one.is_valid());
}

#[test]
fn the_same_trouble_is_told_once() {
    let stage = Stage::new(&block("t1", ""));
    let path = stage.folder.path().join("tokens.toml");
    let mut file = stage.tokens().file.lock();
    fs::write(&path, "[[token]").unwrap();
    assert!(file.reload_if_changed().is_err());
    assert!(matches!(file.reload_if_changed(), Ok(None)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        file.reload_if_changed(),
        Err(TokenFileError::Read(_))
    ));
    assert!(matches!(file.reload_if_changed(), Ok(None)));
    fs::write(&path, block("t1", "")).unwrap();
    assert!(
        matches!(file.reload_if_changed(), Ok(None)),
        "what is in force needs no news"
    );
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        file.reload_if_changed(),
        Err(TokenFileError::Read(_))
    ));
}

#[test]
fn an_empty_file_locks_everybody_out() {
    let stage = Stage::new(&block("t1", ""));
    let one = stage.ask("t1").unwrap();
    stage.replace("# nobody\n");
    assert_eq!(stage.ask("t1").unwrap_err(), AuthError::Unknown);
    assert!(!one.is_valid());
}

#[test]
fn a_token_expires_on_time_and_what_is_open_under_it_ends() {
    let stage = Stage::new(&block("t1", "expires_at = 2026-11-20T12:00:10Z"));
    let revoked = stage.authenticator.revoked();
    let one = stage.ask("t1").unwrap();
    stage.clock.advance(Duration::from_secs(9));
    stage.tokens().expire();
    assert!(stage.ask("t1").is_ok() && one.is_valid() && !revoked.has_changed().unwrap());
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.ask("t1").unwrap_err(), AuthError::Expired);
    stage.tokens().expire();
    assert!(!one.is_valid() && revoked.has_changed().unwrap());
}

#[test]
fn a_start_with_a_bad_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let start = || Authenticator::tokens(&path, Arc::new(model::SystemClock)).map(drop);
    assert!(matches!(start(), Err(TokenFileError::Read(_))));
    fs::write(&path, "token = 1").unwrap();
    assert!(matches!(start(), Err(TokenFileError::Line { line: 1, .. })));
    assert!(Authenticator::check_file(&path).is_err());
    assert!(matches!(
        Authenticator::tokens(folder.path(), Arc::new(model::SystemClock)).map(drop),
        Err(TokenFileError::NotAFile)
    ));
    fs::write(&path, block("t1", "")).unwrap();
    assert!(start().is_ok() && Authenticator::check_file(&path).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_running_edge_notices_a_revocation_by_itself() {
    let stage = Stage::new(&block("t1", ""));
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let mut revoked = stage.authenticator.revoked();
    stage.authenticator.spawn(&lifecycle, lifecycle.closed());
    fs::write(stage.folder.path().join("tokens.toml"), block("t2", "")).unwrap();
    // Reading the disk takes real time, during which paused time does not advance.
    timeout(Duration::from_secs(20), revoked.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stage.ask("t1").unwrap_err(), AuthError::Unknown);
    lifecycle.shut_down();
    lifecycle.hard_stop();
}

#[test]
fn debug_tells_no_token_and_no_digest() {
    let stage = Stage::new(&block("t1", ""));
    let told = format!("{:?}", stage.authenticator);
    let digest = TokenDigest::of("t1").unwrap().to_hex();
    assert!(
        told.contains("tokens: 1") && !told.contains(&digest),
        "{told}"
    );
}
