//! Many changes in one second: GitHub's times and pages do not tell them apart.

use ports::MirroredKind;

use super::world::{ListWorld, ReadList, Served};

const ISSUES: MirroredKind = MirroredKind::Issue;

#[tokio::test]
async fn more_issues_than_a_page_in_one_second_are_read_and_what_comes_after_them_too() {
    for served in [Served::Cloud, Served::Enterprise] {
        for count in [150, 200] {
            let world = ListWorld::new().await;
            let (lists, place) = (world.lists(served, 100), world.place());
            world.open_issues(count, 0);
            let mut read = ReadList::default();
            read.pass(&lists, &place, ISSUES).await;
            assert_eq!(read.objects.len(), count);
            // In the same second still.
            world.open_issues(1, 0);
            read.pass(&lists, &place, ISSUES).await;
            assert_eq!(read.objects.len(), count + 1);
            world.open_issues(1, 60);
            read.pass(&lists, &place, ISSUES).await;
            assert_eq!(read.titles(), world.truth(ISSUES));
            world.pass_time(70);
            read.pass(&lists, &place, ISSUES).await;
            let points = world.github.points();
            read.pass(&lists, &place, ISSUES).await;
            assert_eq!(world.github.points(), points);
        }
    }
}

#[tokio::test]
async fn an_issue_that_is_pulled_onto_a_page_that_was_read_is_read_there() {
    // All in one second, which is long over, so that nothing of it is read once more as new.
    for changed in 0..7 {
        let world = ListWorld::new().await;
        let (lists, place) = (world.lists(Served::Enterprise, 3), world.place());
        world.open_issues(10, 0);
        world.pass_time(300);
        let mut read = ReadList::default();
        // The first page comes twice: from the beginning of the list, and from its second.
        for _ in 0..2 + changed / 3 {
            read.step(&lists, &place, ISSUES).await.unwrap();
        }
        world.change(|it, repo| {
            let key = it.tickets_of(repo).nth(changed).map(|(key, _)| key);
            it.retitle(key.unwrap(), "changed");
        });
        read.pass(&lists, &place, ISSUES).await;
        assert_eq!(read.titles(), world.truth(ISSUES), "{changed}");
    }
}

#[tokio::test]
async fn a_pull_request_that_changes_again_in_its_second_is_read_beyond_the_first_page_too() {
    let world = ListWorld::new().await;
    let (lists, place) = (world.lists(Served::Cloud, 3), world.place());
    let keys: Vec<_> = (0..5)
        .map(|_| world.change(|it, repo| it.open_pull(repo, "one", ["main", "main"])))
        .collect();
    let mut read = ReadList::default();
    let pulls = MirroredKind::PullRequest;
    read.pass(&lists, &place, pulls).await;
    for key in keys {
        world.change(|it, _| it.retitle(key, "another"));
        read.pass(&lists, &place, pulls).await;
        assert_eq!(read.titles(), world.truth(pulls));
    }
}
