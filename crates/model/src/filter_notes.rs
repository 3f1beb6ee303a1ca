//! What a reader should know of filters that are valid and may find nothing.

use std::collections::BTreeSet;

use crate::{FilterSet, ResourceType};

impl FilterSet {
    /// A note for each kind that this build does not know (GitHub may have added it, or it is misspelt), and for
    /// iterations of projects, of which GitHub tells nothing.
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
        sprints.into_iter().chain(unknown.map(note)).collect()
    }
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
    use crate::Filter;

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
