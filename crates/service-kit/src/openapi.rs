//! The OpenAPI 3.1 document of a listener, built from its table of routes.
//!
//! A route is registered together with the function that describes it, so there is none without a description.
//! Names of parameters come from the lists by which handlers read them, and schemas from the types that they write:
//! OpenAPI 3.1 uses JSON Schema 2020-12, which schemars makes. See ADR 001.

mod operation;

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

pub use operation::{ApiOperation, ApiParameter, ParameterPlace};

/// The path of the document on every listener that has one.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// Describes the operations of one route.
pub type DescribeRoute = fn(&mut ApiSchemas) -> Vec<ApiOperation>;

/// The types that the operations of a document name.
#[derive(Debug)]
pub struct ApiSchemas {
    generator: SchemaGenerator,
    named: Map<String, Value>,
}

impl Default for ApiSchemas {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = Cow::Borrowed("/components/schemas");
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            named: Map::new(),
        }
    }
}

impl ApiSchemas {
    /// The schema of a type; of a type with a name, a reference to it.
    pub fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// A reference to a schema that no type has, under this name.
    ///
    /// # Panics
    /// Another schema has the name.
    pub fn named(&mut self, name: &str, schema: &Value) -> Value {
        let known = self.named.entry(name).or_insert_with(|| schema.clone());
        assert_eq!(known, schema, "{name} names two schemas");
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.generator.take_definitions(true);
        definitions.extend(self.named);
        definitions
    }
}

/// What a document says about a listener as a whole.
#[derive(Debug, Clone, Copy)]
pub struct ApiHead<'a> {
    /// The title.
    pub title: &'static str,
    /// What is true for all routes, in Markdown.
    pub about: &'static str,
    /// The path in front of all routes; empty for none.
    pub base_path: &'a str,
    /// The bearer tokens of the listener, in words; `None` if it has none.
    pub tokens: Option<&'static str>,
}

/// The document of a listener with these routes.
///
/// # Panics
/// Two operations have one id, or one method and path: names are a contract with generated clients.
#[must_use]
pub fn document(head: &ApiHead<'_>, routes: &[(&'static str, DescribeRoute)]) -> Value {
    let mut schemas = ApiSchemas::default();
    let mut paths = Map::new();
    let mut ids = Vec::new();
    for (path, describe) in routes {
        let mut methods = Map::new();
        for operation in describe(&mut schemas) {
            assert!(
                !ids.contains(&operation.id),
                "{} is the id of two operations",
                operation.id
            );
            ids.push(operation.id);
            let method = operation.method;
            let before = methods.insert(
                method.to_owned(),
                operation.into_json(head.tokens.is_some()),
            );
            assert!(before.is_none(), "{path} has {method} twice");
        }
        let before = paths.insert((*path).to_owned(), Value::Object(methods));
        assert!(before.is_none(), "{path} is described twice");
    }
    let mut components = Map::new();
    let parameters = share_parameters(&mut paths);
    if !parameters.is_empty() {
        components.insert("parameters".to_owned(), parameters.into());
    }
    components.insert("schemas".to_owned(), schemas.into_definitions().into());
    if let Some(tokens) = head.tokens {
        let bearer = json!({ "type": "http", "scheme": "bearer", "description": tokens });
        components.insert("securitySchemes".to_owned(), json!({ "bearer": bearer }));
    }
    let server = match head.base_path {
        "" => "/",
        base => base,
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": head.title,
            "version": env!("CARGO_PKG_VERSION"),
            "description": head.about,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "paths": paths,
        "components": components,
    })
}

