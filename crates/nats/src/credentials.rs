//! Removes credentials from the URL before it is passed to the driver, which does not use them from
//! there and logs addresses.

use async_nats::{ConnectOptions, ServerAddr};

use crate::NatsError;

/// Returns the servers of a comma-separated list without credentials, and options with the first
/// credentials found.
pub(crate) fn separate(
    url: &str,
    options: ConnectOptions,
) -> Result<(Vec<ServerAddr>, ConnectOptions), NatsError> {
    let not_a_url = |source: std::io::Error| NatsError::Url {
        source: source.into(),
    };
    let (mut servers, mut options, mut found) = (Vec::new(), options, false);
    for part in url
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let mut url = part.parse::<ServerAddr>().map_err(not_a_url)?.into_inner();
        if !found && !url.username().is_empty() {
            found = true;
            let user = percent_decoded(url.username());
            options = match url.password() {
                Some(password) => options.user_and_password(user, percent_decoded(password)),
                None => options.token(user),
            };
        }
        let stripped = url.set_username("").is_ok() && url.set_password(None).is_ok();
        if !stripped || url.host_str().is_none() {
            return Err(NatsError::Config {
                what: "nats.url needs a host: nats://host:4222",
            });
        }
        servers.push(ServerAddr::from_url(url).map_err(not_a_url)?);
    }
    if servers.is_empty() {
        return Err(NatsError::Config {
            what: "nats.url is empty",
        });
    }
    Ok((servers, options))
}

/// Decodes `%XX`; invalid escapes stay unchanged.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_carry_no_credentials() {
        let url = "nats://joe:p%40ss@one:4222, tls://two";
        let (servers, _) = separate(url, ConnectOptions::new()).unwrap();
        let shown = format!("{servers:?}");
        assert_eq!(servers.len(), 2);
        assert!(
            !shown.contains("joe") && !shown.contains("p%40ss"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in ["", " , ", "http://host", "nats://"] {
            assert!(separate(bad, ConnectOptions::new()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn escapes_are_undone_and_the_rest_stays() {
        assert_eq!(percent_decoded("p%40s%s%2"), "p@s%s%2");
    }
}
