//! Profile files as people write them.

use proptest::prelude::*;

use super::*;

fn read(content: &str, name: &str, is_config: bool) -> Option<Vec<(String, String)>> {
    properties(content, name, is_config).map(|properties| properties.into_iter().collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

const CONFIG: &str = "\
# all of us
[default]
region = eu-west-1
s3 =
  aws_access_key_id = nested
[profile work] ; the other
Role_ARN=arn:aws:iam::1:role/r  # of the cluster
web_identity_token_file\t=\t/var/run/token\t; here
nothing at all
[ profile blank ]
[sso-session work]
sso_start_url = https://x
";

#[test]
fn a_profile_has_the_properties_of_its_section() {
    assert_eq!(read(CONFIG, "default", true), pairs(&[("region", "eu-west-1"), ("s3", "")]));
    let work = [("role_arn", "arn:aws:iam::1:role/r"), ("web_identity_token_file", "/var/run/token")];
    assert_eq!(read(CONFIG, "work", true), pairs(&work));
    assert_eq!(read(CONFIG, "blank", true), pairs(&[]));
    assert_eq!(read(CONFIG, "nobody", true), None);
    assert_eq!(read("[work]\na=1", "work", true), None, "in `config` it is `[profile work]`");
    assert_eq!(read("[work]\r\n a = b=c \r\n", "work", false), pairs(&[("a", "b=c")]));
    assert_eq!(read("[profile default]\na=1", "default", true), pairs(&[("a", "1")]));
}

#[test]
fn keys_come_before_ways_that_are_not_supported() {
    let way = |content: &str| way(&properties(&format!("[p]\n{content}"), "p", false).unwrap());
    let keys = "aws_access_key_id=A\naws_secret_access_key=S\n";
    let expected = AwsKeys {
        access_key_id: "A".to_owned(),
        secret_access_key: Secret::new("S".to_owned()),
        session_token: None,
    };
    assert_eq!(way(&format!("{keys}sso_session=x")).unwrap(), Some(Way::Keys(expected)));
    assert_eq!(way("region=x").unwrap(), None);
    assert_eq!(way("aws_access_key_id=A").unwrap(), None);
    for (content, says) in [
        ("role_arn=r\nsource_profile=base", "by way of another profile"),
        ("role_arn=r\ncredential_source=Environment", "by way of another profile"),
        ("sso_session=x", "single sign-on (`sso_session`)"),
        ("credential_process=/bin/keys", "a program that prints keys (`credential_process`)"),
    ] {
        let failed = way(content).unwrap_err().to_string();
        assert!(failed.contains(says) && failed.contains("not supported"), "{failed}");
    }
}

proptest! {
    #[test]
    fn no_file_panics(content in "(\\[|\\]|profile|p|=|#|;| |\t|\n|role_arn|\\PC){0,60}", is_config: bool) {
        let _ = properties(&content, "p", is_config).map(|properties| way(&properties));
    }
}
