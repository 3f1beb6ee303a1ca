//! The `Authorization` header, and the refusal of a request without rights (RFC 6750).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Permission, TokenDigest};

/// The reason for a refusal. The texts are for the client; none repeats what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization: Bearer`.
    #[error("send a token: Authorization: Bearer <token>")]
    NoToken,
    /// The header has two values, or contains no token.
    #[error("the Authorization header is not one well-formed Bearer <token>")]
    Malformed,
    /// In the query twice, or with characters that no token has.
    #[error("the query needs one well-formed token=<token>")]
    MalformedInQuery,
    /// In the query, where the operator does not allow it.
    #[error(
        "tokens in the query are off: send Authorization: Bearer <token>, or let the operator set \
         edge.query_tokens"
    )]
    InQuery,
    /// Never issued, or revoked.
    #[error("the token is unknown or revoked")]
    Unknown,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The principal is known and lacks the permission.
    #[error(
        "this needs the permission {:?}, which this token does not have: use one that has it, or let the operator list \
         it under `permissions` of the token in the file that auth.token_file names",
        .0.as_str()
    )]
    Forbidden(Permission),
    /// The server asks nobody for a token, and the permission is not among those that everybody has.
    #[error(
        "this needs the permission {:?}, which nobody has while this server runs without authentication: its operator \
         has to set auth.mode = \"tokens\" and give a token this permission",
        .0.as_str()
    )]
    ForbiddenToAll(Permission),
}

impl AuthError {
    /// The HTTP status: 401 where a (better) token helps, 403 where it does not (RFC 6750 §3.1).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Forbidden(_) | Self::ForbiddenToAll(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoToken => "token-missing",
            Self::Malformed | Self::MalformedInQuery => "token-malformed",
            Self::InQuery => "token-in-query",
            Self::Unknown => "token-unknown",
            Self::Expired => "token-expired",
            Self::Forbidden(_) | Self::ForbiddenToAll(_) => "permission-missing",
        }
    }

    /// The `WWW-Authenticate` header; none where no token would help. A request without a token gets no error code
    /// (RFC 6750 §3.1).
    pub const fn challenge(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Self::ForbiddenToAll(_) => return None,
            Self::NoToken | Self::InQuery => "Bearer",
            Self::Malformed | Self::MalformedInQuery | Self::Unknown => {
                r#"Bearer error="invalid_token""#
            }
            Self::Expired => {
                r#"Bearer error="invalid_token", error_description="the token has expired""#
            }
            Self::Forbidden(Permission::Read) => {
                r#"Bearer error="insufficient_scope", scope="read""#
            }
            Self::Forbidden(Permission::Send) => {
                r#"Bearer error="insufficient_scope", scope="send""#
            }
            Self::Forbidden(Permission::Admin) => {
                r#"Bearer error="insufficient_scope", scope="admin""#
            }
        }))
    }
}

/// The digest of the token in the header. Other schemes count as no token: the challenge names the
/// supported one.
pub(super) fn token(headers: &HeaderMap) -> Result<TokenDigest, AuthError> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = given.next().ok_or(AuthError::NoToken)?;
    // The same value twice: a program and its library both set it.
    if given.any(|other| other != value) {
        return Err(AuthError::Malformed);
    }
    let text = value.to_str().map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::NoToken);
    }
    TokenDigest::of(token.trim_matches(' ')).map_err(|_| AuthError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(values: &[&str]) -> Result<TokenDigest, AuthError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        token(&headers)
    }

    #[test]
    fn one_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        let digest = TokenDigest::of("fw_abc").unwrap();
        for good in ["Bearer fw_abc", "bearer fw_abc", "BEARER  fw_abc"] {
            assert_eq!(read(&[good]), Ok(digest), "{good}");
            assert_eq!(read(&[good, good]), Ok(digest), "{good}, twice");
        }
    }

    #[test]
    fn everything_else_is_refused_and_says_whether_a_token_was_there() {
        for none in [&[][..], &["Basic YTpi"], &["fw_abc"], &[""]] {
            assert_eq!(read(none), Err(AuthError::NoToken), "{none:?}");
        }
        for bad in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearer \u{e9}"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(read(bad), Err(AuthError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn only_who_showed_a_token_is_told_that_it_is_bad() {
        assert_eq!(AuthError::NoToken.challenge().unwrap(), "Bearer");
        for bad in [AuthError::Malformed, AuthError::Unknown, AuthError::Expired] {
            assert_eq!(bad.status(), StatusCode::UNAUTHORIZED);
            assert!(
                bad.challenge()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(r#"Bearer error="invalid_token""#)
            );
        }
        for permission in Permission::ALL {
            let denied = AuthError::Forbidden(permission);
            assert_eq!(denied.status(), StatusCode::FORBIDDEN);
            let scope = format!(r#"scope="{}""#, permission.as_str());
            let challenge = denied.challenge().unwrap();
            assert!(challenge.to_str().unwrap().contains(&scope));
        }
    }

    #[test]
    fn a_missing_permission_is_told_with_what_helps_here() {
        let admin = Permission::Admin;
        let of_token = AuthError::Forbidden(admin).to_string();
        assert!(of_token.contains("use one that has it"), "{of_token}");
        // Without authentication there is no token, and no file of tokens.
        let of_nobody = AuthError::ForbiddenToAll(admin);
        assert_eq!(of_nobody.status(), StatusCode::FORBIDDEN);
        assert_eq!(of_nobody.challenge(), None);
        let text = of_nobody.to_string();
        assert!(
            text.contains("auth.mode = \"tokens\"") && !text.contains("token_file"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(header::AUTHORIZATION, value);
                let _ = token(&headers);
            }
        }
    }
}
