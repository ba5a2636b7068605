//! What is taken from a request, and the table of who that makes the caller.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::identity::{Certificate, CertificateField, Networks, Tokens};

const PEER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

fn peer() -> Peer {
    Peer { address: PEER, certificate: None }
}

fn rules() -> Rules {
    Rules {
        client: Some(Source::Header(HeaderName::from_static("x-user-id"))),
        group: Some(Source::Header(HeaderName::from_static("x-group-id"))),
        groups: ["premium", "basic"].map(Group::new).into(),
        require_group: true,
        trusted_proxies: Networks::default(),
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
    named(Presented::of(rules, &headers(lines), &peer()).decide(rules))
}

fn named(principal: Result<Principal, Denied>) -> Result<(String, Option<String>), Denied> {
    let Principal { client, group } = principal?;
    Ok((client.expect("somebody is named").to_string(), group.map(|group| group.to_string())))
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
    let trusting = Rules { trusted_proxies: Networks::new(vec!["10.0.0.0/8".parse().unwrap()]), ..rules() };
    let headers = headers(&[("x-user-id", b"a"), ("x-group-id", b"basic")]);
    for (peer, believed) in [("10.255.0.1", true), ("::ffff:10.0.0.1", true), ("11.0.0.1", false)] {
        let peer = Peer { address: peer.parse().unwrap(), certificate: None };
        let told = Presented::of(&trusting, &headers, &peer).decide(&trusting);
        assert_eq!(told.is_ok(), believed, "{peer:?}");
        assert!(believed || told == Err(Denied::MissingClientId), "{peer:?}");
    }
}

/// Rules that read both parts from claims.
fn claiming(client: &str, group: &str) -> Rules {
    Rules { client: Some(Source::Claim(client.into())), group: Some(Source::Claim(group.into())), ..rules() }
}

fn decide_claims(rules: &Rules, claims: serde_json::Value) -> Result<(String, Option<String>), Denied> {
    let told = Told::by(rules, &Claims::parse(claims.to_string().as_bytes()).expect("an object"));
    named(Presented { told, ..Presented::of(rules, &HeaderMap::new(), &peer()) }.decide(rules))
}

#[test]
fn claims_name_the_client_as_text_or_by_the_first_audience() {
    let rules = Rules { group: None, require_group: false, ..claiming("sub", "grp") };
    let too_long = Denied::InvalidClientId(InvalidClientId::TooLong);
    for (sub, told) in [
        (json!("alice"), Ok("alice")),
        (json!("Zoë 🦀"), Ok("Zoë 🦀")),
        (json!(""), Ok("")),
        (json!(42), Ok("42")),
        (json!(true), Ok("true")),
        (json!(["alice"]), Err(Denied::MissingClientId)),
        (json!({"id": "alice"}), Err(Denied::MissingClientId)),
        (json!(null), Err(Denied::MissingClientId)),
        (json!("a".repeat(1025)), Err(too_long)),
        (json!("é".repeat(513)), Err(too_long)),
    ] {
        let told = told.map(|client| (client.to_owned(), None));
        assert_eq!(decide_claims(&rules, json!({ "sub": sub })), told, "{sub}");
    }
    let rules = Rules { client: Some(Source::Claim("aud".into())), ..rules };
    assert_eq!(decide_claims(&rules, json!({"aud": ["first", "second"]})), found("first", None));
    assert_eq!(decide_claims(&rules, json!({"aud": []})), Err(Denied::MissingClientId));
}

#[test]
fn claims_name_the_group_as_text_or_by_the_first_listed_one() {
    let rules = claiming("sub", "realm.groups");
    for (groups, told) in [
        (json!("basic"), Ok("basic")),
        (json!("vip"), Err(Denied::UnlistedGroup)),
        (json!(["vip", "premium", "basic"]), Ok("premium")),
        (json!(["vip"]), Err(Denied::UnlistedGroup)),
        (json!([]), Err(Denied::UnlistedGroup)),
        (json!(null), Err(Denied::MissingGroup)),
        (json!({"basic": true}), Err(Denied::MissingGroup)),
    ] {
        let told = told.map(|group| ("a".to_owned(), Some(group.to_owned())));
        assert_eq!(decide_claims(&rules, json!({"sub": "a", "realm": {"groups": groups}})), told, "{groups}");
    }
    let any = Rules { groups: BTreeSet::new(), require_group: false, ..rules };
    assert_eq!(decide_claims(&any, json!({"sub": "a", "realm.groups": ["x", "y"]})), found("a", Some("x")));
    assert_eq!(
        decide_claims(&any, json!({"sub": "a", "realm.groups": []})),
        Err(Denied::UnlistedGroup),
        "an empty list is no absence"
    );
    assert_eq!(decide_claims(&any, json!({"sub": "a"})), found("a", None));
}

#[test]
fn a_certificate_is_believed_from_every_peer() {
    let certificate = Certificate::new(Some("spiffe://a/b"), None);
    let peer = Peer { address: PEER, certificate: Some(Arc::new(certificate)) };
    let mut rules = Rules {
        client: Some(Source::Certificate(CertificateField::SanUri)),
        group: None,
        require_group: false,
        trusted_proxies: Networks::new(vec!["192.0.2.0/24".parse().unwrap()]),
        ..rules()
    };
    let of = |rules: &Rules, peer: &Peer| named(Presented::of(rules, &HeaderMap::new(), peer).decide(rules));
    assert_eq!(of(&rules, &peer), found("spiffe://a/b", None));
    assert_eq!(of(&rules, &self::peer()), Err(Denied::MissingClientId));
    rules.client = Some(Source::Certificate(CertificateField::SubjectCn));
    assert_eq!(of(&rules, &peer), Err(Denied::MissingClientId));
    let long = "a".repeat(ClientId::MAX_BYTES + 1);
    let peer = Peer { certificate: Some(Arc::new(Certificate::new(None, Some(&long)))), ..peer };
    assert_eq!(of(&rules, &peer), Err(Denied::InvalidClientId(InvalidClientId::TooLong)));
}

#[test]
fn all_calls_of_a_connection_share_the_id_of_its_certificate() {
    let peer = Peer { address: PEER, certificate: Some(Arc::new(Certificate::new(None, Some("alice")))) };
    let source = Some(Source::Certificate(CertificateField::SubjectCn));
    let rules = Rules { client: source, group: None, require_group: false, ..rules() };
    let id = || Presented::of(&rules, &HeaderMap::new(), &peer).decide(&rules).unwrap().client.unwrap();
    assert!(std::ptr::eq(id().as_str(), id().as_str()), "made once");
}

#[test]
fn groups_have_the_bound_that_client_ids_have() {
    let (longest, long) = ("g".repeat(Group::MAX_BYTES), "g".repeat(Group::MAX_BYTES + 1));
    let any = Rules { groups: BTreeSet::new(), require_group: false, ..rules() };
    let header = |group: &str| decide(&any, &[("x-user-id", b"a"), ("x-group-id", group.as_bytes())]);
    assert_eq!(header(&longest), found("a", Some(&longest)));
    assert_eq!(header(&long), Err(Denied::GroupTooLong));
    assert_eq!(
        decide(&rules(), &[("x-user-id", b"a"), ("x-group-id", long.as_bytes())]),
        Err(Denied::GroupTooLong)
    );
    let any = Rules { groups: BTreeSet::new(), require_group: false, ..claiming("sub", "grp") };
    for (groups, told) in [
        (json!(long), Err(Denied::GroupTooLong)),
        (json!([long]), Err(Denied::GroupTooLong)),
        (json!([long, "b"]), found("a", Some("b"))),
        (json!("é".repeat(513)), Err(Denied::GroupTooLong)),
    ] {
        assert_eq!(decide_claims(&any, json!({"sub": "a", "grp": groups})), told);
    }
}

#[test]
fn the_first_credential_that_is_there_counts() {
    use Credential::{Absent, NotBearer, Token};
    let cases: [(&[Line<'_>], Result<Credential<'_>, Denied>); 20] = [
        (&[], Ok(Absent)),
        (&[("authorization", b"Bearer abc")], Ok(Token(b"abc"))),
        (&[("authorization", b"bEaReR abc")], Ok(Token(b"abc"))),
        (&[("authorization", b"Bearer a b")], Ok(Token(b"a b"))),
        (&[("authorization", b"Bearer  abc")], Ok(Token(b" abc"))),
        (&[("authorization", b"Bearer \xff")], Ok(Token(b"\xff"))),
        (&[("authorization", b"Bearer")], Ok(Absent)),
        (&[("authorization", b"bearer ")], Ok(Absent)),
        (&[("authorization", b"")], Ok(NotBearer)),
        (&[("authorization", b"Bear")], Ok(NotBearer)),
        (&[("authorization", b"Bearerabc")], Ok(NotBearer)),
        (&[("authorization", b"Bearer\tabc")], Ok(NotBearer)),
        (&[("authorization", b"Basic YTpi")], Ok(NotBearer)),
        (&[("authorization", b"Basic YTpi"), ("x-api-key", b"abc")], Ok(NotBearer)),
        (&[("authorization", b"Bearer"), ("x-api-key", b"abc")], Ok(Token(b"abc"))),
        (&[("x-goog-api-key", b"g"), ("x-api-key", b"a"), ("authorization", b"Bearer b")], Ok(Token(b"b"))),
        (&[("x-goog-api-key", b"g"), ("x-api-key", b"a")], Ok(Token(b"a"))),
        (&[("x-goog-api-key", b"g"), ("x-api-key", b"")], Ok(Token(b"g"))),
        (&[("x-api-key", b"a"), ("x-api-key", b"a")], Err(Denied::RepeatedKey)),
        (
            &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
            Err(Denied::RepeatedAuthorization),
        ),
    ];
    for (lines, credential) in cases {
        assert_eq!(Credential::of(&headers(lines)), credential, "{lines:?}");
    }
}

#[test]
fn a_credential_does_not_print_itself() {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer hidden"))]);
    let credential = Credential::of(&headers).unwrap();
    assert_eq!(
        (credential, format!("{credential:?}").as_str()),
        (Credential::Token(b"hidden"), "Token(\"…\")")
    );
}
