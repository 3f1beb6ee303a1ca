//! An object that a document asks for, and its fields.

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use model::Timestamp;
use serde_json::Value;
use testkit::fake_github::written::moment;

use super::{
    arguments::{word, words},
    connection::Connection,
    cost::Price,
};
use crate::{
    auth::FakeCaller,
    budgets::BudgetState,
    keys::NodeKey,
    world::{
        AccountKey, FakeAccountKind, FakeIteration, FakeOption, FakeWorld, ItemKey, ProjectKey,
        RepoKey, TicketKey,
    },
};

/// What all objects of an answer know.
pub(super) struct GraphqlContext<'w> {
    pub(super) world: &'w FakeWorld,
    pub(super) caller: FakeCaller,
    pub(super) state: BudgetState,
    pub(super) price: Price,
    pub(super) broken_field: Option<&'static str>,
}

/// An object.
#[derive(Clone)]
pub(super) struct Thing<'w> {
    pub(super) context: &'w GraphqlContext<'w>,
    pub(super) what: What<'w>,
}

/// Which object it is.
#[derive(Clone)]
pub(super) enum What<'w> {
    Query,
    RateLimit,
    Repo(RepoKey),
    Account(AccountKey),
    Ticket(TicketKey),
    Parts(TicketKey),
    Comment(u64),
    Review(u64),
    ReviewRequest(TicketKey, AccountKey),
    /// A request of the past, by its place among them.
    ReviewRequested(TicketKey, usize),
    Rollup(RepoKey, String),
    Commit(RepoKey, String),
    PullCommit(RepoKey, String),
    Check(u64),
    Status(u64),
    Label(u64),
    Milestone(u64),
    Release(u64),
    Project(ProjectKey),
    /// A field by its place in the project.
    Field(ProjectKey, usize),
    Configuration(ProjectKey, usize),
    Iteration(&'w FakeIteration),
    Choice(&'w FakeOption),
    View(ProjectKey, usize),
    Item(ItemKey),
    Draft(ItemKey),
    /// A value by the id of its field.
    Value(ItemKey, u64),
    Connection(Connection<'w>),
    Edge(&'static str, String, Box<What<'w>>),
    PageInfo(Connection<'w>),
    /// Null in a list, with this as the error. The library makes a whole list null where a resolver fails for an item,
    /// but only the item where its type is unknown: so this is its type.
    Missing(String),
}

/// What a resolver gives.
pub(super) type Resolved<'a> = Result<ResolvedValue<'a>, FieldError>;

/// A scalar.
pub(super) fn leaf<'a>(value: impl Into<Value>) -> Resolved<'a> {
    Ok(ResolvedValue::leaf(
        apollo_compiler::response::JsonValue::from(value.into()),
    ))
}

/// A time.
pub(super) fn time<'a>(at: impl Into<Option<Timestamp>>) -> Resolved<'a> {
    leaf(at.into().map(moment))
}

impl<'w> Thing<'w> {
    pub(super) fn world(&self) -> &'w FakeWorld {
        self.context.world
    }

    /// Another object.
    pub(super) fn object<'a>(&self, what: impl Into<Option<What<'w>>>) -> Resolved<'a>
    where
        'w: 'a,
    {
        match what.into() {
            None => leaf(Value::Null),
            Some(what) => Ok(ResolvedValue::object(Thing {
                context: self.context,
                what,
            })),
        }
    }

    /// Other objects.
    pub(super) fn list<'a>(&self, all: Vec<What<'w>>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let context = self.context;
        let all = all.into_iter();
        Ok(ResolvedValue::list(all.map(move |what| {
            ResolvedValue::object(Thing { context, what })
        })))
    }

    fn query<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let word = |name: &str| word(info, name).unwrap_or_default();
        match info.field_name() {
            "rateLimit" => self.object(What::RateLimit),
            "repository" => {
                let (owner, name) = (word("owner"), word("name"));
                let found = world.repo_named(owner, name).map(|(key, _)| key);
                let found = found.filter(|key| world.sees(self.context.caller, *key));
                match found {
                    Some(key) => self.object(What::Repo(key)),
                    None => missing(&format!("a Repository with the name '{owner}/{name}'.")),
                }
            }
            "organization" => self.account(word("login"), "an Organization", true),
            "user" => self.account(word("login"), "a User", false),
            "viewer" => match self.context.caller {
                FakeCaller::User(key) => self.object(What::Account(key)),
                _ => Err(FieldError {
                    message: "FORBIDDEN|Resource not accessible by integration".into(),
                }),
            },
            "node" => {
                let id = word("id");
                match self.node(id) {
                    Some(what) => self.object(what),
                    None => Err(FieldError {
                        message: unresolved_node(id),
                    }),
                }
            }
            "nodes" => {
                let ids = words(info, "ids").unwrap_or_default().into_iter();
                let found = ids.map(|id| {
                    self.node(id)
                        .unwrap_or_else(|| What::Missing(unresolved_node(id)))
                });
                self.list(found.collect())
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    fn account<'a>(&self, login: &str, kind: &str, is_organization: bool) -> Resolved<'a>
    where
        'w: 'a,
    {
        let found = self.world().account(login).filter(|key| {
            let kind = self.world().accounts[key].kind;
            (kind == FakeAccountKind::Organization) == is_organization
        });
        match found {
            Some(key) => self.object(What::Account(key)),
            None => missing(&format!("{kind} with the login of '{login}'.")),
        }
    }

    fn node(&self, id: &str) -> Option<What<'w>> {
        let world = self.world();
        let seen = |repo: RepoKey| world.sees(self.context.caller, repo);
        Some(match *world.nodes.get(id)? {
            NodeKey::Account(key) => What::Account(key),
            NodeKey::Repo(key) if seen(key) => What::Repo(key),
            NodeKey::Ticket(key) if seen(key.repo) => What::Ticket(key),
            NodeKey::Comment(id) => What::Comment(id),
            NodeKey::Label(id) => What::Label(id),
            NodeKey::Milestone(id) => What::Milestone(id),
            NodeKey::Release(id) => What::Release(id),
            NodeKey::Review(id) => What::Review(id),
            NodeKey::CheckRun(id) => What::Check(id),
            NodeKey::Project(key) => What::Project(key),
            NodeKey::Item(key) => What::Item(key),
            NodeKey::Repo(_) | NodeKey::Ticket(_) => return None,
        })
    }

    fn rate_limit<'a>(&self, name: &str) -> Resolved<'a> {
        let state = self.context.state;
        match name {
            "cost" => leaf(self.context.price.points),
            "limit" => leaf(state.limit),
            "nodeCount" => leaf(self.context.price.nodes),
            "remaining" => leaf(state.remaining()),
            "used" => leaf(state.used),
            _ => time(state.reset_at),
        }
    }
}

fn unresolved_node(id: &str) -> String {
    format!("NOT_FOUND|Could not resolve to a node with the global id of '{id}'.")
}

fn missing<'a>(what: &str) -> Resolved<'a> {
    Err(FieldError {
        message: format!("NOT_FOUND|Could not resolve to {what}"),
    })
}

impl ObjectValue for Thing<'_> {
    fn type_name(&self) -> &str {
        match &self.what {
            What::Query => "Query",
            What::RateLimit => "RateLimit",
            What::Repo(_) => "Repository",
            What::Account(key) => self.world().accounts[key].kind.name(),
            What::Ticket(key) if self.world().tickets[key].pull.is_some() => "PullRequest",
            What::Ticket(_) => "Issue",
            What::Parts(_) => "SubIssuesSummary",
            What::Comment(_) => "IssueComment",
            What::Review(_) => "PullRequestReview",
            What::ReviewRequest(..) => "ReviewRequest",
            What::ReviewRequested(..) => "ReviewRequestedEvent",
            What::Rollup(..) => "StatusCheckRollup",
            What::Commit(..) => "Commit",
            What::PullCommit(..) => "PullRequestCommit",
            What::Check(_) => "CheckRun",
            What::Status(_) => "StatusContext",
            What::Label(_) => "Label",
            What::Milestone(_) => "Milestone",
            What::Release(_) => "Release",
            What::Project(_) => "ProjectV2",
            What::Field(..) => self.field_type_name(),
            What::Configuration(..) => "ProjectV2IterationFieldConfiguration",
            What::Iteration(_) => "ProjectV2IterationFieldIteration",
            What::Choice(_) => "ProjectV2SingleSelectFieldOption",
            What::View(..) => "ProjectV2View",
            What::Item(_) => "ProjectV2Item",
            What::Draft(_) => "DraftIssue",
            What::Value(..) => self.value_type_name(),
            What::Connection(it) => it.type_name,
            What::Edge(type_name, ..) => type_name,
            What::PageInfo(_) => "PageInfo",
            What::Missing(error) => error,
        }
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let name = info.field_name();
        if self.context.broken_field == Some(name) {
            let message = "Something went wrong while executing your query. This may be the result of a timeout, or \
                           it could be a GitHub bug.";
            return Err(FieldError {
                message: message.to_owned(),
            });
        }
        match &self.what {
            What::Query => self.query(info),
            What::RateLimit => self.rate_limit(name),
            What::Repo(key) => self.repo(*key, info),
            What::Account(key) => self.account_field(*key, info),
            What::Ticket(key) => self.ticket(*key, info),
            What::Parts(key) => self.parts(*key, name),
            What::Comment(id) => self.comment(*id, name),
            What::Review(id) => self.review(*id, name),
            What::ReviewRequest(key, from) => self.review_request(*key, *from, name),
            What::ReviewRequested(key, at) => self.review_requested(*key, *at, name),
            What::Rollup(repo, sha) => self.rollup(*repo, sha, info),
            What::Commit(repo, sha) | What::PullCommit(repo, sha) => self.commit(*repo, sha, name),
            What::Check(id) => self.check(*id, name),
            What::Status(id) => self.status(*id, name),
            What::Label(id) => self.label(*id, name),
            What::Milestone(id) => self.milestone(*id, name),
            What::Release(id) => self.release(*id, name),
            What::Project(key) => self.project(*key, info),
            What::Field(key, at) => self.field(*key, *at, name),
            What::Configuration(key, at) => self.configuration(*key, *at, name),
            What::Iteration(it) => Self::iteration(it, name),
            What::Choice(it) => Self::choice(it, name),
            What::View(key, at) => self.view(*key, *at, info),
            What::Item(key) => self.item(*key, info),
            What::Draft(key) => self.draft(*key, name),
            What::Value(key, field) => self.value(*key, *field, name),
            What::Connection(it) => self.connection(it, name),
            What::Edge(_, cursor, node) => match name {
                "cursor" => leaf(cursor.clone()),
                _ => self.object((**node).clone()),
            },
            What::PageInfo(it) => it.page_info(name),
            What::Missing(_) => Err(self.unknown_field_error(info)),
        }
    }
}
