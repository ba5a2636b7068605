//! AWS Bedrock as tests play it: its answers and streams, and its check of a signature, worked out anew.

use aws_lc_rs::{digest, hmac};
use serde_json::{Value, json};

use super::upstream::{Call, Reply, Step, Upstream};

/// The keys that the router is given.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDOFTESTS012345678";
pub(crate) const SECRET_ACCESS_KEY: &str = "secret/access+key/of/tests";
pub(crate) const SESSION_TOKEN: &str = "session-token-of-tests==";

/// The region of [`bedrock`].
const REGION: &str = "eu-central-1";

/// A provider `bedrock` that `upstream` plays, with the model `claude`; `keys` are further keys of its table.
pub(crate) fn bedrock(upstream: &Upstream, keys: &str) -> String {
    format!(
        r#"
[llm.providers.bedrock]
type = "bedrock"
region = "{REGION}"
base_url = "http://{}"
{keys}
[llm.providers.bedrock.models.claude]
rename = "anthropic.claude-sonnet-4-5-v1:0"
"#,
        upstream.address()
    )
}

/// The keys that open it, as its table has them.
pub(crate) fn keys() -> String {
    format!(
        "access_key_id = {ACCESS_KEY_ID:?}\nsecret_access_key = {SECRET_ACCESS_KEY:?}\nsession_token = {SESSION_TOKEN:?}\n"
    )
}

/// A whole answer with this content.
pub(crate) fn answer(content: &Value, stop_reason: &str) -> Reply {
    let body = json!({
        "metrics": {"latencyMs": 1}, "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason, "usage": {"inputTokens": 8, "outputTokens": 2, "totalTokens": 10},
    });
    Reply::json(body.to_string()).header("x-amzn-requestid", "aws-1")
}

/// A stream in which these bytes come one after the other.
pub(crate) fn stream(pieces: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    let reply = Reply::status(200).header("content-type", "application/vnd.amazon.eventstream");
    pieces.into_iter().fold(reply, |reply, piece| reply.step(Step::send(piece)))
}

/// The stream of a text: all of its messages.
pub(crate) fn text(text: &str) -> Vec<Vec<u8>> {
    vec![
        event("messageStart", &json!({"p": "abc", "role": "assistant"})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": text}, "p": "a"})),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        event("messageStop", &json!({"stopReason": "end_turn"})),
        event("metadata", &json!({"usage": {"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}})),
    ]
}

/// A message of the stream that is an event.
pub(crate) fn event(name: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload.to_string().as_bytes())
}

/// A message of the stream that is an error.
pub(crate) fn exception(name: &str, text: &str) -> Vec<u8> {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, json!({"message": text}).to_string().as_bytes())
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.push(7); // text
        block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + block.len() + payload.len()).unwrap();
    let mut message = total.to_be_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&block);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message
}

/// Works the signature of a call out anew, from what arrived, with this secret.
#[track_caller]
pub(crate) fn assert_signed(call: &Call, access_key_id: &str, secret: &str) {
    let sent = call.header("authorization").expect("a signature");
    let field = |name: &str| {
        let (_, rest) = sent.split_once(&format!("{name}=")).expect(name);
        rest.split(", ").next().unwrap()
    };
    let (time, names) = (call.header("x-amz-date").expect("a time"), field("SignedHeaders"));
    let scope = format!("{}/{REGION}/bedrock/aws4_request", &time[..8]);
    assert_eq!(field("Credential"), format!("{access_key_id}/{scope}"));
    for needed in ["content-type", "host", "x-amz-date"] {
        assert!(names.split(';').any(|name| name == needed), "{needed} is signed: {names}");
    }
    let token = call.header("x-amz-security-token").is_some();
    assert_eq!(names.contains("x-amz-security-token"), token, "{names}");
    let headers = names.split(';').map(|name| format!("{name}:{}\n", call.header(name).expect(name)));
    let headers: String = headers.collect();
    let path = call.uri.path().replace('%', "%25");
    let canonical = format!("POST\n{path}\n\n{headers}\n{names}\n{}", sha256(&call.body));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let keyed = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    };
    let key = keyed(format!("AWS4{secret}").as_bytes(), &time[..8]);
    let key = [REGION, "bedrock", "aws4_request"].iter().fold(key, |key, step| keyed(&key, step));
    assert_eq!(field("Signature"), hex(&keyed(&key, &text)));
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
