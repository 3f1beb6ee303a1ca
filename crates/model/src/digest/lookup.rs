//! The values by which a filter is found among others that want events of the same place.

use super::{CompiledFilter, EventDigest, Field, TextDigest};

/// Fields by which a filter is found, the most selective first. None of them is a part of an address, which an
/// event may have under another name.
const LOOKUP_FIELDS: [Field; 2] = [Field::Number, Field::Actor];
/// Tags of a filter that is found by them. With up to three, looking at which of them came first costs no more
/// than the comparisons that [`CompiledFilter::cost`] counts for them.
const MAX_LOOKUP_TAGS: usize = 3;

/// A value that an event has if it matches the filters that are found by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LookupValue(LookupField, TextDigest);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LookupField {
    Of(Field),
    Tag,
}

impl CompiledFilter {
    /// The values by which the filter is found: an event that matches it has at least one of them. None if it has no
    /// selective field: then it is compared with each event.
    #[must_use]
    pub fn lookup_values(&self) -> Vec<LookupValue> {
        let of = |field| Some((field, self.field(field)?));
        let by = |(field, digest)| vec![LookupValue(LookupField::Of(field), digest)];
        if let Some(found) = LOOKUP_FIELDS.into_iter().find_map(of) {
            return by(found);
        }
        match self.tags.len() {
            1..=MAX_LOOKUP_TAGS => {
                let tags = self.tags.iter();
                tags.map(|tag| LookupValue(LookupField::Tag, *tag))
                    .collect()
            }
            _ => of(Field::Action).map(by).unwrap_or_default(),
        }
    }

    /// As [`Self::count_matches`], for a filter that was found by this value of the event: true for one of the values by
    /// which it is found.
    pub fn count_matches_found(
        &self,
        value: LookupValue,
        event: &EventDigest,
        comparisons: &mut usize,
    ) -> bool {
        if value.0 != LookupField::Tag {
            return self.count_matches(event, comparisons);
        }
        let mut earlier = self.tags.iter().take_while(|tag| **tag != value.1);
        let is_found_before = earlier.any(|tag| {
            *comparisons += 1;
            event.tags.has(*tag)
        });
        !is_found_before && self.count_fields(event, comparisons)
    }
}

impl EventDigest {
    /// The values by which filters are found that may match the event.
    pub fn lookup_values(&self) -> impl Iterator<Item = LookupValue> {
        let fields = LOOKUP_FIELDS.into_iter().chain([Field::Action]);
        let fields = fields.filter_map(|field| {
            let digest = self.fields[field as usize]?;
            Some(LookupValue(LookupField::Of(field), digest))
        });
        let tags = self.tags.sorted.iter();
        fields.chain(tags.map(|tag| LookupValue(LookupField::Tag, *tag)))
    }
}
