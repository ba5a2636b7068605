//! Documents of every kind, whole and broken.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const KEYS: &str = r#"{"Code":"Success","LastUpdated":"x","Type":"AWS-HMAC","AccessKeyId":"ASIA1",
    "SecretAccessKey":"wJalr","Token":"tok","Expiration":"1970-01-01T00:10:00Z"}"#;

#[test]
fn a_token_is_read_with_its_life() {
    let got =
        token(br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer","ext_expires_in":1}"#);
    let opened = Opened::Bearer(Secret::new("ya29.x".to_owned()));
    assert_eq!(got, Ok(Got { opened, life: Some(Duration::from_secs(3599)) }));
}

#[test]
fn a_document_that_is_wrong_gives_nothing_and_is_not_repeated() {
    for body in [
        "",
        "topsecret",
        "[\"topsecret\"]",
        r#"{"access_token":"topsecret"}"#,
        r#"{"access_token":"topsecret","expires_in":-1}"#,
        r#"{"access_token":"topsecret","expires_in":"soon"}"#,
        r#"{"access_token":"","expires_in":60}"#,
        r#"{"access_token":"top\r\nsecret: topsecret","expires_in":60}"#,
        r#"{"access_token":["topsecret"],"expires_in":60}"#,
        r#"{"AccessKeyId":"topsecret","Expiration":"1970-01-01T00:10:00Z"}"#,
        r#"{"type":"topsecret"}"#,
        r#"{"type":"service_account","private_key":"topsecret"}"#,
        r#"{"type":"authorized_user","client_id":"topsecret"}"#,
    ] {
        let failed = [
            token(body.as_bytes()).unwrap_err().to_string(),
            keys(body.as_bytes(), UNIX_EPOCH).unwrap_err().to_string(),
            account(body).err().expect(body).to_string(),
        ];
        assert!(!failed.concat().contains("secret\""), "{failed:?}");
        assert!(!failed.concat().contains("topsecret"), "{failed:?}");
    }
}

#[test]
fn keys_are_read_with_their_life_and_those_of_the_past_have_none() {
    let life = |seconds| keys(KEYS.as_bytes(), UNIX_EPOCH + Duration::from_secs(seconds)).unwrap().life;
    assert_eq!(life(0), Some(Duration::from_secs(600)));
    assert_eq!(life(599), Some(Duration::from_secs(1)));
    assert_eq!(life(600), Some(Duration::ZERO));
    assert_eq!(life(100_000), Some(Duration::ZERO));
    assert!(keys(KEYS.replace("\"Code\":\"Success\",", "").as_bytes(), UNIX_EPOCH).is_ok(), "a container's");
    let failed = keys(KEYS.replace("Success", "Failed").as_bytes(), UNIX_EPOCH).unwrap_err();
    assert!(failed.to_string().contains("permissions"), "{failed}");
}

#[test]
fn a_refusal_is_told_by_its_known_word_and_number() {
    let told = |body: &str| refusal(body.as_bytes());
    assert_eq!(
        told(r#"{"error":"invalid_grant","error_description":"x"}"#).as_deref(),
        Some("invalid_grant")
    );
    assert_eq!(
        told(r#"{"error":"invalid_client","error_codes":[7000215]}"#).as_deref(),
        Some("invalid_client, AADSTS7000215")
    );
    assert_eq!(told(r#"{"error":"topsecret"}"#), None);
    assert_eq!(told(r#"{"error":{"code":400}}"#), None);
}

#[test]
fn credentials_of_other_types_are_said_not_to_be_supported() {
    let failed = account(r#"{"type":"external_account"}"#).err().unwrap().to_string();
    assert!(failed.contains("type external_account are not supported"), "{failed}");
}

proptest! {
    #[test]
    fn no_document_panics(body in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
        let broken = [&KEYS.as_bytes()[..cut.index(KEYS.len())], &body].concat();
        for body in [&body, &broken] {
            let _ = (token(body), keys(body, UNIX_EPOCH), refusal(body), account(&String::from_utf8_lossy(body)));
        }
    }

    #[test]
    fn no_time_of_expiry_panics(time in "[0-9TZ:.+-]{0,40}|\\PC{0,20}", life in any::<u64>()) {
        let _ = keys(KEYS.replace("1970-01-01T00:10:00Z", &time).as_bytes(), SystemTime::now());
        let _ = token(format!(r#"{{"access_token":"a","expires_in":{life}}}"#).as_bytes());
    }
}
