//! Whom keys are taken from.

use super::*;

#[test]
fn keys_come_in_the_clear_only_from_next_door() {
    for safe in [
        "https://vault.example.com/keys",
        "http://127.0.0.1:9/x",
        "http://localhost/x",
        "http://[::1]:80/x",
        "http://169.254.170.2/v2",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
    ] {
        assert!(is_safe(safe), "{safe}");
    }
    for unsafe_one in [
        "http://vault.example.com/keys",
        "http://10.0.0.1/x",
        "http://169.254.170.2.example.com/x",
        "http://localhost.example.com/x",
        "ftp://localhost/x",
        "/keys",
        "no url",
    ] {
        assert!(!is_safe(unsafe_one), "{unsafe_one}");
    }
}

#[test]
fn an_instance_is_asked_where_the_environment_says_or_not_at_all() {
    let instance = |set: &'static [(&str, &str)]| {
        Instance::new(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
            .map(|instance| instance.base)
    };
    assert_eq!(instance(&[]).as_deref(), Some("http://169.254.169.254"));
    assert_eq!(
        instance(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")]).as_deref(),
        Some("http://[fd00:ec2::254]")
    );
    assert_eq!(
        instance(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://m:1/")]).as_deref(),
        Some("http://m:1")
    );
    assert_eq!(instance(&[("AWS_EC2_METADATA_DISABLED", "TRUE")]), None);
    assert!(instance(&[("AWS_EC2_METADATA_DISABLED", "false")]).is_some());
}
