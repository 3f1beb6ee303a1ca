//! One method of a path, as the document describes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::problem;

/// An operation: what it takes, and every status that it answers with.
#[derive(Debug)]
pub struct ApiOperation {
    pub(super) method: &'static str,
    pub(super) id: &'static str,
    summary: &'static str,
    about: Option<String>,
    is_open: bool,
    parameters: Vec<ApiParameter>,
    body: Option<Value>,
    answers: BTreeMap<u16, ApiAnswer>,
}

/// One status.
#[derive(Debug, Default)]
struct ApiAnswer {
    about: String,
    headers: Map<String, Value>,
    content: Map<String, Value>,
}

/// Where a parameter is in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterPlace {
    /// In the query string.
    Query,
    /// In the path.
    Path,
    /// A header.
    Header,
}

/// A parameter.
#[derive(Debug, Clone)]
pub struct ApiParameter {
    name: &'static str,
    place: ParameterPlace,
    about: String,
    schema: Value,
    is_required: bool,
}

impl ApiParameter {
    fn new(name: &'static str, place: ParameterPlace, about: &str, schema: Value) -> Self {
        Self {
            name,
            place,
            about: about.to_owned(),
            schema,
            is_required: place == ParameterPlace::Path,
        }
    }

    /// A parameter of the query string.
    #[must_use]
    pub fn query(name: &'static str, about: &str, schema: Value) -> Self {
        Self::new(name, ParameterPlace::Query, about, schema)
    }

    /// A part of the path.
    #[must_use]
    pub fn path(name: &'static str, about: &str, schema: Value) -> Self {
        Self::new(name, ParameterPlace::Path, about, schema)
    }

    /// A header.
    #[must_use]
    pub fn header(name: &'static str, about: &str, schema: Value) -> Self {
        Self::new(name, ParameterPlace::Header, about, schema)
    }

    /// A request without it is refused.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    fn into_json(self) -> Value {
        let place = match self.place {
            ParameterPlace::Query => "query",
            ParameterPlace::Path => "path",
            ParameterPlace::Header => "header",
        };
        json!({
            "name": self.name,
            "in": place,
            "required": self.is_required,
            "description": self.about,
            "schema": self.schema,
        })
    }
}

impl ApiOperation {
    fn new(method: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            id,
            summary,
            about: None,
            is_open: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
        }
    }

    /// `GET`. The id is a contract with generated clients.
    #[must_use]
    pub fn get(id: &'static str, summary: &'static str) -> Self {
        Self::new("get", id, summary)
    }

    /// `POST`.
    #[must_use]
    pub fn post(id: &'static str, summary: &'static str) -> Self {
        Self::new("post", id, summary)
    }

    /// `PATCH`.
    #[must_use]
    pub fn patch(id: &'static str, summary: &'static str) -> Self {
        Self::new("patch", id, summary)
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete(id: &'static str, summary: &'static str) -> Self {
        Self::new("delete", id, summary)
    }

    /// What it does, in Markdown.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = Some(text.into());
        self
    }

    /// It needs no token, on a listener whose operations need one.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// More parameters.
    #[must_use]
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = ApiParameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// The body, which is required, by media type.
    #[must_use]
    pub fn body(mut self, about: &str, content: &[(&str, Value)]) -> Self {
        let content = content.iter();
        let content: Map<_, _> = content
            .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })))
            .collect();
        let body = json!({ "description": about, "required": true, "content": content });
        self.body = Some(body);
        self
    }

    /// A status; more than one body of it have to be of different media types.
    #[must_use]
    pub fn answer(mut self, status: u16, about: &str, content: Option<(&str, Value)>) -> Self {
        let answer = self.answers.entry(status).or_default();
        if !answer.about.is_empty() {
            answer.about.push(' ');
        }
        answer.about.push_str(about);
        if let Some((media_type, schema)) = content {
            let before = answer
                .content
                .insert(media_type.to_owned(), json!({ "schema": schema }));
            debug_assert!(before.is_none(), "{status} has {media_type} twice");
        }
        if let Some((name, about, schema)) = header_of(status) {
            let header = json!({ "description": about, "schema": schema });
            answer.headers.insert(name.to_owned(), header);
        }
        self
    }

    /// Statuses with a problem document (RFC 9457).
    #[must_use]
    pub fn problems(mut self, problem: &Value, statuses: &[(u16, &str)]) -> Self {
        for (status, about) in statuses {
            let content = Some((problem::CONTENT_TYPE, problem.clone()));
            self = self.answer(*status, about, content);
        }
        self
    }

    pub(super) fn into_json(self, has_tokens: bool) -> Value {
        let mut json = Map::new();
        json.insert("operationId".to_owned(), self.id.into());
        json.insert("summary".to_owned(), self.summary.into());
        if let Some(about) = self.about {
            json.insert("description".to_owned(), about.into());
        }
        if has_tokens {
            let needs = match self.is_open {
                true => json!([]),
                false => json!([{ "bearer": [] }]),
            };
            json.insert("security".to_owned(), needs);
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.into_iter().map(ApiParameter::into_json);
            json.insert("parameters".to_owned(), parameters.collect());
        }
        if let Some(body) = self.body {
            json.insert("requestBody".to_owned(), body);
        }
        let answers = self.answers.into_iter();
        let answers: Map<_, _> = answers
            .map(|(status, answer)| (status.to_string(), answer.into_json()))
            .collect();
        json.insert("responses".to_owned(), answers.into());
        Value::Object(json)
    }
}

impl ApiAnswer {
    fn into_json(self) -> Value {
        let mut json = Map::new();
        json.insert("description".to_owned(), self.about.into());
        if !self.headers.is_empty() {
            json.insert("headers".to_owned(), self.headers.into());
        }
        if !self.content.is_empty() {
            json.insert("content".to_owned(), self.content.into());
        }
        Value::Object(json)
    }
}

/// The header that comes with a status, wherever it is.
fn header_of(status: u16) -> Option<(&'static str, &'static str, Value)> {
    match status {
        405 => Some((
            "Allow",
            "The methods of the path.",
            json!({ "type": "string" }),
        )),
        429 | 503 => Some((
            "Retry-After",
            "Seconds until another attempt may succeed.",
            json!({ "type": "integer", "minimum": 1 }),
        )),
        _ => None,
    }
}
