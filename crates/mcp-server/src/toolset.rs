//! A named set of offers.

use std::fmt;

use mcp::{prompt::PromptDescriptor, tool::ToolDescriptor};

use crate::{
    completion::Completer, method::ExtensionMethod, offered_tools::ToolsetNames, prompt::Prompt,
    resource::ResourceSource, tool::Tool,
};

/// The offers of one crate to MCP clients. A server is built from several toolsets, and others can
/// be added from outside.
#[derive(Default)]
pub struct Toolset {
    pub(crate) names: ToolsetNames,
    pub(crate) tools: Vec<(ToolDescriptor, Box<dyn Tool>)>,
    pub(crate) prompts: Vec<(PromptDescriptor, Box<dyn Prompt>)>,
    pub(crate) resources: Vec<Box<dyn ResourceSource>>,
    pub(crate) completers: Vec<Box<dyn Completer>>,
    pub(crate) methods: Vec<Box<dyn ExtensionMethod>>,
}

impl fmt::Debug for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toolset")
            .field("name", &self.names.own)
            .field("tools", &self.tools.len())
            .field("prompts", &self.prompts.len())
            .finish_non_exhaustive()
    }
}

impl Toolset {
    /// An empty set; clients select it by `name`, which appears in errors too.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            names: ToolsetNames {
                own: name,
                whole: None,
            },
            ..Self::default()
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names.own
    }

    /// Its tools.
    pub fn tools(&self) -> impl Iterator<Item = &ToolDescriptor> {
        self.tools.iter().map(|(tool, _)| tool)
    }

    /// The set is part of a larger one of this name, by which clients can select it too.
    #[must_use]
    pub fn part_of(mut self, whole: &'static str) -> Self {
        self.names.whole = Some(whole);
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn with_tool(mut self, tool: impl Tool) -> Self {
        self.tools.push((tool.descriptor(), Box::new(tool)));
        self
    }

    /// Adds tools.
    #[must_use]
    pub fn with_tools(mut self, tools: Vec<Box<dyn Tool>>) -> Self {
        let tools = tools.into_iter();
        self.tools
            .extend(tools.map(|tool| (tool.descriptor(), tool)));
        self
    }

    /// Adds a prompt.
    #[must_use]
    pub fn with_prompt(mut self, prompt: impl Prompt + 'static) -> Self {
        self.prompts.push((prompt.descriptor(), Box::new(prompt)));
        self
    }

    /// Adds prompts.
    #[must_use]
    pub fn with_prompts(mut self, prompts: Vec<Box<dyn Prompt>>) -> Self {
        let prompts = prompts.into_iter();
        self.prompts
            .extend(prompts.map(|prompt| (prompt.descriptor(), prompt)));
        self
    }

    /// Adds a family of resources.
    #[must_use]
    pub fn with_resources(mut self, source: impl ResourceSource + 'static) -> Self {
        self.resources.push(Box::new(source));
        self
    }

    /// Adds a completer.
    #[must_use]
    pub fn with_completer(mut self, completer: impl Completer + 'static) -> Self {
        self.completers.push(Box::new(completer));
        self
    }

    /// Adds a method.
    #[must_use]
    pub fn with_method(mut self, method: impl ExtensionMethod + 'static) -> Self {
        self.methods.push(Box::new(method));
        self
    }
}
