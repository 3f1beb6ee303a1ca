//! The app: its claims, its installations, and their tokens.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use fake_github::auth::APP_PRIVATE_KEY;
use reqwest::Method;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use crate::harness::{START, Said, World};

/// Claims, signed with the app's key.
fn signed(claims: &Value) -> String {
    let body: String = APP_PRIVATE_KEY
        .lines()
        .filter(|it| !it.starts_with('-'))
        .collect();
    let pair = RsaKeyPair::from_der(&STANDARD.decode(body).unwrap()).unwrap();
    let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
    let text = format!(
        "{}.{}",
        part(&json!({ "alg": "RS256", "typ": "JWT" })),
        part(claims)
    );
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Claims that begin and end so many seconds from now.
fn claims(world: &World, iat: i64, exp: i64) -> String {
    let now = START.unix_millis() / 1000;
    signed(&json!({ "iat": now + iat, "exp": now + exp, "iss": world.github.app_id() }))
}

/// Claims that are believed now.
pub(crate) fn claims_of(world: &World) -> String {
    claims(world, -60, 540)
}

async fn token(world: &World, installation: u64) -> Said {
    let path = format!("/app/installations/{installation}/access_tokens");
    world.ask(Method::POST, &path, &claims_of(world), &[]).await
}

#[tokio::test]
async fn claims_are_believed_only_with_the_right_key_and_for_ten_minutes() {
    let world = World::new().await;
    let app = async |token: &str| world.ask(Method::GET, "/app", token, &[]).await;
    let known = app(&claims(&world, -60, 540)).await;
    assert_eq!(
        (known.status, &known.body["id"]),
        (200, &world.github.app_id().into())
    );
    let refused = [
        (claims(&world, -60, 700), "too far in the future"),
        (claims(&world, -700, -1), "future time"),
        (claims(&world, 120, 300), "'iat'"),
        (
            format!("{}A", claims(&world, -60, 540)),
            "could not be decoded",
        ),
        (signed(&json!({ "iat": 0, "exp": 1, "iss": "42" })), "'iss'"),
    ];
    for (token, reason) in refused {
        let answer = app(&token).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer.body["message"].as_str().unwrap().contains(reason),
            "{reason}: {}",
            answer.body
        );
    }
    assert_eq!(app("ghp_no_claims").await.status, 401);
}

#[tokio::test]
async fn an_installations_token_is_long_lives_an_hour_and_sees_what_was_selected() {
    let world = World::new().await;
    let installation = world.github.change(|it| {
        let other = it.create_repo(world.organization, "console");
        it.set_private(world.repo, true);
        it.set_private(other, true);
        it.install_app(world.organization, Some(&[world.repo]))
    });
    let issued = token(&world, installation).await;
    assert_eq!(issued.status, 201);
    let text = issued.body["token"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("ghs_") && text.matches('.').count() == 2,
        "{text}"
    );
    assert!((500..540).contains(&text.len()), "{}", text.len());
    assert_eq!(issued.body["expires_at"], "2026-11-30T13:00:00Z");

    let get = async |path: &str| world.ask(Method::GET, path, &text, &[]).await;
    let seen = get("/installation/repositories").await.body;
    assert_eq!(
        (&seen["total_count"], &seen["repositories"][0]["name"]),
        (&1.into(), &"reactor".into())
    );
    assert_eq!(get("/repos/octo/reactor").await.status, 200);
    assert_eq!(get("/repos/octo/console").await.status, 404);
    world.pass(3599);
    assert_eq!(get("/repos/octo/reactor").await.status, 200);
    world.pass(1);
    assert_eq!(get("/repos/octo/reactor").await.status, 401);
}

#[tokio::test]
async fn a_suspended_installation_gets_no_token_and_its_old_ones_stop() {
    let world = World::new().await;
    let installation = world
        .github
        .change(|it| it.install_app(world.organization, None));
    let issued = token(&world, installation).await.body["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let get = async || {
        world
            .ask(Method::GET, "/repos/octo/reactor", &issued, &[])
            .await
            .status
    };
    assert_eq!(get().await, 200);
    world
        .github
        .change(|it| it.suspend_installation(installation, true));
    assert_eq!(
        (get().await, token(&world, installation).await.status),
        (403, 403)
    );
    world
        .github
        .change(|it| it.suspend_installation(installation, false));
    assert_eq!(
        (get().await, token(&world, installation).await.status),
        (200, 201)
    );
}
