//! Tools that ask the client, one question at a time.

use mcp::{
    Era,
    client::{
        Choices, ClientRequest, ClientResult, CreateMessage, ElicitResult, Elicitation, Form,
        FormField, FormProperty, elicitation_complete,
    },
};
use model::{IdSource, RandomIds};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::fixture::{Nothing, fixture, said};
use mcp_server::tool::Tool;

/// Input of `test_sampling`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Prompt {
    prompt: String,
}

/// Input of `test_elicitation`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Message {
    message: String,
}

/// A question to the user.
pub(super) fn form(message: &str, fields: Vec<FormProperty>) -> ClientRequest {
    ClientRequest::Elicit(Elicitation::Form {
        message: message.to_owned(),
        form: Form::new(fields),
    })
}

pub(super) fn text_field(name: &'static str) -> FormProperty {
    FormProperty::required(name, FormField::text())
}

pub(super) fn sample(text: &str, max_tokens: u32) -> ClientRequest {
    ClientRequest::Sample(CreateMessage::ask(text, max_tokens))
}

/// The user's answer, worded as the suite expects.
fn outcome(answer: ClientResult) -> String {
    match answer {
        ClientResult::Elicited(ElicitResult::Accepted(content)) => {
            let content = serde_json::Value::Object(content);
            format!("action=accept, content={content}")
        }
        ClientResult::Elicited(ElicitResult::Declined) => "action=decline, content={}".to_owned(),
        ClientResult::Elicited(ElicitResult::Cancelled) => "action=cancel, content={}".to_owned(),
        other => format!("{other:?}"),
    }
}

fn texts(values: [&str; 3]) -> Vec<String> {
    values.map(ToOwned::to_owned).to_vec()
}

fn titled(pairs: [(&str, &str); 3]) -> Vec<(String, String)> {
    pairs
        .map(|(value, title)| (value.to_owned(), title.to_owned()))
        .to_vec()
}

/// A field of each kind, each with a default value (SEP-1034).
fn defaults() -> Vec<FormProperty> {
    let text = FormField::Text {
        min_length: None,
        max_length: None,
        format: None,
        default: Some("John Doe".to_owned()),
    };
    let integer = FormField::Integer {
        minimum: None,
        maximum: None,
        default: Some(30),
    };
    let number = FormField::Number {
        minimum: None,
        maximum: None,
        default: Some(95.5),
    };
    let choice = FormField::One {
        choices: Choices::Plain(texts(["active", "inactive", "pending"])),
        default: Some("active".to_owned()),
    };
    let boolean = FormField::Boolean {
        default: Some(true),
    };
    vec![
        FormProperty::optional("name", text).described("User name"),
        FormProperty::optional("age", integer).described("User age"),
        FormProperty::optional("score", number).described("User score"),
        FormProperty::optional("status", choice).described("User status"),
        FormProperty::optional("verified", boolean).described("Verification status"),
    ]
}

/// The five forms of a choice (SEP-1330).
fn choices() -> Vec<FormProperty> {
    let plain = || Choices::Plain(texts(["option1", "option2", "option3"]));
    let with_titles = |word: &str| {
        let titles = ["First", "Second", "Third"].map(|place| format!("{place} {word}"));
        let [one, two, three] = titles.each_ref().map(String::as_str);
        Choices::Titled(titled([
            ("value1", one),
            ("value2", two),
            ("value3", three),
        ]))
    };
    let old = [
        ("opt1", "Option One"),
        ("opt2", "Option Two"),
        ("opt3", "Option Three"),
    ];
    let several = |choices| FormField::Several {
        choices,
        min_items: None,
        max_items: None,
        default: Vec::new(),
    };
    vec![
        FormProperty::optional("untitledSingle", FormField::one_of(plain())),
        FormProperty::optional("titledSingle", FormField::one_of(with_titles("Option"))),
        FormProperty::optional(
            "legacyEnum",
            FormField::one_of(Choices::TitledOldStyle(titled(old))),
        ),
        FormProperty::optional("untitledMulti", several(plain())),
        FormProperty::optional("titledMulti", several(with_titles("Choice"))),
    ]
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Prompt>(
            "test_sampling",
            "Asks the client's model.",
            |caller, call| {
                Box::pin(async move {
                    let Prompt { prompt } = call.arguments()?;
                    let answer = caller.ask("sample", sample(&prompt, 100)).await?;
                    Ok(said(match answer {
                        ClientResult::Sampled(sampled) => {
                            format!("LLM response: {}", sampled.text())
                        }
                        other => format!("{other:?}"),
                    }))
                })
            },
        ),
        fixture::<Message>("test_elicitation", "Asks the user.", |caller, call| {
            Box::pin(async move {
                let Message { message } = call.arguments()?;
                let fields = vec![
                    text_field("username").described("User's response"),
                    text_field("email").described("User's email address"),
                ];
                let answer = caller.ask("user", form(&message, fields)).await?;
                Ok(said(format!("User response: {}", outcome(answer))))
            })
        }),
        fixture::<Nothing>(
            "test_elicitation_sep1034_defaults",
            "Asks the user, with answers filled in.",
            |caller, _| {
                Box::pin(async {
                    let question = form("Please review and update the form", defaults());
                    let answer = caller.ask("form", question).await?;
                    Ok(said(format!("Elicitation completed: {}", outcome(answer))))
                })
            },
        ),
        fixture::<Nothing>(
            "test_elicitation_sep1330_enums",
            "Asks the user to choose.",
            |caller, _| {
                Box::pin(async {
                    let answer = caller.ask("form", form("Please choose", choices())).await?;
                    Ok(said(format!("Elicitation completed: {}", outcome(answer))))
                })
            },
        ),
        fixture::<Nothing>(
            "test_elicitation_url",
            "Sends the user to a page.",
            |caller, _| {
                Box::pin(async {
                    let id = RandomIds.uuid();
                    let page = Elicitation::Url {
                        message: "Please agree".to_owned(),
                        url: "https://example.org/agree".to_owned(),
                        id: id.clone(),
                    };
                    let answer = caller.ask("page", ClientRequest::Elicit(page)).await?;
                    if caller.version.era() == Era::Handshake {
                        caller.output.send(elicitation_complete(&id)).await;
                    }
                    Ok(said(format!("Elicitation completed: {}", outcome(answer))))
                })
            },
        ),
        fixture::<Nothing>("test_missing_capability", "Needs sampling.", |caller, _| {
            Box::pin(async {
                let answer = caller.ask("sample", sample("Say something", 10)).await?;
                Ok(said(format!("{answer:?}")))
            })
        }),
        fixture::<Nothing>(
            "test_streaming_elicitation",
            "Reports its progress, then asks the user.",
            |caller, _| {
                Box::pin(async {
                    caller.output.progress(0.0, Some(1.0), Some("asking")).await;
                    let question = form("Please confirm", vec![text_field("answer")]);
                    let answer = caller.ask("user", question).await?;
                    Ok(said(outcome(answer)))
                })
            },
        ),
    ]
}
