//! The part of HTTP/1.1 that the load generator and the sink need: heads, and bodies with a length or in chunks. A
//! complete library would use more of the two cores than the measured program.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Position of the body of a request or response in a buffer.
pub(crate) struct Framed {
    /// End of the head and start of the body.
    pub(crate) head: usize,
    /// End of the body.
    pub(crate) end: usize,
}

/// Reads until `buffer` starts with a whole message. Returns `None` if the connection is closed before one starts.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Option<Framed>> {
    loop {
        if let Some(framed) = frame(buffer)?.filter(|framed| framed.end <= buffer.len()) {
            return Ok(Some(framed));
        }
        if from.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Finds the parts of a message, if its head and, if its body is in chunks, that too are complete.
fn frame(buffer: &[u8]) -> io::Result<Option<Framed>> {
    let Some(head) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let (mut length, mut is_chunked) = (0, false);
    for line in buffer[..head].split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse::<usize>().ok());
            length = value.ok_or(io::ErrorKind::InvalidData)?;
        }
        is_chunked |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    if is_chunked {
        return Ok(end_of_chunks(&buffer[head..])?.map(|length| Framed { head, end: head + length }));
    }
    Ok(Some(Framed { head, end: head + length }))
}

/// Returns the length of a body in chunks, if it is complete.
fn end_of_chunks(body: &[u8]) -> io::Result<Option<usize>> {
    let line =
        |from: usize| body.get(from..)?.windows(2).position(|bytes| bytes == b"\r\n").map(|length| from + length);
    let mut at = 0;
    while let Some(end) = line(at) {
        let size = std::str::from_utf8(&body[at..end]).ok().and_then(|text| text.split(';').next());
        let size =
            size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).ok_or(io::ErrorKind::InvalidData)?;
        if size == 0 {
            // No trailers follow.
            return Ok((body.len() >= end + 4).then_some(end + 4));
        }
        at = end + 2 + size + 2;
    }
    Ok(None)
}

/// Returns the status of a response.
pub(crate) fn status(answer: &[u8]) -> io::Result<u16> {
    let digits = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
