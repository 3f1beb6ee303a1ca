//! Projects, their fields, views, items and values.

use apollo_compiler::resolvers::{ObjectValue, ResolveInfo};
use serde_json::Value;

use super::{
    arguments::{number, word},
    thing::{Resolved, Thing, What, leaf, time},
};
use crate::world::{
    FakeField, FakeFieldKind, FakeFieldValue, FakeItemContent, FakeIteration, FakeOption, ItemKey,
    ProjectKey,
};

impl<'w> Thing<'w> {
    pub(super) fn project<'a>(&'a self, key: ProjectKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.projects[&key];
        let path = || {
            let owner = &world.accounts[&it.owner];
            let word = match owner.kind {
                crate::world::FakeAccountKind::Organization => "orgs",
                _ => "users",
            };
            format!("/{word}/{}/projects/{}", owner.login, it.number)
        };
        match info.field_name() {
            "id" => leaf(it.node_id.clone()),
            "databaseId" | "readme" => leaf(Value::Null),
            "fullDatabaseId" => leaf(it.id.to_string()),
            "number" => leaf(it.number),
            "title" => leaf(it.title.clone()),
            "shortDescription" => leaf(it.summary.clone()),
            "public" | "template" => leaf(false),
            "closed" => leaf(it.closed_at.is_some()),
            "closedAt" => time(it.closed_at),
            "createdAt" => time(it.created_at),
            "updatedAt" => time(it.updated_at),
            "url" => leaf(format!("{}{}", world.web, path())),
            "resourcePath" => leaf(path()),
            "owner" => self.object(What::Account(it.owner)),
            "creator" => self.object(What::Account(it.creator)),
            "field" => {
                let name = word(info, "name");
                let at = it
                    .fields
                    .iter()
                    .position(|field| Some(&*field.name) == name);
                self.object(at.map(|at| What::Field(key, at)))
            }
            "fields" => self.fields(key, info),
            "items" => {
                let all = world
                    .items_of(key)
                    .map(|(item, it)| ((0, it.id), What::Item(item)));
                self.page(
                    info,
                    ["ProjectV2ItemConnection", "ProjectV2ItemEdge"],
                    all.collect(),
                )
            }
            "view" => {
                let number = number(info, "number");
                let at = it.views.iter().position(|view| Some(view.number) == number);
                self.object(at.map(|at| What::View(key, at)))
            }
            "views" => {
                let all = it.views.iter().enumerate();
                let all = all.map(|(at, view)| ((0, view.number), What::View(key, at)));
                self.page(
                    info,
                    ["ProjectV2ViewConnection", "ProjectV2ViewEdge"],
                    all.collect(),
                )
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    fn fields<'a>(&self, key: ProjectKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let fields = self.world().projects[&key].fields.iter();
        let all = fields
            .enumerate()
            .map(|(at, field)| ((0, field.id), What::Field(key, at)));
        let names = [
            "ProjectV2FieldConfigurationConnection",
            "ProjectV2FieldConfigurationEdge",
        ];
        self.page(info, names, all.collect())
    }

    fn field_of(&self) -> &'w FakeField {
        let world = self.world();
        match &self.what {
            What::Field(key, at) | What::Configuration(key, at) => &world.projects[key].fields[*at],
            What::Value(item, id) => {
                let project = &world.projects[&world.items[item].project];
                let found = project.fields.iter().find(|it| it.id == *id);
                found.expect("values are of fields of the project")
            }
            _ => unreachable!("asked of fields and values only"),
        }
    }

