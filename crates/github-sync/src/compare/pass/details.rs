//! What lists do not show, read with GraphQL after them: what is common to projects and pull requests.

use model::Timestamp;
use ports::MirroredKind;
use tracing::warn;

use super::Pass;
use crate::{
    compare::error::CompareError,
    details::{DetailAnswer, DetailPage},
    limits::POINTS_RESERVE,
    listed::{ListedPlace, is_detail},
    mirror::ShownAs,
};

impl Pass<'_> {
    /// Reads the details of what has changed.
    pub(super) async fn details(&mut self, place: &ListedPlace) -> Result<(), CompareError> {
        let kinds = self.comparer.kinds_of(self.label);
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| is_detail(*kind)).collect();
        if place.repository.is_none() && !kinds.is_empty() {
            let read = self.projects(place, &kinds).await;
            return self.ended(&kinds, read);
        }
        for kind in kinds {
            let read = match kind {
                MirroredKind::PullState => self.pulls(place).await,
                _ => self.links(place).await,
            };
            self.ended(&[kind], read)?;
        }
        Ok(())
    }

    /// Heavy queries fail for themselves, and lists were read all the same.
    fn ended(
        &mut self,
        kinds: &[MirroredKind],
        read: Result<(), CompareError>,
    ) -> Result<(), CompareError> {
        match read {
            Err(error @ CompareError::Github(_)) if !error.is_of_limit() => {
                for kind in kinds {
                    self.list_fails(*kind, &error);
                }
                Ok(())
            }
            read => read,
        }
    }

    /// Counts a query; ends the comparison while others with the same credentials need the points that are left.
    pub(super) fn begin_query(&mut self) -> Result<(), CompareError> {
        let left = self.comparer.client.points_left();
        if left.is_some_and(|left| left < POINTS_RESERVE) {
            return Err(CompareError::BudgetLow);
        }
        self.tally.requests += 1;
        Ok(())
    }

    /// Counts what a query cost.
    pub(super) fn note_points<T>(&mut self, answer: &DetailAnswer<T>) {
        self.tally.points += answer.points;
    }

    /// Shows a page of details to the mirror, and stores it.
    pub(super) async fn take_details(
        &mut self,
        place: &ListedPlace,
        page: &DetailPage,
        asked_at: Timestamp,
    ) -> Result<(), CompareError> {
        self.comparer
            .metrics
            .listed
            .inc_by(page.objects.len() as u64);
        self.tally.listed += page.objects.len();
        for object in &page.objects {
            let how = match self.state.list(object.kind).as_of {
                None => ShownAs::baseline,
                Some(_) => ShownAs::compared,
            };
            self.show(place, object, asked_at, how);
        }
        self.save_states(place).await?;
        // Others learn from it which states were stored.
        self.save().await
    }

    /// Notes that details of a kind are known as of a time, or what GitHub does not give of them: what was known stays.
    pub(super) fn note_details(
        &mut self,
        kind: MirroredKind,
        as_of: Option<Timestamp>,
        fault: Option<&str>,
    ) {
        let list = self.state.list(kind);
        if let Some(fault) = fault
            && list.failure.as_deref() != Some(fault)
        {
            warn!(place = %self.label, %kind, fault, "GitHub gives details in part; what was known stays");
        }
        let list = self.state.list(kind);
        list.failure = fault.map(str::to_owned);
        if fault.is_none() {
            list.as_of = as_of.or(list.as_of);
        }
        self.is_changed = true;
        self.show_progress(kind);
    }
}
