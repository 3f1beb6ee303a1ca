//! Changes between the steps, in any order, and processes that end: a pass at rest has what GitHub has.

use std::{collections::BTreeMap, time::Duration};

use model::Timestamp;
use ports::MirroredKind;
use proptest::prelude::*;

use super::world::{ListWorld, ReadList, Served};

/// Items in a page.
const PAGE: usize = 3;

#[derive(Debug, Clone)]
enum Happening {
    Open,
    /// A change of one of those that there are.
    Edit(usize),
    Close(usize),
    /// A milestone is deleted.
    Delete(usize),
    /// A milestone moves in its list.
    Move(usize, u64),
    Pass(u64),
    Step,
    /// What was read since the last [`Self::Save`] is lost.
    Kill,
    Save,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Open),
        3 => (0..40_usize).prop_map(Happening::Edit),
        1 => (0..40_usize).prop_map(Happening::Close),
        1 => (0..40_usize).prop_map(Happening::Delete),
        1 => (0..40_usize, 0..100_u64).prop_map(|(which, due)| Happening::Move(which, due)),
        2 => (1..9_u64).prop_map(Happening::Pass),
        1 => (50..90_u64).prop_map(Happening::Pass),
        9 => Just(Happening::Step),
        1 => Just(Happening::Kill),
        1 => Just(Happening::Save),
    ]
}

impl ListWorld {
    fn open(&self, kind: MirroredKind, title: &str) {
        self.change(|world, repo| match kind {
            MirroredKind::Milestone => {
                world.create_milestone(repo, title);
            }
            MirroredKind::PullRequest => {
                world.open_pull(repo, title, [title, "main"]);
            }
            _ => {
                world.open_issue(repo, title);
            }
        });
    }

    /// Lets something happen that is no matter of the reader.
    fn happen(&self, kind: MirroredKind, happening: &Happening, at: usize) {
        let title = format!("{kind}-{at}");
        match *happening {
            Happening::Open => self.open(kind, &title),
            Happening::Pass(seconds) => self.pass_time(seconds),
            Happening::Edit(which)
            | Happening::Close(which)
            | Happening::Delete(which)
            | Happening::Move(which, _) => self.change(|world, repo| {
                if kind == MirroredKind::Milestone {
                    let ids: Vec<u64> = world.milestones_of(repo).map(|it| it.id).collect();
                    let Some(id) = ids.get(which % ids.len().max(1)).copied() else {
                        return;
                    };
                    match *happening {
                        Happening::Delete(_) => world.delete_milestone(id),
                        Happening::Move(_, due) => {
                            let due = world.now().plus(Duration::from_secs(due));
                            world.set_due(id, Some(due));
                        }
                        _ => world.close_milestone(id, which % 2 == 0),
                    }
                    return;
                }
                let keys: Vec<_> = world.tickets_of(repo).map(|(key, _)| key).collect();
                let Some(key) = keys.get(which % keys.len().max(1)).copied() else {
                    return;
                };
                match *happening {
                    Happening::Edit(_) => world.retitle(key, &title),
                    Happening::Close(_) => world.close(key, "completed"),
                    // An issue that is deleted is in no list, and that is said by its event alone.
                    _ => {}
                }
            }),
            Happening::Step | Happening::Kill | Happening::Save => {}
        }
    }
}

/// At the end of a pass, nothing is missing that GitHub had then.
fn is_as_of(
    read: &ReadList,
    truth: &BTreeMap<u64, (String, Timestamp)>,
    as_of: Timestamp,
) -> Result<(), TestCaseError> {
    for (number, (title, changed)) in truth {
        let known = read.objects.get(number).map(|(at, _)| *at);
        // GitHub's times are whole seconds.
        let is_later = changed.plus(Duration::from_secs(1)) > as_of;
        prop_assert!(is_later || known >= Some(*changed), "{} {}", number, title);
    }
    Ok(())
}

async fn history(
    (kind, served): (MirroredKind, Served),
    seconds: &[u64],
    happenings: &[Happening],
) -> Result<(), TestCaseError> {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(served, PAGE), world.place());
    for (n, seconds) in seconds.iter().enumerate() {
        world.pass_time(*seconds);
        world.open(kind, &format!("first-{n}"));
    }
    let mut read = ReadList::default();
    let mut saved = read.clone();
    for (at, happening) in happenings.iter().enumerate() {
        match happening {
            Happening::Step => {
                let step = read.step(&lists, &place, kind).await.unwrap();
                if step.end {
                    is_as_of(&read, &world.truth(kind), step.as_of)?;
                }
            }
            Happening::Kill => read = saved.clone(),
            Happening::Save => saved = read.clone(),
            other => world.happen(kind, other, at),
        }
    }
    // The pass that has begun, and one at rest.
    read.pass(&lists, &place, kind).await;
    read.pass(&lists, &place, kind).await;
    prop_assert_eq!(read.titles(), world.truth(kind));
    let before = read.clone();
    read.pass(&lists, &place, kind).await;
    prop_assert_eq!(read.objects, before.objects);
    Ok(())
}

fn check(list: (MirroredKind, Served)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let seconds = prop::collection::vec(prop_oneof![3 => 0..3_u64, 1 => 10..40_u64], 0..14);
    let happenings = prop::collection::vec(happening(), 0..50);
    proptest!(ProptestConfig::with_cases(64), |(seconds in seconds, happenings in happenings)| {
        runtime.block_on(history(list, &seconds, &happenings))?;
    });
}

#[test]
fn issues_that_change_while_they_are_read_are_not_missed() {
    check((MirroredKind::Issue, Served::Cloud));
}

#[test]
fn issues_in_pages_by_number_are_not_missed_either() {
    check((MirroredKind::Issue, Served::Enterprise));
}

#[test]
fn pull_requests_that_change_while_they_are_read_are_not_missed() {
    check((MirroredKind::PullRequest, Served::Cloud));
}

#[test]
fn milestones_that_move_and_vanish_while_they_are_read_are_told_apart() {
    check((MirroredKind::Milestone, Served::Cloud));
}
