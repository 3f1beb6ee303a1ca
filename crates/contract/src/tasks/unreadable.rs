//! TS-15: tasks that another build wrote, or that are damaged.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use edge_records::TaskRecordsError;
use ports::Collection;

use super::{WIDE, is_stored, task, tasks_of};
use crate::{Harness, records_fixture::spoil};

const TASKS: Collection = Collection::new("tasks");

pub(super) async fn a_task_of_another_version_concerns_itself_alone(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let (tasks, records) = (tasks_of(&fixture.store), fixture.records());
    let whole = tasks.create(&task(0), WIDE).await?;
    for (n, damage) in (1..).zip([&b""[..], b"\x02\x00state", b"\x00", b"\x01", b"\x01\x02"]) {
        tasks.create(&task(n), WIDE).await?;
        let page = records.list(TASKS, None, None, 100).await?;
        let name = format!("{}@", task(n).id);
        let mut found = page.records.into_iter();
        let found = found.find(|found| found.id.as_str().starts_with(&name));
        let found = found.context("its record is listed")?;
        let key = ports::RecordKey {
            collection: TASKS,
            id: found.id,
        };
        spoil(&*records, &key, damage.to_vec()).await?;
        let loaded = tasks.load(&task(n).owner, &task(n).id).await;
        let Err(TaskRecordsError::Unreadable { source }) = loaded else {
            anyhow::bail!("{damage:?}: {loaded:?}");
        };
        let text = source.to_string();
        let names_both = text.contains("version 2") && text.contains("version 1");
        ensure!(n != 2 || names_both, "{text}");
        is_stored(&tasks, &task(0), whole).await?;
    }
    Ok(())
}
