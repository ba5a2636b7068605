//! Tests.

use super::*;

/// What the client gets of an array that comes in pieces of `cut` bytes, and how it ends.
fn passed(body: &str, cut: usize) -> (String, Ending) {
    let mut stream = Stream::new(Bytes::from_static(b"\"p/m\""), Some(["key1".into()].into()));
    let mut out = Vec::new();
    body.as_bytes()
        .chunks(cut)
        .for_each(|piece| out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)).unwrap()));
    let (end, ending) = stream.finish();
    out.extend_from_slice(&end);
    (String::from_utf8(out).unwrap(), ending)
}

const PART: &str = r#"{ "candidates":[{"content":{"parts":[{"text":"a}]\\\"["}]}}],"modelVersion":"up"}"#;
const LAST: &str = r#"{"candidates":[{"finishReason":"STOP"}],"modelVersion": "up" }"#;

#[test]
fn an_array_passes_byte_for_byte_but_for_the_model() {
    let body = format!(" [{PART}\n,\r\n{LAST}\n]\n");
    for cut in [1, 2, 7, usize::MAX] {
        let expected = body.replace("\"up\"", "\"p/m\"");
        assert_eq!(passed(&body, cut), (expected, Ending::Complete));
    }
}

#[test]
fn a_broken_array_ends_in_an_error_and_a_bracket() {
    let error = r#"{"error":{"code":502,"message":"the provider ended the stream before the answer was complete","status":"UNKNOWN"}}"#;
    let part = PART.replace("\"up\"", "\"p/m\"");
    for (body, expected) in [
        (String::new(), format!("[{error}]")),
        ("[".to_owned(), format!("[{error}]")),
        ("[]".to_owned(), format!("[{error}]")),
        (format!("[{PART}"), format!("[{part},\r\n{error}]")),
        (format!("[{PART}\n,\r\n{{\"cand"), format!("[{part},\r\n{error}]")),
        (format!("[{PART}\n]"), format!("[{part},\r\n{error}]")),
    ] {
        assert_eq!(passed(&body, 3), (expected, Ending::Broken), "{body}");
    }
    let whole = format!("[{LAST}").replace("\"up\"", "\"p/m\"");
    assert_eq!(
        passed(&format!("[{LAST}"), 3),
        (format!("{whole}]"), Ending::Complete),
        "only the bracket is missing"
    );
}

#[test]
fn an_error_passes_without_the_key_in_an_array_or_not() {
    let error = r#"{"error":{"code":400,"message":"key1 is bad","status":"INVALID_ARGUMENT"}}"#;
    let clean = error.replace("key1", "…");
    assert_eq!(passed(&format!("[{error}\n]"), 5), (format!("[{clean}\n]"), Ending::Broken));
    assert_eq!(passed(error, 5), (format!("[{clean}]"), Ending::Broken));
}

#[test]
fn an_element_without_end_is_not_held_for_ever() {
    let mut stream = Stream::new(Bytes::from_static(b"\"p/m\""), None);
    let piece = Bytes::from(vec![b'a'; MAX_EVENT / 2 + 1]);
    assert!(stream.push(Bytes::from_static(b"[{\"a\":\"")).is_ok() && stream.push(piece.clone()).is_ok());
    assert_eq!(stream.push(piece), Err(TooLarge));
}
