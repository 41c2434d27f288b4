//! Splits a stream of bytes into the lines of an import.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use kennel_core::BoxError;

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// A line of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A JSON object, see [`Row`](super::Row); blank lines are ignored.
    Json(Bytes),
    /// A line longer than [`MAX_LINE_BYTES`]; its content is dropped.
    TooLong,
}

/// Splits a stream of bytes into lines. Lines end with `\n` or `\r\n`; the last one may have no line ending.
pub struct LineSplitter {
    rest: BytesMut,
    overlong: bool,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self { rest: BytesMut::new(), overlong: false }
    }
}

impl LineSplitter {
    /// The lines that end in `chunk`.
    pub fn push(&mut self, chunk: Bytes) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let head = chunk.split_to(end + 1).slice(..end);
            lines.push(self.end_line(head));
        }
        self.buffer(&chunk);
        lines
    }

    /// The last line, if it has no line ending.
    pub fn finish(mut self) -> Option<Line> {
        let open = self.overlong || !self.rest.is_empty();
        open.then(|| self.end_line(Bytes::new()))
    }

    fn end_line(&mut self, head: Bytes) -> Line {
        let line = if self.rest.is_empty() && !self.overlong {
            head
        } else {
            self.buffer(&head);
            self.rest.split().freeze()
        };
        let overlong = std::mem::take(&mut self.overlong) || line.len() > MAX_LINE_BYTES;
        if overlong { Line::TooLong } else { Line::Json(line) }
    }

    fn buffer(&mut self, bytes: &[u8]) {
        if self.overlong || self.rest.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong = true;
            self.rest.clear();
        } else {
            self.rest.extend_from_slice(bytes);
        }
    }
}

/// The lines of a stream of bytes.
pub fn lines<E: Into<BoxError>>(
    chunks: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = Result<Vec<Line>, BoxError>> {
    let state = (Box::pin(chunks), Some(LineSplitter::default()));
    futures_util::stream::unfold(state, |(mut chunks, splitter)| async move {
        let mut splitter = splitter?;
        match chunks.next().await {
            Some(Ok(chunk)) => {
                let lines = splitter.push(chunk);
                Some((Ok(lines), (chunks, Some(splitter))))
            }
            Some(Err(error)) => Some((Err(error.into()), (chunks, None))),
            None => splitter.finish().map(|last| (Ok(vec![last]), (chunks, None))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], chunk: usize) -> Vec<Line> {
        let mut splitter = LineSplitter::default();
        let mut lines: Vec<Line> =
            text.chunks(chunk).flat_map(|chunk| splitter.push(Bytes::copy_from_slice(chunk))).collect();
        lines.extend(splitter.finish());
        lines
    }

    fn json(text: &'static str) -> Line {
        Line::Json(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_do_not_depend_on_the_chunks() {
        let expected = [json("one"), json(""), json("three\r"), json("four")];
        for chunk in 1..20 {
            assert_eq!(split(b"one\n\nthree\r\nfour", chunk), expected, "chunks of {chunk}");
        }
        assert_eq!(split(b"one\n", 4), [json("one")]);
        assert_eq!(split(b"", 1), []);
    }

    #[test]
    fn an_overlong_line_is_dropped_and_the_next_one_is_complete() {
        let mut text = vec![b'x'; MAX_LINE_BYTES + 1];
        text.extend_from_slice(b"\nnext\n");
        for chunk in [1_000, MAX_LINE_BYTES, text.len()] {
            assert_eq!(split(&text, chunk), [Line::TooLong, json("next")], "chunks of {chunk}");
        }
        assert_eq!(split(&text[..=MAX_LINE_BYTES], 7), [Line::TooLong]);
        assert!(matches!(split(&text[1..], 512)[0], Line::Json(_)));
    }
}
