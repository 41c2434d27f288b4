//! The sprites, drawn as text: each character is a color of the palette, `.` is transparent.

/// Red, green and blue of each color.
pub(super) const PALETTE: [u8; 48] = [
    0x1b, 0x1f, 0x2a, // 0: ink
    0xcf, 0xe8, 0xff, // 1 to 6: backgrounds
    0xff, 0xe3, 0xc2, //
    0xe2, 0xd6, 0xff, //
    0xd2, 0xf5, 0xd6, //
    0xff, 0xd0, 0xdc, //
    0xff, 0xf4, 0xb0, //
    0xff, 0xff, 0xff, // 7: white
    0xf2, 0x8c, 0x28, // 8: orange
    0x9a, 0x5b, 0x2e, // 9: brown
    0x4f, 0x9d, 0xe0, // a: blue
    0xe8, 0x3f, 0x52, // b: red
    0xf7, 0xc9, 0x2b, // c: yellow
    0x3d, 0xa3, 0x5d, // d: green
    0x8a, 0x90, 0xa3, // e: grey
    0xf4, 0x9a, 0xb4, // f: pink
];

/// A small image.
pub(super) struct Sprite {
    pub(super) name: &'static str,
    pub(super) tags: &'static [&'static str],
    rows: [&'static str; Self::SIDE],
}

impl Sprite {
    /// Width and height in points.
    pub(super) const SIDE: usize = 12;

    /// The color of a point; `None` where it is transparent.
    pub(super) fn color(&self, row: usize, column: usize) -> Option<u8> {
        let digit = char::from(*self.rows.get(row)?.as_bytes().get(column)?).to_digit(16)?;
        u8::try_from(digit).ok()
    }
}

/// Every sprite.
pub(super) const SPRITES: [Sprite; 8] = [
    Sprite {
        name: "cat",
        tags: &["cat", "kitten", "animal", "pet"],
        rows: [
            "............",
            ".8........8.",
            ".88......88.",
            ".8f888888f8.",
            ".8888888888.",
            "888088880888",
            "888888888888",
            "8888f00f8888",
            ".8878008788.",
            ".8887777888.",
            "..88888888..",
            "...88..88...",
        ],
    },
    Sprite {
        name: "dog",
        tags: &["dog", "puppy", "animal", "pet"],
        rows: [
            "............",
            ".99......99.",
            "9999cccc9999",
            "99cccccccc99",
            "99c0cccc0c99",
            "99cccccccc99",
            ".9cc7777cc9.",
            "..c770077c..",
            "..c777777c..",
            "...c7bb7c...",
            "....cbbc....",
            ".....bb.....",
        ],
    },
    Sprite {
        name: "bird",
        tags: &["bird", "tweet", "animal", "sky"],
        rows: [
            "............",
            "....aaaa....",
            "...aaaaaa...",
            "..aa0aaaaa..",
            "ccaaaaaaaa..",
            ".caaaa77aaa.",
            "..aaa7777aaa",
            "..aaa777aaaa",
            "...aaaaaaa.a",
            "....aaaaa...",
            "....c..c....",
            "...cc.cc....",
        ],
    },
    Sprite {
        name: "fish",
        tags: &["fish", "sea", "animal", "swim"],
        rows: [
            "............",
            "............",
            "....888.....",
            "..8888888..8",
            ".887887888.8",
            "807887887888",
            "888887887888",
            "887887888.88",
            "..8888888..8",
            "....888.....",
            "....8.......",
            "............",
        ],
    },
    Sprite {
        name: "heart",
        tags: &["heart", "love", "like", "valentine"],
        rows: [
            "............",
            "..bbb..bbb..",
            ".bbbbbbbbbb.",
            "bb77bbbbbbbb",
            "bb7bbbbbbbbb",
            "bbbbbbbbbbbb",
            ".bbbbbbbbbb.",
            "..bbbbbbbb..",
            "...bbbbbb...",
            "....bbbb....",
            ".....bb.....",
            "............",
        ],
    },
    Sprite {
        name: "star",
        tags: &["star", "shine", "night", "sky"],
        rows: [
            ".....cc.....",
            ".....cc.....",
            "....cccc....",
            "....cccc....",
            "cccccccccccc",
            ".cc0cccc0cc.",
            "..cccccccc..",
            "..cccbbccc..",
            "..cccccccc..",
            ".cccc..cccc.",
            ".cc......cc.",
            "............",
        ],
    },
    Sprite {
        name: "ghost",
        tags: &["ghost", "boo", "halloween", "night"],
        rows: [
            "....7777....",
            "..77777777..",
            ".7777777777.",
            ".7700770077.",
            ".7700770077.",
            ".7777777777.",
            ".7777007777.",
            ".7777007777.",
            ".7777777777.",
            ".7777777777.",
            ".77.7777.77.",
            ".7...77...7.",
        ],
    },
    Sprite {
        name: "frog",
        tags: &["frog", "animal", "green", "pond"],
        rows: [
            "............",
            "..77....77..",
            ".d70d..d70d.",
            ".dddddddddd.",
            "dddddddddddd",
            "dddddddddddd",
            "d0dddddddd0d",
            "dd00000000dd",
            ".dddbbbbddd.",
            "..dddddddd..",
            ".dd.dddd.dd.",
            "dd...dd...dd",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_as_many_points_as_there_are_rows() {
        for sprite in SPRITES {
            assert!(sprite.rows.iter().all(|row| row.len() == Sprite::SIDE), "{}", sprite.name);
            let is_point = |char: char| char == '.' || char.is_ascii_digit() || ('a'..='f').contains(&char);
            assert!(sprite.rows.iter().flat_map(|row| row.chars()).all(is_point), "{}", sprite.name);
        }
    }
}
