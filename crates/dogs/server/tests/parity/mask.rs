//! Replaces values that differ between runs by placeholders: ids, times, cursors, ports and request ids.

/// Remembers ids, so that an id has the same placeholder in all masked texts.
#[derive(Default)]
pub struct Mask {
    ids: Vec<String>,
}

const REQUEST: [&str; 2] = ["\"request_id\":\"", "request_id: \""];
const CURSOR: [&str; 3] = ["\"next\":\"", "cursor=", "next_page_token: \""];
const ID_LENGTH: usize = 36;

impl Mask {
    /// `text` with placeholders.
    pub fn apply(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for before in REQUEST {
            text = mask_after(&text, before, "<request>");
        }
        for before in CURSOR {
            text = mask_after(&text, before, "<cursor>");
        }
        text = ports(&text);
        text = self.ids(&text);
        stamps(&times(&text))
    }

    fn ids(&mut self, text: &str) -> String {
        replaced(text, |rest| {
            let id = rest.get(..ID_LENGTH).filter(|id| is_id(id))?;
            let number = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
                self.ids.push(id.to_owned());
                self.ids.len() - 1
            });
            Some((ID_LENGTH, format!("<id {}>", number + 1)))
        })
    }
}

/// Replaces every match of `find`, which returns the length of a match at the start of its argument and the replacement.
fn replaced(text: &str, mut find: impl FnMut(&str) -> Option<(usize, String)>) -> String {
    let (mut done, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let (length, name) = find(rest).unwrap_or((first.len_utf8(), first.to_string()));
        done.push_str(&name);
        rest = &rest[length..];
    }
    done
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}

/// Masks the value after `before`. An empty value is not masked.
fn mask_after(text: &str, before: &str, name: &str) -> String {
    replaced(text, |rest| {
        let value = rest.strip_prefix(before)?;
        let length = value.find(['"', '&', '>', ' ', '\n']).unwrap_or(value.len());
        (length > 0).then(|| (before.len() + length, format!("{before}{name}")))
    })
}

fn ports(text: &str) -> String {
    replaced(text, |rest| {
        const HOST: &str = "127.0.0.1:";
        let port = rest.strip_prefix(HOST)?;
        let length = port.find(|character: char| !character.is_ascii_digit()).unwrap_or(port.len());
        (length > 0).then(|| (HOST.len() + length, format!("{HOST}<port>")))
    })
}

/// Masks only times in UTC with milliseconds; times in other formats are not masked.
fn times(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z";
    replaced(text, |rest| {
        let time = rest.as_bytes().get(..SHAPE.len())?;
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        time.iter().zip(SHAPE).all(fits).then(|| (SHAPE.len(), "<time>".to_owned()))
    })
}

/// Masks only Protobuf timestamps in whole milliseconds.
fn stamps(text: &str) -> String {
    replaced(text, |rest| {
        let (seconds, more) = rest.strip_prefix("Timestamp { seconds: ")?.split_once(", nanos: ")?;
        let (nanos, _) = more.split_once(" }")?;
        seconds.parse::<u64>().ok()?;
        let is_millis = nanos.parse::<u64>().ok()? % 1_000_000 == 0;
        let length = rest.len() - more.len() + nanos.len() + " }".len();
        is_millis.then(|| (length, "<time>".to_owned()))
    })
}

#[test]
fn values_that_differ_between_runs_are_masked() {
    let mut mask = Mask::default();
    let (one, two) = ("0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10", "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a11");
    assert_eq!(mask.apply(&format!("{one} {two} {one}")), "<id 1> <id 2> <id 1>");
    assert_eq!(mask.apply(&format!("/{two}?")), "/<id 2>?");
    assert_eq!(mask.apply("at 2026-11-20T09:30:00.123Z"), "at <time>");
    assert_eq!(mask.apply("at 2026-11-20T09:30:00Z"), "at 2026-11-20T09:30:00Z", "another precision is not masked");
    assert_eq!(mask.apply("Timestamp { seconds: 17, nanos: 5000000 }, x"), "<time>, x");
    assert_eq!(mask.apply("Timestamp { seconds: 17, nanos: 5000001 }"), "Timestamp { seconds: 17, nanos: 5000001 }");
    assert_eq!(mask.apply(r#"{"request_id":"abc","next":"xyz"}"#), r#"{"request_id":"<request>","next":"<cursor>"}"#);
    assert_eq!(
        mask.apply("?cursor=abc&limit=2 next_page_token: \"\""),
        "?cursor=<cursor>&limit=2 next_page_token: \"\""
    );
    assert_eq!(mask.apply("http://127.0.0.1:4711/x"), "http://127.0.0.1:<port>/x");
}
