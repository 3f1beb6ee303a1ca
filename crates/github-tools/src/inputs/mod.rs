//! Arguments that several tools take.

mod page;
mod place;
mod sprint;
mod words;

pub(crate) use page::{ListPageRequest, PageInput, SizeInput};
pub(crate) use place::{OwnerInput, PlaceInput, RepositoryPlace};
pub(crate) use sprint::SprintPlaceInput;
pub(crate) use words::{choice, count, login, name_list, time};
