//! Reads the markers of a JPEG file that decoders do not expose.

/// The segments of the file, up to its end or the first invalid one: the marker of each, and the bytes after it.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        // Fill bytes may precede a marker.
        while let [0xFF, 0xFF, ..] = rest {
            rest = rest.get(1..)?;
        }
        let [0xFF, marker, tail @ ..] = rest else { return None };
        rest = match (marker, tail) {
            // Markers without a segment.
            (0x01 | 0xD0..=0xD9, _) => tail,
            (_, [high, low, ..]) => tail.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default(),
            _ => &[],
        };
        Some((*marker, rest))
    })
}

/// Whether the file is progressive. A file without a frame counts as progressive, which is the larger estimate.
pub(super) fn is_progressive(bytes: &[u8]) -> bool {
    let is_frame = |marker: &u8| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
    let frame = segments(bytes).map(|(marker, _)| marker).find(is_frame);
    frame.is_none_or(|frame| matches!(frame, 0xC2 | 0xC6 | 0xCA | 0xCE))
}

/// Whether the file has an end-of-image marker after its scan. Within scans, 0xFF is only followed by a marker or zero.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let scan = segments(bytes).find(|(marker, _)| *marker == 0xDA);
    scan.is_some_and(|(_, rest)| rest.windows(2).any(|pair| pair == [0xFF, 0xD9]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frame: u8) -> Vec<u8> {
        let head = b"\xFF\xD8\xFF\xE0\0\x06\xFF\xC2\xFF\xD9\xFF\xFF\xC4\0\x02";
        [&head[..], &[0xFF, frame, 0, 2], b"\xFF\xDA\0\x02", b"scan\xFF\0more\xFF\xD9 and a trailer"].concat()
    }

    #[test]
    fn progressive_files_are_detected_by_their_first_frame() {
        for (frame, expected) in [(0xC0, false), (0xC1, false), (0xC2, true), (0xCA, true)] {
            assert_eq!(is_progressive(&file(frame)), expected, "{frame:x}");
        }
        for short in [&b""[..], b"\xFF\xD8", b"\xFF\xD8\xFF\xE0\xFF\xFF", b"\xFF\xD8 nothing of the kind"] {
            assert!(is_progressive(short));
        }
    }

    #[test]
    fn a_file_is_complete_with_an_end_marker_after_its_scan() {
        let file = file(0xC0);
        let end = file.len() - b" and a trailer".len();
        assert!(is_complete(&file) && is_complete(&file[..end]));
        for at in 0..end {
            assert!(!is_complete(&file[..at]), "{at} of {end}");
        }
    }
}
