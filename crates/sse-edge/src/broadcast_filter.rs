//! The clients that a broadcast is for.

use access::{Permission, TokenType};
use fanout::audience::AudienceMember;
use mcp::lenient::optional_flag;
use serde::{Deserialize, Serialize};

/// The clients that a broadcast is for. All given fields have to match; beside `tokenTypes`, `permissions` is not
/// looked at, as documented.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
pub(crate) struct BroadcastFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_types: Option<Vec<TokenType>>,
    /// All of them are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<Permission>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    /// Only clients with (true) or without (false) a subscription to events.
    #[serde(
        deserialize_with = "optional_flag",
        skip_serializing_if = "Option::is_none"
    )]
    subscribed: Option<bool>,
}

impl BroadcastFilter {
    /// Whether a client is among them.
    pub(crate) fn fits(&self, member: &AudienceMember<'_>) -> bool {
        let principal = member.principal;
        let rights = match (&self.token_types, &self.permissions) {
            (Some(types), _) => types.contains(&principal.permissions.token_type()),
            (None, Some(all)) => all
                .iter()
                .all(|permission| principal.permissions.has(*permission)),
            (None, None) => true,
        };
        let labels = member.labels;
        let version = labels.map(|labels| &*labels.protocol_version);
        let version = version.or(member.protocol_version);
        let is = |asked: &Option<String>, is: Option<&str>| {
            asked.as_deref().is_none_or(|asked| Some(asked) == is)
        };
        // A stream of events is a subscription, and so is a listen stream.
        let subscribed = labels.is_none_or(|labels| labels.is_subscribed);
        rights
            && is(&self.principal, Some(principal.id.as_str()))
            && is(&self.protocol_version, version)
            && is(&self.client_name, labels.map(|labels| &*labels.client_name))
            && self.subscribed.is_none_or(|asked| asked == subscribed)
    }
}

#[cfg(test)]
mod tests {
    use access::{Permissions, Principal, Visibility};
    use fanout::{audience::ClientLabels, metrics::StreamKind};
    use model::PrincipalId;
    use serde_json::{Value, json};

    use super::*;

    fn fits(filter: Value, permissions: &[Permission], labels: Option<&ClientLabels>) -> bool {
        let filter: BroadcastFilter = serde_json::from_value(filter).unwrap();
        let permissions: Permissions = permissions.iter().copied().collect();
        let alice = PrincipalId::new("alice").unwrap();
        let principal = Principal::new(alice, permissions, Visibility::all());
        let member = AudienceMember {
            kind: StreamKind::Session,
            principal: &principal,
            labels,
            protocol_version: Some("2026-07-28").filter(|_| labels.is_none()),
        };
        filter.fits(&member)
    }

    #[test]
    fn rights_are_a_type_or_all_of_some_permissions_and_the_type_goes_first() {
        use Permission::{Admin, Read, Send};
        let fits = |filter, permissions: &[Permission]| fits(filter, permissions, None);
        assert!(fits(json!({}), &[]));
        assert!(fits(json!({ "tokenTypes": ["team", "readonly"] }), &[Read]));
        assert!(!fits(
            json!({ "tokenTypes": ["team", "readonly"] }),
            &[Read, Admin]
        ));
        assert!(!fits(json!({ "tokenTypes": [] }), &[Read]));
        assert!(fits(
            json!({ "permissions": ["read", "send"] }),
            &[Read, Send, Admin]
        ));
        assert!(!fits(json!({ "permissions": ["read", "send"] }), &[Read]));
        let both = json!({ "tokenTypes": ["readonly"], "permissions": ["admin"] });
        assert!(fits(both, &[Read]));
        for unknown in [
            json!({ "tokenTypes": ["root"] }),
            json!({ "permission": ["read"] }),
        ] {
            assert!(serde_json::from_value::<BroadcastFilter>(unknown).is_err());
        }
    }

    #[test]
    fn clients_without_a_session_have_a_revision_and_no_name() {
        let labels = ClientLabels {
            protocol_version: "2025-11-25".into(),
            client_name: "cat".into(),
            is_subscribed: false,
        };
        for (filter, of_session, of_stream) in [
            (json!({ "principal": "alice" }), true, true),
            (json!({ "principal": "bob" }), false, false),
            (json!({ "protocolVersion": "2025-11-25" }), true, false),
            (json!({ "protocolVersion": "2026-07-28" }), false, true),
            (json!({ "clientName": "cat" }), true, false),
            (json!({ "subscribed": true }), false, true),
        ] {
            assert_eq!(
                fits(filter.clone(), &[], Some(&labels)),
                of_session,
                "{filter}"
            );
            assert_eq!(fits(filter.clone(), &[], None), of_stream, "{filter}");
        }
    }
}
