//! What attackers send. Where a token is signed it is signed by a good key, so that only the attack stands in its way.

use aws_lc_rs::hmac;

use super::*;

/// A token that is sound but for its header, of ES256.
fn header(header: &str) -> String {
    MINT.token(ES256, header, &claims().to_string())
}

/// A token that is sound but for its payload.
fn payload(payload: &str) -> String {
    MINT.token(ES256, r#"{"alg":"ES256","kid":"p256"}"#, payload)
}

fn assert_refused(name: &str, token: &str) {
    assert!(matches!(verdict(token), Err(Invalid::Refused(_))), "{name}: {:?}", verdict(token));
}

fn assert_malformed(name: &str, token: &str) {
    assert!(matches!(verdict(token), Err(Invalid::Malformed)), "{name}: {:?}", verdict(token));
}

#[test]
fn alg_none_in_all_spellings() {
    for none in ["none", "None", "NONE", "nOnE", "none ", "", "HS999", "es256", "ES256K", "ES512", "null"] {
        let head = json!({"alg": none, "kid": "p256"}).to_string();
        assert_refused(none, &header(&head));
        assert_refused(none, &format!("{}.{}.", encode(&head), encode(claims().to_string())));
    }
    for strange in [r#"{"alg":null}"#, r#"{"alg":256}"#, r#"{"alg":["ES256"]}"#, "{}", r#"{"Alg":"ES256"}"#] {
        assert_refused(strange, &header(strange));
    }
    let sound = MINT.sound(ES256, &claims());
    assert_refused("signature stripped", &sound[..=sound.rfind('.').unwrap()]);
}

#[test]
fn rsa_key_used_as_hmac_secret() {
    let public = MINT.jwk("rsa");
    let keys = set([public.clone()]);
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    for secret in [modulus, public.to_string().into_bytes(), public["n"].as_str().unwrap().into()] {
        for kid in [json!({"alg": "HS256", "kid": "rsa"}), json!({"alg": "HS256"})] {
            let signed = format!("{}.{}", encode(kid.to_string()), encode(claims().to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let token = format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())));
            let verdict = verify(&token, &keys, &policy(&ALL), NOW);
            assert_eq!(reason(verdict), "no key verifies its signature");
        }
    }
}

#[test]
fn embedded_jwk_and_keys_elsewhere() {
    let own = Mint::new();
    for pointer in [
        json!({"jwk": own.jwk("p256")}),
        json!({"jku": "http://127.0.0.1:1/keys"}),
        json!({"x5u": "http://127.0.0.1:1/certificate"}),
        json!({"x5c": ["MIIB"]}),
    ] {
        for kid in [json!("p256"), json!("own"), json!(null)] {
            let mut head = pointer.clone();
            head["alg"] = json!("ES256");
            if !kid.is_null() {
                head["kid"] = kid.clone();
            }
            let verdict = verdict(&own.token(ES256, &head.to_string(), &claims().to_string()));
            match kid == "own" {
                true => assert_eq!(verdict.unwrap_err(), Invalid::UnknownKey),
                false => assert_eq!(reason(verdict), "no key verifies its signature"),
            }
        }
    }
}

