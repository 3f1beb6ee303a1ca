//! Webhooks and GitHub's memory of their deliveries.

use serde_json::json;

use super::Handled;
use crate::{
    auth::FakeCaller,
    hooks::{FakeDelivery, FakeHookKey, FakeHookOwner},
    server::{
        asked::{Asked, Refusal, RouteAnswer},
        state::Github,
    },
};

pub(super) fn of_repo(github: &mut Github, asked: &Asked) -> Handled {
    let repo = asked.repo(&github.world)?;
    let of = FakeHookOwner::Repo(repo);
    Ok(hooks(github, &asked.linking_by_id(repo), of))
}

pub(super) fn of_organization(github: &mut Github, asked: &Asked) -> Handled {
    let of = FakeHookOwner::Organization(asked.owner(&github.world)?);
    Ok(hooks(github, asked, of))
}

fn hooks(github: &Github, asked: &Asked, of: FakeHookOwner) -> RouteAnswer {
    let world = &github.world;
    asked.page(world.hooks.of(of), |it| {
        world.render().hook(FakeHookKey(it.id))
    })
}

/// The webhook of the path, if it is where the path says.
fn hook(github: &Github, asked: &Asked) -> Result<FakeHookKey, Refusal> {
    let world = &github.world;
    let owner = if asked.params.contains_key("org") {
        FakeHookOwner::Organization(asked.owner(world)?)
    } else if asked.params.contains_key("repo") {
        FakeHookOwner::Repo(asked.repo(world)?)
    } else {
        if asked.caller != FakeCaller::App {
            return Err(Refusal::Unauthorized(
                "A JSON web token could not be decoded".to_owned(),
            ));
        }
        let found = world.hooks.of(FakeHookOwner::App).next();
        return found.map(|it| FakeHookKey(it.id)).ok_or(Refusal::Missing);
    };
    let key = FakeHookKey(asked.number("hook_id")?);
    let found = world.hooks.get(key).filter(|it| it.owner == owner);
    found.map(|_| key).ok_or(Refusal::Missing)
}

/// The newest first, from the cursor on: the id before which the page begins.
pub(super) fn list(github: &mut Github, asked: &Asked) -> Handled {
    let key = hook(github, asked)?;
    let world = &github.world;
    let before = match asked.query.get("cursor") {
        Some(text) => {
            let id = text
                .strip_prefix("v1_")
                .and_then(|it| it.parse::<u64>().ok());
            Some(id.ok_or_else(|| Refusal::Invalid("Invalid cursor".to_owned()))?)
        }
        None => None,
    };
    let wanted = asked.query.get("status").map(String::as_str);
    let is_wanted = |it: &FakeDelivery| {
        let is_ok = it
            .attempt
            .as_ref()
            .is_some_and(crate::hooks::FakeAttempt::is_ok);
        match wanted {
            Some("success") => is_ok,
            Some("failure") => !is_ok,
            _ => true,
        }
    };
    let per_page = asked.per_page();
    let all = world.hooks.attempts_of(key, world.exact_now());
    let all = all.filter(|it| before.is_none_or(|before| it.id < before) && is_wanted(it));
    let page: Vec<_> = all.take(per_page + 1).collect();
    let shown = &page[..page.len().min(per_page)];
    let body: Vec<_> = shown
        .iter()
        .map(|it| world.render().listed_delivery(it))
        .collect();
    let mut answer = RouteAnswer::of(body.into());
    if let (true, Some(last)) = (page.len() > per_page, shown.last()) {
        let cursor = format!("v1_{}", last.id);
        answer
            .links
            .push(("next", asked.link(&[("cursor", &cursor)])));
    }
    Ok(answer)
}

fn delivery<'g>(github: &'g Github, asked: &Asked) -> Result<&'g FakeDelivery, Refusal> {
    let key = hook(github, asked)?;
    let id = asked.number("delivery_id")?;
    let world = &github.world;
    let mut all = world.hooks.attempts_of(key, world.exact_now());
    all.find(|it| it.id == id).ok_or(Refusal::Missing)
}

pub(super) fn one(github: &mut Github, asked: &Asked) -> Handled {
    let found = delivery(github, asked)?.clone();
    *github
        .counts
        .delivery_reads
        .entry(found.guid.clone())
        .or_default() += 1;
    Ok(RouteAnswer::of(github.world.render().delivery(&found)))
}

/// Sends a delivery again.
pub(super) fn again(github: &mut Github, asked: &Asked) -> Handled {
    let id = delivery(github, asked)?.id;
    github.world.redeliver(id).ok_or(Refusal::Missing)?;
    Ok(RouteAnswer::of(json!({})).with_status(202))
}
