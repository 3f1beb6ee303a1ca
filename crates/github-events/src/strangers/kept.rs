//! What a lockdown keeps: a list, because GitHub adds fields and strangers choose more texts than anybody thinks of.
//!
//! A string stays only under a key of the list, and only in the form that the key promises. Numbers, flags, times and
//! digests stay under any key, because nothing can be said with them.

use std::{collections::HashMap, sync::LazyLock};

/// The form of a string that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptForm {
    /// One of GitHub's own words.
    Word,
    /// The name of an account, a repository, an app or a team, or the full name of a repository.
    Name,
    /// A branch or tag, also with its owner.
    Ref,
    /// An id.
    Id,
    /// The address of a page or an endpoint of GitHub.
    Link,
    /// Any text: who gives it belongs to the repository.
    Text,
}

/// The keys with GitHub's word for a state, a kind or a reason.
const WORDS: &str = "\
    action active_lock_reason author_association authorAssociation conclusion content_type dismissed_reason \
    ecosystem event events field_type merge_method mergeable_state privacy pusher_type ref_type \
    repository_selection resolution resourceType role severity side source start_side state state_reason status \
    subject_type target_type type user_view_type validity visibility";
/// The keys with the login of an account, or what identifies a repository, an app or a team in addresses.
const NAMES: &str = "actor formerOwner formerRepo full_name login owner repo slug username";
/// The keys with branches and tags. Their names are in addresses and in filters.
const REFS: &str = "\
    base_ref branch default_branch head_branch head_ref label master_branch ref tag_name target_commitish";
/// The keys with ids that GitHub makes, or that are made of its ids.
const IDS: &str = "\
    check_suite_node_id content_node_id cve_id cwe_id delivery field_node_id ghsa_id node_id nodeId \
    previous_projects_v2_item_node_id project_node_id projectId repositoryNodeId resourceId";
/// The keys with addresses that GitHub makes. Those that a workflow, an app or an owner chooses are not among them:
/// `details_url`, `target_url`, `environment_url`, `log_url`, `external_url`, `homepage`.
const LINKS: &str = "\
    annotations_url answer_html_url archive_url artifacts_url assets_url assignees_url avatar_url blobs_url \
    branches_url cancel_url cards_url check_run_url check_runs_url check_suite_url clone_url collaborators_url \
    column_url columns_url comments_url commits_url compare compare_url content_url contents_url contributors_url \
    deployment_url deployments_url diff_url discussion_url downloads_url events_url followers_url following_url \
    forks_url gists_url git_commits_url git_refs_url git_tags_url hooks_url href html_url issue_comment_url \
    issue_events_url issue_url issues_url jobs_url keys_url labels_url languages_url logs_url members_url \
    merges_url milestones_url notifications_url organization_url organizations_url owner_url patch_url project_url \
    public_members_url pull_request_url pulls_url received_events_url releases_url repos_url repositories_url \
    repository_url rerun_url review_comment_url review_comments_url run_url stargazers_url starred_url \
    statuses_url subscribers_url subscription_url subscriptions_url svn_url tags_url tarball_url teams_url \
    timeline_url trees_url url workflow_url zipball_url";

/// Objects and lists that have the keys, or all of the content, that somebody made up.
const FREE: [&str; 14] = [
    "client_payload",
    "config",
    "container_metadata",
    "custom_properties",
    "inputs",
    "metadata",
    "new_property_values",
    "npm_metadata",
    "nuget_metadata",
    "old_property_values",
    "payload",
    "properties",
    "references",
    "rubygems_metadata",
];

/// Longest word, name, branch, id and link, in bytes: GitHub's own bounds, or more than any of its words has.
const MAX_WORD_BYTES: usize = 48;
const MAX_NAME_BYTES: usize = 140;
const MAX_REF_BYTES: usize = 255;
const MAX_ID_BYTES: usize = 256;
const MAX_LINK_BYTES: usize = 1024;
/// Longest number, time or digest, in bytes.
const MAX_FIGURE_BYTES: usize = 128;

static KEPT: LazyLock<HashMap<&'static str, KeptForm>> = LazyLock::new(|| {
    let rows = [
        (WORDS, KeptForm::Word),
        (NAMES, KeptForm::Name),
        (REFS, KeptForm::Ref),
        (IDS, KeptForm::Id),
        (LINKS, KeptForm::Link),
    ];
    let keys = rows.into_iter().flat_map(|(keys, form)| {
        let keys = keys.split_whitespace();
        keys.map(move |key| (key, form))
    });
    keys.collect()
});

/// The form in which the strings under a key stay, wherever it is; `None` if they do not.
pub(super) fn form_of(key: &str) -> Option<KeptForm> {
    KEPT.get(key).copied()
}

/// Whether what is in an object or a list under this key is somebody's from its keys to its end.
pub(super) fn is_free(key: &str) -> bool {
    FREE.contains(&key)
}

/// Whether a key looks like one of GitHub's; others are texts themselves.
pub(super) fn is_plain_key(key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_$@+-".contains(&byte);
    key.len() <= MAX_WORD_BYTES * 2 && key.bytes().all(is_plain)
}

/// A number, a time or a digest: it has digits, and no letters but those of hexadecimal digits and times.
pub(super) fn is_figure(text: &str) -> bool {
    let is_of_figures = |byte: u8| byte.is_ascii_hexdigit() || b"TZ:.+-".contains(&byte);
    text.len() <= MAX_FIGURE_BYTES
        && text.bytes().all(is_of_figures)
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

impl KeptForm {
    /// Whether a string has this form.
    pub(super) fn has(self, text: &str) -> bool {
        let (max_bytes, also): (_, &[u8]) = match self {
            Self::Word => (MAX_WORD_BYTES, b"_-."),
            Self::Name => (MAX_NAME_BYTES, b"_-./[]"),
            Self::Ref => (MAX_REF_BYTES, b"_-./+@#:="),
            Self::Id => (MAX_ID_BYTES, b"_-./+@#:=%"),
            Self::Link => return is_link(text),
            Self::Text => return true,
        };
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
        text.len() <= max_bytes && text.bytes().all(belongs)
    }
}

fn is_link(text: &str) -> bool {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    let belongs = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte);
    is_web && text.len() <= MAX_LINK_BYTES && text.bytes().all(belongs)
}
