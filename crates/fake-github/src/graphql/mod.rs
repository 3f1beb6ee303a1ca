//! GitHub's GraphQL API over the world: real documents, checked against the schema, priced, and run.
//!
//! apollo-compiler reads and checks a document against [`SCHEMA`] as the specification says and calls a resolver for
//! each field, so a document that runs here has the names and types that GitHub's has.

mod arguments;
mod connection;
mod cost;
mod marks;
mod projects;
mod repos;
mod thing;
mod tickets;

use std::sync::LazyLock;

use apollo_compiler::{
    ExecutableDocument, Schema, request::coerce_variable_values, resolvers::Execution,
    response::JsonMap, validation::Valid,
};
use serde_json::{Value, json};

use crate::{
    auth::FakeCaller,
    budgets::BudgetState,
    world::{FakeWorld, Mergeability, TicketKey},
};
use thing::{GraphqlContext, Thing, What};

/// The offered part of GitHub's schema.
pub const SCHEMA: &str = include_str!("schema.graphql");

static COMPILED: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let compiled = Schema::parse_and_validate(SCHEMA, "schema.graphql");
    compiled.unwrap_or_else(|refusal| panic!("the schema is one: {}", refusal.errors))
});

/// Who asks, and what for.
pub(crate) struct GraphqlRequest {
    pub(crate) caller: FakeCaller,
    /// The budget before this request.
    pub(crate) state: BudgetState,
    /// A field that breaks.
    pub(crate) broken_field: Option<&'static str>,
}

/// An answer and its price in points.
pub(crate) struct DocumentAnswer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) cost: u64,
}

/// The answer when the hour's points are used up: with status 200.
pub(crate) fn exhausted(message: &str) -> Value {
    json!({ "errors": [{ "type": "RATE_LIMITED", "message": message }] })
}

/// Answers a request.
pub(crate) fn answer(world: &mut FakeWorld, asked: &GraphqlRequest, body: &[u8]) -> DocumentAnswer {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        let message = "Problems parsing JSON";
        return DocumentAnswer {
            status: 400,
            body: json!({ "message": message }),
            cost: 0,
        };
    };
    let text = body["query"].as_str().unwrap_or_default();
    let refused = |errors: Value| DocumentAnswer {
        status: 200,
        body: json!({ "errors": errors }),
        cost: 1,
    };
    let document = match ExecutableDocument::parse_and_validate(&COMPILED, text, "query.graphql") {
        Ok(document) => document,
        Err(refusal) => {
            let errors = refusal.errors.iter();
            let errors: Vec<_> = errors.map(|it| json!(it.to_json())).collect();
            return refused(errors.into());
        }
    };
    let name = body["operationName"].as_str();
    let raw = body["variables"].clone();
    let raw: JsonMap = serde_json::from_value(raw).unwrap_or_default();
    let operation = match document.operations.get(name) {
        Ok(operation) => operation,
        Err(error) => return refused(json!([{ "message": error.message().to_string() }])),
    };
    let variables = match coerce_variable_values(&COMPILED, operation, &raw) {
        Ok(variables) => variables,
        Err(error) => return refused(json!([{ "message": error.message().to_string() }])),
    };
    let price = match cost::price(&document, operation, &variables) {
        Ok(price) => price,
        Err((kind, message)) => return refused(json!([{ "type": kind, "message": message }])),
    };
    let mut state = asked.state;
    state.used += price.points;
    let context = GraphqlContext {
        world,
        caller: asked.caller,
        state,
        price,
        broken_field: asked.broken_field,
    };
    let root = Thing {
        context: &context,
        what: What::Query,
    };
    let execution = Execution::new(&COMPILED, &document)
        .operation(operation)
        .enable_schema_introspection(true)
        .coerced_variable_values(&variables);
    let answered = match execution.execute_sync(&root) {
        Ok(answered) => with_types(json!(answered)),
        Err(error) => json!({ "errors": [{ "message": error.message().to_string() }] }),
    };
    if text.contains("mergeable") {
        find_out(world);
    }
    DocumentAnswer {
        status: 200,
        body: answered,
        cost: price.points,
    }
}

/// Being asked, GitHub finds out whether pull requests can be merged, and says it the next time.
fn find_out(world: &mut FakeWorld) {
    let is_unknown = |pull: &crate::world::FakePull| pull.mergeability == Mergeability::Unknown;
    let tickets = world.tickets.iter();
    let unknown = tickets.filter(|(_, it)| it.pull.as_ref().is_some_and(is_unknown));
    let unknown: Vec<TicketKey> = unknown.map(|(key, _)| *key).collect();
    unknown
        .into_iter()
        .for_each(|key| world.find_out_mergeability(key));
}

/// Gives errors GitHub's member `type`, which a resolver writes before the message.
fn with_types(mut answer: Value) -> Value {
    let errors = answer.get_mut("errors").and_then(Value::as_array_mut);
    for error in errors.into_iter().flatten() {
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        // The library says around the message of a resolver what it is.
        let message = message
            .trim_start_matches("resolver error: ")
            .trim_start_matches("resolver returned an object of type ")
            .trim_end_matches(" not defined in the schema");
        if let Some((kind, message)) = message.split_once('|') {
            error["type"] = kind.into();
            error["message"] = message.into();
        }
    }
    answer
}
