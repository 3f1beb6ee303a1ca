//! Webhooks and their deliveries.

use serde_json::{Value, json, value::RawValue};

use super::{Render, moment};
use crate::hooks::{FakeDelivery, FakeHookKey, FakeHookOwner};

impl Render<'_> {
    /// A webhook.
    pub(crate) fn hook(self, key: FakeHookKey) -> Value {
        let hook = self.0.hooks.get(key).expect("a key of this world");
        let (kind, base) = match hook.owner {
            FakeHookOwner::Repo(repo) => ("Repository", self.api_repo(repo)),
            FakeHookOwner::Organization(org) => {
                let login = &self.0.accounts[&org].login;
                ("Organization", format!("{}/orgs/{login}", self.0.api))
            }
            FakeHookOwner::App => ("App", format!("{}/app", self.0.api)),
        };
        let url = format!("{base}/hooks/{}", hook.id);
        let created = moment(hook.created_at);
        let mut value = json!({
            "type": kind, "id": hook.id, "name": "web", "active": true, "events": hook.events,
            "config": {"content_type": "json", "insecure_ssl": "0", "url": hook.url,
                "secret": "********"},
            "created_at": created, "updated_at": created, "url": url,
            "ping_url": format!("{url}/pings"), "deliveries_url": format!("{url}/deliveries"),
        });
        if matches!(hook.owner, FakeHookOwner::Repo(_)) {
            value["test_url"] = format!("{url}/tests").into();
            value["last_response"] = json!({ "code": null, "status": "unused", "message": null });
        }
        value
    }

    /// A delivery in the list.
    pub(crate) fn listed_delivery(self, it: &FakeDelivery) -> Value {
        let attempt = it.attempt.as_ref();
        json!({
            "id": it.id, "guid": it.guid, "delivered_at": it.delivered_at.to_string(),
            "redelivery": it.redelivery,
            "duration": attempt.map_or(0.0, |it| it.duration.as_millis() as f64 / 1000.0),
            "status": attempt.map_or("pending", |it| it.status.as_str()),
            "status_code": attempt.map_or(0, |it| it.status_code), "event": it.event,
            "action": it.action, "installation_id": it.installation,
            "repository_id": it.repository, "throttled_at": null,
        })
    }

    /// A delivery by itself, with what was sent and what was answered.
    pub(crate) fn delivery(self, it: &FakeDelivery) -> Value {
        let mut value = self.listed_delivery(it);
        let hook = self.0.hooks.get(it.hook);
        let attempt = it.attempt.as_ref();
        let payload: Option<Box<RawValue>> = RawValue::from_string(it.payload.to_string()).ok();
        value["url"] = hook.map(|hook| hook.url.clone()).into();
        let headers: serde_json::Map<String, Value> = self
            .delivery_headers(it)
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        value["request"] = json!({ "headers": headers, "payload": payload });
        value["response"] = json!({
            "headers": attempt.map(|it| &it.headers), "payload": attempt.map(|it| &it.body),
        });
        value
    }

    /// The headers that a delivery is sent with.
    pub(crate) fn delivery_headers(self, it: &FakeDelivery) -> Vec<(&'static str, String)> {
        let Some(hook) = self.0.hooks.get(it.hook) else {
            return Vec::new();
        };
        let (target, kind) = match hook.owner {
            FakeHookOwner::Repo(repo) => (repo.0, "repository"),
            FakeHookOwner::Organization(org) => (org.0, "organization"),
            FakeHookOwner::App => (hook.id, "integration"),
        };
        vec![
            ("Accept", "*/*".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", "GitHub-Hookshot/7f2c1a9".to_owned()),
            ("X-GitHub-Delivery", it.guid.clone()),
            ("X-GitHub-Event", it.event.to_owned()),
            ("X-GitHub-Hook-ID", hook.id.to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", target.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", kind.to_owned()),
            ("X-Hub-Signature-256", it.signature.clone()),
        ]
    }
}
