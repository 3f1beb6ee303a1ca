//! Pages that end where they should not, lists that are too long, and checkpoints that say nothing.

use ports::MirroredKind;

use super::world::{ListWorld, ReadList, Served};
use crate::{limits::MAX_PASS_PAGES, lists::ListCheckpoint};

const ISSUES: MirroredKind = MirroredKind::Issue;

#[tokio::test]
async fn a_list_of_several_pages_is_known_as_of_the_beginning_of_the_last_round() {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let ids: Vec<u64> = world.change(|it, repo| {
        let all = (0..7).map(|n| it.create_milestone(repo, &format!("{n}")));
        all.collect()
    });
    let mut read = ReadList::default();
    let milestones = MirroredKind::Milestone;
    // A round, and the first page of the second one, in which the first milestone is as before.
    for _ in 0..4 {
        let step = read.step(&lists, &place, milestones).await.unwrap();
        assert!(!step.end);
        world.pass_time(10);
    }
    let changed_at = world.change(|it, _| {
        it.close_milestone(ids[0], true);
        it.now()
    });
    world.pass_time(10);
    read.step(&lists, &place, milestones).await.unwrap();
    let step = read.step(&lists, &place, milestones).await.unwrap();
    assert!(step.end && step.as_of < changed_at);
}

#[tokio::test]
async fn a_full_last_page_hides_no_next_one() {
    let world = ListWorld::new().await;
    let lists = world.lists(Served::Cloud, 3);
    let organization = world.organization;
    world.change(|it, repo| {
        for n in 0..3 {
            it.create_milestone(repo, &format!("{n}"));
            it.create_project(organization, &format!("{n}"));
        }
    });
    for (kind, place) in [
        (MirroredKind::Milestone, world.place()),
        (MirroredKind::Project, world.owner()),
    ] {
        let mut read = ReadList::default();
        read.pass(&lists, &place, kind).await;
        read.pass(&lists, &place, kind).await;
        world.change(|it, repo| {
            it.create_milestone(repo, "next");
            it.create_project(organization, "next");
        });
        read.pass(&lists, &place, kind).await;
        assert!(read.objects.len() >= 4, "{kind}");
    }
}

#[tokio::test]
async fn only_the_newest_runs_are_read() {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let start = |count: usize| {
        for _ in 0..count {
            world.change(|it, repo| it.start_run(repo, "CI", "main"));
        }
    };
    start(20);
    let mut read = ReadList::default();
    let runs = MirroredKind::WorkflowRun;
    // Three pages of three, and the first one again.
    assert_eq!(read.pass(&lists, &place, runs).await, 4);
    assert_eq!(read.objects.len(), 9);
    start(1);
    assert_eq!(read.pass(&lists, &place, runs).await, 1);
    assert_eq!(read.objects.len(), 10);
    start(4);
    assert_eq!(read.pass(&lists, &place, runs).await, 3);
    assert_eq!(read.objects.len(), 14);
}

#[tokio::test]
async fn a_list_beyond_its_bound_is_not_whole_and_nothing_is_gone() {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(Served::Cloud, 1), world.place());
    let ids: Vec<u64> = world.change(|it, repo| {
        let all = (0..102).map(|n| it.create_milestone(repo, &format!("{n}")));
        all.collect()
    });
    let mut checkpoint = ListCheckpoint::default();
    for deleted in [None, Some(ids[5])] {
        world.change(|it, _| deleted.into_iter().for_each(|id| it.delete_milestone(id)));
        loop {
            let step = lists.step(&place, MirroredKind::Milestone, &checkpoint);
            let step = step.await.unwrap();
            assert!(step.gone.is_empty());
            checkpoint = step.checkpoint;
            if step.end {
                break;
            }
        }
        assert!(!checkpoint.is_whole());
    }
}

#[tokio::test]
async fn what_has_no_list_is_at_its_end() {
    let world = ListWorld::new().await;
    let lists = world.lists(Served::Cloud, 3);
    let nothing = ListCheckpoint::default();
    for (place, kind) in [
        (world.place(), MirroredKind::DraftIssue),
        (world.owner(), MirroredKind::DraftIssue),
        (world.place(), MirroredKind::Project),
        (world.owner(), ISSUES),
    ] {
        let step = lists.step(&place, kind, &nothing).await.unwrap();
        assert!(step.end && step.objects.is_empty() && !step.checkpoint.is_whole());
    }
    assert_eq!(world.github.points(), 0);
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_read_is_as_none() {
    let world = ListWorld::new().await;
    world.open_issues(2, 1);
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let mut read = ReadList::default();
    read.pass(&lists, &place, ISSUES).await;
    let json = String::from_utf8(read.checkpoint.to_json()).unwrap();
    let other = json.replace("\"version\":1", "\"version\":2");
    assert_ne!(json, other);
    for unreadable in [&*other, "", "{}", "[1]", &json[1..]] {
        let checkpoint = ListCheckpoint::from_json(unreadable.as_bytes());
        assert_eq!(checkpoint, ListCheckpoint::default(), "{unreadable}");
    }
    // That of another kind of list is no more.
    let step = lists.step(&place, MirroredKind::Label, &read.checkpoint);
    assert_eq!(step.await.unwrap().objects.len(), 2);
    let endless = json.replace("\"pages\":0", &format!("\"pages\":{MAX_PASS_PAGES}"));
    let endless = ListCheckpoint::from_json(endless.as_bytes());
    let error = lists.step(&place, ISSUES, &endless).await.unwrap_err();
    assert!(
        error.to_string().contains("issues of octo/reactor"),
        "{error}"
    );
}
