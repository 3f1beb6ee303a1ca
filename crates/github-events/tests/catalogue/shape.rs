//! The shape of a payload, as far as payloads can be made from it: what JSON Schema and TypeScript have in common.

use std::collections::BTreeMap;

use serde_json::Value;

/// The shape of a value.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Number,
    Text,
    /// One of these values.
    Literal(Vec<Value>),
    /// A list of such values.
    List(Box<Shape>),
    Object(Vec<Field>),
    /// One of these shapes.
    OneOf(Vec<Shape>),
    /// All of these shapes at once.
    AllOf(Vec<Shape>),
    /// A shape that has a name.
    Named(String),
    /// Anything.
    Any,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
}

/// The shapes that have names.
pub(crate) type Shapes = BTreeMap<String, Shape>;

/// A webhook, as a package describes it.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// `X-GitHub-Event`.
    pub(crate) event: String,
    /// The shape of the payload.
    pub(crate) payload: Shape,
}

/// What one file of a package describes.
#[derive(Debug, Default)]
pub(crate) struct Description {
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) shapes: Shapes,
}

impl Description {
    /// A shape, with its name resolved.
    pub(crate) fn resolve<'s>(&'s self, mut shape: &'s Shape) -> &'s Shape {
        while let Shape::Named(name) = shape {
            shape = &self.shapes[name];
        }
        shape
    }

    /// The members of a shape in one of its forms, and whether they are required.
    pub(crate) fn fields<'s>(&'s self, shape: &'s Shape) -> Vec<&'s Field> {
        match self.resolve(shape) {
            Shape::Object(fields) => fields.iter().collect(),
            Shape::AllOf(all) => all.iter().flat_map(|part| self.fields(part)).collect(),
            Shape::OneOf(any) => any.first().map_or_else(Vec::new, |one| self.fields(one)),
            _ => Vec::new(),
        }
    }

    /// The forms of a payload: those of a union, or the shape itself.
    pub(crate) fn forms<'s>(&'s self, shape: &'s Shape) -> Vec<&'s Shape> {
        match self.resolve(shape) {
            Shape::OneOf(any) => any.iter().flat_map(|one| self.forms(one)).collect(),
            one => vec![one],
        }
    }

    /// The actions of a form of a payload: none if it has no action, `*` if it can be any text.
    pub(crate) fn actions(&self, form: &Shape) -> Vec<String> {
        let fields = self.fields(form);
        let Some(action) = fields.iter().find(|field| field.name == "action") else {
            return Vec::new();
        };
        match self.resolve(&action.shape) {
            Shape::Literal(words) => {
                let words = words.iter().filter_map(Value::as_str);
                words.map(str::to_owned).collect()
            }
            _ => vec!["*".to_owned()],
        }
    }
}
