//! GraphQL's object in the form in which the mirror takes one of a list.

use bytes::Bytes;
use model::{ResourceId, Timestamp};
use ports::MirroredKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::listed::ListedObject;

/// The member of ours in an object of GraphQL.
const OURS: &str = "forgewire";

/// The number of the project that a stored field, view or item belongs to.
pub(crate) fn project_of(json: &[u8]) -> Option<u64> {
    ours(json)?.get("project")?.as_u64()
}

/// Our member of a stored object.
pub(super) fn ours(json: &[u8]) -> Option<Value> {
    let mut object: Value = serde_json::from_slice(json).ok()?;
    Some(object.get_mut(OURS)?.take())
}

/// An object with our member; `None` without an id: GitHub gives an empty object for a type that a query does not name.
pub(super) fn listed(
    kind: MirroredKind,
    number: Option<u64>,
    node: &Value,
    (ours, updated_at): (Value, Timestamp),
) -> Option<ListedObject> {
    let node_id = ResourceId::new(node["id"].as_str()?).ok()?;
    let mut object = node.as_object()?.clone();
    object.insert(OURS.to_owned(), ours);
    Some(ListedObject {
        kind,
        number: number.unwrap_or_else(|| number_of(node, &node_id)),
        node_id,
        updated_at,
        json: Bytes::from(Value::Object(object).to_string()),
        whole: true,
    })
}

/// A part of a project.
pub(super) fn listed_part(
    kind: MirroredKind,
    project: u64,
    node: &Value,
    asked_at: Timestamp,
) -> Option<ListedObject> {
    let updated_at = node["updatedAt"].as_str().and_then(Timestamp::parse);
    let ours = json!({ "project": project });
    listed(kind, None, node, (ours, updated_at.unwrap_or(asked_at)))
}

/// GitHub's id, which it writes as text because it may have 64 bits. A field has one of 32 bits at most, and none where that
/// is too small: then it is made of the node id, 48 bits of a digest, so that JSON and JavaScript keep it as it is.
fn number_of(node: &Value, node_id: &ResourceId) -> u64 {
    let given = &node["fullDatabaseId"];
    let given = given
        .as_u64()
        .or_else(|| given.as_str().and_then(|text| text.parse().ok()));
    given.unwrap_or_else(|| {
        let digest = Sha256::digest(node_id.as_str());
        let bytes = digest.iter().take(6);
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_githubs_id_or_one_made_of_its_node_id() {
        let at = Timestamp::from_unix_millis(5_000);
        let part = |node: &Value| listed_part(MirroredKind::ProjectItem, 3, node, at);
        let item = part(
            &json!({ "id": "PVTI_1", "fullDatabaseId": "9007199254740993",
            "updatedAt": "1970-01-01T00:00:03Z" }),
        )
        .unwrap();
        assert_eq!(item.number, 9_007_199_254_740_993);
        assert_eq!(item.updated_at.unix_millis(), 3_000);
        assert_eq!(project_of(&item.json), Some(3));
        let fields = ["PVTF_1", "PVTF_2"].map(|id| part(&json!({ "id": id })).unwrap());
        assert_ne!(fields[0].number, fields[1].number);
        assert!(fields[0].number < 1 << 48 && fields[0].updated_at == at);
        assert!(part(&json!({})).is_none() && part(&Value::Null).is_none());
    }
}
