//! Tools that become tasks.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp::{
    ErrorCode, RpcError,
    client::{
        ClientRequest, ClientResult, ElicitResult, Elicitation, Form, FormField, FormProperty,
    },
    mrtr::InputRequests,
    tool::{CallToolParams, CallToolResult, ContentBlock, ToolAnnotations, ToolDescriptor},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::fixture::{Nothing, fixture};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    tool::{Execution, Tool},
};

type FixtureCall =
    for<'a> fn(&'a Caller, &'a CallToolParams) -> BoxFuture<'a, Result<CallToolResult, CallError>>;

/// A tool that becomes a task.
struct Job {
    descriptor: ToolDescriptor,
    execution: Execution,
    /// Asks for the user's name before it becomes a task.
    asks_first: bool,
    call: FixtureCall,
}

#[async_trait]
impl Tool for Job {
    fn descriptor(&self) -> ToolDescriptor {
        self.descriptor.clone()
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        (self.call)(caller, call).await
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Memory)
    }

    fn execution(&self) -> Execution {
        self.execution
    }

    async fn before_task(&self, caller: &Caller, _: &CallToolParams) -> Result<(), CallError> {
        if self.asks_first {
            caller.ask("user_name", name_form()).await?;
        }
        Ok(())
    }
}

fn job<Input: JsonSchema>(
    name: &'static str,
    description: &'static str,
    execution: Execution,
    call: FixtureCall,
) -> Job {
    Job {
        descriptor: ToolDescriptor::new::<Input>(
            name,
            name,
            description,
            ToolAnnotations::read_only(),
        ),
        execution,
        asks_first: false,
        call,
    }
}

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::new(vec![ContentBlock::text(text)])
}

#[derive(Deserialize, JsonSchema)]
struct Greet {
    /// The name to greet.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct SlowCompute {
    /// Duration of the job.
    seconds: f64,
    /// Returned in the result.
    #[serde(default)]
    label: String,
}

#[derive(Deserialize, JsonSchema)]
struct ConfirmDelete {
    /// The file that would be deleted.
    filename: String,
}

fn confirm_form(message: &str) -> ClientRequest {
    let field = FormField::Boolean { default: None };
    form(message, "confirm", field)
}

fn name_form() -> ClientRequest {
    let field = FormField::Text {
        min_length: None,
        max_length: None,
        format: None,
        default: None,
    };
    form("What is your name?", "name", field)
}

/// No field is required: the suite's answer may have any content.
fn form(message: &str, name: &'static str, field: FormField) -> ClientRequest {
    ClientRequest::Elicit(Elicitation::Form {
        message: message.to_owned(),
        form: Form::new(vec![FormProperty::optional(name, field)]),
    })
}

fn slow_compute<'a>(
    _: &'a Caller,
    call: &'a CallToolParams,
) -> BoxFuture<'a, Result<CallToolResult, CallError>> {
    Box::pin(async {
        let SlowCompute { seconds, label } = call.arguments()?;
        tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0))).await;
        Ok(text(format!("computed {label} in {seconds} s")))
    })
}

fn confirm_delete<'a>(
    caller: &'a Caller,
    call: &'a CallToolParams,
) -> BoxFuture<'a, Result<CallToolResult, CallError>> {
    Box::pin(async {
        let ConfirmDelete { filename } = call.arguments()?;
        if !caller.client().capabilities.declares(&["elicitation"]) {
            return Ok(text(format!("{filename}: this client cannot be asked")));
        }
        let question = confirm_form(&format!("Delete {filename}?"));
        let answer = caller.ask("confirm", question).await?;
        Ok(text(format!("{filename}: {answer:?}")))
    })
}

fn multi_input<'a>(
    caller: &'a Caller,
    _: &'a CallToolParams,
) -> BoxFuture<'a, Result<CallToolResult, CallError>> {
    Box::pin(async {
        let questions = InputRequests::new()
            .with("name", name_form())
            .with("confirm", confirm_form("Go on?"));
        let answers = caller.ask_all(questions).await?;
        Ok(text(format!("{} answers", answers.len())))
    })
}

fn with_task<'a>(
    caller: &'a Caller,
    _: &'a CallToolParams,
) -> BoxFuture<'a, Result<CallToolResult, CallError>> {
    Box::pin(async {
        let answer = caller.ask("user_name", name_form()).await?;
        let name = match answer {
            ClientResult::Elicited(ElicitResult::Accepted(form)) => form.get("name").cloned(),
            _ => None,
        };
        let name = name.unwrap_or_default();
        Ok(text(format!("Hello, {name}!")))
    })
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    let jobs = vec![
        job::<SlowCompute>(
            "slow_compute",
            "Works for some seconds.",
            Execution::TaskIfPossible,
            slow_compute,
        ),
        job::<Nothing>("failing_job", "Fails.", Execution::TaskOnly, |_, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(CallToolResult::failed("the job failed, as it always does"))
            })
        }),
        job::<Nothing>(
            "protocol_error_job",
            "Ends with a protocol error.",
            Execution::TaskOnly,
            |_, _| {
                Box::pin(async { Err(RpcError::new(ErrorCode::Internal, "the job broke").into()) })
            },
        ),
        job::<ConfirmDelete>(
            "confirm_delete",
            "Asks for confirmation before it would delete a file.",
            Execution::TaskIfPossible,
            confirm_delete,
        ),
        job::<Nothing>(
            "multi_input",
            "Asks two questions at once.",
            Execution::TaskIfPossible,
            multi_input,
        ),
        Job {
            asks_first: true,
            ..job::<Nothing>(
                "test_tool_with_task",
                "Asks first, then works in a task.",
                Execution::TaskOnly,
                with_task,
            )
        },
    ];
    let greet = fixture::<Greet>("greet", "Greets.", |_, call| {
        Box::pin(async {
            let Greet { name } = call.arguments()?;
            Ok(text(format!("Hello, {name}!")))
        })
    });
    let jobs = jobs.into_iter().map(|job| Box::new(job) as Box<dyn Tool>);
    jobs.chain([greet]).collect()
}
