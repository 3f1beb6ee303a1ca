//! One `[[token]]` block.

use std::collections::BTreeMap;

use model::{PrincipalId, Timestamp};
use toml::{Spanned, Value};

use crate::{
    Principal, TokenDigest, Visibility,
    principal::{Permission, Permissions},
};

/// A block as written in the file. Values are read by hand, because serde's errors repeat them.
pub(super) type Fields = BTreeMap<Spanned<String>, Spanned<Value>>;

const KNOWN: &str = "id, sha256, principal, permissions, owners, repositories, expires_at";
/// Maximum length of a token's name, in characters.
const MAX_NAME_CHARACTERS: usize = 64;
/// The prefix of our tokens; a name with it is a token in the wrong place.
const TOKEN_PREFIX: &str = "fw_";

/// A block that was read.
pub(super) struct TokenEntry {
    pub(super) name: Box<str>,
    pub(super) digest: TokenDigest,
    pub(super) principal: Principal,
    pub(super) expires_at: Option<Timestamp>,
}

/// An error, and its byte offset in the file.
#[derive(Debug)]
pub(super) struct EntryError {
    pub(super) place: usize,
    pub(super) reason: String,
}

struct Field {
    place: usize,
    value: Value,
}

impl Field {
    fn wrong(&self, reason: impl Into<String>) -> EntryError {
        EntryError {
            place: self.place,
            reason: reason.into(),
        }
    }

    fn text(&self, key: &str) -> Result<&str, EntryError> {
        self.value
            .as_str()
            .ok_or_else(|| self.wrong(format!("{key}: write it as \"text\"")))
    }

    /// A list with at least one element: an empty one could be meant as all or as nothing.
    fn list(&self, key: &str) -> Result<Vec<&str>, EntryError> {
        let items = self.value.as_array().filter(|items| !items.is_empty());
        let texts = items.and_then(|items| items.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| {
            self.wrong(format!(
                "{key}: write it as [\"text\", …] with at least one, or leave it out"
            ))
        })
    }
}

/// Reads the block that begins at `start`.
pub(super) fn read(start: usize, fields: Fields) -> Result<TokenEntry, EntryError> {
    let mut known: BTreeMap<&str, Field> = BTreeMap::new();
    for (key, value) in fields {
        let place = key.span().start;
        let Some(name) = KNOWN.split(", ").find(|name| *name == key.get_ref()) else {
            return Err(EntryError {
                place,
                reason: format!("unknown key; known: {KNOWN}"),
            });
        };
        known.insert(
            name,
            Field {
                place,
                value: value.into_inner(),
            },
        );
    }
    let needed = |key: &'static str| {
        let missing = || EntryError {
            place: start,
            reason: format!("{key} is missing"),
        };
        known.get(key).ok_or_else(missing)
    };
    let optional = |key: &'static str| known.get(key);

    let (id, sha256, principal) = (needed("id")?, needed("sha256")?, needed("principal")?);
    let owner = principal_id(principal)?;
    let name = name(id)?;
    let digest = TokenDigest::from_hex(sha256.text("sha256")?)
        .ok_or_else(|| sha256.wrong("sha256: 64 hexadecimal digits, of `forgewire tokens hash`"))?;
    let permissions = match optional("permissions") {
        None => Permissions::from_iter([Permission::Read]),
        Some(field) => permissions(field)?,
    };
    let sees = visibility(optional("owners"), optional("repositories"))?;
    let expires_at = optional("expires_at").map(time).transpose()?;
    Ok(TokenEntry {
        name,
        digest,
        principal: Principal::new(owner, permissions, sees),
        expires_at,
    })
}

fn name(field: &Field) -> Result<Box<str>, EntryError> {
    let name = field.text("id")?;
    let bounded = (1..=MAX_NAME_CHARACTERS).contains(&name.len());
    if !bounded || !name.bytes().all(|b| b.is_ascii_graphic()) || name.starts_with(TOKEN_PREFIX) {
        return Err(field.wrong(format!(
            "id: 1 to {MAX_NAME_CHARACTERS} visible ASCII characters, and not the token itself"
        )));
    }
    Ok(name.into())
}

fn principal_id(field: &Field) -> Result<PrincipalId, EntryError> {
    let name = field.text("principal")?;
    if name.starts_with(TOKEN_PREFIX) {
        return Err(field.wrong("principal: the token itself does not belong here"));
    }
    let id = PrincipalId::new(name).map_err(|error| field.wrong(error.to_string()))?;
    if id == PrincipalId::anonymous() {
        // Otherwise a token would own what clients without a token have created.
        return Err(field.wrong("principal: this name is reserved for clients without a token"));
    }
    Ok(id)
}

fn permissions(field: &Field) -> Result<Permissions, EntryError> {
    let known = || Permission::ALL.map(Permission::as_str).join(", ");
    let unknown = || field.wrong(format!("permissions: unknown name; known: {}", known()));
    let names = field.list("permissions")?;
    names
        .into_iter()
        .map(|name| Permission::parse(name).ok_or_else(unknown))
        .collect()
}

fn visibility(
    owners: Option<&Field>,
    repositories: Option<&Field>,
) -> Result<Visibility, EntryError> {
    let Some(first) = owners.or(repositories) else {
        return Ok(Visibility::all());
    };
    let last = repositories.unwrap_or(first);
    let owners = owners
        .map(|field| field.list("owners"))
        .transpose()?
        .unwrap_or_default();
    let paths = repositories
        .map(|field| field.list("repositories"))
        .transpose()?;
    // The owners are checked first, so that an error has the line of the list that is wrong.
    Visibility::only(owners.iter().copied(), []).map_err(|error| first.wrong(error.to_string()))?;
    Visibility::only(owners, paths.unwrap_or_default())
        .map_err(|error| last.wrong(error.to_string()))
}

/// An RFC 3339 time, as TOML's own or as text.
fn time(field: &Field) -> Result<Timestamp, EntryError> {
    let text = match &field.value {
        Value::Datetime(time) => time.to_string(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    Timestamp::parse(&text).ok_or_else(|| {
        field.wrong("expires_at: a time with its offset, for instance 2027-01-01T00:00:00Z")
    })
}
