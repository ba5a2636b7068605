//! Answers of STS, whole, refused and broken.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::{
    provider::credential::{AwsKeys, Opened},
    secret::Secret,
};

/// As the documentation of the API shows it.
pub(in crate::provider::credential) fn answer(id: &str, expiration: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
         <AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>me</SubjectFromWebIdentityToken>\n\
         <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/nexus</Arn><AssumedRoleId>ARO:nexus</AssumedRoleId>\
         </AssumedRoleUser>\n<Credentials>\n  <SessionToken>to&amp;ken==</SessionToken>\n  \
         <SecretAccessKey>wJalr/+secret</SecretAccessKey>\n  <Expiration>{expiration}</Expiration>\n  \
         <AccessKeyId>{id}</AccessKeyId>\n</Credentials></AssumeRoleWithWebIdentityResult>\
         <ResponseMetadata><RequestId>ad4156e9</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"
    )
}

#[test]
fn keys_are_read_out_of_an_answer_with_their_life() {
    let got = keys(&answer("ASIA1", "2026-01-01T01:00:00Z"), UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    let keys = AwsKeys {
        access_key_id: "ASIA1".to_owned(),
        secret_access_key: Secret::new("wJalr/+secret".to_owned()),
        session_token: Some(Secret::new("to&ken==".to_owned())),
    };
    assert_eq!(got, Ok(Got { opened: Opened::Aws(keys), life: Some(Duration::from_secs(3600)) }));
}

#[test]
fn an_answer_that_lacks_anything_gives_no_keys_and_is_not_repeated() {
    let whole = answer("ASIA1", "2026-01-01T01:00:00Z");
    for (from, to) in [
        ("<Credentials>", "<Other>"),
        ("</Credentials>", ""),
        ("<AccessKeyId>ASIA1</AccessKeyId>", ""),
        ("<AccessKeyId>ASIA1<", "<AccessKeyId><"),
        ("ASIA1", "AS IA"),
        ("ASIA1", "AS&#65;IA"),
        ("ASIA1", "AS&IA"),
        ("ASIA1", "<b>ASIA1</b>"),
        ("SessionToken", "Token"),
        ("2026-01-01T01:00:00Z", "tomorrow"),
        ("wJalr/+secret", ""),
    ] {
        let failed = keys(&whole.replace(from, to), UNIX_EPOCH).expect_err(from).to_string();
        assert!(!failed.contains("wJalr") && !failed.contains("ken=="), "{failed}");
    }
}

#[test]
fn a_refusal_is_told_by_its_known_code_only() {
    let error = |code| {
        format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
    };
    assert_eq!(refusal(&error("ExpiredTokenException")), Some("ExpiredTokenException"));
    assert_eq!(refusal(&error("the-secret")), None);
    assert_eq!(refusal("<Code>"), None);
}

#[test]
fn the_server_is_that_of_the_region_unless_the_environment_names_another() {
    let none = |_: &str| None;
    assert_eq!(Sts::new("eu-west-1", none).0, "https://sts.eu-west-1.amazonaws.com");
    assert_eq!(Sts::new("cn-north-1", none).0, "https://sts.cn-north-1.amazonaws.com.cn");
    let one = |name: &str| (name == "AWS_ENDPOINT_URL_STS").then(|| "http://sts:1".to_owned());
    assert_eq!(Sts::new("eu-west-1", one).0, "http://sts:1");
    let all = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://all:1".to_owned());
    assert_eq!(Sts::new("eu-west-1", all).0, "http://all:1");
}

proptest! {
    #[test]
    fn no_answer_panics(text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let _ = (keys(&text, UNIX_EPOCH), refusal(&text));
        let whole = answer("ASIA1", "2026-01-01T01:00:00Z");
        let cut = cut.index(whole.len());
        let broken = format!("{}{text}{}", &whole[..cut], &whole[cut..]);
        let _ = (keys(&broken, UNIX_EPOCH), keys(&whole[..cut], UNIX_EPOCH));
    }
}
