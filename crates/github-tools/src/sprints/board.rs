//! The fields of a project that sprints are read by.

use github_events::WITHHELD_TEXT;
use serde::Deserialize;

use super::calendar::{IterationObject, ProjectSprint, UtcDay};

/// Names of number fields that are estimates, as [`plain`] has them.
const POINTS: [&str; 6] = [
    "estimate",
    "estimates",
    "points",
    "storypoints",
    "effort",
    "size",
];
/// Names of iteration fields that are taken before others, as [`plain`] has them.
const SPRINTS: [&str; 4] = ["sprint", "sprints", "iteration", "iterations"];

/// A field as the mirror has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FieldObject {
    id: String,
    name: String,
    data_type: Option<String>,
    options: Option<Vec<OptionObject>>,
    configuration: Option<ConfigurationObject>,
    forgewire: ProjectPart,
}

/// Our member of a part of a project.
#[derive(Debug, Deserialize)]
pub(super) struct ProjectPart {
    pub(super) project: u64,
}

#[derive(Debug, Deserialize)]
struct OptionObject {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationObject {
    #[serde(default)]
    iterations: Vec<IterationObject>,
    #[serde(default)]
    completed_iterations: Vec<IterationObject>,
}

/// A field by its id and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoardField {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// The project of a field.
pub(super) fn project_of_field(json: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Part {
        forgewire: ProjectPart,
    }
    let part: Part = serde_json::from_slice(json).ok()?;
    Some(part.forgewire.project)
}

/// A field of iterations.
#[derive(Debug, Clone)]
pub(crate) struct SprintField {
    pub(crate) field: BoardField,
    /// By their first day.
    pub(crate) sprints: Vec<ProjectSprint>,
}

/// The fields of a project that sprints are read by.
#[derive(Debug, Default)]
pub(crate) struct ProjectBoard {
    /// In the order in which they are taken if the caller names none.
    pub(crate) iterations: Vec<SprintField>,
    /// The field named Status, or else the first of its kind.
    pub(crate) status: Option<BoardField>,
    /// The words of the status in the order of the project.
    pub(crate) statuses: Vec<String>,
    /// The number field that has a name of estimates.
    pub(crate) points: Option<BoardField>,
    /// An edge with lockdown withholds the fields.
    pub(super) is_withheld: bool,
}

/// A name without what people spell in several ways.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|char| char.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

impl ProjectBoard {
    /// Adds a field, if it is one of this project.
    pub(super) fn add(&mut self, project: u64, json: &[u8]) {
        let Ok(object) = serde_json::from_slice::<FieldObject>(json) else {
            return;
        };
        if object.forgewire.project != project {
            return;
        }
        if object.id == WITHHELD_TEXT {
            self.is_withheld = true;
            return;
        }
        let (id, name) = (object.id, object.name);
        let field = BoardField { id, name };
        match object.data_type.as_deref() {
            Some("ITERATION") => self.add_iterations(field, object.configuration),
            Some("SINGLE_SELECT") if self.status.is_none() || plain(&field.name) == "status" => {
                let options = object.options.unwrap_or_default();
                self.statuses = options.into_iter().map(|option| option.name).collect();
                self.status = Some(field);
            }
            Some("NUMBER") if self.points.is_none() && POINTS.contains(&&*plain(&field.name)) => {
                self.points = Some(field);
            }
            _ => (),
        }
    }

    fn add_iterations(&mut self, field: BoardField, configuration: Option<ConfigurationObject>) {
        let known = configuration.map(|of| (of.completed_iterations, of.iterations));
        let (completed, active) = known.unwrap_or_default();
        let all = completed.into_iter().chain(active);
        let mut sprints: Vec<_> = all.filter_map(IterationObject::sprint).collect();
        sprints.sort_by_key(|sprint| sprint.first);
        self.iterations.push(SprintField { field, sprints });
    }

