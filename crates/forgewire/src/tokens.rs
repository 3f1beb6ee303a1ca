//! `forgewire tokens`: creates the entries of the file that `auth.token_file` names.

use std::io::Read;

use access::{TokenDigest, TokenFileError, check_tokens};
use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use model::file_text;
use serde::Serialize;

/// Prefix of our tokens, by which people and secret scanners recognise them.
const PREFIX: &str = "fw_";
/// Random bytes in a token; 256 bits cannot be guessed.
const TOKEN_BYTES: usize = 32;
/// Random bytes in a generated token id.
const ID_BYTES: usize = 4;
/// Longest principal that becomes part of a generated token id, in bytes; an id has up to 64.
const MAX_ID_STEM: usize = 48;
/// Maximum number of bytes read from stdin; a token has up to 512.
const MAX_INPUT_BYTES: u64 = 4096;

/// Principal and visibility of a new token.
#[derive(Debug, Args)]
pub(crate) struct NewTokenArgs {
    /// Principal that the token identifies; sessions and cursors belong to it.
    #[arg(long, value_name = "NAME")]
    principal: String,
    /// Name of the token itself, in the file and in logs; derived from the principal by default.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Owner whose events the token may see; may be given several times. Without owners and
    /// repositories: all events.
    #[arg(long = "owner", value_name = "OWNER")]
    owners: Vec<String>,
    /// Repository whose events the token may see; may be given several times.
    #[arg(long = "repository", value_name = "OWNER/REPO")]
    repositories: Vec<String>,
}

/// A `[[token]]` block.
#[derive(Serialize)]
struct Block<'a> {
    id: &'a str,
    sha256: &'a str,
    principal: &'a str,
    permissions: [&'static str; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    owners: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repositories: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    token: [Block<'a>; 1],
}

/// `forgewire tokens new`: the token, and the block for the file.
///
/// # Errors
/// A name that the edge would refuse, or no randomness.
pub(crate) fn new(args: &NewTokenArgs, json: bool) -> anyhow::Result<String> {
    let token = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?)
    );
    let sha256 = TokenDigest::of_new(&token)?.to_hex();
    let id = match &args.id {
        Some(id) => id.clone(),
        None => {
            let number = u32::from_be_bytes(random::<ID_BYTES>()?);
            let principal = Some(args.principal.as_str()).filter(|name| name.len() <= MAX_ID_STEM);
            format!("{}-{number:08x}", principal.unwrap_or("token"))
        }
    };
    let block = Block {
        id: &id,
        sha256: &sha256,
        principal: &args.principal,
        permissions: ["read"],
        owners: &args.owners,
        repositories: &args.repositories,
    };
    let block = toml::to_string(&File { token: [block] })?;
    // Refuses now what the edge would refuse later.
    check_tokens(&block).map_err(|error| match error {
        TokenFileError::Line { reason, .. } => anyhow!(reason),
        error => error.into(),
    })?;
    if json {
        let principal = &args.principal;
        let answer = serde_json::json!({
            "token": token, "id": id, "principal": principal, "sha256": sha256, "block": block,
        });
        return Ok(answer.to_string());
    }
    Ok(format!(
        "{token}\n\nGive it to the client (Authorization: Bearer …); it is shown only once.\n\
         Add to the file that auth.token_file names:\n\n{}",
        block.trim_end()
    ))
}

/// `forgewire tokens hash`: the digest of the token that `input` holds.
///
/// # Errors
/// The input cannot be read, or is not a safe token.
pub(crate) fn hash(input: impl Read, json: bool) -> anyhow::Result<String> {
    let unreadable = "cannot read a token from stdin";
    let mut bytes = Vec::new();
    input
        .take(MAX_INPUT_BYTES)
        .read_to_end(&mut bytes)
        .context(unreadable)?;
    let text = file_text(&bytes).context(unreadable)?;
    let sha256 = TokenDigest::of_new(text.trim_end_matches(['\r', '\n']))?.to_hex();
    Ok(match json {
        true => serde_json::json!({ "sha256": sha256 }).to_string(),
        false => sha256,
    })
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the system provides no random bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(principal: &str, owners: &[&str], repositories: &[&str]) -> NewTokenArgs {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NewTokenArgs {
            principal: principal.to_owned(),
            id: None,
            owners: owned(owners),
            repositories: owned(repositories),
        }
    }

    #[test]
    fn a_new_token_comes_with_a_block_that_the_edge_takes() {
        let text = new(&args("octo-ci", &["octo"], &["acme/tool"]), true).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (token, block) = (
            answer["token"].as_str().unwrap(),
            answer["block"].as_str().unwrap(),
        );
        assert!(token.starts_with("fw_") && token.len() == 3 + 43, "{token}");
        check_tokens(block).unwrap();
        assert_eq!(hash(token.as_bytes(), false).unwrap(), answer["sha256"]);
        assert!(
            block.contains("[[token]]") && block.contains("acme/tool"),
            "{block}"
        );
        assert!(!block.contains(token), "the file never holds the token");
        let other = new(&args("octo-ci", &[], &[]), false).unwrap();
        assert!(
            !other.contains(token) && !other.contains("owners"),
            "{other}"
        );
    }

    #[test]
    fn what_the_edge_would_refuse_is_refused_here_without_a_line() {
        assert!(new(&args(&"p".repeat(200), &[], &[]), false).is_ok());
        for (args, reason) in [
            (args("a b", &[], &[]), "principal"),
            (args("anonymous", &[], &[]), "reserved"),
            (args("a", &["o/r"], &[]), "repositories"),
            (args("a", &[], &["o"]), "owner/repo"),
        ] {
            let error = new(&args, false).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("line"), "{error}");
        }
    }

    #[test]
    fn a_token_of_ones_own_has_to_be_long_enough() {
        let long = "0123456789abcdef0123456789abcdef";
        let digest = hash(format!("{long}\n").as_bytes(), false).unwrap();
        assert_eq!(digest.len(), 64);
        assert!(hash(long.as_bytes(), true).unwrap().contains(&digest));
        let from_windows = format!("\u{feff}{long}\r\n");
        assert_eq!(hash(from_windows.as_bytes(), false).unwrap(), digest);
        for bad in ["", "short", "with space in it and long enough to count"] {
            assert!(hash(bad.as_bytes(), false).is_err(), "{bad:?}");
        }
    }
}
