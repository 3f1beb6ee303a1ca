//! Shapes from npm `@octokit/openapi-webhooks-types`: the same description as TypeScript, which is ahead of the
//! schemas by some webhooks. Reads what openapi-typescript writes, and nothing else of the language.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::shape::{Description, Field, Shape, Webhook};

/// Reads a description.
pub(crate) fn read(text: &str) -> Description {
    let mut interfaces = BTreeMap::new();
    for name in ["webhooks", "components", "operations"] {
        let start = format!("export interface {name} ");
        let at = text.find(&start).unwrap() + start.len();
        let mut parser = Parser { text, at };
        interfaces.insert(name, parser.shape());
    }
    let schemas = member(&interfaces["components"], "schemas");
    let webhooks = fields(&interfaces["webhooks"]).iter().map(|webhook| {
        let Shape::Named(operation) = member(&webhook.shape, "post") else {
            panic!("{} has no operation", webhook.name)
        };
        let body = member(member(&interfaces["operations"], operation), "requestBody");
        // The operation is `issues/field-added`, of `issues`.
        let event = operation.split('/').next().unwrap();
        Webhook {
            event: event.replace('-', "_"),
            payload: member(member(body, "content"), "application/json").clone(),
        }
    });
    Description {
        webhooks: webhooks.collect(),
        shapes: fields(schemas)
            .iter()
            .map(|schema| (schema.name.clone(), schema.shape.clone()))
            .collect(),
    }
}

fn fields(shape: &Shape) -> &[Field] {
    let Shape::Object(fields) = shape else {
        panic!("not an object: {shape:?}")
    };
    fields
}

fn member<'s>(shape: &'s Shape, name: &str) -> &'s Shape {
    let field = fields(shape).iter().find(|field| field.name == name);
    &field.unwrap_or_else(|| panic!("no {name}")).shape
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    /// A type: a union of intersections.
    fn shape(&mut self) -> Shape {
        self.take("|");
        let mut any = vec![self.intersection()];
        while self.take("|") {
            any.push(self.intersection());
        }
        let is_literal = |shape: &Shape| matches!(shape, Shape::Literal(_));
        match any.len() {
            1 => any.remove(0),
            _ if any.iter().all(is_literal) => {
                let words = any.into_iter().filter_map(|shape| match shape {
                    Shape::Literal(words) => Some(words),
                    _ => None,
                });
                Shape::Literal(words.flatten().collect())
            }
            _ => Shape::OneOf(any),
        }
    }

    fn intersection(&mut self) -> Shape {
        let mut all = vec![self.postfix()];
        while self.take("&") {
            all.push(self.postfix());
        }
        match all.len() {
            1 => all.remove(0),
            _ => Shape::AllOf(all),
        }
    }

    /// A type that may be an element of a list: `string[]`.
    fn postfix(&mut self) -> Shape {
        let mut shape = self.primary();
        while self.take("[]") {
            shape = Shape::List(Box::new(shape));
        }
        shape
    }

    fn primary(&mut self) -> Shape {
        if self.take("{") {
            return self.object();
        }
        if self.take("(") {
            let shape = self.shape();
            self.expect(")");
            return shape;
        }
        if self.take("[") {
            let mut elements = Vec::new();
            while !self.take("]") {
                elements.push(self.shape());
                self.take(",");
            }
            return Shape::List(Box::new(Shape::OneOf(elements)));
        }
        if let Some(text) = self.quoted() {
            return Shape::Literal(vec![text.into()]);
        }
        let word = self.word();
        match word.as_str() {
            "null" | "undefined" => Shape::Null,
            "boolean" => Shape::Boolean,
            "number" => Shape::Number,
            "string" => Shape::Text,
            "true" | "false" => Shape::Literal(vec![(word == "true").into()]),
            "unknown" | "never" | "any" => Shape::Any,
            "readonly" => self.postfix(),
            "components" | "operations" => self.reference(),
            "Record" | "OneOf" => self.generic(&word),
            number => {
                let number: Value = serde_json::from_str(number)
                    .unwrap_or_else(|_| panic!("{number:?} at {}", self.around()));
                Shape::Literal(vec![number])
            }
        }
    }

    /// `components["schemas"]["issue"]` and `operations["issues/opened"]`: the last of the names.
    fn reference(&mut self) -> Shape {
        let mut name = None;
        while self.sees("[\"") {
            self.expect("[");
            name = self.quoted();
            self.expect("]");
        }
        Shape::Named(name.unwrap_or_else(|| panic!("no name at {}", self.around())))
    }

    /// `Record<string, never>`, which has no known members, and `OneOf<[A, B]>`.
    fn generic(&mut self, name: &str) -> Shape {
        self.expect("<");
        let mut arguments = Vec::new();
        while !self.take(">") {
            arguments.push(self.shape());
            self.take(",");
        }
        match (name, arguments.into_iter().next()) {
            ("OneOf", Some(Shape::List(any))) => *any,
            _ => Shape::Object(Vec::new()),
        }
    }

    /// The members of an object, after its brace.
    fn object(&mut self) -> Shape {
        let mut fields = Vec::new();
        while !self.take("}") {
            if self.take("[key: string]:") {
                self.shape();
                self.expect(";");
                continue;
            }
            let mut name = self.name();
            if name == "readonly" && !self.sees(":") && !self.sees("?") {
                name = self.name();
            }
            let required = !self.take("?");
            self.expect(":");
            let shape = self.shape();
            self.expect(";");
            fields.push(Field {
                name,
                required,
                shape,
            });
        }
        Shape::Object(fields)
    }

    fn name(&mut self) -> String {
        self.quoted().unwrap_or_else(|| self.word())
    }

    fn quoted(&mut self) -> Option<String> {
        self.skip();
        let rest = &self.text[self.at..];
        rest.starts_with('"').then(|| {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let text = values.next().unwrap().unwrap();
            self.at += values.byte_offset();
            text
        })
    }

    fn word(&mut self) -> String {
        self.skip();
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '.' | '+');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        assert!(end > 0, "no word at {}", self.around());
        self.at += end;
        rest[..end].to_owned()
    }

    fn sees(&mut self, token: &str) -> bool {
        self.skip();
        self.text[self.at..].starts_with(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let sees = self.sees(token);
        self.at += if sees { token.len() } else { 0 };
        sees
    }

    fn expect(&mut self, token: &str) {
        assert!(self.take(token), "no {token} at {}", self.around());
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("/*") {
                return;
            }
            self.at += trimmed.find("*/").unwrap() + 2;
        }
    }

    fn around(&self) -> String {
        self.text[self.at..].chars().take(80).collect()
    }
}
