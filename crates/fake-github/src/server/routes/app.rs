//! The app, its installations, and who asks.

use serde_json::{Value, json};

use super::Handled;
use crate::{
    auth::FakeCaller,
    budgets::{BudgetState, FakeBudget},
    render::{moment, permissions},
    server::{
        asked::{Asked, Refusal, RouteAnswer},
        state::Github,
    },
};

fn only_the_app(asked: &Asked) -> Result<(), Refusal> {
    let is_app = asked.caller == FakeCaller::App;
    let text = "A JSON web token could not be decoded";
    is_app
        .then_some(())
        .ok_or_else(|| Refusal::Unauthorized(text.to_owned()))
}

pub(super) fn one(github: &mut Github, asked: &Asked) -> Handled {
    only_the_app(asked)?;
    Ok(RouteAnswer::of(
        github.world.render().app(&github.tokens.app),
    ))
}

pub(super) fn installations(github: &mut Github, asked: &Asked) -> Handled {
    only_the_app(asked)?;
    let (world, app) = (&github.world, &github.tokens.app);
    let all = world.installations.values();
    Ok(asked.page(all, |it| world.render().installation(it, app)))
}

pub(super) fn installation_of_repo(github: &mut Github, asked: &Asked) -> Handled {
    only_the_app(asked)?;
    let (owner, name) = (asked.param("owner"), asked.param("repo"));
    let found = github.world.repo_named(owner, name);
    let (repo, _) = found.ok_or(Refusal::Missing)?;
    let (world, app) = (&github.world, &github.tokens.app);
    let mut all = world.installations.values();
    let found = all.find(|it| world.installation_sees(it.id, repo));
    let found = found.ok_or(Refusal::Missing)?;
    Ok(RouteAnswer::of(world.render().installation(found, app)))
}

pub(super) fn installation_of_user(github: &mut Github, asked: &Asked) -> Handled {
    only_the_app(asked)?;
    let (world, app) = (&github.world, &github.tokens.app);
    let owner = world.account(asked.param("username"));
    let mut all = world.installations.values();
    let found = all.find(|it| Some(it.account) == owner);
    let found = found.ok_or(Refusal::Missing)?;
    Ok(RouteAnswer::of(world.render().installation(found, app)))
}

pub(super) fn access_token(github: &mut Github, asked: &Asked) -> Handled {
    only_the_app(asked)?;
    let id = asked.number("installation_id")?;
    let installation = github
        .world
        .installations
        .get(&id)
        .ok_or(Refusal::Missing)?;
    if installation.suspended_at.is_some() {
        return Err(Refusal::Forbidden(
            "This installation has been suspended".to_owned(),
        ));
    }
    let is_selected = installation.selected.is_some();
    let (token, expires_at) = github.tokens.issue(id, github.world.now());
    let answer = json!({
        "token": token, "expires_at": moment(expires_at), "permissions": permissions(),
        "repository_selection": if is_selected { "selected" } else { "all" },
    });
    Ok(RouteAnswer::of(answer).with_status(201))
}

pub(super) fn rate_limit(github: &mut Github, asked: &Asked) -> Handled {
    let now = github.world.now();
    let state = |budget| shown(github.limits.state(asked.caller, budget, now));
    let core = state(FakeBudget::Core);
    let answer = json!({
        "resources": {"core": core, "graphql": state(FakeBudget::Graphql), "search": core},
        "rate": core,
    });
    Ok(RouteAnswer::of(answer))
}

fn shown(state: BudgetState) -> Value {
    json!({
        "limit": state.limit, "used": state.used, "remaining": state.remaining(),
        "reset": state.reset_at.unix_millis() / 1000,
    })
}

pub(super) fn user(github: &mut Github, asked: &Asked) -> Handled {
    match asked.caller {
        FakeCaller::User(key) => Ok(RouteAnswer::of(github.world.render().whole_account(key))),
        FakeCaller::Anonymous => Err(Refusal::Unauthorized("Requires authentication".to_owned())),
        _ => Err(Refusal::Forbidden(
            "Resource not accessible by integration".to_owned(),
        )),
    }
}

pub(super) fn meta(_: &mut Github, _: &Asked) -> Handled {
    Ok(RouteAnswer::of(json!({
        "verifiable_password_authentication": false,
        "hooks": ["127.0.0.0/8", "192.30.252.0/22", "2a0a:a440::/29"],
    })))
}
