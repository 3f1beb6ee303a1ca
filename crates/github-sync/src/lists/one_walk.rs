//! The one object of a repository.

use github::{RestCall, Validators};
use serde::{Deserialize, Serialize};

use super::page::WalkedPage;

/// What is known of the object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct OneWalk {
    tags: Validators,
}

impl OneWalk {
    pub(super) fn call(&self, object: RestCall) -> RestCall {
        object.unless(self.tags.clone())
    }

    pub(super) fn take(&mut self, page: WalkedPage) {
        if let WalkedPage::Page(page) = page {
            self.tags = page.tags;
        }
    }
}
