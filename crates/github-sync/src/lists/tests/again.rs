//! Each list from empty, and again: what has not changed costs nothing.

use fake_github::world::FakeWorld;
use github::GithubApiVersion;
use ports::MirroredKind;

use super::world::{ListWorld, ReadList, Served};
use crate::lists::ListCheckpoint;

/// All kinds of lists with several pages of three items.
async fn full_world() -> ListWorld {
    let world = ListWorld::new().await;
    for n in 0..7 {
        world.pass_time(9);
        world.change(|it, repo| {
            it.open_issue(repo, &format!("issue {n}"));
            let branch = format!("topic-{n}");
            let pull = it.open_pull(repo, &format!("pull {n}"), [&branch, "main"]);
            if n % 2 == 0 {
                it.merge(pull);
            }
            it.create_milestone(repo, &format!("milestone {n}"));
            it.create_label(repo, &format!("label {n}"), "ffffff");
            it.publish_release(repo, &format!("v{n}"));
            it.start_run(repo, "CI", "main");
        });
        let organization = world.organization;
        world.change(|it, _| it.create_project(organization, &format!("project {n}")));
    }
    // The last seconds hold nothing that would be read once more.
    world.pass_time(60);
    world
}

const KINDS: [(MirroredKind, usize); 8] = [
    (MirroredKind::Repository, 1),
    (MirroredKind::Issue, 7),
    (MirroredKind::PullRequest, 7),
    (MirroredKind::Milestone, 7),
    // GitHub's own two among them.
    (MirroredKind::Label, 9),
    (MirroredKind::Release, 7),
    (MirroredKind::WorkflowRun, 7),
    (MirroredKind::Project, 7),
];

#[tokio::test]
async fn every_list_is_read_whole_and_then_costs_nothing_in_both_versions() {
    let world = full_world().await;
    for version in GithubApiVersion::ALL {
        for served in [Served::Cloud, Served::Enterprise] {
            let lists = world.lists_of(served, version, 3);
            for (kind, count) in KINDS {
                let place = match kind {
                    MirroredKind::Project => world.owner(),
                    _ => world.place(),
                };
                let mut read = ReadList::default();
                assert!(!read.checkpoint.is_whole());
                read.pass(&lists, &place, kind).await;
                assert_eq!(read.objects.len(), count, "{kind}");
                let (before, points) = (read.clone(), world.github.points());
                world.pass_time(300);
                read.pass(&lists, &place, kind).await;
                assert_eq!(
                    world.github.points(),
                    points,
                    "{kind} {served:?} {version:?}"
                );
                assert!(
                    read == before && read.gone.is_empty(),
                    "{kind}: nothing is to be stored"
                );
                if matches!(kind, MirroredKind::Issue | MirroredKind::PullRequest) {
                    assert_eq!(read.titles(), world.truth(kind));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_change_costs_what_changed_and_brings_it() {
    let world = full_world().await;
    let lists = world.lists(Served::Cloud, 3);
    let mut all: Vec<_> = KINDS.map(|(kind, _)| (kind, ReadList::default())).into();
    for (kind, read) in &mut all {
        let place = match kind {
            MirroredKind::Project => world.owner(),
            _ => world.place(),
        };
        read.pass(&lists, &place, *kind).await;
    }
    world.pass_time(100);
    let (organization, repo) = (world.organization, world.repo);
    let change = |it: &mut FakeWorld| {
        let issue = it.open_issue(repo, "another issue");
        let pull = it.open_pull(repo, "another pull", ["topic-1", "main"]);
        it.retitle(issue, "one more issue");
        it.create_milestone(repo, "another milestone");
        it.create_label(repo, "another label", "ffffff");
        it.publish_release(repo, "v9");
        it.start_run(repo, "CI", "main");
        it.create_project(organization, "another project");
        it.close(pull, "completed");
    };
    world.github.change(change);
    for (kind, read) in &mut all {
        let place = match kind {
            MirroredKind::Project => world.owner(),
            _ => world.place(),
        };
        let (objects, points) = (read.objects.clone(), world.github.points());
        read.pass(&lists, &place, *kind).await;
        let spent = world.github.points() - points;
        // The page that changed, the ones that a new item in front moves, and for issues the last seconds once more.
        let most = match kind {
            MirroredKind::Release => 3,
            MirroredKind::Issue => 3,
            MirroredKind::PullRequest | MirroredKind::WorkflowRun => 2,
            _ => 1,
        };
        assert!((1..=most).contains(&spent), "{kind}: {spent}");
        let is_new = |number: &&u64| !objects.contains_key(number);
        let new = read.objects.keys().filter(is_new).count();
        let expected = usize::from(*kind != MirroredKind::Repository);
        assert_eq!(new, expected, "{kind}");
    }
}

#[tokio::test]
async fn what_vanished_from_a_whole_list_is_gone_and_what_moved_is_not() {
    let world = full_world().await;
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let (mut milestones, mut releases) = (ReadList::default(), ReadList::default());
    milestones
        .pass(&lists, &place, MirroredKind::Milestone)
        .await;
    releases.pass(&lists, &place, MirroredKind::Release).await;
    let ids: Vec<u64> = world.change(|it, repo| it.milestones_of(repo).map(|it| it.id).collect());
    let release = *releases.objects.keys().next().unwrap();
    world.pass_time(60);
    world.change(|it, _| {
        // The last one comes first, since it is due; all others move by one.
        let now = it.now();
        it.set_due(ids[6], Some(now));
        it.delete_milestone(ids[2]);
        it.delete_release(release);
    });
    milestones
        .pass(&lists, &place, MirroredKind::Milestone)
        .await;
    releases.pass(&lists, &place, MirroredKind::Release).await;
    assert_eq!((milestones.gone, releases.gone), (vec![3], vec![release]));
    assert_eq!(milestones.objects.len(), 6);
}

#[tokio::test]
async fn a_repository_is_found_by_its_former_name_and_those_of_an_organization_by_its_login() {
    let world = ListWorld::new().await;
    let lists = world.lists(Served::Cloud, 3);
    let organization = world.organization;
    world.change(|it, repo| {
        for n in 0..4 {
            it.create_repo(organization, &format!("part-{n}"));
        }
        it.rename_repo(repo, "engine");
    });
    let nothing = ListCheckpoint::default();
    let found = lists.repository("octo", "reactor", &nothing).await.unwrap();
    let place = &found.places[0];
    let repository = place.repository.as_ref().unwrap();
    assert_eq!((&*place.owner, &*repository.name), ("octo", "engine"));
    assert_eq!(repository.id.0, world.repo.0);
    assert_eq!(found.step.objects[0].number, world.repo.0);
    assert_eq!(found.owner(), Some(world.owner()));
    let points = world.github.points();
    let same = lists
        .repository("octo", "engine", &found.step.checkpoint)
        .await
        .unwrap();
    assert!(same.step.was_unmodified && same.places.is_empty());
    assert_eq!(world.github.points(), points);

    let mut names = Vec::new();
    let mut checkpoint = ListCheckpoint::default();
    loop {
        let page = lists.repositories_of("octo", &checkpoint).await.unwrap();
        let of_page = page.places.iter();
        names.extend(of_page.map(|it| it.repository.as_ref().unwrap().name.clone()));
        checkpoint = page.step.checkpoint;
        if page.step.end {
            break;
        }
    }
    assert!(checkpoint.is_whole());
    assert_eq!(names, ["engine", "part-0", "part-1", "part-2", "part-3"]);
}
