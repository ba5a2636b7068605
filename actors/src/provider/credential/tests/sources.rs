//! Every source against a server that plays its part: what it asks, and what comes of each answer.

use std::{fs, path::PathBuf};

use super::*;
use crate::provider::credential::{
    aws::{Configured, sts},
    google::assertion,
};

const FAR: &str = "2999-01-01T00:00:00Z";

/// A folder of the test's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nexus-credential-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes the file, and gives its path.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An environment of these variables.
fn environment<'a>(set: &[(&'a str, &str)]) -> impl Fn(&str) -> Option<String> + use<'a> {
    let set: HashMap<_, _> = set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    move |name| set.get(name).cloned()
}

async fn aws(configured: Configured, set: &[(&str, &str)]) -> Result<Got, Failed> {
    Source::Aws(aws::Source::new(configured, "eu-west-1", environment(set))).open(&Files::new()).await
}

async fn google(file: Option<&str>, set: &[(&str, &str)]) -> Result<Got, Failed> {
    Source::Google(google::Source::new(file.map(PathBuf::from), environment(set))).open(&Files::new()).await
}

/// The id of keys.
fn id(got: Result<Got, Failed>) -> String {
    match got.unwrap().opened {
        Opened::Aws(keys) => keys.access_key_id,
        Opened::Bearer(_) => panic!("keys were wanted"),
    }
}

fn token(got: Result<Got, Failed>) -> String {
    bearer(&got.unwrap().opened)
}

fn keys(id: &str) -> Answer {
    let keys = format!(r#""AccessKeyId":"{id}","SecretAccessKey":"s","Token":"t","Expiration":"{FAR}""#);
    Some((200, format!("{{{keys}}}")))
}

const ENVIRONMENT: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", SECRET)];

#[tokio::test]
async fn configured_keys_come_before_the_environment_and_never_expire() {
    let configured = || Configured::Keys {
        access_key_id: "AKIACONF".to_owned(),
        secret_access_key: Secret::new(SECRET.to_owned()),
        session_token: Some(Secret::new("session".to_owned())),
    };
    let got = aws(configured(), &ENVIRONMENT).await;
    assert_eq!(got.as_ref().unwrap().life, None);
    assert_eq!(id(got), "AKIACONF");
    assert_eq!(id(aws(Configured::Chain, &ENVIRONMENT).await), "AKIAENV");
    let rig = Rig::start(Source::Aws(aws::Source::new(configured(), "r", environment(&[])))).await;
    let opened = rig.credential.current().await.unwrap();
    assert!(matches!(&*opened, Opened::Aws(keys) if keys.session_token.is_some()));
}

#[tokio::test]
async fn the_chain_takes_what_is_there_first_and_leaves_the_rest_alone() {
    let folder = Folder::new("chain");
    let server = Server::start(|request| {
        let of = |part: &str| request.contains(part);
        match () {
            () if of("AssumeRoleWithWebIdentity") => Some((200, sts::tests::answer("ASIASTS", FAR))),
            () if of("GET /container ") => keys("ASIACONT"),
            () if of("PUT /latest/api/token") => Some((200, "session".to_owned())),
            () if of("security-credentials/my-role") => keys("ASIAINST"),
            () if of("security-credentials/ ") => Some((200, "my-role\n".to_owned())),
            () => Some((404, String::new())),
        }
    })
    .await;
    let shared =
        folder.file("credentials", "[default]\naws_access_key_id=AKIAPROF\naws_secret_access_key=s\n");
    let identity = folder.file("token", "jwt\n");
    let container = format!("{}/container", server.base);
    let mut set = vec![
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        ("AWS_SHARED_CREDENTIALS_FILE", &*shared),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &identity),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_ENDPOINT_URL_STS", &server.base),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.base),
    ];
    for (first, expected, requests) in [
        ("AWS_ACCESS_KEY_ID", "AKIAENV", 0),
        ("AWS_SHARED_CREDENTIALS_FILE", "AKIAPROF", 0),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "ASIASTS", 1),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ASIACONT", 2),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ASIAINST", 5),
    ] {
        assert_eq!(id(aws(Configured::Chain, &set).await), expected);
        assert_eq!(server.asked().len(), requests, "{first}");
        set.retain(|(name, _)| *name != first);
    }
    let failed = aws(Configured::Chain, &[("AWS_EC2_METADATA_DISABLED", "true")]).await.unwrap_err();
    assert_eq!(failed.to_string(), "no AWS keys in the configuration, the environment or a profile");
}

