//! All offers of a server, and the methods that both eras share.
//!
//! The server turns HTTP into a checked request; the registry turns that into a JSON-RPC message.
//! The server itself handles the methods that only one era has.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use mcp::{
    HttpRefusal, RequestId, RpcError,
    answer::CacheHint,
    extension::Extensions,
    method,
    page::{ListParams, paginate},
    profile::ServerProfile,
    prompt, resource,
    stateless::discover_result,
    tool,
};
use serde_json::value::RawValue;

use crate::{
    call_error::CallError,
    call_metrics::CallMetrics,
    caller::Caller,
    completion::{Completer, complete},
    method::ExtensionMethod,
    prompt::Prompts,
    resource::Resources,
    tool::{NamedTool, ToolCall, Tools, as_result},
    toolset::Toolset,
    waiting::{CallReply, WaitingCall},
};

/// Entries on one page of a list.
const PAGE_ITEMS: usize = 100;
/// Time for which clients may cache lists: they change only with a new version of the server.
const LIST_TTL_MILLIS: u64 = 300_000;
/// Resources change with every event: they are not cached.
const RESOURCE_TTL_MILLIS: u64 = 0;

/// Two offers with the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} {name} is in both toolsets {first} and {second}: rename one, or leave one toolset out"
)]
pub struct RegistryError {
    kind: &'static str,
    name: String,
    first: &'static str,
    second: &'static str,
}

/// The offers of a server.
pub struct OfferRegistry {
    profile: ServerProfile,
    extensions: Extensions,
    tools: Tools,
    prompts: Prompts,
    resources: Resources,
    completers: Vec<Box<dyn Completer>>,
    methods: BTreeMap<&'static str, Arc<dyn ExtensionMethod>>,
}

impl fmt::Debug for OfferRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferRegistry")
            .field("tools", &self.tools)
            .field("prompts", &self.prompts)
            .field("resources", &self.resources)
            .field("methods", &self.methods.keys())
            .finish_non_exhaustive()
    }
}

impl OfferRegistry {
    /// A server with this profile that offers these toolsets.
    ///
    /// # Errors
    /// Two tools, prompts or methods have the same name; the error names both toolsets.
    pub fn new(
        profile: ServerProfile,
        extensions: Extensions,
        toolsets: Vec<Toolset>,
    ) -> Result<Self, RegistryError> {
        check_names(&toolsets)?;
        let (mut all, mut tools) = (Toolset::new("all"), Vec::new());
        for toolset in toolsets {
            let names = toolset.names;
            let own = toolset.tools.into_iter();
            tools.extend(own.map(|(descriptor, tool)| NamedTool {
                descriptor,
                tool,
                names,
            }));
            all.prompts.extend(toolset.prompts);
            all.resources.extend(toolset.resources);
            all.completers.extend(toolset.completers);
            all.methods.extend(toolset.methods);
        }
        let methods = all.methods.into_iter();
        Ok(Self {
            profile,
            extensions,
            tools: Tools::new(tools),
            prompts: Prompts::new(all.prompts),
            resources: Resources::new(all.resources),
            completers: all.completers,
            methods: methods
                .map(|method| (method.name(), Arc::from(method)))
                .collect(),
        })
    }

    /// Counts the calls of its tools in these metrics.
    #[must_use]
    pub fn observed_by(self, metrics: &CallMetrics) -> Self {
        Self {
            tools: self.tools.observed_by(metrics),
            ..self
        }
    }

    /// The description of the server for clients.
    #[must_use]
    pub fn profile(&self) -> &ServerProfile {
        &self.profile
    }

    /// The tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The resources.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Answers a method that both eras have, `server/discover`, or a method of an extension. The
    /// server handles `tools/call`, because it may become a task.
    /// The params are dropped as soon as they are read: a call may wait for long.
    ///
    /// # Errors
    /// The JSON-RPC error to answer with, and its HTTP status if no stream has begun.
    pub async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        name: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Bytes, HttpRefusal> {
        match name {
            method::DISCOVER => {
                let found = discover_result(caller.version, &self.profile);
                let found = found.with_extensions(&self.extensions);
                Ok(caller.cached(id, &found, CacheHint::public(LIST_TTL_MILLIS)))
            }
            method::TOOLS_LIST => self.list_tools(caller, id, params.as_deref()),
            method::PROMPTS_LIST => self.list_prompts(caller, id, params.as_deref()),
            method::RESOURCES_LIST => self.list_resources(caller, id, params.as_deref()),
            method::RESOURCES_TEMPLATES_LIST => self.list_templates(caller, id, params.as_deref()),
            method::RESOURCES_READ => match self.resources.read(caller, params).await {
                Ok(read) => Ok(caller.cached(id, &read, CacheHint::private(RESOURCE_TTL_MILLIS))),
                Err(error) => caller.error_answer(id, error),
            },
            method::PROMPTS_GET => match self.prompts.get(caller, params).await {
                Ok(prompt) => Ok(caller.answer(id, &prompt.for_version(caller.version))),
                Err(error) => caller.error_answer(id, error),
            },
            method::COMPLETION => {
                let known = (&self.prompts, &self.resources);
                match complete(known, &self.completers, caller, params).await {
                    Ok(completion) => Ok(caller.answer(id, &completion)),
                    Err(error) => caller.error_answer(id, error),
                }
            }
            other => match self.methods.get(other) {
                Some(method) => match caller.admit(method.policy()) {
                    Ok(_admitted) => method.call(caller, id, params).await,
                    Err(error) => caller.error_answer(id, error),
                },
                None => Err(RpcError::method_not_found(other).into()),
            },
        }
    }

