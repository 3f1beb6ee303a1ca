//! Issues, comments, sub-issues and dependencies.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Timestamp;

use super::Handled;
use crate::{
    server::{
        asked::{Asked, Refusal, RouteAnswer},
        state::Github,
    },
    world::{FakeTicket, TicketKey},
};

/// What issues are sorted by, and the number where that is the same.
type Place = (i64, u64);

pub(super) fn list(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let of = &world.repos[&repo];
    if of.hides_issues {
        return Ok(RouteAnswer::of(serde_json::json!([])));
    }
    if !of.has_issues {
        return Err(Refusal::Gone(
            "Issues has been disabled in this repository.".to_owned(),
        ));
    }
    let asked = asked.linking_by_id(repo);
    let word = |name: &str| asked.query.get(name).map(String::as_str);
    let since = word("since").and_then(Timestamp::parse);
    let place = |key: TicketKey, ticket: &FakeTicket| -> Place {
        let at = match word("sort") {
            Some("updated") => ticket.updated_at,
            _ => ticket.created_at,
        };
        (at.unix_millis(), key.number)
    };
    let wanted = |ticket: &FakeTicket| {
        let state = match word("state").unwrap_or("open") {
            "all" => true,
            "closed" => ticket.closed_at.is_some(),
            _ => ticket.closed_at.is_none(),
        };
        state && since.is_none_or(|since| ticket.updated_at >= since)
    };
    let has_labels = |ticket: &FakeTicket| {
        let names = word("labels").into_iter().flat_map(|it| it.split(','));
        let mut names = names.filter(|it| !it.is_empty());
        names.all(|name| {
            let mut own = ticket.labels.iter();
            own.any(|id| world.labels[id].name.eq_ignore_ascii_case(name))
        })
    };
    let all = world
        .tickets_of(repo)
        .filter(|(_, it)| wanted(it) && has_labels(it));
    let mut all: Vec<(Place, TicketKey)> = all.map(|(key, it)| (place(key, it), key)).collect();
    all.sort_unstable();
    let is_descending = word("direction") != Some("asc");
    if is_descending {
        all.reverse();
    }
    if let Some(after) = word("after") {
        let after =
            read_cursor(after).ok_or_else(|| Refusal::Invalid("Invalid cursor".to_owned()))?;
        all.retain(|(place, _)| {
            if is_descending {
                *place < after
            } else {
                *place > after
            }
        });
    } else if asked.is_of_enterprise() || word("page").is_some_and(|page| page != "1") {
        return Ok(asked.page(all, |(_, key)| world.render().issue(key)));
    }
    let per_page = asked.per_page();
    let page = &all[..all.len().min(per_page)];
    let body: Vec<_> = page
        .iter()
        .map(|(_, key)| world.render().issue(*key))
        .collect();
    let mut answer = RouteAnswer::of(body.into());
    if let (true, Some((last, _))) = (all.len() > per_page, page.last()) {
        let number = word("page")
            .and_then(|it| it.parse::<u64>().ok())
            .unwrap_or(1)
            + 1;
        let (after, number) = (cursor(*last), number.to_string());
        answer
            .links
            .push(("next", asked.link(&[("after", &after), ("page", &number)])));
    }
    Ok(answer)
}

/// A place as GitHub's opaque cursor.
fn cursor((at, number): Place) -> String {
    STANDARD.encode(format!("cursor:v2:{at}:{number}"))
}

fn read_cursor(text: &str) -> Option<Place> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (at, number) = text.strip_prefix("cursor:v2:")?.split_once(':')?;
    Some((at.parse().ok()?, number.parse().ok()?))
}

pub(super) fn one(github: &mut Github, asked: &Asked) -> Handled {
    let (world, repo) = (&github.world, asked.repo(&github.world)?);
    let key = asked.ticket(world);
    let is_pull = |key: &TicketKey| world.tickets[key].pull.is_some();
    let (of, is_issue) = (&world.repos[&repo], !key.as_ref().is_ok_and(is_pull));
    if !of.has_issues && is_issue {
        let message = "Issues are disabled for this repo";
        return Err(Refusal::Gone(message.to_owned()));
    }
    if of.hides_issues && is_issue {
        return Err(Refusal::Missing);
    }
    Ok(RouteAnswer::of(world.render().whole_issue(key?)))
}

pub(super) fn comments(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let key = asked.ticket(world)?;
    let since = asked.query.get("since").and_then(|it| Timestamp::parse(it));
    let all = world.comments.values().filter(|it| it.on == key);
    let all = all.filter(|it| since.is_none_or(|since| it.updated_at >= since));
    Ok(asked
        .linking_by_id(key.repo)
        .page(all, |it| world.render().comment(it.id)))
}

pub(super) fn all_comments(github: &mut Github, asked: &Asked) -> Handled {
    let world = &github.world;
    let repo = asked.repo(world)?;
    let since = asked.query.get("since").and_then(|it| Timestamp::parse(it));
    let all = world.comments.values().filter(|it| it.on.repo == repo);
    let mut all: Vec<_> = all
        .filter(|it| since.is_none_or(|since| it.updated_at >= since))
        .collect();
    if asked.query.get("sort").is_some_and(|it| it == "updated") {
        all.sort_by_key(|it| (it.updated_at, it.id));
        if asked.query.get("direction").is_none_or(|it| it != "asc") {
            all.reverse();
        }
    }
    Ok(asked
        .linking_by_id(repo)
        .page(all, |it| world.render().comment(it.id)))
}

fn issues(github: &Github, asked: &Asked, keys: Vec<TicketKey>) -> RouteAnswer {
    asked.page(keys, |key| github.world.render().issue(key))
}

pub(super) fn sub_issues(github: &mut Github, asked: &Asked) -> Handled {
    let key = asked.ticket(&github.world)?;
    let keys = github.world.tickets[&key].sub_issues.clone();
    Ok(issues(github, &asked.linking_by_id(key.repo), keys))
}

pub(super) fn parent(github: &mut Github, asked: &Asked) -> Handled {
    let key = asked.ticket(&github.world)?;
    let parent = github.world.tickets[&key].parent.ok_or(Refusal::Missing)?;
    Ok(RouteAnswer::of(github.world.render().issue(parent)))
}

pub(super) fn blocked_by(github: &mut Github, asked: &Asked) -> Handled {
    let key = asked.ticket(&github.world)?;
    let keys = github.world.tickets[&key]
        .blocked_by
        .iter()
        .copied()
        .collect();
    Ok(issues(github, &asked.linking_by_id(key.repo), keys))
}

pub(super) fn blocking(github: &mut Github, asked: &Asked) -> Handled {
    let key = asked.ticket(&github.world)?;
    let keys = github.world.blocking(key).collect();
    Ok(issues(github, &asked.linking_by_id(key.repo), keys))
}
