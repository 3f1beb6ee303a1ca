//! `github://` resources of the mirror: what is mirrored, projects, sprints, milestones, repositories, and the tools. The
//! single issues, pull requests, milestones and projects are those of the events.
//!
//! | module | idea |
//! | --- | --- |
//! | `uri` | which URI means what |
//! | `content` | a list within its bytes |
//! | `lists` | what is mirrored, and lists over all owners that the caller may see |
//! | `single` | one repository, one sprint |

mod content;
mod lists;
mod single;
mod uri;

use std::sync::Arc;

use access::Principal;
use async_trait::async_trait;
use mcp::resource::{ResourceContents, ResourceDescriptor, TemplateDescriptor};
use mcp_server::{CallError, Caller, Toolset, resource::ResourceSource};
use model::Clock;
use serde_json::json;

use self::uri::MirrorUri;
pub(crate) use self::{
    content::{ListInBytes, with_member},
    single::sprint as sprint_content,
};
use crate::{mirror::MirrorAccess, sprints::UtcDay};

const JSON: &str = "application/json";

/// URI, name, title and description of the resources with a fixed URI.
const FIXED: [(&str, &str, &str, &str); 5] = [
    (
        "github://config",
        "config",
        "What is mirrored",
        "The places and kinds that are mirrored, and since when each is known to be whole",
    ),
    (
        "github://milestones",
        "milestones",
        "Open milestones",
        "The open milestones of all mirrored owners, the one that is due first before the others",
    ),
    (
        "github://projects",
        "projects",
        "Projects",
        "The projects of all mirrored owners, the newest of each owner first",
    ),
    (
        "github://sprints/current",
        "current-sprints",
        "Current sprints",
        "The sprint of today of each open project, with the URI of its items",
    ),
    (
        "github://tools",
        "tools",
        "Tools",
        "The tools of this server, one line each",
    ),
];

/// URI template, name and description of the others.
const TEMPLATES: [(&str, &str, &str); 2] = [
    (
        "github://repositories/{owner}/{repo}",
        "repository",
        "A repository, in its last known state",
    ),
    (
        "github://sprints/{owner}/{project}/{iteration}",
        "sprint",
        "A sprint of a project, with its items and how far it is; iteration is an id, current, previous or next",
    ),
];

/// One line per tool of these sets, by name, as JSON.
pub(crate) fn tool_lines(toolsets: &[Toolset]) -> String {
    let of = |set: &Toolset| {
        let name = set.name();
        let line = move |tool: &mcp::tool::ToolDescriptor| {
            let (tool, title, is_read_only) = (tool.name(), tool.title(), tool.is_read_only());
            let line =
                json!({"name": tool, "title": title, "toolset": name, "readOnly": is_read_only});
            (tool, line)
        };
        set.tools().map(line).collect::<Vec<_>>()
    };
    let mut lines: Vec<_> = toolsets.iter().flat_map(of).collect();
    lines.sort_by_key(|(tool, _)| *tool);
    let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
    json!({"count": lines.len(), "tools": lines}).to_string()
}

/// The resources.
#[derive(Debug)]
pub(crate) struct MirrorResources {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
    /// The same for all callers.
    tools: String,
}

impl MirrorResources {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>, tools: String) -> Self {
        Self {
            mirror,
            clock,
            tools,
        }
    }

    /// The contents as JSON; `None` if there is nothing that the caller may see.
    async fn content(&self, caller: &Caller, uri: MirrorUri) -> Result<Option<String>, CallError> {
        let (mirror, now) = (&self.mirror, self.clock.now());
        Ok(match uri {
            MirrorUri::Tools => Some(self.tools.clone()),
            MirrorUri::Config => Some(lists::config(mirror, caller).await?),
            MirrorUri::Projects => Some(lists::projects(mirror, caller).await?),
            MirrorUri::Milestones => Some(lists::milestones(mirror, caller, now).await?),
            MirrorUri::CurrentSprints => {
                Some(lists::current_sprints(mirror, caller, UtcDay::of(now)).await?)
            }
            MirrorUri::Repository { owner, repo } => {
                single::repository(mirror, caller, (owner, repo)).await?
            }
            MirrorUri::Sprint {
                owner,
                project,
                iteration,
            } => {
                let of = (owner, project, iteration);
                let found = single::sprint(mirror, caller, of, UtcDay::of(now)).await?;
                found.map(|(_, json)| json)
            }
        })
    }
}

#[async_trait]
impl ResourceSource for MirrorResources {
    fn resources(&self) -> Vec<ResourceDescriptor> {
        let fixed = FIXED.into_iter();
        let fixed = fixed.map(|(uri, name, title, description)| ResourceDescriptor {
            uri: uri.to_owned(),
            name: name.to_owned(),
            title: Some(title.to_owned()),
            description: Some(description.to_owned()),
            mime_type: Some(JSON.to_owned()),
        });
        fixed.collect()
    }

    fn templates(&self) -> Vec<TemplateDescriptor> {
        let templates = TEMPLATES.into_iter();
        let templates = templates.map(|(uri, name, description)| TemplateDescriptor {
            uri_template: uri.to_owned(),
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            mime_type: Some(JSON.to_owned()),
        });
        templates.collect()
    }

    async fn read(
        &self,
        caller: &Caller,
        uri: &str,
    ) -> Result<Option<ResourceContents>, CallError> {
        let Some(parsed) = MirrorUri::parse(uri) else {
            return Ok(None);
        };
        let json = self.content(caller, parsed).await?;
        Ok(json.map(|json| ResourceContents::json(uri, json)))
    }

    /// No event says that one of them changed.
    fn is_subscribable(&self, _: &Principal, _: &str) -> bool {
        false
    }
}
