//! What a reader should know of filters that are valid and may find nothing.

use std::collections::BTreeSet;

use crate::{FilterSet, ResourceType};

impl FilterSet {
    /// A note for each kind that this build does not know: GitHub may have added it, or it is misspelt.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let kinds = self
            .filters()
            .iter()
            .filter_map(|filter| filter.resource_type.as_ref());
        let unknown: BTreeSet<_> = kinds.filter(|kind| !kind.is_known()).collect();
        unknown.into_iter().map(note).collect()
    }
}

fn note(kind: &ResourceType) -> String {
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
        assert!(of(&["issue", "sprint"]).is_empty() && FilterSet::all().notes().is_empty());
        let notes = of(&["quantum_leap", "issue", "quantum_leap", "Pull-Requests"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("resourceType pull-requests: "));
        assert!(notes[0].ends_with("Perhaps pull_request is meant."));
        assert!(notes[1].contains("quantum_leap") && notes[1].contains("draft_issue"));
    }
}
