//! The vectors of AWS's test suite, as far as a request can be one of ours, and times. Ours have neither dots nor double
//! slashes in their path, and a path that is encoded twice, which the suite's own request with a blank is not.

use http::Request;

use super::*;

/// A vector: the request, and its signature as the suite has it. Source: `aws-signing-test-suite/v4` (Apache-2.0), in
/// <https://github.com/awslabs/aws-c-auth> and in the crate `aws-sigv4`.
struct Vector {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    token: Option<&'static str>,
    signed: &'static str,
    signature: &'static str,
}

/// 2015-08-30T12:36:00Z
const NOW: u64 = 1_440_938_160;

const VECTORS: [Vector; 20] = [
    Vector {
        name: "get-header-key-duplicate",
        method: "GET",
        path: "/",
        headers: &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        body: "",
        token: None,
        signed: "host;my-header1;x-amz-date",
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    },
    Vector {
        name: "get-header-value-order",
        method: "GET",
        path: "/",
        headers: &[
            ("My-Header1", "value4"),
            ("My-Header1", "value1"),
            ("My-Header1", "value3"),
            ("My-Header1", "value2"),
        ],
        body: "",
        token: None,
        signed: "host;my-header1;x-amz-date",
        signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    },
    Vector {
        name: "get-header-value-trim",
        method: "GET",
        path: "/",
        headers: &[("My-Header1", "value1"), ("My-Header2", "\"a   b   c\"")],
        body: "",
        token: None,
        signed: "host;my-header1;my-header2;x-amz-date",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    Vector {
        name: "get-unreserved",
        method: "GET",
        path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    },
    Vector {
        name: "get-vanilla",
        method: "GET",
        path: "/",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-vanilla-empty-query-key",
        method: "GET",
        path: "/?Param1=value1",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    },
    Vector {
        name: "get-vanilla-query",
        method: "GET",
        path: "/",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-vanilla-query-order-encoded",
        method: "GET",
        path: "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    },
    Vector {
        name: "get-vanilla-query-order-key-case",
        method: "GET",
        path: "/?Param2=value2&Param1=value1",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    },
    Vector {
        name: "get-vanilla-query-unreserved",
        method: "GET",
        path: "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    },
    Vector {
        name: "get-vanilla-with-session-token",
        method: "GET",
        path: "/",
        headers: &[],
        body: "",
        token: Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
        signed: "host;x-amz-date;x-amz-security-token",
        signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    },
    Vector {
        name: "post-header-key-case",
        method: "POST",
        path: "/",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-header-key-sort",
        method: "POST",
        path: "/",
        headers: &[("My-Header1", "value1")],
        body: "",
        token: None,
        signed: "host;my-header1;x-amz-date",
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Vector {
        name: "post-header-value-case",
        method: "POST",
        path: "/",
        headers: &[("My-Header1", "VALUE1")],
        body: "",
        token: None,
        signed: "host;my-header1;x-amz-date",
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    },
    Vector {
        name: "post-sts-header-before",
        method: "POST",
        path: "/",
        headers: &[],
        body: "",
        token: Some(
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        ),
        signed: "host;x-amz-date;x-amz-security-token",
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        path: "/",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-vanilla-empty-query-value",
        method: "POST",
        path: "/?Param1=value1",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    },
    Vector {
        name: "post-vanilla-query",
        method: "POST",
        path: "/?Param1=value1",
        headers: &[],
        body: "",
        token: None,
        signed: "host;x-amz-date",
        signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        method: "POST",
        path: "/",
        headers: &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
        ],
        body: "Param1=value1",
        token: None,
        signed: "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    },
    Vector {
        name: "post-x-www-form-urlencoded-parameters",
        method: "POST",
        path: "/",
        headers: &[
            ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("Content-Length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
        ],
        body: "Param1=value1",
        token: None,
        signed: "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        signature: "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    },
];

fn authorization(vector: &Vector) -> String {
    let uri = format!("https://example.amazonaws.com{}", vector.path);
    let mut request = Request::builder().method(vector.method).uri(uri);
    for (name, value) in vector.headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).expect("a request").into_parts();
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into());
    let token = vector.token.map(|token| Secret::new(token.into()));
    let credential = Credential {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: &secret,
        session_token: token.as_ref(),
    };
    let scope = Scope { region: "us-east-1", service: "service" };
    sign(&mut parts, &[vector.body.into()], credential, scope, NOW).expect("signed");
    parts.headers[AUTHORIZATION].to_str().expect("text").to_owned()
}

#[test]
fn every_vector_of_the_suite_is_signed_as_it_says() {
    for vector in &VECTORS {
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            vector.signed, vector.signature
        );
        assert_eq!(authorization(vector), expected, "{}", vector.name);
    }
}

#[test]
fn a_path_is_encoded_once_more_than_in_the_address() {
    // The suite's `double-url-encode` and `double-encode-path`, with the signature that the crate `aws-sigv4` tests.
    let arn = "https://x/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-west-2%3A892717189312%3Afunction%3Amy-rusty-fun/invocations";
    assert_eq!(
        path(&arn.parse().expect("a URL")),
        "/2015-03-31/functions/arn%253Aaws%253Alambda%253Aus-west-2%253A892717189312%253Afunction%253Amy-rusty-fun/invocations"
    );
    let uri = "https://tj9n5r0m12.execute-api.us-east-1.amazonaws.com/test/@connections/JBDvjfGEIAMCERw%3D";
    let (mut parts, ()) = Request::post(uri).body(()).expect("a request").into_parts();
    assert_eq!(path(&parts.uri), "/test/%40connections/JBDvjfGEIAMCERw%253D");
    let secret = Secret::new("notrealrnrELgWzOk3IfjzDKtFBhDby".into());
    let credential =
        Credential { access_key_id: "ANOTREAL", secret_access_key: &secret, session_token: None };
    sign(&mut parts, &[], credential, Scope { region: "us-east-1", service: "service" }, NOW)
        .expect("signed");
    let signed = parts.headers[AUTHORIZATION].to_str().expect("text");
    assert!(
        signed.ends_with("=57d157672191bac40bae387e48bbe14b15303c001fdbb01f4abf295dccb09705"),
        "{signed}"
    );
}

#[test]
fn times_are_written_out() {
    for (seconds, text) in [
        (0, "19700101T000000Z"),
        (NOW, "20150830T123600Z"),
        (951_782_399, "20000228T235959Z"),
        (951_782_400, "20000229T000000Z"),
        (4_107_542_399, "21000228T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(time(seconds), text);
    }
}

#[test]
fn what_no_header_can_carry_is_not_signed() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let (secret, token) = (Secret::new("s".into()), Secret::new("line\nbreak".into()));
    let mut credential =
        Credential { access_key_id: "A", secret_access_key: &secret, session_token: Some(&token) };
    let scope = Scope { region: "r", service: "s" };
    assert!(sign(&mut parts, &[], credential, scope, 0).is_err());
    credential.session_token = None;
    assert!(sign(&mut parts, &[], credential, scope, 0).is_ok());
    credential.access_key_id = "line\nbreak";
    assert!(sign(&mut parts, &[], credential, scope, 0).is_err());
}
