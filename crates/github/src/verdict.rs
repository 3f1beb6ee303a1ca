//! What an answer means for the next request: one pure function.
//!
//! The order of what is believed is GitHub's ("Best practices for using the REST API"): `Retry-After`; then the reset of
//! a limit that is used up; then a minute, and longer each time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_client::{GithubMessage, quoted, retry_after};
use model::Timestamp;

use crate::{error::GithubError, limits::LONGEST_ASKED_PAUSE, quota::pause_until_reset};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What an answer that is no success means.
#[derive(Debug)]
pub(crate) enum ApiVerdict {
    /// A primary limit is used up; the time until it begins anew, if GitHub says it.
    UsedUp(Option<Duration>),
    /// A secondary limit: nobody sends anything until then. The pause, if GitHub says it.
    Stop(Option<Duration>),
    /// A failure that may pass. The pause, if GitHub says it.
    Again(GithubError, Option<Duration>),
    /// The same request would fail in the same way.
    Final(GithubError),
}

/// Judges an answer that is no success; `what` was asked for.
pub(crate) fn judge(answer: &WholeResponse, what: &str, now: Timestamp) -> ApiVerdict {
    let message = GithubMessage::of(&answer.body);
    let (what, said, status) = (what.to_owned(), message.said(), answer.status.as_u16());
    let asked = retry_after(&answer.headers, LONGEST_ASKED_PAUSE);
    let used_up = pause_until_reset(&answer.headers, now);
    match answer.status {
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS if asked.is_some() => {
            ApiVerdict::Stop(asked)
        }
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS if used_up.is_some() => {
            ApiVerdict::UsedUp(used_up)
        }
        StatusCode::TOO_MANY_REQUESTS => ApiVerdict::Stop(None),
        StatusCode::FORBIDDEN if message.is_rate_limit() => ApiVerdict::Stop(None),
        StatusCode::UNAUTHORIZED => ApiVerdict::Final(GithubError::Unauthorized { what, said }),
        StatusCode::FORBIDDEN => {
            let needs = needed(&answer.headers);
            ApiVerdict::Final(GithubError::Forbidden { what, said, needs })
        }
        StatusCode::NOT_FOUND => ApiVerdict::Final(GithubError::NotFound { what }),
        StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            ApiVerdict::Final(GithubError::Gone { what, status, said })
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {
            let why = format!("{status}, {said}");
            ApiVerdict::Again(GithubError::Unavailable { what, why }, asked)
        }
        other if other.is_server_error() => {
            let why = format!("{status}, {said}");
            ApiVerdict::Again(GithubError::Unavailable { what, why }, asked)
        }
        other if other.is_client_error() => {
            ApiVerdict::Final(GithubError::Refused { what, status, said })
        }
        _ => {
            let why = format!("status {status}");
            ApiVerdict::Final(GithubError::Malformed { what, why })
        }
    }
}

/// What GitHub says the credentials need, as the rest of a sentence.
fn needed(headers: &HeaderMap) -> String {
    let value = |name: &str| {
        Some(quoted(headers.get(name)?.to_str().ok()?)).filter(|value| !value.is_empty())
    };
    if let Some(link) = value("x-github-sso") {
        return format!("; the organization wants single sign-on for this token ({link})");
    }
    let permissions =
        value("x-accepted-github-permissions").map(|needs| format!("permissions {needs}"));
    let needs = permissions.or_else(|| {
        value("x-accepted-oauth-scopes").map(|needs| format!("one of the scopes {needs}"))
    });
    needs.map_or_else(String::new, |needs| format!("; it needs {needs}"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn judged(status: u16, body: &'static str, pairs: &[(&'static str, &str)]) -> ApiVerdict {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        let answer = WholeResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: pairs.collect(),
            body: Bytes::from_static(body.as_bytes()),
        };
        judge(
            &answer,
            "repository o/r",
            Timestamp::from_unix_millis(1_000_000),
        )
    }

    const USED_UP: [(&str, &str); 2] = [
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1060"),
    ];

    #[test]
    fn what_github_asks_for_comes_before_a_reset_and_that_before_a_guess() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut both = USED_UP.to_vec();
        both.push(("retry-after", "7"));
        for status in [403, 429] {
            assert!(
                matches!(judged(status, "", &both), ApiVerdict::Stop(pause) if pause == seconds(7))
            );
            assert!(
                matches!(judged(status, "", &USED_UP), ApiVerdict::UsedUp(pause) if pause == seconds(61))
            );
        }
        assert!(matches!(judged(429, "", &[]), ApiVerdict::Stop(None)));
        let endless = judged(403, "", &[("retry-after", "999999999")]);
        assert!(matches!(endless, ApiVerdict::Stop(pause) if pause == seconds(3600)));
    }

    #[test]
    fn a_secondary_limit_is_one_in_every_form_that_github_gives_it() {
        let left = [
            ("x-ratelimit-remaining", "4900"),
            ("x-ratelimit-reset", "1060"),
        ];
        for body in [
            r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#,
            r#"{"message":"x","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}"#,
            r#"{"message":"You have triggered an abuse detection mechanism."}"#,
        ] {
            assert!(
                matches!(judged(403, body, &left), ApiVerdict::Stop(None)),
                "{body}"
            );
        }
    }

    #[test]
    fn a_refusal_for_good_names_what_helps() {
        let permissions = [("x-accepted-github-permissions", "issues=read")];
        for (verdict, words) in [
            (
                judged(401, r#"{"message":"Bad\ncredentials"}"#, &[]),
                ["\"Bad credentials\"", "github.token_file"],
            ),
            (
                judged(403, "", &permissions),
                ["issues=read", "github.token_file"],
            ),
            (
                judged(403, "", &[("x-github-sso", "required; url=https://x")]),
                ["single sign-on", "https://x"],
            ),
            (judged(404, "", &[]), ["repository o/r", "installation"]),
            (judged(410, r#"{"message":"gone"}"#, &[]), ["410", "gone"]),
            (judged(451, "", &[]), ["451", "o/r"]),
            (
                judged(422, r#"{"message":"Validation Failed"}"#, &[]),
                ["422", "Validation Failed"],
            ),
            (judged(302, "", &[]), ["302", "github.api_url"]),
        ] {
            let ApiVerdict::Final(error) = verdict else {
                panic!("{verdict:?}")
            };
            let text = error.to_string();
            assert!(
                words.iter().all(|word| text.contains(word)) && !text.contains('\n'),
                "{text}"
            );
        }
        for status in [408, 409, 500, 502, 503, 504] {
            assert!(
                matches!(judged(status, "", &[]), ApiVerdict::Again(_, None)),
                "{status}"
            );
        }
        let pause = judged(503, "", &[("retry-after", "3")]);
        assert!(matches!(pause, ApiVerdict::Again(_, Some(_))), "{pause:?}");
    }
}