/// Replaces parameters that several operations have by references, and returns what they refer to.
fn share_parameters(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let operations = paths.values().filter_map(Value::as_object);
    let all = operations.flat_map(Map::values);
    let all = all.filter_map(|operation| operation["parameters"].as_array());
    let mut counts: Vec<(Value, usize)> = Vec::new();
    for parameter in all.flatten() {
        match counts.iter_mut().find(|(known, _)| known == parameter) {
            Some((_, count)) => *count += 1,
            None => counts.push((parameter.clone(), 1)),
        }
    }
    let name_of = |parameter: &Value| parameter["name"].as_str().unwrap_or_default().to_owned();
    let mut shared = Map::new();
    for (parameter, count) in counts {
        if count > 1 {
            shared.entry(name_of(&parameter)).or_insert(parameter);
        }
    }
    let operations = paths.values_mut().filter_map(Value::as_object_mut);
    for operation in operations.flat_map(Map::values_mut) {
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = name_of(parameter);
            if shared.get(&name) == Some(&*parameter) {
                *parameter = json!({ "$ref": format!("#/components/parameters/{name}") });
            }
        }
    }
    shared
}

/// A document as its committed copy holds it.
///
/// # Panics
/// Never: a value is always JSON.
#[must_use]
pub fn to_text(document: &Value) -> String {
    let text = serde_json::to_string_pretty(document).expect("a value is JSON");
    text + "\n"
}

/// The route of the document itself.
#[must_use]
pub fn describe_document(_: &mut ApiSchemas) -> Vec<ApiOperation> {
    let object = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    vec![
        ApiOperation::get("getOpenApi", "This document")
            .open()
            .about("OpenAPI 3.1. It is the same for every client, and needs no token.")
            .answer(200, "The document.", Some(("application/json", object))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Thing {
        /// How many.
        count: u64,
    }

    fn count() -> ApiParameter {
        ApiParameter::query("count", "Also in another.", json!({ "type": "integer" }))
    }

    fn describe_other(_: &mut ApiSchemas) -> Vec<ApiOperation> {
        let get = ApiOperation::get("getOther", "Another").parameters([count()]);
        vec![get.answer(204, "Nothing.", None)]
    }

    fn describe(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
        let thing = schemas.of::<Thing>();
        let problem = schemas.of::<Problem>();
        vec![
            ApiOperation::get("getThing", "One thing")
                .parameters([ApiParameter::query(
                    "limit",
                    "How many.",
                    json!({ "type": "integer" }),
                )])
                .parameters([count()])
                .answer(200, "It.", Some(("application/json", thing)))
                .problems(&problem, &[(429, "Too many."), (400, "Wrong.")]),
        ]
    }

    fn head(base_path: &str) -> ApiHead<'_> {
        ApiHead {
            title: "Test",
            about: "About.",
            base_path,
            tokens: Some("A token."),
        }
    }

    #[test]
    fn a_document_has_every_route_and_the_types_that_it_names() {
        let routes: &[(&str, DescribeRoute)] = &[
            ("/things", describe),
            ("/others", describe_other),
            (OPENAPI_PATH, describe_document),
        ];
        let document = document(&head("/base"), routes);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "/base");
        let get = &document["paths"]["/things"]["get"];
        assert_eq!(get["operationId"], "getThing");
        assert_eq!(get["security"], json!([{ "bearer": [] }]));
        assert_eq!(get["parameters"][0]["name"], "limit");
        assert_eq!(
            get["parameters"][1]["$ref"],
            "#/components/parameters/count"
        );
        let shared = &document["components"]["parameters"];
        assert_eq!(shared["count"]["in"], "query");
        assert_eq!(shared["limit"], Value::Null, "only one operation has it");
        let content = &get["responses"]["200"]["content"]["application/json"];
        assert_eq!(content["schema"]["$ref"], "#/components/schemas/Thing");
        let limited = &get["responses"]["429"];
        assert!(limited["headers"]["Retry-After"].is_object(), "{limited}");
        assert!(
            limited["content"]["application/problem+json"].is_object(),
            "{limited}"
        );
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["Thing"]["properties"]["count"]["description"],
            "How many."
        );
        assert!(schemas["Problem"]["properties"]["code"].is_object());
        assert_eq!(
            document["paths"][OPENAPI_PATH]["get"]["security"],
            json!([])
        );
    }

    #[test]
    #[should_panic(expected = "getThing is the id of two operations")]
    fn two_operations_with_one_id_are_a_mistake() {
        let _ = document(&head(""), &[("/things", describe), ("/others", describe)]);
    }
}
