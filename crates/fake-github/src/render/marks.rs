//! Labels, milestones and releases.

use serde_json::{Value, json};

use super::{Render, maybe, moment};

impl Render<'_> {
    /// A label.
    pub(crate) fn label(self, id: u64) -> Value {
        let label = &self.0.labels[&id];
        let name = label.name.replace(' ', "%20");
        json!({
            "id": id, "node_id": label.node_id, "name": label.name, "color": label.color,
            "url": format!("{}/labels/{name}", self.api_repo(label.repo)),
            "default": matches!(&*label.name, "bug" | "enhancement"),
            "description": format!("It is about {}", label.name),
        })
    }

    /// A milestone.
    pub(crate) fn milestone(self, id: u64) -> Value {
        let milestone = &self.0.milestones[&id];
        let (repo, number) = (milestone.repo, milestone.number);
        let url = format!("{}/milestones/{number}", self.api_repo(repo));
        let within = self.0.tickets_of(repo);
        let within = within.filter(|(_, it)| it.milestone == Some(id));
        let (open, closed): (Vec<_>, Vec<_>) = within.partition(|(_, it)| it.closed_at.is_none());
        json!({
            "id": id, "node_id": milestone.node_id, "number": number, "title": milestone.title,
            "url": url, "labels_url": format!("{url}/labels"), "description": null,
            "html_url": format!("{}/milestone/{number}", self.web_repo(repo)),
            "creator": self.account(milestone.creator), "open_issues": open.len(),
            "closed_issues": closed.len(), "due_on": maybe(milestone.due_on),
            "state": if milestone.closed_at.is_some() { "closed" } else { "open" },
            "created_at": moment(milestone.created_at), "updated_at": moment(milestone.updated_at),
            "closed_at": maybe(milestone.closed_at),
        })
    }

    /// A release.
    pub(crate) fn release(self, id: u64) -> Value {
        let release = &self.0.releases[&id];
        let (api, web, tag) = (
            self.api_repo(release.repo),
            self.web_repo(release.repo),
            &release.tag,
        );
        let at = moment(release.published_at);
        let mut value = json!({
            "id": id, "node_id": release.node_id, "url": format!("{api}/releases/{id}"),
            "assets_url": format!("{api}/releases/{id}/assets"), "immutable": false,
            "upload_url": format!("{api}/releases/{id}/assets{{?name,label}}"),
            "html_url": format!("{web}/releases/tag/{tag}"), "tag_name": tag,
            "name": release.name, "target_commitish": "main", "draft": release.draft,
            "prerelease": release.prerelease, "created_at": at,
            "updated_at": moment(release.updated_at), "published_at": at, "author": self.account(release.author),
            "assets": [], "tarball_url": format!("{api}/tarball/{tag}"),
            "zipball_url": format!("{api}/zipball/{tag}"), "body": release.body,
        });
        if let (true, Value::Object(members)) = (self.0.hides_times_of_releases, &mut value) {
            members.remove("updated_at");
        }
        value
    }
}