    fn list_tools(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Result<Bytes, HttpRefusal> {
        let cursor = ListParams::parse(params)?.cursor;
        let all = self.tools.offered_descriptors(&caller.offered);
        let page = paginate("tools", &all, cursor.as_deref(), PAGE_ITEMS, |t| t.name())?;
        let list = tool::list_result(caller.version, page.items, page.next_cursor.as_deref());
        // A list that differs by the headers of a request is nothing for a cache that others share.
        let hint = match caller.offered.is_choice() {
            true => CacheHint::private(LIST_TTL_MILLIS),
            false => CacheHint::public(LIST_TTL_MILLIS),
        };
        Ok(caller.cached(id, &list, hint))
    }

    fn list_prompts(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Result<Bytes, HttpRefusal> {
        let (all, cursor) = (
            self.prompts.descriptors(),
            ListParams::parse(params)?.cursor,
        );
        let page = paginate("prompts", all, cursor.as_deref(), PAGE_ITEMS, |p| p.name)?;
        let list = prompt::list_result(caller.version, page.items, page.next_cursor.as_deref());
        Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
    }

    fn list_resources(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Result<Bytes, HttpRefusal> {
        let all = self.resources.descriptors();
        let cursor = ListParams::parse(params)?.cursor;
        let page = paginate("resources", all, cursor.as_deref(), PAGE_ITEMS, |r| &r.uri)?;
        let list = resource::list_result(caller.version, page.items, page.next_cursor.as_deref());
        Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
    }

    fn list_templates(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Result<Bytes, HttpRefusal> {
        let all = self.resources.templates();
        let cursor = ListParams::parse(params)?.cursor;
        let page = paginate("templates", all, cursor.as_deref(), PAGE_ITEMS, |t| {
            &t.uri_template
        })?;
        let next = page.next_cursor.as_deref();
        let list = resource::templates_result(caller.version, page.items, next);
        Ok(caller.cached(id, &list, CacheHint::public(LIST_TTL_MILLIS)))
    }

    /// Makes a call again whose wait is over.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_again(
        &self,
        caller: &Caller,
        id: &RequestId,
        mut waiting: Box<WaitingCall>,
    ) -> Result<CallReply, HttpRefusal> {
        let observed = waiting.observed.take();
        let call = async move {
            match self.tools.call_again(caller, waiting).await {
                ToolCall::Done(outcome) => {
                    Self::tool_answer(caller, id, outcome).map(CallReply::Message)
                }
                ToolCall::Waits(waiting) => Ok(CallReply::Waits(waiting)),
                ToolCall::Task(..) => Err(RpcError::internal().into()),
            }
        };
        match observed {
            Some(observed) => observed.observe(call).await,
            None => call.await,
        }
    }

    /// The answer to `tools/call` once the tool has run.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn tool_answer(
        caller: &Caller,
        id: &RequestId,
        outcome: Result<tool::CallToolResult, CallError>,
    ) -> Result<Bytes, HttpRefusal> {
        match as_result(caller, outcome) {
            Ok(result) => Ok(caller.answer(id, &result.for_version(caller.version))),
            Err(error) => caller.error_answer(id, error),
        }
    }
}

fn check_names(toolsets: &[Toolset]) -> Result<(), RegistryError> {
    let mut seen: BTreeMap<(&'static str, String), &'static str> = BTreeMap::new();
    for toolset in toolsets {
        let tools = toolset.tools.iter();
        let tools = tools.map(|(tool, _)| ("tool", tool.name().to_owned()));
        let prompts = toolset.prompts.iter();
        let prompts = prompts.map(|(prompt, _)| ("prompt", prompt.name.to_owned()));
        let methods = toolset.methods.iter();
        let methods = methods.map(|method| ("method", method.name().to_owned()));
        for (kind, name) in tools.chain(prompts).chain(methods) {
            if let Some(first) = seen.insert((kind, name.clone()), toolset.name()) {
                let second = toolset.name();
                return Err(RegistryError {
                    kind,
                    name,
                    first,
                    second,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    struct Named(&'static str);

    #[async_trait]
    impl ExtensionMethod for Named {
        fn name(&self) -> &'static str {
            self.0
        }

        async fn call(
            &self,
            caller: &Caller,
            id: &RequestId,
            _: Option<Box<RawValue>>,
        ) -> Result<Bytes, HttpRefusal> {
            Ok(caller.done(id))
        }
    }

    #[test]
    fn two_offers_of_one_name_are_refused_with_the_names_of_both_toolsets() {
        let toolsets = vec![
            Toolset::new("one").with_method(Named("a/b")),
            Toolset::new("two").with_method(Named("a/b")),
        ];
        let text = check_names(&toolsets).unwrap_err().to_string();
        assert!(
            ["a/b", "one", "two"].iter().all(|word| text.contains(word)),
            "{text}"
        );
        assert_eq!(check_names(&toolsets[..1]), Ok(()));
    }
}
