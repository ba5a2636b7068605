//! Identity by header: the table of cases, then the same through actors.

use std::collections::BTreeSet;

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

fn peer() -> Peer {
    Peer { address: PEER, certificate: None }
}

fn rules() -> Rules {
    Rules {
        client: Some(Source::Header(HeaderName::from_static("x-user-id"))),
        group: Some(Source::Header(HeaderName::from_static("x-group-id"))),
        groups: ["premium", "basic"].map(Group::new).into(),
        require_group: true,
        trusted_proxies: Vec::new(),
        tokens: Tokens::Ignored,
        api_keys: Vec::new(),
    }
}

type Line<'a> = (&'static str, &'a [u8]);

fn headers(lines: &[Line<'_>]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn decide(rules: &Rules, lines: &[Line<'_>]) -> Result<(String, Option<String>), Denied> {
    let principal = identify(rules, &Presented::of(rules, &headers(lines), PEER))?;
    let client = principal.client.expect("identification is on");
    Ok((client.to_string(), principal.group.map(|group| group.to_string())))
}

fn found(client: &str, group: Option<&str>) -> Result<(String, Option<String>), Denied> {
    Ok((client.into(), group.map(Into::into)))
}

#[test]
fn a_client_and_a_listed_group_are_who_they_say() {
    let lines: [Line<'_>; 3] = [("x-group-id", b"basic"), ("x-user-id", b"alice"), ("x-other", b"x")];
    assert_eq!(decide(&rules(), &lines), found("alice", Some("basic")));
}

#[test]
fn client_ids_are_kept_as_given() {
    let longest = "a".repeat(ClientId::MAX_BYTES);
    for id in ["", "  inner  blanks", "user@example.com:123-456_789/test", &longest] {
        assert_eq!(
            decide(&rules(), &[("x-user-id", id.as_bytes()), ("x-group-id", b"basic")]),
            found(id, Some("basic"))
        );
    }
}

#[test]
fn every_unsound_identity_is_denied_for_its_reason() {
    let long = "a".repeat(ClientId::MAX_BYTES + 1);
    let repeated = Denied::InvalidClientId(InvalidClientId::Repeated);
    let cases: [(&[Line<'_>], Denied); 10] = [
        (&[], Denied::MissingClientId),
        (&[("x-group-id", b"vip")], Denied::MissingClientId),
        (&[("x-user-id", b"Zo\xc3\xab"), ("x-group-id", b"basic")], Denied::MissingClientId),
        (&[("x-user-id", b"a"), ("x-user-id", b"a"), ("x-group-id", b"basic")], repeated),
        (&[("x-user-id", long.as_bytes())], Denied::InvalidClientId(InvalidClientId::TooLong)),
        (&[("x-user-id", b"a")], Denied::MissingGroup),
        (&[("x-user-id", b"a"), ("x-group-id", b"\xff")], Denied::MissingGroup),
        (&[("x-user-id", b"a"), ("x-group-id", b"vip")], Denied::UnlistedGroup),
        (&[("x-user-id", b"a"), ("x-group-id", b"Basic")], Denied::UnlistedGroup),
        (&[("x-user-id", b"a"), ("x-group-id", b"basic"), ("x-group-id", b"basic")], Denied::RepeatedGroup),
    ];
    for (lines, denied) in cases {
        assert_eq!(decide(&rules(), lines), Err(denied), "{lines:?}");
    }
    assert_eq!(decide(&rules(), &[("x-user-id", b"a"), ("x-group-id", b"")]), Err(Denied::UnlistedGroup));
}

#[test]
fn without_the_requirement_a_group_may_be_absent_but_not_wrong() {
    let rules = Rules { require_group: false, ..rules() };
    assert_eq!(decide(&rules, &[("x-user-id", b"a")]), found("a", None));
    assert_eq!(decide(&rules, &[("x-user-id", b"a"), ("x-group-id", b"vip")]), Err(Denied::UnlistedGroup));
}

#[test]
fn without_a_list_any_group_is_accepted_as_it_is() {
    let rules = Rules { groups: BTreeSet::new(), require_group: false, ..rules() };
    assert_eq!(decide(&rules, &[("x-user-id", b"a"), ("x-group-id", b"vip")]), found("a", Some("vip")));
    assert_eq!(decide(&rules, &[("x-user-id", b"a"), ("x-group-id", b"")]), found("a", Some("")));
    assert_eq!(decide(&rules, &[("x-user-id", b"a")]), found("a", None));
}

#[test]
fn headers_of_a_group_that_is_not_configured_are_ignored() {
    let rules = Rules { group: None, require_group: false, ..rules() };
    assert_eq!(decide(&rules, &[("x-user-id", b"a"), ("x-group-id", b"vip")]), found("a", None));
}

#[test]
fn only_trusted_proxies_are_believed() {
    let trusting = Rules {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        ..rules()
    };
    let headers = headers(&[("x-user-id", b"a"), ("x-group-id", b"basic")]);
    for (peer, believed) in [
        ("10.255.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("2001:db8::1", true),
        ("11.0.0.1", false),
        ("::ffff:11.0.0.1", false),
        ("2001:db9::1", false),
    ] {
        let told = identify(&trusting, &Presented::of(&trusting, &headers, peer.parse().unwrap()));
        assert_eq!(told.is_ok(), believed, "{peer}");
        assert!(believed || told == Err(Denied::MissingClientId), "{peer}");
    }
}

#[test]
fn bodies_have_the_known_words() {
    for (denied, error, description) in [
        (Denied::MissingClientId, "missing_client_id", "Client identification is required"),
        (Denied::MissingGroup, "missing_group_id", "Group identification is required"),
        (Denied::UnlistedGroup, "invalid_group", "The specified group is not valid"),
    ] {
        assert_eq!((denied.error(), denied.description()), (error, description));
    }
    assert_eq!(Denied::RepeatedGroup.error(), "invalid_group");
    assert_eq!(Denied::InvalidClientId(InvalidClientId::TooLong).error(), "invalid_client_id");
}

#[tokio::test(start_paused = true)]
async fn workers_answer_in_turn_and_say_who_is_denied() {
    let mut supervisor = Supervisor::start("identity").await;
    let two = NonZeroUsize::new(2).unwrap();
    let identity = Identity::spawn(&mut supervisor, two, 64, Some(Arc::new(rules()))).await;
    let known = headers(&[("x-user-id", b"alice"), ("x-group-id", b"premium")]);
    for _ in 0..3 {
        let principal = identity.identify(&known, &peer()).await.unwrap();
        assert_eq!(
            principal,
            Principal { client: Some(ClientId::new("alice")), group: Some(Group::new("premium")) }
        );
    }
    let denied = identity.identify(&HeaderMap::new(), &peer()).await;
    assert_eq!(denied, Err(IdentityError::Denied(Denied::MissingClientId)));
    let handled: Vec<_> = supervisor.gauges().iter().map(|gauges| gauges.snapshot().handled).collect();
    assert_eq!(handled, [2, 2]);
    assert!(supervisor.drain(WITHIN).await);
    let gone = identity.identify(&known, &peer()).await;
    assert_eq!(gone, Err(IdentityError::Unreachable(Unreachable::Restarting)));
}

#[tokio::test(start_paused = true)]
async fn with_identification_off_everybody_is_nobody_in_particular() {
    let mut supervisor = Supervisor::start("identity").await;
    let identity = Identity::spawn(&mut supervisor, NonZeroUsize::MIN, 64, None).await;
    let anybody = headers(&[("x-user-id", b"alice")]);
    assert_eq!(identity.identify(&anybody, &peer()).await, Ok(Principal::default()));
    assert!(supervisor.gauges().is_empty());
}
