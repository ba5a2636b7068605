//! The events of a provider, which inputs hold one a line, in the framing in which they come.

/// As server-sent events. A line is an event's name, a space and its data; or, where it begins with a bracket, data alone.
pub fn server_sent(text: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (name, data) in events(text) {
        if !name.is_empty() {
            stream.extend([b"event: ".as_slice(), name, b"\n"].concat());
        }
        stream.extend([b"data: ".as_slice(), data, b"\n\n"].concat());
    }
    stream
}

/// As AWS's event stream. What is called `…Exception` is one.
pub fn event_stream(text: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (name, data) in events(text) {
        let (kind, of) = if name.ends_with(b"xception") {
            ("exception", ":exception-type")
        } else {
            ("event", ":event-type")
        };
        let headers = [header(":message-type", kind.as_bytes()), header(of, name)].concat();
        stream.extend(sealed(&headers, data));
    }
    stream
}

/// A message of AWS's with these headers, as they are, and the checksums that belong to it.
pub fn sealed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).expect("inputs are small").to_be_bytes();
    let mut message = [length(headers.len() + payload.len() + 16), length(headers.len())].concat();
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message
}

fn header(name: &str, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("inputs are small").to_be_bytes();
    [[name.len() as u8].as_slice(), name.as_bytes(), &[7], &length, value].concat()
}

/// Names and data; a name that is missing is empty.
fn events(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| match line[0] {
        b'{' | b'[' => (&[][..], line),
        _ => {
            let end = memchr::memchr(b' ', line).unwrap_or(line.len());
            (&line[..end], line.get(end + 1..).unwrap_or_default())
        }
    })
}
