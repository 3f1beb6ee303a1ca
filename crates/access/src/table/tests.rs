use model::PrincipalId;
use proptest::prelude::*;

use super::*;
use crate::Permission;

const NOON: &str = "2026-11-20T12:00:00Z";

fn digest(token: &str) -> TokenDigest {
    TokenDigest::of(token).unwrap()
}

/// A block for `token` with further lines.
fn block(id: &str, token: &str, more: &str) -> String {
    let sha256 = digest(token).to_hex();
    format!("[[token]]\nid = \"{id}\"\nsha256 = \"{sha256}\"\nprincipal = \"{id}-team\"\n{more}\n")
}

fn table(text: &str) -> TokenTable {
    TokenTable::parse(text).unwrap()
}

fn at(time: &str) -> Timestamp {
    Timestamp::parse(time).unwrap()
}

#[test]
fn a_block_says_who_may_do_and_see_what() {
    let more = "permissions = [\"admin\"]\nowners = [\"Octo\"]\nrepositories = [\"acme/tool\"]";
    let table = table(&format!(
        "# ours\n{}{}",
        block("ops", "t1", more),
        block("ci", "t2", "")
    ));
    let ops = table.find(&digest("t1"), at(NOON)).unwrap();
    assert_eq!(ops.id, PrincipalId::new("ops-team").unwrap());
    assert!(ops.permissions.has(Permission::Admin) && !ops.permissions.has(Permission::Read));
    let uri = |text| model::ResourceUri::parse(text).unwrap();
    assert!(ops.sees.allows_uri(&uri("github://issues/octo/x/1")));
    assert!(!ops.sees.allows_uri(&uri("github://issues/acme/x/1")));
    let ci = table.find(&digest("t2"), at(NOON)).unwrap();
    assert!(ci.permissions.has(Permission::Read) && !ci.permissions.has(Permission::Admin));
    assert_eq!(ci.sees, crate::Visibility::all());
    assert_eq!(
        table.find(&digest("t3"), at(NOON)).unwrap_err(),
        AuthError::Unknown
    );
}

#[test]
fn a_token_is_good_until_the_moment_that_it_expires() {
    let native = block("a", "t1", "expires_at = 2026-11-20T14:00:00+02:00");
    let text = block("b", "t2", "expires_at = \"2026-11-20T12:00:00Z\"");
    let table = table(&(native + &text));
    for token in ["t1", "t2"] {
        assert!(
            table
                .find(&digest(token), at("2026-11-20T11:59:59.999Z"))
                .is_ok()
        );
        assert_eq!(
            table.find(&digest(token), at(NOON)).unwrap_err(),
            AuthError::Expired
        );
    }
}

#[test]
fn what_is_wrong_is_named_by_line_and_never_repeated() {
    let good = block("a", "t1", "");
    let hex = digest("t9").to_hex();
    for (line, text, reason) in [
        (6, format!("{good}[[token]\n"), "not TOML"),
        (3, "\n\nx = \"fw_secret\"\n".to_owned(), "[[token]]"),
        (1, "token = \"fw_secret\"\n".to_owned(), "[[token]]"),
        (1, "[[tokens]]\n".to_owned(), "[[token]]"),
        (2, "[[token]]\nfw_secret = 1\n".to_owned(), "unknown key"),
        (1, "[[token]]\nid = \"a\"\n".to_owned(), "sha256 is missing"),
        (
            2,
            format!("[[token]]\nid = \"fw_secret\"\nsha256 = \"{hex}\"\nprincipal = \"a\""),
            "id:",
        ),
        (
            3,
            "[[token]]\nid = \"a\"\nsha256 = \"fw_secret\"\nprincipal = \"a\"".to_owned(),
            "sha256:",
        ),
        (
            3,
            "[[token]]\nid = \"a\"\nsha256 = [\"fw_secret\"]\nprincipal = \"a\"".to_owned(),
            "sha256:",
        ),
        (
            4,
            format!("[[token]]\nid = \"a\"\nsha256 = \"{hex}\"\nprincipal = \"fw_secret\""),
            "principal:",
        ),
        (
            4,
            format!("[[token]]\nid = \"a\"\nsha256 = \"{hex}\"\nprincipal = \"a b\""),
            "principal",
        ),
        (
            4,
            format!("[[token]]\nid = \"a\"\nsha256 = \"{hex}\"\nprincipal = \"anonymous\""),
            "reserved",
        ),
        (
            5,
            block("a", "t1", "permissions = [\"fw_secret\"]"),
            "known: read, send, admin",
        ),
        (5, block("a", "t1", "permissions = []"), "leave it out"),
        (5, block("a", "t1", "owners = []"), "leave it out"),
        (5, block("a", "t1", "owners = \"fw_secret\""), "owners:"),
        (5, block("a", "t1", "owners = [\"fw_secret!\"]"), "an owner"),
        (
            6,
            block(
                "a",
                "t1",
                "owners = [\"octo\"]\nrepositories = [\"fw_secret\"]",
            ),
            "owner/repo",
        ),
        (
            5,
            block("a", "t1", "expires_at = 2026-11-20T12:00:00"),
            "offset",
        ),
        (
            5,
            block("a", "t1", "expires_at = \"fw_secret\""),
            "expires_at",
        ),
        (
            6,
            block("a", "t1", "") + &block("a", "t2", ""),
            "id: another",
        ),
        (
            6,
            block("a", "t1", "") + &block("b", "t1", ""),
            "sha256: another",
        ),
    ] {
        let error = TokenTable::parse(&text).expect_err(&text);
        let TokenFileError::Line {
            line: named,
            reason: error_text,
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(*named, line, "{text}\n{error}");
        assert!(error_text.contains(reason), "{text}\n{error}");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("secret") && !told.contains(&hex), "{told}");
    }
}

