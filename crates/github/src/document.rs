//! The queries of the GraphQL API that this client asks: a test compares each with GitHub's schema.

/// A document with one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphqlDocument {
    /// The name of its query.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// What it costs at most with one page of everything: requests for connections / 100, at least 1 ("Rate limits and
    /// query limits for the GraphQL API"). Taken ahead; the answer says what it was.
    pub(crate) cost: u32,
}

macro_rules! documents {
    ($($(#[$about:meta])* $constant:ident $name:literal $file:literal $cost:literal;)*) => {
        impl GraphqlDocument {
            $($(#[$about])* pub const $constant: Self = Self {
                name: $name,
                text: include_str!(concat!("documents/", $file)),
                cost: $cost,
            };)*

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

documents! {
    /// Whose token it is, and what is left of the limit.
    VIEWER "Viewer" "viewer.graphql" 1;
    /// A project with its fields, the iterations among them, and its views. Variables: `id`.
    PROJECT "Project" "project.graphql" 1;
    /// The items of a project with the values of their fields, a page. Variables: `id`, `after`.
    PROJECT_ITEMS "ProjectItems" "project_items.graphql" 2;
    /// The views of a project, a page. Variables: `id`, `after`.
    PROJECT_VIEWS "ProjectViews" "project_views.graphql" 1;
    /// The sub-issues of an issue, a page, and its parent. Variables: `owner`, `name`, `number`, `after`.
    SUB_ISSUES "SubIssues" "sub_issues.graphql" 1;
    /// The sub-issues of several issues. A batch of 100 is a point. Variables: `ids`.
    ISSUE_LINKS "IssueLinks" "issue_links.graphql" 1;
    /// How many issues a repository has, and their numbers, a page. Variables: `owner`, `name`, `after`.
    ISSUE_NUMBERS "IssueNumbers" "issue_numbers.graphql" 1;
    /// Whether a pull request can be merged, and why not: reviews, requested reviews, checks. Variables: `owner`, `name`,
    /// `number`.
    PULL_STATE "PullState" "pull_state.graphql" 1;
    /// The same of several pull requests, with when reviews were asked for and with their checks. A batch of 25 is a point.
    /// Variables: `ids`.
    PULL_STATES "PullStates" "pull_states.graphql" 1;
    /// The checks of the newest commit of a pull request, a page. Variables: `owner`, `name`, `number`, `after`.
    PULL_CHECKS "PullChecks" "pull_checks.graphql" 1;
}
