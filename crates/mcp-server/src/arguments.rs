//! The arguments of a tool that several types read: fields that some tools have in common, and the tool's own.

use std::fmt;

use mcp::{
    params::{self, InputError},
    tool::CallToolParams,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

/// Fields that several tools take beside their own.
pub trait ArgumentGroup: DeserializeOwned {
    /// Their names.
    const FIELDS: &[&str];
}

/// The arguments of a call that no type has read yet.
#[derive(Debug)]
pub struct Arguments {
    members: Map<String, Value>,
    /// The fields of the groups that were taken out.
    taken: Vec<&'static str>,
}

impl Arguments {
    /// Of a call.
    ///
    /// # Errors
    /// They are no object, or a name occurs twice in them.
    pub fn of(call: &CallToolParams) -> Result<Self, InputError> {
        let Members(mut members) = call.arguments()?;
        // As forms and templates write what is absent.
        members.retain(|_, value| value.as_str().is_none_or(|text| !text.trim().is_empty()));
        Ok(Self {
            members,
            taken: Vec::new(),
        })
    }

    /// Takes out the fields of a group.
    ///
    /// # Errors
    /// A value does not fit; the error names the field.
    pub fn take<G: ArgumentGroup>(&mut self) -> Result<G, InputError> {
        let fields = G::FIELDS.iter();
        self.taken.extend(G::FIELDS);
        let taken = fields.filter_map(|field| self.members.remove_entry(*field));
        read(&taken.collect())
    }

    /// Reads the fields that are left: the tool's own.
    ///
    /// # Errors
    /// A value does not fit, or the tool has no such field; the error names it, and then all that the tool has.
    pub fn rest<T: DeserializeOwned>(self) -> Result<T, InputError> {
        read(&self.members).map_err(|error| self.with_all_fields(error))
    }

    /// The error about an unknown field knows only those of the type that was read last.
    fn with_all_fields(&self, error: InputError) -> InputError {
        let Some((unknown, own)) = error.unknown_member() else {
            return error;
        };
        let own = own.iter().map(String::as_str);
        let known: Vec<_> = own.chain(self.taken.iter().copied()).collect();
        InputError::new(
            unknown,
            &format!("unknown field; known: {}", known.join(", ")),
        )
    }
}

fn read<T: DeserializeOwned>(members: &Map<String, Value>) -> Result<T, InputError> {
    let json: Box<RawValue> = to_raw_value(members).expect("an object of JSON values is JSON");
    params::parse(Some(&json))
}

/// The members of an object, each once.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberVisitor;
        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = given.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_any(MemberVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Where {
        owner: Option<String>,
    }

    impl ArgumentGroup for Where {
        const FIELDS: &[&str] = &["owner"];
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Own {
        limit: Option<u32>,
    }

    fn both(json: &str) -> Result<(Where, Own), String> {
        let call = CallToolParams {
            name: "tool".to_owned(),
            arguments: Some(RawValue::from_string(json.to_owned()).unwrap()),
        };
        let read = || -> Result<_, InputError> {
            let mut arguments = Arguments::of(&call)?;
            Ok((arguments.take()?, arguments.rest()?))
        };
        read().map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_reads_its_fields_and_no_field_is_left_unread() {
        let (place, own) = both(r#"{"limit":3,"owner":"octo"}"#).unwrap();
        assert_eq!(place.owner.as_deref(), Some("octo"));
        assert_eq!(own.limit, Some(3));
        let (blank, _) = both(r#"{"owner":" "}"#).unwrap();
        assert_eq!(blank.owner, None);
        for (wrong, words) in [
            (
                r#"{"limits":3}"#,
                "limits: unknown field; known: limit, owner",
            ),
            (r#"{"owner":3}"#, "owner: must be a string"),
            (r#"{"owner":"a","owner":"b"}"#, "owner: given twice"),
            ("3", "arguments: must be a JSON object with named members"),
        ] {
            let refused = both(wrong).unwrap_err();
            assert!(refused.contains(words), "{wrong}: {refused}");
        }
    }
}
