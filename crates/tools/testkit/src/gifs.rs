//! GIF files, usual and unusual, written byte by byte: an encoder would refuse most of them.

/// Colours of the palette: black, red, green, blue.
const PALETTE: [u8; 12] = [0, 0, 0, 220, 20, 20, 20, 220, 20, 20, 20, 220];
/// Bits of a pixel in the palette.
const CODE_SIZE: u8 = 2;
/// How a GIF with a missing trailer ends.
const TRAILER: u8 = 0x3B;

/// A GIF that is being written. Every method appends a block.
#[derive(Debug, Clone, Default)]
pub struct GifFile(Vec<u8>);

impl GifFile {
    /// A file with a screen and the palette.
    pub fn new(width: u16, height: u16) -> Self {
        let mut file = Self::without_palette(width, height);
        file.0[10] = 0x80 | 1;
        file.0.extend(PALETTE);
        file
    }

    /// A file with a screen and no palette.
    pub fn without_palette(width: u16, height: u16) -> Self {
        let mut file = b"GIF89a".to_vec();
        file.extend(width.to_le_bytes());
        file.extend(height.to_le_bytes());
        file.extend([0, 0, 0]);
        Self(file)
    }

    /// An animation: `frames` frames over the whole screen, each in another colour, with this delay in hundredths of a second.
    pub fn animation(width: u16, height: u16, frames: u16, delay: u16) -> Self {
        let file = Self::new(width, height).repeat(0);
        (0..frames).fold(file, |file, frame| {
            let colour = u8::try_from(1 + frame % 3).unwrap_or(1);
            file.control(delay, 1, None).image(0, 0, width, height, colour)
        })
    }

    /// The extension that says how often the animation is repeated; 0 is without end.
    #[must_use]
    pub fn repeat(self, times: u16) -> Self {
        let [low, high] = times.to_le_bytes();
        self.extension(0xFF, &[b"NETSCAPE2.0", &[1, low, high]])
    }

    /// What belongs to the next frame: its delay in hundredths of a second, what happens to it when its time is over, and which
    /// colour is clear.
    #[must_use]
    pub fn control(self, delay: u16, disposal: u8, clear: Option<u8>) -> Self {
        let [low, high] = delay.to_le_bytes();
        let flags = disposal << 2 | u8::from(clear.is_some());
        self.extension(0xF9, &[&[flags, low, high, clear.unwrap_or(0)]])
    }

    /// An extension with these sub-blocks.
    #[must_use]
    pub fn extension(mut self, label: u8, blocks: &[&[u8]]) -> Self {
        self.0.extend([0x21, label]);
        self.sub_blocks(blocks)
    }

    /// A frame of one colour.
    #[must_use]
    pub fn image(self, left: u16, top: u16, width: u16, height: u16, colour: u8) -> Self {
        let pixels = usize::from(width) * usize::from(height);
        self.head(left, top, width, height, 0).pixels(&vec![colour; pixels], true)
    }

    /// An interlaced frame of one colour.
    #[must_use]
    pub fn interlaced(self, width: u16, height: u16, colour: u8) -> Self {
        let pixels = usize::from(width) * usize::from(height);
        self.head(0, 0, width, height, 0x40).pixels(&vec![colour; pixels], true)
    }

    /// A frame with a palette of its own.
    #[must_use]
    pub fn with_palette(mut self, width: u16, height: u16, colour: u8) -> Self {
        self = self.head(0, 0, width, height, 0x80 | 1);
        self.0.extend(PALETTE);
        self.pixels(&vec![colour; usize::from(width) * usize::from(height)], true)
    }

    /// A frame without the code that ends its data.
    #[must_use]
    pub fn without_end_code(self, width: u16, height: u16, colour: u8) -> Self {
        let pixels = usize::from(width) * usize::from(height);
        self.head(0, 0, width, height, 0).pixels(&vec![colour; pixels], false)
    }

    /// The head of a frame and data for one pixel, whatever size the head declares.
    #[must_use]
    pub fn hollow(self, left: u16, top: u16, width: u16, height: u16) -> Self {
        self.head(left, top, width, height, 0).pixels(&[1], true)
    }

    /// These bytes, as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The file with its trailer.
    pub fn end(mut self) -> Vec<u8> {
        self.0.push(TRAILER);
        self.0
    }

