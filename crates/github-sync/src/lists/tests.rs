//! Lists read from a GitHub that changes meanwhile: what it has is what the steps bring in the end.

mod again;
mod bounds;
mod changes;
mod interrupted;
mod many;
mod seconds;
mod world;
