//! Lists of records, read from the index.

use futures_util::{StreamExt, stream};
use model::{PrincipalId, RecordId};
use ports::{RecordPage, RecordsError, StoredRecord};

use super::{
    hash::unreadable,
    index::IndexCall,
    keys::{IndexRange, RecordEntry},
};
use crate::{RedisSessionStore, config::PIPELINED};

impl RedisSessionStore {
    /// Reads from the index until the page is full or the index ends.
    pub(super) async fn page_of_records(
        &self,
        call: IndexCall,
        owner: Option<&PrincipalId>,
        prefix: Option<&RecordId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError> {
        let limit = limit.clamp(1, RecordPage::MAX_RECORDS);
        let mut after = after.map(|id| id.as_str().to_owned());
        if after.is_none() {
            self.mend_record_index(call).await?;
        }
        let (mut page, mut bytes, mut last) = (RecordPage::default(), 0, None);
        loop {
            let wanted = limit - page.records.len();
            // One more than wanted, which shows whether there is a next page.
            let range = IndexRange::new(owner, prefix, after.as_deref());
            let entries = self.record_entries(call, &range, wanted + 1).await?;
            let at_end = entries.len() <= wanted;
            let (mut finds, mut gone) = (Vec::with_capacity(wanted), Vec::new());
            for entry in entries.iter().take(wanted) {
                finds.push(self.find_entry(call, entry));
            }
            let mut found = stream::iter(finds).buffered(PIPELINED);
            let mut of = entries.iter();
            while let (Some(found), Some(entry)) = (found.next().await, of.next()) {
                match found {
                    Ok(Some(record)) => {
                        bytes += record.state.len();
                        if bytes > RecordPage::MAX_BYTES && !page.records.is_empty() {
                            page.next = last;
                            return Ok(page);
                        }
                        last = Some(record.id.clone());
                        page.records.push(record);
                    }
                    Ok(None) => gone.push((entry.clone(), None)),
                    Err(RecordsError::Unreadable { .. }) => {
                        page.unreadable += 1;
                        // The next page must not count it again.
                        last = RecordId::new(entry.id()).ok().or(last);
                    }
                    Err(failed) => return Err(failed),
                }
            }
            drop(found);
            self.reschedule_records(call, gone).await?;
            if at_end || page.records.len() == limit {
                page.next = last.filter(|_| !at_end);
                return Ok(page);
            }
            after = entries.get(wanted - 1).map(|last| last.id().to_owned());
        }
    }

    /// The record of an entry; `None` if it is gone, or another owner's by now.
    async fn find_entry(
        &self,
        call: IndexCall,
        entry: &RecordEntry,
    ) -> Result<Option<StoredRecord>, RecordsError> {
        let id = RecordId::new(entry.id()).map_err(|_| unreadable())?;
        let found = self.find_record(call.op, call.collection, &id).await?;
        Ok(found.filter(|found| found.owner.as_str() == entry.owner()))
    }
}
