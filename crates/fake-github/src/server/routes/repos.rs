//! Repositories and what is in them besides issues.

use super::Handled;
use crate::{
    auth::FakeCaller,
    server::{
        asked::{Asked, Refusal, RouteAnswer},
        state::Github,
    },
    world::{FakeIssueType, RepoKey, TicketKey},
};

pub(super) fn one(github: &mut Github, asked: &Asked) -> Handled {
    let repo = asked.repo(&github.world)?;
    Ok(RouteAnswer::of(github.world.render().whole_repo(repo)))
}

pub(super) fn of_organization(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let owner = asked.owner(world)?;
    let word = |name: &str| asked.query.get(name).map(String::as_str);
    let all = world.repos_of(owner);
    let mut all: Vec<_> = all
        .filter(|(key, _)| world.sees(asked.caller, *key))
        .collect();
    match word("sort") {
        Some("full_name") => all.sort_by_key(|(_, it)| it.name.to_lowercase()),
        Some("updated") => all.sort_by_key(|(key, it)| (it.updated_at, *key)),
        Some("pushed") => all.sort_by_key(|(key, it)| (it.pushed_at, *key)),
        _ => all.sort_by_key(|(key, it)| (it.created_at, *key)),
    }
    let usual = if word("sort") == Some("full_name") {
        "asc"
    } else {
        "desc"
    };
    if word("direction").unwrap_or(usual) == "desc" {
        all.reverse();
    }
    Ok(asked.page(all, |(key, _)| world.render().repo(key)))
}

pub(super) fn of_installation(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let FakeCaller::Installation(id) = asked.caller else {
        let text = "You must authenticate with an installation access token in order to list repositories for an \
                    installation.";
        return Err(Refusal::Forbidden(text.to_owned()));
    };
    let all = world.repos.keys().copied();
    let all: Vec<RepoKey> = all
        .filter(|key| world.installation_sees(id, *key))
        .collect();
    let is_selected = world.installations[&id].selected.is_some();
    let mut answer = asked.counted_page("repositories", all, |key| world.render().repo(key));
    answer.body["repository_selection"] = if is_selected { "selected" } else { "all" }.into();
    Ok(answer)
}

pub(super) fn pulls(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let asked = asked.linking_by_id(repo);
    let word = |name: &str| asked.query.get(name).map(String::as_str);
    let all = world.tickets_of(repo).filter(|(_, it)| it.pull.is_some());
    let mut all: Vec<_> = all
        .filter(|(_, it)| match word("state").unwrap_or("open") {
            "all" => true,
            "closed" => it.closed_at.is_some(),
            _ => it.closed_at.is_none(),
        })
        .collect();
    let by_update = word("sort") == Some("updated");
    all.sort_by_key(|(key, it)| {
        (
            if by_update {
                it.updated_at
            } else {
                it.created_at
            },
            key.number,
        )
    });
    // Ascending only if it is asked for, or if the order is none in particular.
    if word("direction").unwrap_or("desc") != "asc" {
        all.reverse();
    }
    Ok(asked.page(all, |(key, _)| world.render().listed_pull(key)))
}

fn pull_key(github: &Github, asked: &Asked) -> Result<TicketKey, Refusal> {
    let key = asked.ticket(&github.world)?;
    let is_pull = github.world.tickets[&key].pull.is_some();
    is_pull.then_some(key).ok_or(Refusal::Missing)
}

/// Being asked, GitHub finds out whether it can be merged, and says it the next time.
pub(super) fn pull(github: &mut Github, asked: &Asked) -> Handled {
    let key = pull_key(github, asked)?;
    let answer = RouteAnswer::of(github.world.render().pull(key));
    github.world.find_out_mergeability(key);
    Ok(answer)
}

pub(super) fn reviews(github: &mut Github, asked: &Asked) -> Handled {
    let key = pull_key(github, asked)?;
    let world = &github.world;
    let all = world.reviews.values().filter(|it| it.on == key);
    Ok(asked
        .linking_by_id(key.repo)
        .page(all, |it| world.render().review(it.id)))
}