#[test]
fn kid_with_paths_and_quotes() {
    for kid in
        ["../../dev/null", "/etc/passwd", "p256' OR '1'='1", "p256\"", "p256\0", "P256", "p256/../p256"]
    {
        let token = header(&json!({"alg": "ES256", "kid": kid}).to_string());
        assert_eq!(verdict(&token).unwrap_err(), Invalid::UnknownKey, "{kid:?}");
    }
    for kid in ["5", "null", "[\"p256\"]", "{}", "true", r#""\ud800""#] {
        assert_refused(kid, &header(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#)));
    }
}

#[test]
fn crit() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "5"] {
        assert_refused(crit, &header(&format!(r#"{{"alg":"ES256","kid":"p256","crit":{crit}}}"#)));
    }
}

#[test]
fn duplicate_claims() {
    for twice in [
        r#"{"exp":9999999999,"sub":"a","sub":"b"}"#,
        r#"{"exp":1,"exp":9999999999}"#,
        r#"{"exp":9999999999,"s\u0075b":"a","sub":"b"}"#,
        r#"{"exp":9999999999,"user":{"plan":"a","plan":"b"}}"#,
        r#"{"exp":9999999999,"list":[1,[{"a":{"b":1,"b":1}}]]}"#,
    ] {
        assert_refused(twice, &payload(twice));
    }
    assert_malformed("in the header", &header(r#"{"alg":"ES256","alg":"ES256"}"#));
    assert_malformed("in the header", &header(r#"{"alg":"ES256","kid":"p256","x":1,"\u0078":1}"#));
}

#[test]
fn es256_zero_signature() {
    let sound = MINT.sound(ES256, &claims());
    let signed = &sound[..sound.rfind('.').unwrap()];
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    for signature in [vec![0; 64], vec![0], vec![0; 63], vec![255; 64], order.repeat(2), vec![0; 4096]] {
        assert_refused("zeros", &format!("{signed}.{}", encode(&signature)));
    }
    let asn1 = [0x30, 6, 2, 1, 0, 2, 1, 0];
    assert_refused("zeros in ASN.1", &format!("{signed}.{}", encode(asn1)));
}

#[test]
fn trailing_data() {
    let sound = MINT.sound(ES256, &claims());
    for rest in [".", ".a", ".AAAA", " ", "\n", "\0", ",", "=", "%00", "é"] {
        assert_malformed(rest, &format!("{sound}{rest}"));
        assert_malformed(rest, &format!("{rest}{sound}"));
    }
    assert_refused("after the payload", &payload(&format!("{} x", claims())));
    assert_refused("a second payload", &payload(&format!("{}{}", claims(), claims())));
    assert_malformed("after the header", &header(r#"{"alg":"ES256"}{}"#));
}

#[test]
fn wrong_padding() {
    let header = encode(r#"{"alg":"ES256","kid":"p256"}"#);
    let sound = MINT.sound(ES256, &claims());
    let signature = sound.rsplit('.').next().unwrap();
    // 64 bytes are 86 characters, whose last holds four bits that are no part of them.
    let stray = char::from(signature.as_bytes()[85] + 1);
    let stray = format!("{}{stray}", &signature[..85]);
    assert_malformed("stray bits", &format!("{}.{stray}", &sound[..sound.rfind('.').unwrap()]));
    for broken in ["..", "a..", ".a.", "..a", "", "a", "a.b", &format!("{header}..AAAA")] {
        assert_malformed(broken, broken);
    }
    let body = encode(claims().to_string());
    for broken in [
        format!("{header}==.{body}.{signature}"),
        format!("{header}.{body}=.{signature}"),
        format!("{header}.{body}.{signature}=="),
        format!("{header}.{body}.{}+/", &signature[..84]),
        format!("{header}.{}\n{}.{signature}", &body[..8], &body[8..]),
    ] {
        assert_malformed("padding", &broken);
    }
}

#[test]
fn long_tokens() {
    assert_malformed("100 kB of a", &"a".repeat(100_000));
    let long = MINT.sound(ES256, &with("filler", json!("x".repeat(100_000))));
    assert_malformed("100 kB, signed", &long);
    let filled = |count: usize| MINT.sound(ES256, &with("filler", json!("x".repeat(count))));
    let room = (MAX_BYTES - filled(0).len()) / 4 * 3;
    let longest = (room - 4..room + 4).map(filled).rfind(|token| token.len() <= MAX_BYTES).unwrap();
    assert!(longest.len() > MAX_BYTES - 3 && verdict(&longest).is_ok(), "{}", longest.len());
    assert_malformed("dots", &".".repeat(MAX_BYTES));
}

#[test]
fn nesting_bombs() {
    let nested =
        |depth: usize| format!(r#"{{"exp":9999999999,"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(verdict(&payload(&nested(31))).is_ok());
    assert_refused("too deep", &payload(&nested(32)));
    assert_refused("far too deep", &payload(&nested(5_000)));
    let objects = format!(r#"{{"exp":9999999999,"a":{}1{}}}"#, r#"{"a":"#.repeat(1_500), "}".repeat(1_500));
    assert_refused("objects", &payload(&objects));
    assert_malformed("in the header", &header(&"[".repeat(9_000)));
    assert_malformed("in the header, open", &header(&r#"{"alg":"#.repeat(1_500)));
    // A header is no object to walk: what is deep there is skipped.
    let deep = format!(r#"{{"alg":"ES256","kid":"p256","a":{}{}}}"#, "[".repeat(4_000), "]".repeat(4_000));
    assert!(verdict(&header(&deep)).is_ok());
}

#[test]
fn payloads_that_are_no_object() {
    for broken in [
        "",
        "null",
        "5",
        "[]",
        "\"a\"",
        "{",
        "{\"exp\":9999999999,}",
        "\u{feff}{\"exp\":9999999999}",
        "{'a':1}",
    ] {
        match broken {
            "" => assert_malformed("empty", &payload(broken)),
            _ => assert_refused(broken, &payload(broken)),
        }
    }
    let signed =
        format!("{}.{}", encode(r#"{"alg":"ES256"}"#), encode(b"{\"exp\":9999999999,\"a\":\"\xff\"}"));
    let signature = encode(MINT.sign(ES256, signed.as_bytes()));
    assert_refused("not UTF-8", &format!("{signed}.{signature}"));
}
