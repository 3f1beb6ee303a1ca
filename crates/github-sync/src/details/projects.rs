//! Fields, views and items of a project.

use github::{GithubAccess, GithubError, GraphqlAnswer, GraphqlDocument};
use model::{ResourceId, Timestamp};
use ports::MirroredKind;
use serde_json::{Value, json};

use super::{
    DetailAnswer, DetailPage, GithubDetails, connection, faults_of, node::listed_part, points_of,
};
use crate::limits::LIST_PATIENCE;

/// A project by its ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProjectToRead<'p> {
    /// Login of its owner.
    pub(crate) owner: &'p str,
    pub(crate) number: u64,
    pub(crate) node_id: &'p ResourceId,
}

impl GithubDetails {
    /// All fields of a project, and the first page of its views: one query.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn fields_and_views(
        &self,
        project: ProjectToRead<'_>,
    ) -> Result<DetailAnswer<[DetailPage; 2]>, GithubError> {
        let (answer, asked_at) = self.ask(project, GraphqlDocument::PROJECT, None).await?;
        let page = |kind, name| page(&answer, (kind, name), project.number, asked_at);
        let fields = page(MirroredKind::ProjectField, "fields");
        let views = page(MirroredKind::ProjectView, "views");
        Ok(DetailAnswer {
            read: [fields, views],
            points: points_of(&answer),
            asked_at,
        })
    }

    /// A page of the views, or of the items, of a project: one query.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn project_page(
        &self,
        project: ProjectToRead<'_>,
        kind: MirroredKind,
        after: Option<&str>,
    ) -> Result<DetailAnswer<DetailPage>, GithubError> {
        let (document, name) = match kind {
            MirroredKind::ProjectView => (GraphqlDocument::PROJECT_VIEWS, "views"),
            _ => (GraphqlDocument::PROJECT_ITEMS, "items"),
        };
        let (answer, asked_at) = self.ask(project, document, after).await?;
        Ok(DetailAnswer {
            read: page(&answer, (kind, name), project.number, asked_at),
            points: points_of(&answer),
            asked_at,
        })
    }

    async fn ask(
        &self,
        project: ProjectToRead<'_>,
        document: GraphqlDocument,
        after: Option<&str>,
    ) -> Result<(GraphqlAnswer<Value>, Timestamp), GithubError> {
        let access = GithubAccess::Owner(project.owner.to_owned());
        let variables = match after {
            None => json!({ "id": project.node_id }),
            Some(after) => json!({ "id": project.node_id, "after": after }),
        };
        let asked_at = self.clock.now();
        let asked = self
            .client
            .query_within(&access, document, &variables, LIST_PATIENCE);
        Ok((asked.await?, asked_at))
    }
}

/// A page of an answer. Without the connection, or where a node lacks something, it has a fault.
fn page(
    answer: &GraphqlAnswer<Value>,
    (kind, name): (MirroredKind, &str),
    project: u64,
    asked_at: Timestamp,
) -> DetailPage {
    let faults = faults_of(answer, &format!("node.{name}.nodes"));
    let missing = || format!("GitHub does not give some of the {name}");
    let Some(page) = connection(&answer.data["node"], name) else {
        return DetailPage {
            objects: Vec::new(),
            next: None,
            fault: faults.text.or_else(|| Some(missing())),
        };
    };
    let nodes = page.nodes.iter().enumerate();
    let whole = nodes.filter(|(at, _)| !faults.nodes.contains(at));
    let objects = whole.filter_map(|(_, node)| listed_part(kind, project, node, asked_at));
    let lacks_some = page.nodes.iter().any(Value::is_null);
    DetailPage {
        objects: objects.collect(),
        next: page.next,
        fault: faults.text.or_else(|| lacks_some.then(missing)),
    }
}
