//! Failures, ends of processes and renames in the middle of a pass.

use fake_github::server::FakeFault;
use github::GithubError;
use ports::MirroredKind;

use super::world::{ListWorld, ReadList, Served};
use crate::lists::ListCheckpoint;

const ISSUES: MirroredKind = MirroredKind::Issue;
const PULLS: MirroredKind = MirroredKind::PullRequest;

#[tokio::test]
async fn a_process_that_ends_after_any_step_goes_on_from_there() {
    let world = ListWorld::new().await;
    world.open_issues(10, 4);
    for n in 0..10 {
        world.pass_time(4);
        let branch = format!("topic-{n}");
        world.change(|it, repo| it.open_pull(repo, &branch, [&branch, "main"]));
    }
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    for kind in [ISSUES, PULLS] {
        let mut whole = ReadList::default();
        let steps = whole.pass(&lists, &place, kind).await;
        for killed_after in 0..steps {
            let mut read = ReadList::default();
            for _ in 0..killed_after {
                read.step(&lists, &place, kind).await.unwrap();
            }
            assert!(!read.checkpoint.is_whole(), "{kind} after {killed_after}");
            // A step that was taken and not stored is taken again.
            lists.step(&place, kind, &read.checkpoint).await.unwrap();
            let left = read.pass(&lists, &place, kind).await;
            assert_eq!(left, steps - killed_after);
            assert_eq!(read, whole);
        }
        assert_eq!(whole.titles(), world.truth(kind));
    }
}

#[tokio::test]
async fn a_rename_in_the_middle_ends_nothing() {
    let world = ListWorld::new().await;
    world.open_issues(10, 4);
    world.pass_time(100);
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let mut read = ReadList::default();
    for _ in 0..2 {
        read.step(&lists, &place, ISSUES).await.unwrap();
    }
    world.change(|it, repo| it.rename_repo(repo, "engine"));
    read.pass(&lists, &place, ISSUES).await;
    assert_eq!(read.titles(), world.truth(ISSUES));
    // The former name leads to the present one, which costs a request; the tags are good all the same.
    let points = world.github.points();
    read.pass(&lists, &place, ISSUES).await;
    assert_eq!(world.github.points(), points + 1);
    let nothing = ListCheckpoint::default();
    let found = lists.repository("octo", "reactor", &nothing).await;
    let present = found.unwrap().places.remove(0);
    let points = world.github.points();
    read.pass(&lists, &present, ISSUES).await;
    assert_eq!(world.github.points(), points);
}

#[tokio::test]
async fn a_github_that_fails_in_the_middle_loses_nothing() {
    let world = ListWorld::new().await;
    world.open_issues(10, 4);
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let mut read = ReadList::default();
    read.step(&lists, &place, ISSUES).await.unwrap();
    // A few failures are repeated within the step; more of them are its error.
    world
        .github
        .break_next("/issues", FakeFault::Status(502), 2);
    world.github.break_next("/issues", FakeFault::CutBody, 1);
    read.step(&lists, &place, ISSUES).await.unwrap();
    world
        .github
        .break_next("/issues", FakeFault::Status(503), 5);
    let error = read.step(&lists, &place, ISSUES).await.unwrap_err();
    assert!(matches!(error, GithubError::Unavailable { .. }), "{error}");
    while world.github.faults_left() > 0 {
        let _ = read.step(&lists, &place, ISSUES).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    read.pass(&lists, &place, ISSUES).await;
    assert_eq!(read.titles(), world.truth(ISSUES));
}

#[tokio::test]
async fn a_refusal_is_the_callers() {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    world.change(|it, repo| it.set_issues(repo, false));
    let nothing = ListCheckpoint::default();
    let error = lists.step(&place, ISSUES, &nothing).await.unwrap_err();
    assert!(
        matches!(&error, GithubError::Gone { status: 410, said, .. } if said.contains("disabled")),
        "{error}"
    );
    let error = lists
        .repository("octo", "none", &nothing)
        .await
        .unwrap_err();
    assert!(matches!(error, GithubError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_link_that_github_takes_no_longer_begins_the_pages_anew() {
    let world = ListWorld::new().await;
    // One second has more than a page, so that the walk follows links.
    world.open_issues(8, 0);
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let mut read = ReadList::default();
    let stale = loop {
        read.step(&lists, &place, ISSUES).await.unwrap();
        let text = String::from_utf8(read.checkpoint.to_json()).unwrap();
        if text.contains("after=") {
            break text.replace("after=", "after=stale");
        }
    };
    read.checkpoint = ListCheckpoint::from_json(stale.as_bytes());
    assert_ne!(read.checkpoint, ListCheckpoint::default());
    read.objects.clear();
    read.pass(&lists, &place, ISSUES).await;
    assert_eq!(read.titles(), world.truth(ISSUES));
}
