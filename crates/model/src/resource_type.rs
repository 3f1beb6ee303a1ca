//! The kinds of resources.

use crate::name::open_name;

open_name! {
    /// A kind of GitHub resource. `docs/events.md` says which webhook is about which kind.
    ResourceType {
        /// An issue.
        ISSUE = "issue",
        /// A pull request.
        PULL_REQUEST = "pull_request",
        /// A milestone.
        MILESTONE = "milestone",
        /// A project (Projects v2).
        PROJECT = "project",
        /// A draft issue, which exists only in a project.
        DRAFT_ISSUE = "draft_issue",
        /// A sprint: an iteration of a project. GitHub has no webhook of its own for iterations.
        SPRINT = "sprint",
        /// A status update of a project.
        PROJECT_STATUS_UPDATE = "project_status_update",
        /// A comment on an issue or in the conversation of a pull request.
        ISSUE_COMMENT = "issue_comment",
        /// A review of a pull request.
        PULL_REQUEST_REVIEW = "pull_request_review",
        /// A comment on a line of a pull request.
        PULL_REQUEST_REVIEW_COMMENT = "pull_request_review_comment",
        /// A thread of comments on a line of a pull request.
        PULL_REQUEST_REVIEW_THREAD = "pull_request_review_thread",
        /// A label.
        LABEL = "label",
        /// A discussion.
        DISCUSSION = "discussion",
        /// A comment in a discussion.
        DISCUSSION_COMMENT = "discussion_comment",
        /// A release.
        RELEASE = "release",
        /// A branch.
        BRANCH = "branch",
        /// A tag.
        TAG = "tag",
        /// The statuses of a commit.
        COMMIT_STATUS = "commit_status",
        /// A comment on a commit.
        COMMIT_COMMENT = "commit_comment",
        /// A check run.
        CHECK_RUN = "check_run",
        /// A check suite.
        CHECK_SUITE = "check_suite",
        /// A run of a workflow of GitHub Actions.
        WORKFLOW_RUN = "workflow_run",
        /// A job of a workflow run.
        WORKFLOW_JOB = "workflow_job",
        /// A workflow that was started by hand.
        WORKFLOW_DISPATCH = "workflow_dispatch",
        /// An event that an API call made for a repository's workflows.
        REPOSITORY_DISPATCH = "repository_dispatch",
        /// A deployment.
        DEPLOYMENT = "deployment",
        /// A status of a deployment.
        DEPLOYMENT_STATUS = "deployment_status",
        /// A review of a workflow run's deployment.
        DEPLOYMENT_REVIEW = "deployment_review",
        /// A deployment that waits for a protection rule.
        DEPLOYMENT_PROTECTION_RULE = "deployment_protection_rule",
        /// A group of pull requests in a merge queue.
        MERGE_GROUP = "merge_group",
        /// A repository.
        REPOSITORY = "repository",
        /// A fork of a repository.
        FORK = "fork",
        /// A user's star on a repository.
        STAR = "star",
        /// A user's watch on a repository.
        WATCH = "watch",
        /// A collaborator of a repository.
        MEMBER = "member",
        /// A user's membership of a team.
        MEMBERSHIP = "membership",
        /// A team.
        TEAM = "team",
        /// An organization.
        ORGANIZATION = "organization",
        /// A user whom an organization blocks.
        ORG_BLOCK = "org_block",
        /// An installation of a GitHub App.
        INSTALLATION = "installation",
        /// An account on which a GitHub App is installed.
        INSTALLATION_TARGET = "installation_target",
        /// A user's authorization of a GitHub App.
        GITHUB_APP_AUTHORIZATION = "github_app_authorization",
        /// A request for a personal access token.
        PERSONAL_ACCESS_TOKEN_REQUEST = "personal_access_token_request",
        /// A package.
        PACKAGE = "package",
        /// An alert of code scanning.
        CODE_SCANNING_ALERT = "code_scanning_alert",
        /// An alert of Dependabot.
        DEPENDABOT_ALERT = "dependabot_alert",
        /// An alert of secret scanning.
        SECRET_SCANNING_ALERT = "secret_scanning_alert",
        /// A scan for secrets.
        SECRET_SCANNING_SCAN = "secret_scanning_scan",
        /// An alert about a vulnerable dependency, from before Dependabot's alerts.
        VULNERABILITY_ALERT = "vulnerability_alert",
        /// A security advisory of a repository.
        REPOSITORY_ADVISORY = "repository_advisory",
        /// A security advisory of GitHub's database.
        SECURITY_ADVISORY = "security_advisory",
        /// The security settings of a repository.
        SECURITY_AND_ANALYSIS = "security_and_analysis",
        /// A rule that protects branches.
        BRANCH_PROTECTION_RULE = "branch_protection_rule",
        /// Whether a repository protects branches at all.
        BRANCH_PROTECTION_CONFIGURATION = "branch_protection_configuration",
        /// A ruleset of a repository or organization.
        REPOSITORY_RULESET = "repository_ruleset",
        /// A request to push past secret scanning.
        BYPASS_REQUEST_SECRET_SCANNING = "bypass_request_secret_scanning",
        /// A request to push past a ruleset.
        EXEMPTION_REQUEST_PUSH_RULESET = "exemption_request_push_ruleset",
        /// A request to dismiss an alert of code scanning.
        DISMISSAL_REQUEST_CODE_SCANNING = "dismissal_request_code_scanning",
        /// A request to dismiss an alert of secret scanning.
        DISMISSAL_REQUEST_SECRET_SCANNING = "dismissal_request_secret_scanning",
        /// A deploy key.
        DEPLOY_KEY = "deploy_key",
        /// A custom property of an organization's repositories.
        CUSTOM_PROPERTY = "custom_property",
        /// The custom properties of a repository.
        CUSTOM_PROPERTY_VALUES = "custom_property_values",
        /// A custom property of an enterprise's organizations.
        ORGANIZATION_CUSTOM_PROPERTY = "organization_custom_property",
        /// The custom properties of an organization.
        ORGANIZATION_CUSTOM_PROPERTY_VALUES = "organization_custom_property_values",
        /// A classic project.
        CLASSIC_PROJECT = "classic_project",
        /// A card of a classic project.
        PROJECT_CARD = "project_card",
        /// A column of a classic project.
        PROJECT_COLUMN = "project_column",
        /// The wiki of a repository.
        GOLLUM = "gollum",
        /// A build of GitHub Pages.
        PAGE_BUILD = "page_build",
        /// An import into a repository.
        REPOSITORY_IMPORT = "repository_import",
        /// A sponsorship.
        SPONSORSHIP = "sponsorship",
        /// A purchase in the Marketplace.
        MARKETPLACE_PURCHASE = "marketplace_purchase",
        /// The webhook itself.
        META = "meta",
        /// A repository cache of GitHub Enterprise Server.
        CACHE_SYNC = "cache_sync",
        /// An enterprise of GitHub Enterprise Server.
        ENTERPRISE = "enterprise",
        /// A user of GitHub Enterprise Server.
        USER = "user",
    }
}
