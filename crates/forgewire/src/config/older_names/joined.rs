//! Variables that say a part of one key each: together they are one, because a key has one origin.

use std::{ffi::OsString, net::SocketAddr};

use super::values::{ip_address, redis_address};

/// The variables with those that say a part of one key as one, because a key has one origin.
pub(crate) fn with_joined_parts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let variables = joined(variables.collect(), ["HOST", "PORT"], |host, port| {
        let port = port.parse::<u16>().ok()?;
        Some(SocketAddr::new(ip_address(host)?, port).to_string())
    });
    let variables = joined(variables, ["GITHUB_OWNER", "GITHUB_REPO"], |owner, repo| {
        (!repo.contains('/')).then(|| format!("{owner}/{repo}"))
    });
    with_redis_parts(variables.into_iter())
}

/// The two variables as the second, where both are set and make one value.
fn joined(
    mut variables: Vec<(OsString, OsString)>,
    names: [&str; 2],
    join: impl FnOnce(&str, &str) -> Option<String>,
) -> Vec<(OsString, OsString)> {
    let find = |name: &str| {
        let named = variables.iter().find(|(variable, _)| variable == name);
        let text = named.and_then(|(_, text)| text.to_str()).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    let parts = find(names[0]).zip(find(names[1]));
    if let Some(whole) = parts.and_then(|(first, second)| join(first, second)) {
        variables.retain(|(name, _)| names.iter().all(|part| name != *part));
        variables.push((names[1].into(), whole.into()));
    }
    variables
}

/// The variables with the parts of Redis's address as one, because a key has one origin: `REDIS_HOST=host:port`, or
/// `REDIS_URL` where there is a password or a database. Beside `REDIS_URL`, which has all of it, the parts are left out.
pub(super) fn with_redis_parts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    const PARTS: [&str; 2] = ["REDIS_PASSWORD", "REDIS_DB"];
    let mut variables = with_redis_port(variables.collect());
    let find = |name: &str| {
        let named = variables.iter().find(|(variable, _)| variable == name);
        let text = named.and_then(|(_, text)| text.to_str());
        text.filter(|text| !text.is_empty())
    };
    let (password, database) = (find(PARTS[0]), find(PARTS[1]).map(str::trim));
    if find("REDIS_URL").is_some() {
        variables.retain(|(name, _)| PARTS.iter().all(|part| name != *part));
        return variables;
    }
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (password.is_none() && database.is_none()) || !database.is_none_or(is_number) {
        return variables;
    }
    let address = find("REDIS_HOST").and_then(|host| redis_address(host).ok().flatten());
    let Some(address) = address else {
        return variables;
    };
    let password = password.map_or(String::new(), |text| format!(":{}@", percent_encoded(text)));
    let database = database.map_or(String::new(), |text| format!("/{text}"));
    let url = format!("redis://{password}{address}{database}");
    variables.retain(|(name, _)| name != "REDIS_HOST" && PARTS.iter().all(|part| name != *part));
    variables.push(("REDIS_URL".into(), url.into()));
    variables
}

/// `REDIS_HOST=host:port`, where both are set.
fn with_redis_port(mut variables: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let find = |variables: &[(OsString, OsString)], name: &str| {
        let mut names = variables.iter();
        names.position(|(variable, text)| variable == name && !text.is_empty())
    };
    let Some(port) = find(&variables, "REDIS_PORT") else {
        return variables;
    };
    if find(&variables, "REDIS_URL").is_some() {
        variables.remove(port);
        return variables;
    }
    let number = variables[port].1.to_str().map(str::trim);
    let number = number.and_then(|number| number.parse::<u16>().ok());
    if let (Some(host), Some(number)) = (find(&variables, "REDIS_HOST"), number) {
        variables[host].1.push(format!(":{number}"));
        variables.remove(port);
    }
    variables
}

fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let parts = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    parts.collect()
}