#[test]
fn at_most_ten_thousand_tokens() {
    let blocks = |count: usize| -> String {
        (0..count)
            .map(|n| format!("[[token]]\nid=\"{n}\"\nsha256=\"{n:064x}\"\nprincipal=\"p\"\n"))
            .collect()
    };
    assert_eq!(table(&blocks(MAX_TOKENS)).len(), MAX_TOKENS);
    let error = TokenTable::parse(&blocks(MAX_TOKENS + 1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than 10000"), "{error}");
}

#[test]
fn what_stays_goes_on_and_what_is_gone_or_changed_falls() {
    let old = table(
        &[
            block("same", "t1", "owners = [\"octo\"]"),
            block("gone", "t2", ""),
            block("narrower", "t3", ""),
            block("longer", "t4", "expires_at = 2026-12-01T00:00:00Z"),
        ]
        .concat(),
    );
    let find = |table: &TokenTable, token| table.find(&digest(token), at(NOON));
    let before: Vec<_> = ["t1", "t2", "t3", "t4"]
        .into_iter()
        .map(|t| find(&old, t).unwrap())
        .collect();
    let mut new = table(
        &[
            block("narrower", "t3", "owners = [\"octo\"]"),
            block(
                "same",
                "t1",
                "owners = [\"OCTO\"]\npermissions = [\"read\"]",
            ),
            block("longer", "t4", "expires_at = 2027-12-01T00:00:00Z"),
            block("new", "t5", ""),
        ]
        .concat(),
    );
    let mut revoked = new.replace(&old);
    revoked.sort();
    assert_eq!(revoked, ["gone".into(), "narrower".into()]);
    let is_valid: Vec<_> = before
        .iter()
        .map(|principal| principal.is_valid())
        .collect();
    assert_eq!(is_valid, [true, false, false, true]);
    assert!(Arc::ptr_eq(&find(&new, "t1").unwrap(), &before[0]));
    assert_eq!(find(&new, "t2").unwrap_err(), AuthError::Unknown);
    assert!(find(&new, "t3").unwrap().is_valid());
    assert!(Arc::ptr_eq(&find(&new, "t4").unwrap(), &before[3]));
    assert!(find(&new, "t5").unwrap().is_valid());
}

#[test]
fn a_token_that_expired_falls_once_and_a_longer_time_begins_anew() {
    let text = block("a", "t1", "expires_at = 2026-11-20T12:00:00Z");
    let old = table(&text);
    let principal = old.find(&digest("t1"), at("2026-11-20T11:00:00Z")).unwrap();
    assert!(old.expire(at("2026-11-20T11:59:59Z")).is_empty() && principal.is_valid());
    assert_eq!(old.expire(at(NOON)), ["a".into()]);
    assert!(old.expire(at(NOON)).is_empty() && !principal.is_valid());
    let mut new = table(&text.replace("2026-11-20", "2026-11-21"));
    assert!(new.replace(&old).is_empty());
    assert!(new.find(&digest("t1"), at(NOON)).unwrap().is_valid());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[\\[token\\]\\]\n)?(id|sha256|owners|\\PC{0,9}) ?= ?\\PC{0,40}") {
        let _ = check_tokens(&text);
    }
}