#[tokio::test]
async fn a_web_identity_is_exchanged_at_sts_with_the_token_of_the_file_as_it_is_now() {
    let folder = Folder::new("sts");
    let server = Server::start(|_| Some((200, sts::tests::answer("ASIASTS", FAR)))).await;
    let path = folder.file("token", "first.jwt\n");
    let config =
        format!("[profile work]\nrole_arn = arn:aws:iam::1:role/a b\nweb_identity_token_file = {path}\n");
    let config = folder.file("config", &config);
    let set = [("AWS_CONFIG_FILE", &*config), ("AWS_ENDPOINT_URL_STS", &server.base)];
    let source = aws::Source::new(Configured::Profile("work".to_owned()), "r", environment(&set));
    let (source, files) = (Source::Aws(source), Files::new());
    assert_eq!(id(source.open(&files).await), "ASIASTS");
    folder.file("token", "second.jwt");
    assert_eq!(id(source.open(&files).await), "ASIASTS");
    let asked = server.asked();
    assert!(asked[0].starts_with("POST / HTTP/1.1\r\n"), "{}", asked[0]);
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b\
                &RoleSessionName=nexus&WebIdentityToken=";
    assert!(asked[0].ends_with(&format!("{form}first.jwt")), "{}", asked[0]);
    assert!(asked[1].ends_with(&format!("{form}second.jwt")), "{}", asked[1]);
    server.says(|_| {
        Some((400, "<Error><Code>ExpiredTokenException</Code><Message>topsecretvalue</Message>".into()))
    });
    let failed = source.open(&files).await.unwrap_err().to_string();
    assert!(failed.ends_with("the server answered 400 (ExpiredTokenException)"), "{failed}");
    assert!(!failed.contains(SECRET));
}

#[tokio::test]
async fn a_container_shows_its_token_and_the_one_of_a_file_comes_first() {
    let folder = Folder::new("container");
    let server = Server::start(|_| keys("ASIACONT")).await;
    let full = format!("{}/creds?id=1", server.base);
    let set =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*full), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain")];
    assert_eq!(id(aws(Configured::Chain, &set).await), "ASIACONT");
    let path = folder.file("token", "of-file\n");
    let set = [set[0], set[1], ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &path)];
    assert_eq!(id(aws(Configured::Chain, &set).await), "ASIACONT");
    let asked = server.asked();
    assert!(
        asked[0].starts_with("GET /creds?id=1 HTTP/1.1\r\n") && asked[0].contains("authorization: plain\r\n")
    );
    assert!(asked[1].contains("authorization: of-file\r\n"), "{}", asked[1]);
    folder.file("token", "two\r\nlines: x");
    let failed = aws(Configured::Chain, &set).await.unwrap_err().to_string();
    assert!(failed.contains("no header `authorization` can carry"), "{failed}");
    let set = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys")];
    let failed = aws(Configured::Chain, &set).await.unwrap_err().to_string();
    assert!(failed.contains("neither https nor next door"), "{failed}");
}

