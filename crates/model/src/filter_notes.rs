//! What a reader should know of filters that are valid and may find nothing.

use std::collections::BTreeSet;

use crate::{Filter, FilterSet, ResourceType};

impl FilterSet {
    /// A note for each kind that this build does not know (GitHub may have added it, or it is misspelt), for iterations
    /// of projects, of which GitHub tells nothing, for actions as libraries name them, for apps without the end of
    /// their logins, and for labels in another form of Unicode.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let kinds = self
            .filters()
            .iter()
            .filter_map(|filter| filter.resource_type.as_ref());
        let kinds: BTreeSet<_> = kinds.collect();
        let names_sprints = kinds.contains(&ResourceType::SPRINT);
        let unknown = kinds.into_iter().filter(|kind| !kind.is_known());
        let sprints = names_sprints.then(|| SPRINTS.to_owned());
        let notes = sprints.into_iter().chain(unknown.map(note));
        let filters = self.filters().iter();
        let words =
            filters.flat_map(|filter| [action_note(filter), app_note(filter), label_note(filter)]);
        let mut words: Vec<_> = words.flatten().collect();
        words.sort();
        words.dedup();
        notes.chain(words).collect()
    }
}

/// Libraries name an action after its webhook (`issues.opened`). It may also be a `repository_dispatch`'s own word.
fn action_note(filter: &Filter) -> Option<String> {
    let action = filter.action.as_deref()?;
    let (webhook, word) = action.split_once('.')?;
    let kind = ResourceType::open(webhook.trim_end_matches('s'));
    let is_webhook = kind.is_known() || ResourceType::open(webhook).is_known();
    (is_webhook && !word.is_empty()).then(|| {
        format!(
            "action {action}: GitHub's own word for this change is {word}; with action {word} and resourceType {kind} it \
             matches. As it is, only a repository_dispatch with this very word does."
        )
    })
}

/// Apps that people name without the end of their login.
const APPS: [&str; 7] = [
    "codecov",
    "copilot-swe-agent",
    "dependabot",
    "github-actions",
    "mergify",
    "pre-commit-ci",
    "renovate",
];

fn app_note(filter: &Filter) -> Option<String> {
    let named = filter.actor.iter().chain(&filter.authors);
    let mut apps = named.filter(|login| APPS.contains(&login.as_str()));
    apps.next().map(|login| {
        format!("{login}: a user's login; the app of this name acts and writes as {login}[bot].")
    })
}

/// macOS writes the accents of some names as letters of their own, and GitHub's labels have them in one with the letter.
fn label_note(filter: &Filter) -> Option<String> {
    let is_apart =
        |label: &&String| label.contains(|letter| matches!(letter, '\u{300}'..='\u{36f}'));
    filter.tags.iter().find(is_apart).map(|label| {
        format!(
            "tags {label}: has an accent as a letter of its own, as macOS writes file names; a label that has it in one with \
             its letter does not match. Type it anew, or copy it from GitHub."
        )
    })
}

const SPRINTS: &str = "resourceType sprint: GitHub has no webhook for iterations, so only events that a source reports \
                       with this kind match. An item that moves to another iteration is an event of the issue, pull \
                       request or draft_issue; a change of the project's fields is one of the project.";

/// Names of webhooks whose events have other kinds, as the documentation of events says.
const WEBHOOKS: [(&str, &str); 6] = [
    ("push", "branch or tag"),
    ("create", "branch or tag"),
    ("public", "repository"),
    ("projects_v2_item", "issue, pull_request or draft_issue"),
    ("registry_package", "package"),
    ("secret_scanning_alert_location", "secret_scanning_alert"),
];

fn note(kind: &ResourceType) -> String {
    let webhook = WEBHOOKS.iter().find(|(name, _)| *name == kind.as_str());
    if let Some((name, kinds)) = webhook {
        return format!(
            "resourceType {name}: the name of a webhook, whose events have the kind {kinds}; nothing has this kind."
        );
    }
    let meant = match similar(kind) {
        Some(known) => format!("Perhaps {known} is meant."),
        None => format!("The known kinds: {}.", ResourceType::known_names()),
    };
    format!(
        "resourceType {kind}: not a kind that this version knows, so only events of a webhook with this name match, \
         which GitHub would have added later. {meant}"
    )
}

/// The known kind that has the same letters, or is its singular.
fn similar(kind: &ResourceType) -> Option<&'static ResourceType> {
    let letters = |name: &str| -> String {
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        letters.trim_end_matches('s').to_owned()
    };
    let given = letters(kind.as_str());
    let mut known = ResourceType::KNOWN.iter();
    known.find(|known| letters(known.as_str()) == given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_libraries_and_apps_without_their_end_have_notes() {
        let of = |filter: Filter| FilterSet::new(vec![filter]).unwrap().notes().join(" ");
        let action = |word: &str| {
            of(Filter {
                action: Some(word.to_owned()),
                ..Filter::default()
            })
        };
        for word in ["issues.opened", "issue.opened", "pull_request.opened"] {
            let note = action(word);
            assert!(
                note.contains("own word for this change is opened"),
                "{word}: {note}"
            );
        }
        assert_eq!(action("labeled") + &action("deploy.production"), "");
        let actor = |login: &str| {
            of(Filter {
                actor: Some(login.to_owned()),
                ..Filter::default()
            })
        };
        assert!(actor("dependabot").contains("dependabot[bot]"));
        assert_eq!(actor("dependabot[bot]") + &actor("mona"), "");
        let label = |label: &str| {
            of(Filter {
                tags: vec![label.to_owned()],
                ..Filter::default()
            })
        };
        assert!(label("cafe\u{301}").contains("does not match"));
        assert_eq!(label("caf\u{e9}"), "");
    }

    #[test]
    fn a_kind_that_nobody_knows_has_a_note_and_a_known_one_has_none() {
        let of = |kinds: &[&str]| {
            let filter = |kind: &&str| Filter {
                resource_type: Some(ResourceType::open(kind)),
                ..Filter::default()
            };
            FilterSet::new(kinds.iter().map(filter).collect())
                .unwrap()
                .notes()
        };
        assert!(of(&["issue"]).is_empty() && FilterSet::all().notes().is_empty());
        assert!(of(&["issue", "sprint"])[0].starts_with("resourceType sprint: "));
        assert!(of(&["push"])[0].contains("kind branch or tag"));
        let notes = of(&["quantum_leap", "issue", "quantum_leap", "Pull-Requests"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("resourceType pull-requests: "));
        assert!(notes[0].ends_with("Perhaps pull_request is meant."));
        assert!(notes[1].contains("quantum_leap") && notes[1].contains("draft_issue"));
    }
}
