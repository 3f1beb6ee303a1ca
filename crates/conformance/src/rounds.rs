//! Tools that need input, in one round or several (SEP-2322).

use mcp::{
    client::{ClientRequest, FormField, FormProperty},
    mrtr::InputRequests,
};

use super::asking::{form, sample, text_field};
use crate::fixture::{Nothing, fixture, said};
use mcp_server::tool::Tool;

fn name() -> ClientRequest {
    form("What is your name?", vec![text_field("name")])
}

fn confirm() -> ClientRequest {
    let ok = FormProperty::required("ok", FormField::boolean());
    form("Please confirm", vec![ok])
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    let mut tools = single();
    tools.extend(several());
    tools
}

/// One question.
fn single() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>(
            "test_input_required_result_elicitation",
            "Asks for a name.",
            |caller, _| {
                Box::pin(async {
                    let answer = caller.ask("user_name", name()).await?;
                    Ok(said(format!("Hello, {answer:?}!")))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_sampling",
            "Asks the client's model.",
            |caller, _| {
                Box::pin(async {
                    let question = sample("What is the capital of France?", 100);
                    let answer = caller.ask("capital_question", question).await?;
                    Ok(said(format!("{answer:?}")))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_list_roots",
            "Asks for roots.",
            |caller, _| {
                Box::pin(async {
                    let answer = caller.ask("client_roots", ClientRequest::ListRoots).await?;
                    Ok(said(format!("{answer:?}")))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_request_state",
            "Asks with a state.",
            |caller, _| {
                Box::pin(async {
                    caller.ask("confirm", confirm()).await?;
                    Ok(said("state-ok"))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_tampered_state",
            "Asks with a state that must come back as it was.",
            |caller, _| {
                Box::pin(async {
                    caller.ask("confirm", confirm()).await?;
                    Ok(said("state-ok"))
                })
            },
        ),
    ]
}

/// Several questions, at once or one after another.
fn several() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>(
            "test_input_required_result_multiple_inputs",
            "Asks three questions at once.",
            |caller, _| {
                Box::pin(async {
                    let requests = InputRequests::new()
                        .with("user_name", name())
                        .with("greeting", sample("Generate a greeting", 50))
                        .with("client_roots", ClientRequest::ListRoots);
                    let answers = caller.ask_all(requests).await?;
                    Ok(said(format!("{} answers", answers.len())))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_multi_round",
            "Asks two questions, one after the other.",
            |caller, _| {
                Box::pin(async {
                    let step = form("Step 1: What is your name?", vec![text_field("name")]);
                    let name = caller.ask("step1", step).await?;
                    let colour = vec![text_field("color")];
                    let step = form("Step 2: What is your favorite color?", colour);
                    let colour = caller.ask("step2", step).await?;
                    Ok(said(format!("{name:?}, {colour:?}")))
                })
            },
        ),
        fixture::<Nothing>(
            "test_input_required_result_capabilities",
            "Asks only the questions that the client's capabilities allow.",
            |caller, _| {
                Box::pin(async {
                    let requests = InputRequests::new()
                        .with("user_name", name())
                        .with("greeting", sample("Generate a greeting", 50));
                    let possible = requests.possible(caller.version, &caller.client().capabilities);
                    let answers = caller.ask_all(possible).await?;
                    Ok(said(format!("{} answers", answers.len())))
                })
            },
        ),
    ]
}
