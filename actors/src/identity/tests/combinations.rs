//! Which of several identities counts: tokens, keys, headers, and none.

use super::*;

fn api_key(key: &str, client: &str, group: Option<&str>) -> ApiKey {
    let sha256 = *Digest::of(key.as_bytes()).bytes();
    ApiKey { client: ClientId::new(client), group: group.map(Group::new), sha256 }
}

/// Headers, with one API key beside them.
fn keyed() -> Rules {
    Rules { api_keys: vec![api_key("secret", "team-a", Some("premium"))], ..rules() }
}

fn team() -> Result<Principal, Denied> {
    Ok(Principal { client: Some(ClientId::new("team-a")), group: Some(Group::new("premium")) })
}

#[tokio::test]
async fn where_tokens_are_verified_every_call_needs_one_whatever_else_it_shows() {
    let source = KeySource::File(key_file(&["a"]));
    let rules = Rules { client: rules().client, ..verified(source) };
    let rig = Rig::start(rules).await;
    let bearer = |token: &str| format!("Bearer {token}");
    let good = token("a", "alice");
    let (malformed, refused) = (Err(Denied::MalformedToken), Err(Denied::Unauthorized));
    for (authorization, told) in [
        (None, Err(Denied::MissingToken)),
        (Some("Bearer".to_owned()), Err(Denied::MissingToken)),
        (Some("Bearer ".to_owned()), Err(Denied::MissingToken)),
        (Some("Basic YTpi".to_owned()), Err(Denied::NotBearer)),
        (Some(String::new()), Err(Denied::NotBearer)),
        (Some(format!("Bearer\t{good}")), Err(Denied::NotBearer)),
        (Some(format!("Bearer  {good}")), malformed.clone()),
        (Some(bearer("..")), malformed.clone()),
        (Some(bearer("abc")), malformed.clone()),
        (Some(bearer(&"a".repeat(60_000))), malformed.clone()),
        (Some(bearer(&format!("{good}="))), malformed),
        (Some(bearer(&token("b", "alice"))), refused.clone()),
        (Some(bearer(&token_of("a", &json!({"sub": "alice"})))), refused.clone()),
        (Some(bearer(&token_of("a", &json!({"sub": "alice", "exp": 1})))), refused.clone()),
        (Some(bearer(&token_of("a", &json!({"sub": "a", "exp": FAR, "nbf": FAR})))), refused.clone()),
        (Some(bearer(&token_of("a", &json!({"sub": 7, "exp": FAR})))), refused.clone()),
        (Some(bearer(&MINT.token(Algorithm::EdDSA, r#"{"alg":"none"}"#, "{}"))), refused),
        (Some(bearer(&good)), of("header")),
        (Some(format!("bEARER {good}")), of("header")),
    ] {
        let mut headers = headers(&[("x-user-id", "header")]);
        if let Some(value) = &authorization {
            headers.insert("authorization", HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(rig.identify(&headers).await, told, "{authorization:?}");
    }
    // A good token is no client id.
    assert_eq!(rig.identify(&super::bearer(&good)).await, Err(Denied::MissingClientId));
    assert_eq!(rig.ask(&[("x-api-key", &good), ("x-user-id", "header")]).await, of("header"));
}

#[tokio::test]
async fn what_is_too_long_for_a_token_or_key_is_not_even_looked_up() {
    let long = "a".repeat(16 * 1024 + 1);
    let tokens = Rig::start(verified(KeySource::File(key_file(&["a"])))).await;
    let keys = Rig::start(keyed()).await;
    for rig in [&tokens, &keys] {
        assert_eq!(rig.identify(&bearer(&long)).await, Err(Denied::MalformedToken));
        assert_eq!(rig.ask(&[("x-api-key", &long)]).await, Err(Denied::MalformedToken));
    }
    // As any other made-up key.
    assert_eq!(keys.ask(&[("x-api-key", &long), ("x-user-id", "alice")]).await, of("alice"));
    assert_eq!((tokens.number("new"), keys.number("new")), (0, 0));
    assert_eq!((tokens.number("denied"), keys.number("denied")), (2, 2));
    assert_eq!(keys.ask(&[("x-api-key", &long[1..])]).await, Err(Denied::Unauthorized));
    assert_eq!(keys.number("new"), 1);
}

#[tokio::test]
async fn where_nobody_is_named_a_verified_token_is_enough() {
    let rig = Rig::start(Rules { client: None, ..verified(KeySource::File(key_file(&["a"]))) }).await;
    assert_eq!(rig.identify(&bearer(&token("a", "alice"))).await, Ok(Principal::default()));
    assert_eq!(rig.ask(&[]).await, Err(Denied::MissingToken));
}

#[tokio::test]
async fn an_api_key_wins_over_everything_and_serves_where_tokens_are_demanded() {
    let rules = Rules { api_keys: keyed().api_keys, ..verified(KeySource::File(key_file(&["a"]))) };
    let rig = Rig::start(rules).await;
    for lines in [
        [("authorization", "Bearer secret"), ("x-user-id", "header")],
        [("x-api-key", "secret"), ("x-user-id", "header")],
        [("x-goog-api-key", "secret"), ("x-user-id", "header")],
    ] {
        assert_eq!(rig.ask(&lines).await, team());
    }
    for sdk in ["authorization", "x-api-key", "x-goog-api-key"] {
        let token = token("a", "alice");
        let value = if sdk == "authorization" { format!("Bearer {token}") } else { token };
        assert_eq!(rig.ask(&[(sdk, &value)]).await, of("alice"), "{sdk}");
    }
    assert_eq!(rig.ask(&[("x-api-key", "another")]).await, Err(Denied::MalformedToken));
    assert_eq!(rig.ask(&[]).await, Err(Denied::MissingToken));
}

#[tokio::test]
async fn beside_api_keys_another_configured_identity_is_enough() {
    let rig = Rig::start(keyed()).await;
    let cases: [(&[Line<'_>], Result<Principal, Denied>); 9] = [
        (&[("x-api-key", "secret")], team()),
        (&[("x-api-key", "secret"), ("x-user-id", "alice")], team()),
        (&[("authorization", "Bearer made-up"), ("x-user-id", "alice")], of("alice")),
        (&[("x-user-id", "alice")], of("alice")),
        (&[("authorization", "Basic YTpi"), ("x-user-id", "alice")], of("alice")),
        (&[("authorization", "Bearer made-up")], Err(Denied::Unauthorized)),
        (&[("authorization", "Basic YTpi")], Err(Denied::NotBearer)),
        (&[], Err(Denied::MissingToken)),
        (&[("x-api-key", "secret"), ("x-api-key", "secret")], Err(Denied::RepeatedKey)),
    ];
    for (lines, told) in cases {
        assert_eq!(rig.ask(lines).await, told, "{lines:?}");
    }
}

#[tokio::test]
async fn with_api_keys_alone_nothing_else_counts() {
    let rig = Rig::start(Rules { client: None, ..keyed() }).await;
    assert_eq!(rig.ask(&[("x-goog-api-key", "secret")]).await, team());
    assert_eq!(rig.ask(&[("x-user-id", "alice")]).await, Err(Denied::MissingToken));
    let both = [("x-api-key", "made-up"), ("x-user-id", "alice")];
    assert_eq!(rig.ask(&both).await, Err(Denied::Unauthorized));
}

#[tokio::test]
async fn a_proxys_token_is_believed_from_the_proxy_alone() {
    let trusted = |network: &str| Rules {
        client: Some(Source::Claim("sub".into())),
        tokens: Tokens::Unverified,
        trusted_proxies: Networks::new(vec![network.parse().unwrap()]),
        ..keyed()
    };
    // Signed by nobody.
    let token = token("unknown", "alice");
    let signed = &token[..=token.rfind('.').unwrap()];
    let alice = format!("Bearer {signed}");
    let near = Rig::start(trusted("10.0.0.0/8")).await;
    assert_eq!(near.ask(&[("authorization", &alice)]).await, of("alice"));
    assert_eq!(near.ask(&[("x-api-key", "secret")]).await, team());
    assert_eq!(near.ask(&[("authorization", "Bearer abc")]).await, Err(Denied::Unauthorized));
    let far = Rig::start(trusted("192.0.2.0/24")).await;
    assert_eq!(far.ask(&[("authorization", &alice)]).await, Err(Denied::Unauthorized));
    let bare = Rig::start(Rules { api_keys: Vec::new(), ..trusted("192.0.2.0/24") }).await;
    assert_eq!(bare.ask(&[("authorization", &alice)]).await, Err(Denied::MissingClientId));
    assert_eq!(bare.ask(&[("authorization", "Basic YTpi")]).await, Err(Denied::MissingClientId));
}

#[tokio::test]
async fn where_nobody_reads_them_credentials_are_ignored() {
    let rig = Rig::start(rules()).await;
    for authorization in ["Bearer abc", "Basic YTpi", ""] {
        let lines = [("authorization", authorization), ("x-user-id", "alice")];
        assert_eq!(rig.ask(&lines).await, of("alice"));
    }
    let twice = [("x-api-key", "a"), ("x-api-key", "b"), ("x-user-id", "alice")];
    assert_eq!(rig.ask(&twice).await, of("alice"));
}
