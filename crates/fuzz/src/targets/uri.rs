//! [`model::ResourceUri`]: any text, and its equivalent spellings.

use model::{GithubReference, ResourceUri, limits::MAX_RESOURCE_URI_BYTES};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(template) = ResourceUri::canonical_template(text) {
        let again = ResourceUri::canonical_template(&template);
        assert_eq!(again, Some(template));
    }
    let Ok(uri) = ResourceUri::parse(text) else {
        assert_eq!(
            ResourceUri::canonical(text),
            text,
            "not ours, so it has one spelling"
        );
        return;
    };
    let canonical = uri.to_string();
    assert!(canonical.len() <= text.len(), "a spelling is never shorter");
    assert_eq!(canonical.to_ascii_lowercase(), canonical);
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b":/-_.".contains(&byte);
    assert!(
        canonical.bytes().all(harmless),
        "it fits a frame: {canonical}"
    );
    for spelling in [
        canonical.clone(),
        canonical.to_ascii_uppercase(),
        format!("{canonical}/"),
        encoded(&canonical),
    ] {
        if spelling.len() <= MAX_RESOURCE_URI_BYTES {
            assert_eq!(
                ResourceUri::parse(&spelling).as_ref(),
                Ok(&uri),
                "{spelling}"
            );
        }
    }
    let named = GithubReference::read(text);
    assert!(
        matches!(named, Ok(Some(_))),
        "{text} is a reference too: {named:?}"
    );
}

/// The URI with every letter after the scheme percent-encoded.
fn encoded(canonical: &str) -> String {
    let (scheme, path) = canonical.split_once("://").expect("a URI");
    let letter = |letter: char| match letter {
        '/' => "/".to_owned(),
        letter => format!("%{:02x}", u32::from(letter)),
    };
    format!(
        "{scheme}://{}",
        path.chars().map(letter).collect::<String>()
    )
}