    /// Orders the iteration fields: those that have a sprint today first, then those with a usual name.
    pub(super) fn settle(&mut self, today: UtcDay) {
        self.iterations.sort_by_cached_key(|field| {
            let has_today = field.sprints.iter().any(|sprint| sprint.has(today));
            let is_usual = SPRINTS.contains(&&*plain(&field.field.name));
            (!has_today, !is_usual, field.field.name.clone())
        });
    }
}

impl SprintField {
    /// The sprint that has a day.
    pub(crate) fn at(&self, day: UtcDay) -> Option<&ProjectSprint> {
        self.sprints.iter().find(|sprint| sprint.has(day))
    }

    /// The last one that is over.
    pub(crate) fn previous(&self, day: UtcDay) -> Option<&ProjectSprint> {
        self.sprints.iter().rev().find(|sprint| sprint.last < day)
    }

    /// The first one that has not begun.
    pub(crate) fn next(&self, day: UtcDay) -> Option<&ProjectSprint> {
        self.sprints.iter().find(|sprint| sprint.first > day)
    }

    /// The sprint that is meant by `current`, `previous`, `next`, an id or a title.
    pub(crate) fn named(&self, name: &str, today: UtcDay) -> Option<&ProjectSprint> {
        let by_time = match name.to_lowercase().as_str() {
            "current" => self.at(today),
            "previous" => self.previous(today),
            "next" => self.next(today),
            _ => None,
        };
        by_time.or_else(|| self.find(name))
    }

    /// The sprint with this id, or else the newest with this title in any case.
    fn find(&self, name: &str) -> Option<&ProjectSprint> {
        let mut by_id = self.sprints.iter();
        let has_title =
            |sprint: &&ProjectSprint| sprint.title.to_lowercase() == name.to_lowercase();
        by_id
            .find(|sprint| sprint.id == name)
            .or_else(|| self.sprints.iter().rev().find(has_title))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_of_a_project_are_found_by_kind_and_name() {
        let mut board = ProjectBoard::default();
        let ours = json!({"project": 3});
        let iteration =
            |start: &str| json!({"id": start, "title": start, "startDate": start, "duration": 7});
        for field in [
            json!({"id": "a", "name": "Priority", "dataType": "SINGLE_SELECT", "options": [], "forgewire": ours}),
            json!({"id": "b", "name": "Status", "dataType": "SINGLE_SELECT", "options": [{"name": "Todo"}], "forgewire": ours}),
            json!({"id": "c", "name": "Story Points", "dataType": "NUMBER", "forgewire": ours}),
            json!({"id": "d", "name": "Cost", "dataType": "NUMBER", "forgewire": ours}),
            json!({"id": "e", "name": "Quarter", "dataType": "ITERATION", "forgewire": ours, "configuration":
                {"iterations": [], "completedIterations": []}}),
            json!({"id": "f", "name": "Cycle", "dataType": "ITERATION", "forgewire": ours, "configuration":
                {"iterations": [iteration("2026-11-30"), iteration("2026-12-07")],
                 "completedIterations": [iteration("2026-11-23")]}}),
            json!({"id": "g", "name": "Sprint", "dataType": "ITERATION", "forgewire": {"project": 4}}),
        ] {
            board.add(3, field.to_string().as_bytes());
        }
        let today = UtcDay::parse("2026-12-01").unwrap();
        board.settle(today);
        assert_eq!(board.status.as_ref().unwrap().id, "b");
        assert_eq!(board.statuses, ["Todo"]);
        assert_eq!(board.points.as_ref().unwrap().id, "c");
        let ids: Vec<_> = board
            .iterations
            .iter()
            .map(|field| &*field.field.id)
            .collect();
        assert_eq!(ids, ["f", "e"]);
        let cycle = &board.iterations[0];
        assert_eq!(cycle.at(today).unwrap().id, "2026-11-30");
        assert_eq!(cycle.previous(today).unwrap().id, "2026-11-23");
        assert_eq!(cycle.next(today).unwrap().id, "2026-12-07");
        assert!(cycle.find("2026-12-07").is_some() && cycle.find("x").is_none());
    }
}
