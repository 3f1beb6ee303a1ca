//! What an answer of GitHub's API that is no success means for the next request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};
use http_client::GithubMessage;

use crate::{
    client::{WholeAnswer, asked_pause},
    error::{RelayError, RelayFailure},
    limits::LONGEST_ASKED_PAUSE,
};

/// Whom a request concerned.
pub(crate) struct AskedRepository<'a> {
    pub(crate) name: &'a str,
    pub(crate) has_token: bool,
}

/// What a refusal means.
pub(crate) fn refusal(answer: &WholeAnswer, asked: &AskedRepository<'_>) -> RelayFailure {
    let message = GithubMessage::of(&answer.body);
    let said = message.said();
    let status = answer.status;
    let what = format!("GitHub answers {} ({said})", status.as_u16());
    let wait =
        asked_pause(&answer.headers).or_else(|| until_reset(&answer.headers, SystemTime::now()));
    let name = asked.name.to_owned();
    match status {
        StatusCode::UNAUTHORIZED if asked.has_token => RelayError::TokenRefused.into(),
        StatusCode::UNAUTHORIZED => RelayError::TokenMissing.into(),
        StatusCode::TOO_MANY_REQUESTS => RelayFailure::Limited { what, wait },
        StatusCode::FORBIDDEN if wait.is_some() || message.is_rate_limit() => {
            RelayFailure::Limited { what, wait }
        }
        StatusCode::FORBIDDEN => RelayError::Forbidden {
            what: name,
            status: status.as_u16(),
            said,
        }
        .into(),
        StatusCode::NOT_FOUND => {
            let what = format!("repository {name}, or no such webhook or delivery of it");
            match asked.has_token {
                true => RelayError::Missing { what }.into(),
                false => RelayError::MissingWithoutToken { what }.into(),
            }
        }
        StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => RelayError::Gone {
            what: name,
            status: status.as_u16(),
            said,
        }
        .into(),
        _ => RelayFailure::Passing { what, wait },
    }
}

/// The time until a used-up rate limit begins anew.
fn until_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    if number("x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let reset = UNIX_EPOCH + Duration::from_secs(number("x-ratelimit-reset")?);
    // A second more, because the time is in whole seconds.
    let wait = reset.duration_since(now).unwrap_or_default() + Duration::from_secs(1);
    Some(wait.min(LONGEST_ASKED_PAUSE))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    fn refused(status: u16, body: &'static str, pairs: &[(&'static str, &str)]) -> RelayFailure {
        let answer = WholeAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers(pairs),
            body: Bytes::from_static(body.as_bytes()),
        };
        let asked = AskedRepository {
            name: "o/r",
            has_token: true,
        };
        refusal(&answer, &asked)
    }

    #[test]
    fn a_used_up_rate_limit_is_waited_for() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let reset = |remaining, at| {
            let headers = headers(&[
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", at),
            ]);
            until_reset(&headers, now)
        };
        assert_eq!(reset("0", "1060"), Some(Duration::from_secs(61)));
        assert_eq!(reset("0", "900"), Some(Duration::from_secs(1)));
        assert_eq!(reset("0", "999999"), Some(LONGEST_ASKED_PAUSE));
        assert_eq!(reset("7", "1060"), None);
        assert_eq!(until_reset(&headers(&[]), now), None);
    }

    #[test]
    fn a_rate_limit_is_one_in_every_form_that_github_gives_it() {
        let secondary = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#;
        let by_url = r#"{"message":"x","documentation_url":"https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}"#;
        let abuse = r#"{"message":"You have triggered an abuse detection mechanism."}"#;
        let left = [
            ("x-ratelimit-remaining", "4900"),
            ("x-ratelimit-reset", "99"),
        ];
        for (status, body) in [(403, secondary), (403, by_url), (403, abuse), (429, "")] {
            let failure = refused(status, body, &left);
            assert!(
                matches!(failure, RelayFailure::Limited { wait: None, .. }),
                "{failure:?}"
            );
        }
        let asked = refused(403, "", &[("retry-after", "7")]);
        let seven = Some(Duration::from_secs(7));
        assert!(matches!(asked, RelayFailure::Limited { wait, .. } if wait == seven));
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99")];
        let primary = refused(403, "", &used_up);
        assert!(matches!(
            primary,
            RelayFailure::Limited { wait: Some(_), .. }
        ));
    }

    #[test]
    fn a_refusal_for_good_names_what_the_operator_has() {
        for (status, body, words) in [
            (401, "", ["GITHUB_TOKEN", "github.token_file"]),
            (
                403,
                r#"{"message":"Resource not accessible\nby"}"#,
                ["admin:repo_hook", "\"Resource not accessible by\""],
            ),
            (404, "", ["--hook", "github.token_file"]),
            (410, r#"{"message":"gone"}"#, ["410", "gone"]),
            (451, "", ["451", "o/r"]),
        ] {
            let failure = refused(status, body, &[]);
            let text = failure.to_string();
            assert!(matches!(failure, RelayFailure::Final(_)), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            assert!(
                !text.contains("--token-file") && !text.contains('\n'),
                "{text}"
            );
        }
        for status in [400, 409, 422, 500, 502, 503] {
            let failure = refused(status, "", &[]);
            assert!(
                matches!(failure, RelayFailure::Passing { .. }),
                "{failure:?}"
            );
        }
    }
}
