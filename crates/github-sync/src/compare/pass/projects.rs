//! Fields, views and items of projects: those of a project that has not changed are not asked for.

use std::collections::BTreeSet;

use model::Timestamp;
use ports::MirroredKind;

use super::Pass;
use crate::{
    compare::{comparer::ItemWalk, error::CompareError, place_records::PlaceLabel},
    details::{DetailPage, ProjectToRead, project_of, settled},
    limits::MAX_ITEM_PAGES,
    listed::ListedPlace,
    mirror::LivingState,
};

/// What GitHub does not give, of each kind.
type UngivenParts = Vec<(MirroredKind, String)>;

/// Of a project that has not been read whole.
const NEVER: Timestamp = Timestamp::MIN;

impl Pass<'_> {
    /// Reads the projects that have changed; what is in one that is gone is gone as well.
    pub(super) async fn projects(
        &mut self,
        place: &ListedPlace,
        kinds: &[MirroredKind],
    ) -> Result<(), CompareError> {
        let began_at = self.comparer.clock.now();
        let projects = self.comparer.mirror.living(place, MirroredKind::Project);
        self.forget_gone_projects(place, &projects, began_at);
        if kinds
            .iter()
            .any(|kind| self.comparer.reads_again(self.label, place, *kind))
        {
            self.state
                .projects
                .values_mut()
                .for_each(|known| *known = NEVER);
        }
        // They are as whole as the list of projects.
        let as_of = self.is_read(MirroredKind::Project).then_some(began_at);
        let mut faults = UngivenParts::new();
        for project in &projects {
            let known = self.state.projects.get(&project.number);
            let is_due = known.map_or(project.is_open, |known| project.updated_at > *known);
            if is_due {
                // From the first page on it is known that something of it is in the mirror.
                self.state.projects.entry(project.number).or_insert(NEVER);
                self.project(place, project, kinds, &mut faults).await?;
            }
        }
        for kind in kinds {
            let fault = faults.iter().find(|(of, _)| of == kind);
            let fault = fault.map(|(_, fault)| fault.as_str());
            self.note_details(*kind, as_of, fault);
        }
        Ok(())
    }

    async fn project(
        &mut self,
        place: &ListedPlace,
        project: &LivingState,
        kinds: &[MirroredKind],
        faults: &mut UngivenParts,
    ) -> Result<(), CompareError> {
        let before = faults.len();
        let to_read = ProjectToRead {
            owner: &place.owner,
            number: project.number,
            node_id: &project.node_id,
        };
        let mut read_for = settled(project.updated_at, self.comparer.clock.now());
        if kinds.iter().any(|kind| *kind != MirroredKind::ProjectItem) {
            self.begin_query()?;
            let answer = self.comparer.details.fields_and_views(to_read).await?;
            self.note_points(&answer);
            let [fields, views] = answer.read;
            for (kind, page) in [
                (MirroredKind::ProjectField, fields),
                (MirroredKind::ProjectView, views),
            ] {
                if kinds.contains(&kind) {
                    let at = answer.asked_at;
                    self.short_part(place, to_read, (kind, page, at), faults)
                        .await?;
                }
            }
        }
        if kinds.contains(&MirroredKind::ProjectItem) {
            read_for = read_for.min(self.items(place, to_read, read_for, faults).await?);
        }
        if faults.len() == before {
            self.state.projects.insert(project.number, read_for);
            self.is_changed = true;
            self.save().await?;
        }
        Ok(())
    }

    /// Takes all pages of the fields or the views, of which the first was read.
    async fn short_part(
        &mut self,
        place: &ListedPlace,
        project: ProjectToRead<'_>,
        (kind, mut page, mut asked_at): (MirroredKind, DetailPage, Timestamp),
        faults: &mut UngivenParts,
    ) -> Result<(), CompareError> {
        let mut seen = BTreeSet::new();
        loop {
            self.take_details(place, &page, asked_at).await?;
            seen.extend(page.objects.iter().map(|object| object.number));
            if let Some(fault) = page.fault {
                faults.push((kind, fault));
                return Ok(());
            }
            let Some(after) = page.next.filter(|_| kind == MirroredKind::ProjectView) else {
                break;
            };
            self.begin_query()?;
            let details = &self.comparer.details;
            let answer = details.project_page(project, kind, Some(&after)).await?;
            self.note_points(&answer);
            (page, asked_at) = (answer.read, answer.asked_at);
        }
        self.forget_unseen(place, (kind, project.number), &seen, asked_at);
        Ok(())
    }

    /// Reads the items, from where a comparison was ended if one was. Returns up to when changes of the project are in them.
    async fn items(
        &mut self,
        place: &ListedPlace,
        project: ProjectToRead<'_>,
        read_for: Timestamp,
        faults: &mut UngivenParts,
    ) -> Result<Timestamp, CompareError> {
        const KIND: MirroredKind = MirroredKind::ProjectItem;
        let key = (self.label.clone(), project.number);
        let walk = self.comparer.walks.lock().remove(&key);
        let mut walk = walk.unwrap_or_else(|| ItemWalk::from_start(read_for));
        loop {
            // Until its page is taken, the walk is where it was.
            self.comparer.walks.lock().insert(key.clone(), walk.clone());
            self.begin_query()?;
            let details = &self.comparer.details;
            let answer = details.project_page(project, KIND, walk.after.as_deref());
            let answer = answer.await?;
            self.note_points(&answer);
            let (page, asked_at) = (answer.read, answer.asked_at);
            self.take_details(place, &page, asked_at).await?;
            let seen = page.objects.iter().map(|object| object.number);
            walk.seen.extend(seen);
            walk.pages += 1;
            let is_at_bound = walk.pages >= MAX_ITEM_PAGES;
            if let Some(fault) = page.fault {
                faults.push((KIND, fault));
                self.comparer.walks.lock().remove(&key);
                return Ok(walk.read_for);
            }
            walk.after = page.next.filter(|next| walk.after.as_ref() != Some(next));
            if walk.after.is_none() || is_at_bound {
                self.comparer.walks.lock().remove(&key);
                if !is_at_bound {
                    self.forget_unseen(place, (KIND, project.number), &walk.seen, asked_at);
                }
                return Ok(walk.read_for);
            }
        }
    }

    /// What a project no longer has.
    fn forget_unseen(
        &self,
        place: &ListedPlace,
        (kind, project): (MirroredKind, u64),
        seen: &BTreeSet<u64>,
        asked_at: Timestamp,
    ) {
        for known in self.comparer.mirror.living(place, kind) {
            if !seen.contains(&known.number) && project_of(&known.json) == Some(project) {
                let mirror = &self.comparer.mirror;
                mirror.show_gone(place, kind, known.number, asked_at);
            }
        }
    }

    fn forget_gone_projects(&mut self, place: &ListedPlace, now: &[LivingState], at: Timestamp) {
        let read = self.state.projects.keys().copied();
        let living: BTreeSet<_> = now.iter().map(|project| project.number).collect();
        let gone: Vec<_> = read.filter(|number| !living.contains(number)).collect();
        let is_left =
            |(label, number): &(PlaceLabel, u64)| label != self.label || living.contains(number);
        self.comparer.walks.lock().retain(|key, _| is_left(key));
        for number in gone {
            for kind in self.comparer.kinds_of(self.label) {
                self.forget_unseen(place, (kind, number), &BTreeSet::new(), at);
            }
            self.state.projects.remove(&number);
            self.is_changed = true;
        }
    }
}
