//! Names of the project that ours follows which have no counterpart: whoever sets one believes that it narrows or
//! protects something, so each is refused with the sentence that names what does it here.

use service_kit::config::Value;

/// No value, and the reason for any text that is not empty.
fn refused(text: &str, reason: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(reason.to_owned()),
    }
}

/// The text of a key, which Forgewire reads from a file alone.
pub(super) fn app_key(text: &str) -> Result<Option<Value>, String> {
    refused(
        text,
        "the App's key is read from a file; write it into one, set github.private_key_file to its path, and remove the \
         variable",
    )
}

/// One installation of the App, where Forgewire uses those of all owners of its repositories.
pub(super) fn app_installation(text: &str) -> Result<Option<Value>, String> {
    refused(
        text,
        "it would not keep Forgewire to this installation: that of each repository's owner is found by the App. List the \
         repositories in sync.repositories, and remove the variable",
    )
}

/// A folder of secrets, whose files Forgewire does not guess.
pub(super) fn secrets_folder(text: &str) -> Result<Option<Value>, String> {
    refused(
        text,
        "its files would not be read: name each of them, in ingest.webhook_secret_files, github.token_file and \
         github.private_key_file, and remove the variable",
    )
}

/// A limit of all requests, where only failures are limited.
pub(super) fn rate_limit(text: &str) -> Result<Option<Value>, String> {
    refused(
        text,
        "deliveries with a good signature are not limited, because GitHub does not send them again; set \
         ingest.failures_per_minute for the failures of one source, and remove the variable",
    )
}

/// Groups of tools; `all` is how it is anyway.
pub(super) fn tool_groups(text: &str) -> Result<Option<Value>, String> {
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    refused(
        text,
        "it would leave out no tool: a client chooses toolsets with X-MCP-Toolsets, or the path /mcp/x/{toolset}, and what \
         it may do is in the permissions of its token (auth.token_file); remove the variable",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_names_the_key_of_today_and_not_its_value() {
        type Convert = fn(&str) -> Result<Option<Value>, String>;
        for (convert, key) in [
            (app_key as Convert, "github.private_key_file"),
            (app_installation, "sync.repositories"),
            (secrets_folder, "ingest.webhook_secret_files"),
            (rate_limit, "ingest.failures_per_minute"),
            (tool_groups, "auth.token_file"),
        ] {
            let reason = convert("given-value").unwrap_err();
            assert!(reason.contains(key), "{reason}");
            assert!(!reason.contains("given-value"), "{reason}");
            assert_eq!(convert(" "), Ok(None), "{key}");
        }
        assert_eq!(tool_groups("ALL"), Ok(None));
        assert!(tool_groups("all,core").is_err());
    }
}
