//! Tests of cutting AWS's event streams; other tests make their streams with [`written`].

use proptest::prelude::*;

use super::*;

/// A message with these headers, all of them text.
pub(in crate::protocol) fn written(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).expect("short"));
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    framed(&block, payload)
}

/// A message with this block of headers.
fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(PRELUDE + headers.len() + payload.len() + CHECKSUM).expect("small");
    let mut message = total.to_be_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(headers.len()).expect("small").to_be_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message
}

fn event(name: &str, payload: &str) -> Vec<u8> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    written(&headers, payload.as_bytes())
}

type Read = Vec<(Kind, String, Vec<u8>)>;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Read, Unreadable> {
    let (mut splitter, mut read) = (Splitter::default(), Vec::new());
    for piece in pieces {
        splitter.push(piece, |m| read.push((m.kind, m.name.into_owned(), m.data.to_vec())))?;
    }
    Ok(read)
}

#[test]
fn the_examples_of_the_format_are_read() {
    // The AWS SDKs' test suites: an empty message, one with a number in its headers, and (aws-smithy-eventstream,
    // Apache-2.0, `valid_with_all_headers_and_payload`) one with a header of every type.
    let empty = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    assert_eq!(read([&empty[..]]), Ok(vec![(Kind::Event, String::new(), vec![])]));
    let int = b"\x00\x00\x00\x2d\x00\x00\x00\x10\x41\xc4\x24\xb8\x0aevent-type\x04\x00\x00\xa0\x0c{'foo':'bar'}\x36\xf4\x80\xa0";
    assert_eq!(read([&int[..]]), Ok(vec![(Kind::Event, String::new(), b"{'foo':'bar'}".to_vec())]));
    let all = b"\x00\x00\x00\x96\x00\x00\x00z\x8b\xb4\x95\xfb\x04true\x00\x05false\x01\x04byte\x022\x05short\x03N \
\x03int\x04\x00\x07\xa1 \x04long\x05\x00\x00\x00\x0b\xa4;t\x00\x05bytes\x06\x00\x0asome bytes\x03str\x07\x00\x08some str\
\x04time\x08\x00\x00\x00\x01*\x05\xf2\x00\x04uuid\x09\xb7\x9b\xc9\x14\xde!N\x13\xb8\xb2\xbcG\xe8[\x7f\x0bsome payload\x01\xa0X`";
    assert_eq!(read([&all[..]]), Ok(vec![(Kind::Event, String::new(), b"some payload".to_vec())]));
}

#[test]
fn each_kind_of_message_has_its_name() {
    let exception = written(
        &[(":exception-type", "throttlingException"), (":message-type", "exception")],
        br#"{"message":"slow"}"#,
    );
    let error = written(
        &[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "oh")],
        b"",
    );
    let coded =
        written(&[(":message-type", "error"), (":error-code", "503"), (":error-message", "busy")], b"");
    let stream = [event("messageStart", "{}"), exception, error, coded].concat();
    let expected = vec![
        (Kind::Event, "messageStart".to_owned(), b"{}".to_vec()),
        (Kind::Exception, "throttlingException".to_owned(), br#"{"message":"slow"}"#.to_vec()),
        (Kind::Error, "InternalError".to_owned(), b"oh".to_vec()),
        (Kind::Error, "503Exception".to_owned(), b"busy".to_vec()),
    ];
    assert_eq!(read([&stream[..]]), Ok(expected));
}

#[test]
fn headers_of_every_type_are_passed_over() {
    let mut headers = Vec::new();
    for (kind, value) in [
        (0_u8, &b""[..]),
        (1, b""),
        (2, b"1"),
        (3, b"12"),
        (4, b"1234"),
        (5, b"12345678"),
        (6, b"\x00\x02ab"),
        (8, b"12345678"),
        (9, b"1234567812345678"),
    ] {
        headers.extend_from_slice(&[1, b'h', kind]);
        headers.extend_from_slice(value);
    }
    headers.extend_from_slice(b"\x0b:event-type\x07\x00\x04ping");
    let message = framed(&headers, b"x");
    assert_eq!(read([&message[..]]), Ok(vec![(Kind::Event, "ping".to_owned(), b"x".to_vec())]));
    for broken in [&b"\x01h\x0a"[..], b"\x05h", b"\x01h\x07\x00\x09x", b"\x01h", b"\x01h\x07\x00\x01\xff"] {
        assert!(read([&framed(broken, b"")[..]]).is_err(), "{broken:?}");
    }
}

#[test]
fn a_changed_bit_is_noticed() {
    let whole = event("contentBlockDelta", r#"{"delta":{"text":"Paris"}}"#);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read([&changed[..]]).is_err(), "byte {at}");
    }
}

#[test]
fn lengths_have_bounds() {
    for (total, headers) in [(15_u32, 0_u32), (16, 1), (0, 0), (17 << 20, 0), (u32::MAX, 0), (20, u32::MAX)] {
        let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());
        assert!(read([&prelude[..]]).is_err(), "{total} {headers}");
    }
}

#[test]
fn a_message_comes_when_it_is_whole() {
    let (mut splitter, mut came) = (Splitter::default(), false);
    let whole = event("messageStop", "{}");
    splitter.push(&whole[..20], |_| panic!("it is not whole")).expect("a beginning");
    splitter.push(&whole[20..], |message| came = message.name == "messageStop").expect("the rest");
    assert!(came);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
        cuts in prop::collection::vec(0_usize..400, 0..20),
    ) {
        let headers = [(":event-type", "x"), (":message-type", "event")];
        let stream = payloads.iter().map(|payload| written(&headers, payload)).collect::<Vec<_>>().concat();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < stream.len()).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        let read = read(pieces).expect("a stream");
        let data: Vec<Vec<u8>> = read.into_iter().map(|(_, _, data)| data).collect();
        prop_assert_eq!(data, payloads);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
        let _ = read(pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn no_headers_make_it_panic(headers in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = read([&framed(&headers, b"{}")[..]]);
    }
}
