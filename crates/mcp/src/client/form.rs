//! The restricted schema of a form: a flat object of primitives (MCP 2025-11-25, Elicitation,
//! "Requested Schema"; SEP-1034 for defaults, SEP-1330 for choices).

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{params::InputError, version::ProtocolVersion};

mod field;

use field::DescribedField;
pub use field::{Choices, FormField, TextFormat};

/// A form: properties in the order in which a client should show them.
#[derive(Clone, PartialEq, Debug)]
pub struct Form {
    properties: Vec<FormProperty>,
}

/// A field with its name and label.
#[derive(Clone, PartialEq, Debug)]
pub struct FormProperty {
    name: &'static str,
    title: Option<&'static str>,
    description: Option<&'static str>,
    required: bool,
    field: FormField,
}

impl FormProperty {
    /// A field that must be filled in.
    #[must_use]
    pub const fn required(name: &'static str, field: FormField) -> Self {
        Self {
            name,
            title: None,
            description: None,
            required: true,
            field,
        }
    }

    /// A field that may be left empty.
    #[must_use]
    pub const fn optional(name: &'static str, field: FormField) -> Self {
        let mut property = Self::required(name, field);
        property.required = false;
        property
    }

    /// Sets the label.
    #[must_use]
    pub const fn titled(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// Sets the explanation.
    #[must_use]
    pub const fn described(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }
}

impl Form {
    /// Builds a form.
    ///
    /// # Panics
    /// Two properties have the same name, or a choice has no values or a default that is not among
    /// them: a mistake in the program.
    #[must_use]
    pub fn new(properties: Vec<FormProperty>) -> Self {
        for (index, property) in properties.iter().enumerate() {
            let name = property.name;
            let is_new = properties[..index].iter().all(|other| other.name != name);
            assert!(is_new, "a form has a duplicate property {name}");
            assert!(
                property.field.is_sound(),
                "the field {name} of a form cannot be filled"
            );
        }
        Self { properties }
    }

    /// Whether a choice accepts several values; 2025-06-18 has no such field.
    pub(super) fn has_several_choices(&self) -> bool {
        let mut fields = self.properties.iter().map(|property| &property.field);
        fields.any(|field| matches!(field, FormField::Several { .. }))
    }

    pub(super) const fn for_version(&self, version: ProtocolVersion) -> DescribedForm<'_> {
        DescribedForm {
            form: self,
            version,
        }
    }

    /// Checks the values that the user filled in, because clients differ in how much they check.
    /// Returns the fields of the form and drops all others. Formats such as `email` are not
    /// checked.
    ///
    /// # Errors
    /// A required field is missing, or a value does not fit; the error names the field.
    pub fn check(&self, mut content: Map<String, Value>) -> Result<Map<String, Value>, InputError> {
        let mut checked = Map::new();
        for property in &self.properties {
            let field = format!("content.{}", property.name);
            match content.remove(property.name) {
                None | Some(Value::Null) if property.required => {
                    return Err(InputError::new(&field, "has to be filled in"));
                }
                None | Some(Value::Null) => {}
                Some(value) => {
                    let fits = property.field.check(&value);
                    fits.map_err(|reason| InputError::new(&field, reason))?;
                    checked.insert(property.name.into(), value);
                }
            }
        }
        Ok(checked)
    }
}

/// `requestedSchema` as a revision knows it.
pub(super) struct DescribedForm<'a> {
    form: &'a Form,
    version: ProtocolVersion,
}

impl Serialize for DescribedForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let properties = &self.form.properties;
        let required = properties.iter().filter(|property| property.required);
        let required: Vec<_> = required.map(|property| property.name).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "object")?;
        map.serialize_entry("properties", &Properties(self))?;
        if !required.is_empty() {
            map.serialize_entry("required", &required)?;
        }
        map.end()
    }
}

/// The properties in the form's order.
struct Properties<'a>(&'a DescribedForm<'a>);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Described<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            title: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(flatten)]
            field: DescribedField<'a>,
        }
        let Self(DescribedForm { form, version }) = self;
        serializer.collect_map(form.properties.iter().map(|property| {
            let described = Described {
                title: property.title,
                description: property.description,
                field: property.field.for_version(*version),
            };
            (property.name, described)
        }))
    }
}