#[tokio::test]
async fn an_instance_is_asked_by_session() {
    let server = Server::start(|request| match request.split(' ').next() {
        Some("PUT") => Some((200, "the-session".to_owned())),
        _ if request.contains("security-credentials/r ") => keys("ASIAINST"),
        _ => Some((200, "r".to_owned())),
    })
    .await;
    let set = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*server.base)];
    assert_eq!(id(aws(Configured::Chain, &set).await), "ASIAINST");
    let asked = server.asked();
    assert!(asked[0].starts_with("PUT /latest/api/token ") && asked[0].contains("content-length: 0\r\n"));
    assert!(asked[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
    assert!(asked[1..].iter().all(|asked| asked.contains("x-aws-ec2-metadata-token: the-session\r\n")));
    for (status, body) in [(200, "../../x"), (200, ""), (404, "r"), (200, "two words")] {
        server.says(move |request| match request.starts_with("PUT") {
            true => Some((200, "s".to_owned())),
            false => Some((status, body.to_owned())),
        });
        assert!(aws(Configured::Chain, &set).await.is_err(), "{status} {body}");
    }
}

#[tokio::test]
async fn a_profile_that_is_named_must_be_there_and_be_of_use() {
    let folder = Folder::new("profile");
    let config = folder.file("config", "[profile sso]\nsso_session = x\n[profile bare]\nregion = x\n");
    let set = [("AWS_CONFIG_FILE", &*config), ("AWS_EC2_METADATA_DISABLED", "true")];
    for (name, says) in [
        ("none", "AWS profile \"none\": it is in none of the shared files"),
        ("bare", "AWS profile \"bare\": it has neither keys nor a web identity"),
        ("sso", "AWS profile \"sso\": single sign-on (`sso_session`) is not supported"),
    ] {
        let source = || aws::Source::new(Configured::Profile(name.to_owned()), "r", environment(&set));
        let mut supervisor = Supervisor::start("providers").await;
        let refused = Credential::spawn(&mut supervisor, "p", Source::Aws(source())).await;
        assert_eq!(refused.unwrap_err().to_string(), says);
        let failed = aws(Configured::Chain, &[set[0], set[1], ("AWS_PROFILE", name)]).await;
        assert_eq!(failed.unwrap_err().to_string(), says);
    }
}

#[tokio::test]
async fn temporary_keys_of_a_profile_are_read_again_and_lasting_ones_are_not() {
    let folder = Folder::new("temporary");
    let lasting = "[default]\naws_access_key_id=A\naws_secret_access_key=s\n";
    for (content, life) in [
        (lasting.to_owned(), None),
        (format!("{lasting}aws_session_token=t\n"), Some(Duration::from_secs(900))),
    ] {
        let path = folder.file("credentials", &content);
        let got = aws(Configured::Chain, &[("AWS_SHARED_CREDENTIALS_FILE", &path)]).await.unwrap();
        assert_eq!(got.life, life);
    }
}

#[tokio::test]
async fn a_service_account_signs_for_its_token() {
    let folder = Folder::new("service");
    let server = Server::start(tokens(3599)).await;
    let file = folder.file("key.json", &service_account(&server.base));
    assert_eq!(token(google(Some(&file), &[]).await), "t0");
    assert_eq!(token(google(None, &[("GOOGLE_APPLICATION_CREDENTIALS", &file)]).await), "t1");
    let asked = server.asked();
    assert!(asked[0].starts_with("POST /token HTTP/1.1\r\n"));
    let form = "\r\n\r\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let [_, claims] = assertion::tests::verified(asked[0].split_once(form).unwrap().1);
    assert!(claims.contains(&format!("\"aud\":\"{}/token\"", server.base)), "{claims}");
    server.says(|_| Some((400, r#"{"error":"invalid_grant"}"#.to_owned())));
    let failed = google(Some(&file), &[]).await.unwrap_err().to_string();
    assert!(failed.ends_with("key.json: the server answered 400 (invalid_grant)"), "{failed}");
}

/// The file of a service account whose tokens come from there.
fn service_account(base: &str) -> String {
    let key = assertion::tests::pem().replace('\n', "\\n");
    format!(
        r#"{{"type":"service_account","project_id":"p","private_key_id":"k","private_key":"{key}",
            "client_email":"me@p.iam","client_id":"1","token_uri":"{base}/token"}}"#
    )
}

#[tokio::test]
async fn without_a_named_file_google_takes_that_of_gcloud_and_then_the_metadata_server() {
    let folder = Folder::new("gcloud");
    let server = Server::start(tokens(600)).await;
    let host = server.base.strip_prefix("http://").unwrap();
    let set = [("HOME", folder.0.to_str().unwrap()), ("GCE_METADATA_HOST", host)];
    assert_eq!(token(google(None, &set).await), "t0");
    let user = format!(
        r#"{{"type":"authorized_user","client_id":"c","client_secret":"cs","refresh_token":"1//r","token_uri":"{}/t"}}"#,
        server.base
    );
    folder.file(".config/gcloud/application_default_credentials.json", &user);
    assert_eq!(token(google(None, &set).await), "t1");
    let asked = server.asked();
    let path = "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\n";
    assert!(asked[0].starts_with(path) && asked[0].contains("metadata-flavor: Google\r\n"), "{}", asked[0]);
    let form = "grant_type=refresh_token&client_id=c&client_secret=cs&refresh_token=1%2F%2Fr";
    assert!(asked[1].ends_with(form), "{}", asked[1]);
}

#[tokio::test]
async fn a_file_that_is_named_must_be_there_and_hold_an_account() {
    let folder = Folder::new("named");
    let broken = service_account("http://h").replace("BEGIN PRIVATE", "BEGIN PUBLIC");
    for (content, says) in [
        (None, "there is no such file"),
        (Some("topsecretvalue"), "it is no file of Google credentials"),
        (Some(&*broken), "its private key is no RSA key in PEM"),
        (Some(&*service_account("no url")), "its address is no URL"),
    ] {
        let path = content.map_or_else(|| "/nowhere".to_owned(), |content| folder.file("key.json", content));
        let source = google::Source::new(Some(path.clone().into()), environment(&[]));
        let mut supervisor = Supervisor::start("providers").await;
        let refused = Credential::spawn(&mut supervisor, "p", Source::Google(source)).await;
        assert_eq!(refused.unwrap_err().to_string(), format!("{path}: {says}"));
    }
}

#[tokio::test]
async fn entra_is_asked_for_the_token_of_an_application() {
    let server = Server::start(tokens(600)).await;
    let secret = || Secret::new("s+/ s".to_owned());
    let source = entra::Source::new("t/1".into(), "app".into(), secret(), None);
    let source =
        source.or_environment(environment(&[("AZURE_AUTHORITY_HOST", &format!("{}/", server.base))]));
    assert_eq!(token(Source::Entra(source).open(&Files::new()).await), "t0");
    let asked = mem::take(&mut server.asked()[0]);
    assert!(asked.starts_with("POST /t%2F1/oauth2/v2.0/token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"));
    let form = "grant_type=client_credentials&client_id=app&client_secret=s%2B%2F%20s\
                &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    assert!(asked.ends_with(form), "{asked}");
    server.says(|_| Some((401, r#"{"error":"invalid_client","error_codes":[7000215]}"#.to_owned())));
    let failed = Source::Entra(entra::Source::new(
        "t".into(),
        "a".into(),
        secret(),
        Some(server.base.parse().unwrap()),
    ));
    let failed = failed.open(&Files::new()).await.unwrap_err().to_string();
    assert_eq!(failed, "Microsoft Entra: the server answered 401 (invalid_client, AADSTS7000215)");
}

#[tokio::test]
async fn a_refusal_or_a_broken_document_of_any_server_is_a_failure_that_repeats_nothing() {
    let folder = Folder::new("broken");
    let server = Server::start(|_| None).await;
    let file = folder.file("key.json", &service_account(&server.base));
    let identity = folder.file("token", "jwt");
    let container = format!("{}/c", server.base);
    let web = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*identity),
        ("AWS_ROLE_ARN", "r"),
        ("AWS_ENDPOINT_URL_STS", &server.base),
    ];
    for (status, body) in [
        (200, SECRET),
        (200, ""),
        (200, "{}"),
        (200, "<Credentials>topsecretvalue"),
        (302, SECRET),
        (500, SECRET),
    ] {
        server.says(move |_| Some((status, body.to_owned())));
        for got in [
            aws(Configured::Chain, &web).await,
            aws(Configured::Chain, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container)]).await,
            aws(Configured::Chain, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.base)]).await,
            google(Some(&file), &[]).await,
            google(None, &[("GCE_METADATA_HOST", &server.base)]).await,
            entra(&server).open(&Files::new()).await,
        ] {
            let failed = got.expect_err(body).to_string();
            assert!(!failed.contains(SECRET), "{failed}");
        }
    }
}
