//! What projects (v2) are made of.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::keys::{AccountKey, ProjectKey, TicketKey};

/// A project of an organization or a user.
#[derive(Debug, Clone)]
pub struct FakeProject {
    /// Its owner.
    pub owner: AccountKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Its number with the owner.
    pub number: u64,
    /// Title.
    pub title: String,
    /// A line about it.
    pub summary: Option<String>,
    /// Who created it.
    pub creator: AccountKey,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Its fields, in order.
    pub fields: Vec<FakeField>,
    /// Its views, in order.
    pub views: Vec<FakeView>,
}

/// A field of a project.
#[derive(Debug, Clone)]
pub struct FakeField {
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Name.
    pub name: String,
    /// What it holds.
    pub kind: FakeFieldKind,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FakeFieldKind {
    /// The title of the item.
    Title,
    /// Text.
    Text,
    /// A number.
    Number,
    /// A day.
    Date,
    /// One of some options.
    Select(Vec<FakeOption>),
    /// One of some iterations: sprints.
    Iteration {
        /// Length of new ones.
        duration_days: u32,
        /// The present and coming ones.
        active: Vec<FakeIteration>,
        /// Those that are over.
        completed: Vec<FakeIteration>,
    },
}

/// An option of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeOption {
    /// Eight hexadecimal digits.
    pub id: String,
    /// Name.
    pub name: String,
}

/// An iteration of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeIteration {
    /// Eight hexadecimal digits.
    pub id: String,
    /// Title.
    pub title: String,
    /// First day: `2026-11-30`.
    pub start: String,
    /// Length.
    pub duration_days: u32,
}

/// A view of a project.
#[derive(Debug, Clone)]
pub struct FakeView {
    /// Database id.
    pub id: u64,
    /// Its number in the project.
    pub number: u64,
    /// Name.
    pub name: String,
    /// `TABLE_LAYOUT`, `BOARD_LAYOUT` or `ROADMAP_LAYOUT`.
    pub layout: &'static str,
    /// Filter, as text.
    pub filter: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What an item shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FakeItemContent {
    /// An issue or a pull request.
    Ticket(TicketKey),
    /// A draft that is nowhere else.
    Draft {
        /// Node id.
        node_id: String,
        /// Title.
        title: String,
    },
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FakeFieldValue {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A day.
    Date(String),
    /// Id of an option.
    Option(String),
    /// Id of an iteration.
    Iteration(String),
}

/// An item of a project.
#[derive(Debug, Clone)]
pub struct FakeItem {
    /// Its project.
    pub project: ProjectKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// What it shows.
    pub content: FakeItemContent,
    /// Values by the id of their field.
    pub values: BTreeMap<u64, FakeFieldValue>,
    /// Who added it.
    pub creator: AccountKey,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}
