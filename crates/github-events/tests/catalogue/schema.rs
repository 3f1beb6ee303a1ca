//! Shapes from npm `@octokit/openapi-webhooks`: GitHub's OpenAPI description of its webhooks, in JSON Schema.

use serde_json::{Map, Value};

use crate::shape::{Description, Field, Shape, Webhook};

/// Reads a description.
pub(crate) fn read(text: &str) -> Description {
    let json: Value = serde_json::from_str(text).unwrap();
    let schemas = json["components"]["schemas"].as_object().unwrap();
    let webhooks = json["webhooks"].as_object().unwrap();
    let webhooks = webhooks.values().map(|webhook| {
        let post = &webhook["post"];
        let event = post["x-github"]["subcategory"].as_str().unwrap();
        Webhook {
            // Some are written as in the address of their documentation.
            event: event.replace('-', "_"),
            payload: shape(&post["requestBody"]["content"]["application/json"]["schema"]),
        }
    });
    Description {
        webhooks: webhooks.collect(),
        shapes: schemas
            .iter()
            .map(|(name, schema)| (name.clone(), shape(schema)))
            .collect(),
    }
}

fn shape(schema: &Value) -> Shape {
    let Some(schema) = schema.as_object() else {
        return Shape::Any;
    };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return Shape::Named(name.rsplit('/').next().unwrap().to_owned());
    }
    let mut parts = Vec::new();
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Shape::Literal(words.clone());
    }
    if let Some(word) = schema.get("const") {
        return Shape::Literal(vec![word.clone()]);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(any) = schema.get(key).and_then(Value::as_array) {
            parts.push(Shape::OneOf(any.iter().map(shape).collect()));
        }
    }
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        parts.push(Shape::AllOf(all.iter().map(shape).collect()));
    }
    if parts.is_empty() || schema.contains_key("properties") {
        parts.push(of_types(schema));
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Shape::AllOf(parts),
    }
}

fn of_types(schema: &Map<String, Value>) -> Shape {
    let mut shapes = match schema.get("type") {
        Some(Value::String(one)) => vec![of_type(one, schema)],
        Some(Value::Array(types)) => {
            let types = types.iter().filter_map(Value::as_str);
            types.map(|one| of_type(one, schema)).collect()
        }
        _ if schema.contains_key("properties") => vec![object(schema)],
        _ => vec![Shape::Any],
    };
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        shapes.push(Shape::Null);
    }
    match shapes.len() {
        1 => shapes.remove(0),
        _ => Shape::OneOf(shapes),
    }
}

fn of_type(name: &str, schema: &Map<String, Value>) -> Shape {
    match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "integer" | "number" => Shape::Number,
        "string" => Shape::Text,
        "array" => Shape::List(Box::new(schema.get("items").map_or(Shape::Any, shape))),
        "object" => object(schema),
        other => panic!("a schema has the type {other}"),
    }
}

fn object(schema: &Map<String, Value>) -> Shape {
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let is_required =
        |name: &str| list("required").is_some_and(|all| all.iter().any(|it| it == name));
    let members = schema.get("properties").and_then(Value::as_object);
    let fields = members.into_iter().flatten().map(|(name, schema)| Field {
        name: name.clone(),
        required: is_required(name),
        shape: shape(schema),
    });
    Shape::Object(fields.collect())
}
