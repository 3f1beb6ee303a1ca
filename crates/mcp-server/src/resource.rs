//! Resources that a client can read and subscribe to.

use std::fmt;

use access::Principal;
use async_trait::async_trait;
use mcp::{
    params,
    resource::{
        ReadResourceResult, ResourceContents, ResourceDescriptor, TemplateDescriptor, UriParams,
        not_found,
    },
};
use model::ResourceUri;
use serde_json::value::RawValue;

use crate::{
    call_error::CallError,
    caller::Caller,
    policy::{Policy, RateClass},
};

/// A family of resources.
#[async_trait]
pub trait ResourceSource: Send + Sync {
    /// The resources with fixed URIs; called once, at start.
    fn resources(&self) -> Vec<ResourceDescriptor>;

    /// The templates of the other resources; called once, at start.
    fn templates(&self) -> Vec<TemplateDescriptor>;

    /// The contents of `uri`, in the spelling of the client; `None` if it belongs to another
    /// source, does not exist, or is hidden from the caller.
    ///
    /// # Errors
    /// A component behind the source does not answer.
    async fn read(&self, caller: &Caller, uri: &str)
    -> Result<Option<ResourceContents>, CallError>;

    /// Whether changes of `uri` are announced to a principal that subscribes to it.
    fn is_subscribable(&self, principal: &Principal, uri: &str) -> bool;
}

/// All resources, sorted by URI.
pub struct Resources {
    descriptors: Vec<ResourceDescriptor>,
    templates: Vec<TemplateDescriptor>,
    sources: Vec<Box<dyn ResourceSource>>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uris = self.descriptors.iter().map(|resource| &resource.uri);
        let templates = self.templates.iter().map(|template| &template.uri_template);
        f.debug_list().entries(uris.chain(templates)).finish()
    }
}

impl Resources {
    pub(crate) fn new(sources: Vec<Box<dyn ResourceSource>>) -> Self {
        let mut descriptors: Vec<_> = sources.iter().flat_map(|s| s.resources()).collect();
        let mut templates: Vec<_> = sources.iter().flat_map(|s| s.templates()).collect();
        descriptors.sort_by(|a, b| a.uri.cmp(&b.uri));
        templates.sort_by(|a, b| a.uri_template.cmp(&b.uri_template));
        Self {
            descriptors,
            templates,
            sources,
        }
    }

    /// The resources that `resources/list` lists.
    pub(crate) fn descriptors(&self) -> &[ResourceDescriptor] {
        &self.descriptors
    }

    /// The templates that `resources/templates/list` lists.
    pub(crate) fn templates(&self) -> &[TemplateDescriptor] {
        &self.templates
    }

    /// `resources/read`.
    ///
    /// # Errors
    /// Not a resource of this server, not known yet, not admitted, or the store does not answer.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        params: Option<Box<RawValue>>,
    ) -> Result<ReadResourceResult, CallError> {
        let read = params::parse(params.as_deref());
        drop(params);
        let UriParams { uri } = read?;
        let _admitted = caller.admit(Policy::read(RateClass::Store))?;
        for source in &self.sources {
            if let Some(contents) = source.read(caller, &uri).await? {
                return Ok(ReadResourceResult::new(contents));
            }
        }
        let reason = match ResourceUri::parse(&uri) {
            Ok(_) => {
                "no event has brought it yet (one that was too large came without it)".to_owned()
            }
            Err(error) => error.to_string(),
        };
        Err(not_found(caller.version, &uri, &reason).into())
    }

    /// Whether some source announces changes of `uri` to this principal.
    #[must_use]
    pub fn is_subscribable(&self, principal: &Principal, uri: &str) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.is_subscribable(principal, uri))
    }
}