    /// The file without a trailer, and without its last `cut` bytes.
    pub fn cut(mut self, cut: usize) -> Vec<u8> {
        self.0.truncate(self.0.len().saturating_sub(cut));
        self.0
    }

    fn head(mut self, left: u16, top: u16, width: u16, height: u16, flags: u8) -> Self {
        self.0.push(0x2C);
        for number in [left, top, width, height] {
            self.0.extend(number.to_le_bytes());
        }
        self.0.push(flags);
        self
    }

    fn pixels(mut self, pixels: &[u8], ended: bool) -> Self {
        self.0.push(CODE_SIZE);
        let data = compress(pixels, ended);
        self.sub_blocks(&data.chunks(255).collect::<Vec<_>>())
    }

    fn sub_blocks(mut self, blocks: &[&[u8]]) -> Self {
        for block in blocks {
            self.0.push(u8::try_from(block.len()).expect("a sub-block has at most 255 bytes"));
            self.0.extend(*block);
        }
        self.0.push(0);
        self
    }
}

/// LZW with codes of three bits: the table is cleared before a longer code is needed.
fn compress(pixels: &[u8], ended: bool) -> Vec<u8> {
    const CLEAR: u8 = 4;
    const END: u8 = 5;
    let codes = pixels.chunks(2).flat_map(|pair| std::iter::once(CLEAR).chain(pair.iter().copied()));
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for code in codes.chain(ended.then_some(END)) {
        bits |= u32::from(code) << count;
        count += 3;
        while count >= 8 {
            bytes.push(u8::try_from(bits & 0xFF).unwrap_or_default());
            bits >>= 8;
            count -= 8;
        }
    }
    bytes.push(u8::try_from(bits & 0xFF).unwrap_or_default());
    bytes
}