    pub(super) fn field_type_name(&self) -> &'static str {
        match self.field_of().kind {
            FakeFieldKind::Select(_) => "ProjectV2SingleSelectField",
            FakeFieldKind::Iteration { .. } => "ProjectV2IterationField",
            _ => "ProjectV2Field",
        }
    }

    pub(super) fn field<'a>(&self, key: ProjectKey, at: usize, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let it = self.field_of();
        match (name, &it.kind) {
            ("id", _) => leaf(it.node_id.clone()),
            ("databaseId", _) => leaf(Value::Null),
            ("name", _) => leaf(it.name.clone()),
            ("createdAt" | "updatedAt", _) => time(it.created_at),
            ("dataType", _) => leaf(self.world().render().field_type(it).to_uppercase()),
            ("options", FakeFieldKind::Select(options)) => {
                self.list(options.iter().map(What::Choice).collect())
            }
            _ => self.object(What::Configuration(key, at)),
        }
    }

    pub(super) fn configuration<'a>(&self, _: ProjectKey, _: usize, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let FakeFieldKind::Iteration {
            duration_days,
            active,
            completed,
        } = &self.field_of().kind
        else {
            return leaf(Value::Null);
        };
        match name {
            "iterations" => self.list(active.iter().map(What::Iteration).collect()),
            "completedIterations" => self.list(completed.iter().map(What::Iteration).collect()),
            "duration" => leaf(*duration_days),
            // Monday.
            _ => leaf(1),
        }
    }

    pub(super) fn iteration<'a>(it: &FakeIteration, name: &str) -> Resolved<'a> {
        match name {
            "id" => leaf(it.id.clone()),
            "title" => leaf(it.title.clone()),
            "startDate" => leaf(it.start.clone()),
            _ => leaf(it.duration_days),
        }
    }

    pub(super) fn choice<'a>(it: &FakeOption, name: &str) -> Resolved<'a> {
        match name {
            "id" => leaf(it.id.clone()),
            "name" => leaf(it.name.clone()),
            "color" => leaf("GRAY"),
            _ => leaf(""),
        }
    }

    pub(super) fn view<'a>(
        &'a self,
        key: ProjectKey,
        at: usize,
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        let it = &self.world().projects[&key].views[at];
        match info.field_name() {
            "id" => leaf(crate::keys::node_id("PVTV", it.id)),
            "databaseId" => leaf(Value::Null),
            "fullDatabaseId" => leaf(it.id.to_string()),
            "number" => leaf(it.number),
            "name" => leaf(it.name.clone()),
            "layout" => leaf(it.layout),
            "filter" => leaf(it.filter.clone()),
            "createdAt" | "updatedAt" => time(it.created_at),
            "fields" => self.fields(key, info),
            _ => Err(self.unknown_field_error(info)),
        }
    }

    pub(super) fn item<'a>(&'a self, key: ItemKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.items[&key];
        match info.field_name() {
            "id" => leaf(it.node_id.clone()),
            "databaseId" => leaf(Value::Null),
            "fullDatabaseId" => leaf(it.id.to_string()),
            "type" => leaf(match &it.content {
                FakeItemContent::Draft { .. } => "DRAFT_ISSUE",
                FakeItemContent::Ticket(on) if world.tickets[on].pull.is_some() => "PULL_REQUEST",
                FakeItemContent::Ticket(_) => "ISSUE",
            }),
            "isArchived" => leaf(it.archived_at.is_some()),
            "createdAt" => time(it.created_at),
            "updatedAt" => time(it.updated_at),
            "creator" => self.object(What::Account(it.creator)),
            "content" => self.object(match &it.content {
                FakeItemContent::Ticket(on) => What::Ticket(*on),
                FakeItemContent::Draft { .. } => What::Draft(key),
            }),
            "project" => self.object(What::Project(it.project)),
            "fieldValues" => {
                // The title is a field, too, and its value is the title of the content.
                let title = world.projects[&it.project].fields.iter();
                let title = title
                    .filter(|field| field.kind == FakeFieldKind::Title)
                    .map(|it| it.id);
                let all = title.chain(it.values.keys().copied());
                let all = all.map(|id| ((0, id), What::Value(key, id)));
                let names = [
                    "ProjectV2ItemFieldValueConnection",
                    "ProjectV2ItemFieldValueEdge",
                ];
                self.page(info, names, all.collect())
            }
            "fieldValueByName" => {
                let name = word(info, "name");
                let mut fields = world.projects[&it.project].fields.iter();
                let field = fields.find(|field| Some(&*field.name) == name);
                let held = field.filter(|field| {
                    field.kind == FakeFieldKind::Title || it.values.contains_key(&field.id)
                });
                self.object(held.map(|field| What::Value(key, field.id)))
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    pub(super) fn draft<'a>(&self, key: ItemKey, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let it = &self.world().items[&key];
        let FakeItemContent::Draft { node_id, title } = &it.content else {
            return leaf(Value::Null);
        };
        match name {
            "id" => leaf(node_id.clone()),
            "title" => leaf(title.clone()),
            "body" | "bodyText" => leaf(""),
            "createdAt" => time(it.created_at),
            "updatedAt" => time(it.updated_at),
            _ => self.object(What::Account(it.creator)),
        }
    }

    pub(super) fn value_type_name(&self) -> &'static str {
        match self.field_of().kind {
            FakeFieldKind::Title | FakeFieldKind::Text => "ProjectV2ItemFieldTextValue",
            FakeFieldKind::Number => "ProjectV2ItemFieldNumberValue",
            FakeFieldKind::Date => "ProjectV2ItemFieldDateValue",
            FakeFieldKind::Select(_) => "ProjectV2ItemFieldSingleSelectValue",
            FakeFieldKind::Iteration { .. } => "ProjectV2ItemFieldIterationValue",
        }
    }

    pub(super) fn value<'a>(&self, key: ItemKey, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let (it, field) = (&world.items[&key], self.field_of());
        match name {
            "id" => return leaf(crate::keys::node_id("PVTFV", it.id ^ id)),
            "databaseId" => return leaf(Value::Null),
            "createdAt" | "updatedAt" => return time(it.updated_at),
            "creator" => return self.object(What::Account(it.creator)),
            "field" => {
                let fields = &world.projects[&it.project].fields;
                let at = fields.iter().position(|other| other.id == id);
                return self.object(at.map(|at| What::Field(it.project, at)));
            }
            _ => {}
        }
        match (it.values.get(&id), &field.kind) {
            (_, FakeFieldKind::Title) => leaf(match &it.content {
                FakeItemContent::Ticket(on) => world.tickets[on].title.clone(),
                FakeItemContent::Draft { title, .. } => title.clone(),
            }),
            (Some(FakeFieldValue::Text(text) | FakeFieldValue::Date(text)), _) => {
                leaf(text.clone())
            }
            (Some(FakeFieldValue::Number(number)), _) => leaf(*number),
            (Some(FakeFieldValue::Option(id)), FakeFieldKind::Select(options)) => {
                let found = options.iter().find(|it| it.id == *id);
                match (found, name) {
                    (_, "optionId") => leaf(id.clone()),
                    (Some(it), _) => Self::choice(it, name),
                    (None, _) => leaf(Value::Null),
                }
            }
            (
                Some(FakeFieldValue::Iteration(id)),
                FakeFieldKind::Iteration {
                    active, completed, ..
                },
            ) => {
                let found = active.iter().chain(completed).find(|it| it.id == *id);
                match (found, name) {
                    (_, "iterationId") => leaf(id.clone()),
                    (Some(it), _) => Self::iteration(it, name),
                    (None, _) => leaf(Value::Null),
                }
            }
            _ => leaf(Value::Null),
        }
    }
}
