//! JSON Schema 2020-12 of Rust types, in the form that models and clients' validators handle best.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

pub(super) fn of_input<T: JsonSchema>(tool: &str) -> Value {
    finish::<T>(SchemaSettings::draft2020_12().for_deserialize(), tool)
}

pub(super) fn of_output<T: JsonSchema>(tool: &str) -> Value {
    finish::<T>(SchemaSettings::draft2020_12().for_serialize(), tool)
}

fn finish<T: JsonSchema>(mut settings: SchemaSettings, tool: &str) -> Value {
    // Many clients hand the schema to a model API that does not follow references.
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title"); // clients have no use for the name of a Rust type
    RecursiveTransform(without_rust_formats).transform(&mut schema);
    let is_object = schema.get("type").is_some_and(|kind| kind == "object");
    assert!(is_object, "a schema of the tool {tool} has to be an object");
    schema.to_value()
}

/// `uint32` and the like are not formats of JSON Schema; strict validators refuse them.
fn without_rust_formats(schema: &mut Schema) {
    let is_number = schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|f| {
            f.starts_with("uint") || f.starts_with("int") || f == "float" || f == "double"
        });
    if is_number {
        schema.remove("format");
    }
}