/// A file of every kind that occurs, by name: those that can be shown first. None needs much memory or time, unless a reader
/// trusts what it declares.
pub fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let shown: [(&str, Vec<u8>); 26] = [
        ("animation", GifFile::animation(40, 30, 3, 10).end()),
        ("still", GifFile::new(40, 30).image(0, 0, 40, 30, 1).end()),
        ("87a", {
            let mut file = GifFile::new(4, 4).image(0, 0, 4, 4, 1).end();
            file[4] = b'7';
            file
        }),
        ("missing-trailer", GifFile::animation(40, 30, 3, 10).cut(0)),
        ("cut-in-a-frame", GifFile::animation(40, 30, 3, 10).cut(100)),
        ("cut-before-a-frame", GifFile::animation(40, 30, 2, 10).raw(&[0x21, 0xF9, 4, 4]).cut(0)),
        ("junk-after-the-trailer", [GifFile::animation(40, 30, 3, 10).end(), b"<script>".to_vec()].concat()),
        ("unknown-block-after-a-frame", GifFile::animation(40, 30, 2, 10).raw(&[0x77, 1, 2]).end()),
        ("unknown-extension-after-a-frame", GifFile::animation(40, 30, 2, 10).extension(0x42, &[b"x"]).end()),
        ("delay-0-and-1", GifFile::animation(4, 4, 2, 0).control(1, 1, None).image(0, 0, 4, 4, 1).end()),
        ("played-once", GifFile::new(4, 4).image(0, 0, 4, 4, 1).image(0, 0, 4, 4, 2).end()),
        ("repeated-3-times", GifFile::new(4, 4).repeat(3).image(0, 0, 4, 4, 1).image(0, 0, 4, 4, 2).end()),
        ("animexts", {
            let file = GifFile::new(4, 4).extension(0xFF, &[b"ANIMEXTS1.0", &[1, 0, 0]]);
            file.image(0, 0, 4, 4, 1).image(0, 0, 4, 4, 2).end()
        }),
        ("repeat-behind-a-frame", GifFile::new(4, 4).image(0, 0, 4, 4, 1).repeat(0).image(0, 0, 4, 4, 2).end()),
        ("part-of-the-screen", GifFile::new(40, 30).image(10, 10, 20, 10, 1).image(0, 0, 5, 5, 2).end()),
        ("disposals", {
            let frame = |file: GifFile, disposal| {
                file.control(5, disposal, Some(0)).image(u16::from(disposal) * 4, 0, 4, 4, 1 + disposal % 3)
            };
            (0..4).fold(GifFile::new(20, 10).repeat(0), frame).end()
        }),
        ("interlaced", GifFile::new(16, 16).interlaced(16, 16, 3).end()),
        ("local-palette", GifFile::without_palette(8, 8).with_palette(8, 8, 2).end()),
        ("no-palette-behind-a-frame", GifFile::without_palette(8, 8).with_palette(8, 8, 2).image(0, 0, 8, 8, 1).end()),
        ("no-end-code", GifFile::new(8, 8).without_end_code(8, 8, 1).end()),
        ("comments", {
            let block = [b'c'; 255];
            GifFile::new(4, 4).extension(0xFE, &[&block[..]; 400]).image(0, 0, 4, 4, 1).end()
        }),
        ("xmp-and-icc", {
            let block = [b'x'; 255];
            let blocks = |name: &'static [u8]| std::iter::once(name).chain([&block[..]; 400]).collect::<Vec<_>>();
            let file =
                GifFile::new(4, 4).extension(0xFF, &blocks(b"XMP DataXMP")).extension(0xFF, &blocks(b"ICCRGBG1012"));
            file.image(0, 0, 4, 4, 1).end()
        }),
        ("2000-frames", many(2_000, 4).end()),
        ("600-seconds", GifFile::animation(4, 4, 2, 30_000).end()),
        ("400-megapixels", many(2_000, 447).end()),
        ("too-little-data-in-the-2nd-frame", GifFile::animation(16, 16, 1, 5).hollow(0, 0, 16, 16).end()),
    ];
    let refused: [(&str, Vec<u8>); 26] = [
        ("cut-in-the-first-frame", GifFile::new(40, 30).image(0, 0, 40, 30, 1).cut(100)),
        ("too-little-data-in-the-1st-frame", GifFile::new(16, 16).hollow(0, 0, 16, 16).end()),
        ("cut-in-the-palette", GifFile::new(40, 30).cut(3)),
        ("only-the-screen", GifFile::new(40, 30).cut(0)),
        ("no-frame", GifFile::new(40, 30).end()),
        ("only-the-magic", b"GIF89a".to_vec()),
        ("unknown-block-first", GifFile::new(4, 4).raw(&[0x77, 1]).image(0, 0, 4, 4, 1).end()),
        ("invalid-code-size", GifFile::new(4, 4).head(0, 0, 4, 4, 0).raw(&[12, 1, 1, 0]).end()),
        ("no-palette", GifFile::without_palette(4, 4).image(0, 0, 4, 4, 1).end()),
        ("screen-0x0", GifFile::new(0, 0).hollow(0, 0, 1, 1).end()),
        ("frame-0x4", GifFile::new(4, 4).hollow(0, 0, 0, 4).end()),
        ("2nd-frame-4x0", GifFile::new(4, 4).image(0, 0, 4, 4, 1).hollow(0, 0, 4, 0).end()),
        ("beyond-the-screen", GifFile::new(40, 30).image(30, 10, 20, 10, 1).end()),
        ("huge-frame", GifFile::new(4, 4).hollow(0, 0, u16::MAX, u16::MAX).end()),
        ("huge-screen", GifFile::new(u16::MAX, u16::MAX).hollow(0, 0, u16::MAX, u16::MAX).end()),
        ("just-above-400-megapixels", GifFile::new(20_000, 20_001).hollow(0, 0, 20_000, 20_001).end()),
        ("2001-frames", many(2_001, 4).end()),
        ("403-megapixels-in-all", many(2_000, 449).end()),
        ("601-seconds", GifFile::animation(4, 4, 2, 30_050).end()),
        ("webp", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0".to_vec()),
        ("mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec()),
        ("html", b"\n<!doctype html><title>404</title>".to_vec()),
        ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec()),
        ("text", b"not found".to_vec()),
        ("wrong-version", b"GIF88a\x01\0\x01\0\0\0\0;".to_vec()),
        ("empty", Vec::new()),
    ];
    shown.into_iter().chain(refused).collect()
}

/// Frames of one pixel on a screen of this width and height.
fn many(frames: u16, side: u16) -> GifFile {
    let frame = |file: GifFile, _| file.control(2, 0, None).image(0, 0, 1, 1, 1);
    (0..frames).fold(GifFile::new(side, side), frame)
}
