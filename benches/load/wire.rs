//! As much of HTTP/1.1 as the load generator and the sink speak: heads, and bodies whose length is told. A whole
//! library would take more of the two cores than what is measured.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request or an answer in a buffer: where its body is.
pub(crate) struct Framed {
    /// Where the head ends and the body begins.
    pub(crate) head: usize,
    /// Where the body ends.
    pub(crate) end: usize,
}

/// Reads until a whole message stands at the beginning of `buffer`. Nothing where the other side has gone before it
/// began one.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Option<Framed>> {
    let mut framed = None;
    loop {
        if framed.is_none() {
            framed = frame(buffer)?;
        }
        if let Some(framed) = framed.take_if(|framed| framed.end <= buffer.len()) {
            return Ok(Some(framed));
        }
        if from.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Where the parts of a message are, once its head is there.
fn frame(buffer: &[u8]) -> io::Result<Option<Framed>> {
    let Some(head) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let mut length = 0;
    for line in buffer[..head].split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<usize>().ok());
            length = value.ok_or(io::ErrorKind::InvalidData)?;
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a body of untold length"));
        }
    }
    Ok(Some(Framed { head, end: head + length }))
}

/// The status of an answer.
pub(crate) fn status(answer: &[u8]) -> io::Result<u16> {
    let digits = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
