//! Every bound of what the directory of names keeps, with its unit and the reason for its value.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | the changes of names in their record | 1 MiB | [`MAX_NAME_CHANGES`] of the longest names |
//! | the names of places, in records of 0.6 MiB | 9 MiB | [`MAX_SHOWN_PLACES`] of the longest names |
//! | all of them in memory, with their index | 25 MiB | as above |
//! | the pins of one principal in its record | 0.7 MiB | [`MAX_PINS`] of the longest names |

/// Renames, transfers and new holders of names that are remembered, the newest ones. An organization with 10,000
/// repositories that renames one in twenty each year fills it in three years. Beyond it the oldest is forgotten: a
/// filter for that former name follows no longer. What a token sees does not depend on it.
pub const MAX_NAME_CHANGES: usize = 1664;
/// Names under which one owner or repository is known, the newest ones.
pub(crate) const MAX_NAMES_OF_PLACE: usize = 16;
/// Holders of one name, the newest ones.
pub(crate) const MAX_HOLDERS_OF_NAME: usize = 16;
/// Notes of one answer on names of its filters that have had several holders; one more says that there are others.
pub(crate) const MAX_NAME_NOTES: usize = 3;
/// Other holders of a name whose present name a note tells, the newest ones: with the longest names, all notes of an
/// answer fit into the smallest that a caller may ask for.
pub(crate) const MAX_NOTED_HOLDERS: usize = 2;
/// Names of one principal that are pinned: those of 16 tokens with as many names as a token may have. Names
/// beyond it are compared as names.
pub const MAX_PINS: usize = 4096;
/// Renames that a stream which is just being built applies when it opens: more than happen within that time.
pub(crate) const MAX_RECENT_RENAMES: usize = 256;
/// Owners and repositories of which the name is remembered under which an event has shown them: those of the largest
/// organizations. Beyond it, those are forgotten whose name has been the same for longest; if one of them is renamed
/// and no event tells of it, filters for its former name follow no longer.
pub const MAX_SHOWN_PLACES: usize = SHOWN_PARTS * MAX_SHOWN_PLACES_OF_PART;
/// Parts in which they are stored, by id: a first event of a place writes one of them.
pub const SHOWN_PARTS: usize = 16;
/// Of one part: with the longest names they fit into one record.
pub(crate) const MAX_SHOWN_PLACES_OF_PART: usize = 2048;
/// Time after which an event under a former name of a place, which no event tells that it got back, says so by itself,
/// in units of 100 ns: ten seconds. GitHub writes payloads on several machines and from caches, so that one from just
/// after a rename may show the name before it.
pub(crate) const UNTOLD_RETURN_TICKS: u64 = 10 * 10_000_000;
