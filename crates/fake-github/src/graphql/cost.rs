//! What a document costs before it is run: GitHub's rules for pages, nodes and points.

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{Argument, Value},
    executable::{Operation, Selection, SelectionSet},
    response::JsonMap,
    validation::Valid,
};

/// The most nodes that a document may ask for.
const MAX_NODES: u64 = 500_000;
/// The most of a page.
const MAX_PAGE: u64 = 100;
/// Requests that cost a point.
const REQUESTS_PER_POINT: u64 = 100;

/// What a document costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Price {
    pub(crate) points: u64,
    pub(crate) nodes: u64,
}

/// GitHub's type of an error, and the message.
pub(crate) type PriceRefusal = (&'static str, String);

/// The price of an operation.
pub(crate) fn price(
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Valid<JsonMap>,
) -> Result<Price, PriceRefusal> {
    let mut counter = Counter {
        document,
        variables,
        requests: 0,
        nodes: 0,
    };
    counter.count(&operation.selection_set, 1)?;
    if counter.nodes > MAX_NODES {
        let message = format!(
            "This query requests up to {} possible nodes which exceeds the maximum limit of 500,000.",
            counter.nodes
        );
        return Err(("MAX_NODE_LIMIT_EXCEEDED", message));
    }
    // Rounded to the nearest, and at least one.
    let points = (counter.requests + REQUESTS_PER_POINT / 2) / REQUESTS_PER_POINT;
    Ok(Price {
        points: points.max(1),
        nodes: counter.nodes,
    })
}

struct Counter<'d> {
    document: &'d ExecutableDocument,
    variables: &'d Valid<JsonMap>,
    requests: u64,
    nodes: u64,
}

impl Counter<'_> {
    /// Counts what is asked of each of `parents` objects.
    fn count(&mut self, selections: &SelectionSet, parents: u64) -> Result<(), PriceRefusal> {
        for selection in &selections.selections {
            match selection {
                Selection::InlineFragment(fragment) => {
                    self.count(&fragment.selection_set, parents)?;
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(self.document) {
                        self.count(&fragment.selection_set, parents)?;
                    }
                }
                Selection::Field(field) => {
                    let kind = field.definition.ty.inner_named_type().as_str();
                    let mut below = parents;
                    if kind.ends_with("Connection") {
                        let page = self.page(&field.name, &field.arguments)?;
                        self.requests += parents;
                        below = parents.saturating_mul(page);
                        self.nodes = self.nodes.saturating_add(below);
                    } else if field.name == "nodes" && kind == "Node" {
                        below = parents.saturating_mul(self.ids(&field.arguments));
                    }
                    self.count(&field.selection_set, below)?;
                }
            }
        }
        Ok(())
    }

    /// How many objects are asked for by their ids.
    fn ids(&self, arguments: &[Node<Argument>]) -> u64 {
        let ids = arguments.iter().find(|it| it.name == "ids");
        let count = ids.and_then(|ids| match &*ids.value {
            Value::List(ids) => Some(ids.len()),
            Value::Variable(name) => Some(self.variables.get(name.as_str())?.as_array()?.len()),
            _ => None,
        });
        count.unwrap_or(1) as u64
    }

    fn page(&self, field: &str, arguments: &[Node<Argument>]) -> Result<u64, PriceRefusal> {
        let number = |name: &str| {
            let argument = arguments.iter().find(|it| it.name == name)?;
            match &*argument.value {
                Value::Int(number) => number.as_str().parse::<u64>().ok(),
                Value::Variable(name) => self.variables.get(name.as_str())?.as_u64(),
                _ => None,
            }
        };
        let asked = ["first", "last"].into_iter();
        let Some((word, page)) = asked.filter_map(|it| Some((it, number(it)?))).next() else {
            let message = format!(
                "You must provide a `first` or `last` value to properly paginate the `{field}` connection."
            );
            return Err(("MISSING_PAGINATION_BOUNDARIES", message));
        };
        if page > MAX_PAGE {
            let message = format!(
                "Requesting {page} records on the `{field}` connection exceeds the `{word}` limit of 100 records."
            );
            return Err(("EXCESSIVE_PAGINATION", message));
        }
        Ok(page)
    }
}