pub(super) fn requested_reviewers(github: &mut Github, asked: &Asked) -> Handled {
    let key = pull_key(github, asked)?;
    Ok(RouteAnswer::of(
        github.world.render().requested_reviewers(key),
    ))
}

/// A branch or a commit.
fn commit(github: &Github, asked: &Asked) -> Result<(RepoKey, String), Refusal> {
    let repo = asked.repo(&github.world)?;
    let name = asked.param("ref");
    let branch = name.strip_prefix("heads/").unwrap_or(name);
    let branches = &github.world.repos[&repo].branches;
    let sha = branches
        .get(branch)
        .cloned()
        .unwrap_or_else(|| name.to_owned());
    Ok((repo, sha))
}

pub(super) fn status(github: &mut Github, asked: &Asked) -> Handled {
    let (repo, sha) = commit(github, asked)?;
    Ok(RouteAnswer::of(
        github.world.render().combined_status(repo, &sha),
    ))
}

pub(super) fn check_runs(github: &mut Github, asked: &Asked) -> Handled {
    let (repo, sha) = commit(github, asked)?;
    let world = &github.world;
    let all = world.checks_of(repo, &sha);
    Ok(asked.counted_page("check_runs", all, |it| world.render().check_run(it.id)))
}

pub(super) fn milestones(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let state = asked.query.get("state").map_or("open", String::as_str);
    let all = world.milestones.values().filter(|it| it.repo == repo);
    let all = all.filter(|it| match state {
        "all" => true,
        "closed" => it.closed_at.is_some(),
        _ => it.closed_at.is_none(),
    });
    let mut all: Vec<_> = all.collect();
    // Those that are never due come last.
    all.sort_by_key(|it| (it.due_on.is_none(), it.due_on, it.number));
    if asked.query.get("direction").is_some_and(|it| it == "desc") {
        all.reverse();
    }
    Ok(asked
        .linking_by_id(repo)
        .page(all, |it| world.render().milestone(it.id)))
}

pub(super) fn labels(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let all = world.labels.values().filter(|it| it.repo == repo);
    Ok(asked
        .linking_by_id(repo)
        .page(all, |it| world.render().label(it.id)))
}

pub(super) fn releases(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let all = world.releases.values().rev().filter(|it| it.repo == repo);
    Ok(asked
        .linking_by_id(repo)
        .page(all, |it| world.render().release(it.id)))
}

pub(super) fn runs(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let all = world
        .runs
        .values()
        .rev()
        .filter(|it| it.repo == repo)
        .collect();
    let asked = asked.linking_by_id(repo);
    Ok(asked.counted_page("workflow_runs", all, |it| {
        world.render().workflow_run(it.id)
    }))
}

pub(super) fn issue_types(github: &mut Github, asked: &Asked) -> Handled {
    asked.owner(&github.world)?;
    let all = [
        FakeIssueType::Bug,
        FakeIssueType::Feature,
        FakeIssueType::Task,
    ];
    let all = all.map(|kind| github.world.render().issue_type(kind));
    Ok(RouteAnswer::of(all.to_vec().into()))
}

/// By cursor: the id after which the page begins.
pub(super) fn projects(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let owner = asked.owner(world)?;
    let after = asked
        .query
        .get("after")
        .and_then(|it| it.parse::<u64>().ok());
    let per_page = asked.per_page();
    let all = world
        .projects
        .iter()
        .filter(|(key, it)| it.owner == owner && after.is_none_or(|after| key.0 > after));
    let page: Vec<_> = all.map(|(key, _)| *key).take(per_page + 1).collect();
    let shown = &page[..page.len().min(per_page)];
    let body: Vec<_> = shown
        .iter()
        .map(|key| world.render().project(*key))
        .collect();
    let mut answer = RouteAnswer::of(body.into());
    if let (true, Some(last)) = (page.len() > per_page, shown.last()) {
        let after = last.0.to_string();
        answer
            .links
            .push(("next", asked.link(&[("after", &after)])));
    }
    Ok(answer)
}
