//! Inspects untrusted GIF files without decoding them, and creates still and small versions of them.
//!
//! [`inspect`] reads the structure of a file: it skips the pixels, so that its cost depends on the size of the file and not on
//! the sizes that the file declares. Only a file that it accepts is decoded, by [`render`].

mod render;

use std::fmt;
use std::io::{self, Read, Seek};
use std::time::Duration;

use gif::{DecodeOptions, Decoder, DecodingError, Frame, Repeat};

pub use render::{Rendition, Renditions, SMALL_FRAMES, SMALL_SIDE, render};

/// The memory that creating the versions takes regardless of the size of the image: small frames, and the files.
const FIXED_MEMORY: u64 = 8 << 20;
/// Browsers play a frame with a shorter delay for [`DEFAULT_DELAY`].
const MIN_DELAY: Duration = Duration::from_millis(20);
const DEFAULT_DELAY: Duration = Duration::from_millis(100);

/// What a GIF may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GifLimits {
    /// Number of frames.
    pub frames: u32,
    /// Pixels of the screen, times the number of frames.
    pub pixels: u64,
    /// Duration of one loop, as browsers play it.
    pub duration: Duration,
}

impl Default for GifLimits {
    fn default() -> Self {
        Self { frames: 2_000, pixels: 400_000_000, duration: Duration::from_mins(10) }
    }
}

/// What is unusual about a GIF that can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GifDefect {
    /// The file ends after a complete frame, without the trailer.
    MissingTrailer,
    /// The file ends inside a frame or block. The complete frames before it are shown.
    Truncated,
    /// A block cannot be read. The frames before it are shown.
    UnreadableBlock,
    /// The pixels of a frame cannot be decoded. The frames before it are shown.
    UndecodableFrame,
    /// Bytes follow the trailer.
    TrailingData,
    /// Frames have a delay that browsers replace by 100 milliseconds.
    ReplacedDelay,
}

impl GifDefect {
    /// Its name, such as `missing_trailer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingTrailer => "missing_trailer",
            Self::Truncated => "truncated",
            Self::UnreadableBlock => "unreadable_block",
            Self::UndecodableFrame => "undecodable_frame",
            Self::TrailingData => "trailing_data",
            Self::ReplacedDelay => "replaced_delay",
        }
    }
}

impl fmt::Display for GifDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The structure of a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GifInfo {
    /// Width of the screen in pixels.
    pub width: u32,
    /// Height of the screen in pixels.
    pub height: u32,
    /// Number of complete frames, at least 1.
    pub frames: u32,
    /// Duration of one loop, as browsers play it.
    pub duration: Duration,
    /// Duration of one loop, by the delays in the file.
    pub raw_duration: Duration,
    /// How often it is played; `None` is without end.
    pub plays: Option<u32>,
    /// In ascending order, each once.
    pub defects: Vec<GifDefect>,
}

impl GifInfo {
    /// The peak memory of [`render`], in bytes.
    pub fn memory(&self) -> u64 {
        // The current screen, the next one, and the frame before it is drawn.
        u64::from(self.width) * u64::from(self.height) * 12 + FIXED_MEMORY
    }
}

/// Why a file is not accepted as a GIF.
#[derive(Debug, thiserror::Error)]
pub enum GifError {
    /// Its first bytes are those of another format.
    #[error("the file is {0}, not a GIF")]
    NotAGif(&'static str),
    /// It has no frame that can be shown, or sizes that contradict each other.
    #[error("{0}")]
    Damaged(String),
    /// It exceeds a limit.
    #[error("{0}")]
    OverLimits(String),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The decoder panicked.
    #[error("the file cannot be decoded")]
    Decoder(#[source] kennel_core::BoxError),
}

/// Reads the structure of a file from its start to its end. Accepts files that browsers show: those that end early or have an
/// unreadable block, if at least one frame is complete.
pub fn inspect(mut file: impl Read + Seek, limits: &GifLimits) -> Result<GifInfo, GifError> {
    check_magic(&mut file)?;
    file.rewind()?;
    let mut walk = Walk::run(&mut file, limits)?;
    if let Some(error) = walk.error.take() {
        file.rewind()?;
        let complete = complete_frames(&mut file, walk.delays.len())?;
        walk.defects.push(match error {
            DecodingError::UnexpectedEof if complete < walk.delays.len() => GifDefect::Truncated,
            // The head of a frame or another block.
            DecodingError::UnexpectedEof if !ends_after_block(&mut file)? => GifDefect::Truncated,
            DecodingError::UnexpectedEof => GifDefect::MissingTrailer,
            _ => GifDefect::UnreadableBlock,
        });
        walk.delays.truncate(complete);
        if complete == 0 {
            return Err(GifError::Damaged(format!("it has no complete frame: {error}")));
        }
    }
    walk.into_info()
}

/// The first bytes decide; neither the name of the file nor a declared type matters.
fn check_magic(file: &mut impl Read) -> Result<(), GifError> {
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head)?;
    let found = match head.as_slice() {
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => return Ok(()),
        [] => "empty",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "MP4",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "WebP",
        [0xFF, 0xD8, 0xFF, ..] => "JPEG",
        [0x89, b'P', b'N', b'G', ..] => "PNG",
        text if text.trim_ascii_start().first() == Some(&b'<') => "HTML or XML",
        _ => "of an unknown format",
    };
    Err(GifError::NotAGif(found))
}

fn open<R: Read>(file: R) -> Result<Decoder<R>, DecodingError> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    options.read_info(file)
}

/// The frames of a file, up to its end or the first error.
struct Walk {
    width: u32,
    height: u32,
    repeat: Repeat,
    delays: Vec<u16>,
    defects: Vec<GifDefect>,
    error: Option<DecodingError>,
}

impl Walk {
    fn run(file: impl Read, limits: &GifLimits) -> Result<Self, GifError> {
        let mut decoder = open(file).map_err(|error| unreadable(error, "it has no frame"))?;
        let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
        if width == 0 || height == 0 {
            return Err(GifError::Damaged(format!("its screen has no pixels: {width}x{height}")));
        }
        let repeat = decoder.repeat();
        let mut walk = Self { width, height, repeat, delays: Vec::new(), defects: Vec::new(), error: None };
        let mut duration = Duration::ZERO;
        loop {
            match decoder.next_frame_info() {
                Ok(Some(frame)) => {
                    duration += played(raw(frame.delay));
                    walk.add(frame, limits)?;
                    if duration > limits.duration {
                        let most = limits.duration.as_secs();
                        return Err(GifError::OverLimits(format!("longer than {most} seconds")));
                    }
                }
                Ok(None) => break,
                Err(DecodingError::Io(error)) => return Err(error.into()),
                Err(error) => {
                    walk.error = Some(error);
                    return Ok(walk);
                }
            }
        }
        if walk.delays.is_empty() {
            return Err(GifError::Damaged("it has no frame".to_owned()));
        }
        let mut rest = [0];
        if decoder.into_inner().read(&mut rest)? > 0 {
            walk.defects.push(GifDefect::TrailingData);
        }
        Ok(walk)
    }

    fn add(&mut self, frame: &Frame<'_>, limits: &GifLimits) -> Result<(), GifError> {
        let number = self.delays.len() as u64 + 1;
        if number > u64::from(limits.frames) {
            return Err(GifError::OverLimits(format!("more than {} frames", limits.frames)));
        }
        let (width, height) = (u32::from(frame.width), u32::from(frame.height));
        if width == 0 || height == 0 {
            return Err(GifError::Damaged(format!("frame {number} has no pixels: {width}x{height}")));
        }
        if u32::from(frame.left) + width > self.width || u32::from(frame.top) + height > self.height {
            return Err(GifError::Damaged(format!("frame {number} is not inside the screen")));
        }
        let pixels = u64::from(self.width) * u64::from(self.height) * number;
        if pixels > limits.pixels {
            let most = limits.pixels / 1_000_000;
            return Err(GifError::OverLimits(format!("more than {most} megapixels in {number} frames")));
        }
        self.delays.push(frame.delay);
        Ok(())
    }

    fn into_info(self) -> Result<GifInfo, GifError> {
        let Self { width, height, repeat, delays, mut defects, .. } = self;
        let raw_duration: Duration = delays.iter().map(|delay| raw(*delay)).sum();
        // A still image is not played.
        let is_still = delays.len() == 1;
        let duration = if is_still { raw_duration } else { delays.iter().map(|delay| played(raw(*delay))).sum() };
        if duration != raw_duration {
            defects.push(GifDefect::ReplacedDelay);
        }
        defects.sort_unstable();
        Ok(GifInfo {
            width,
            height,
            frames: u32::try_from(delays.len()).map_err(io::Error::other)?,
            duration,
            raw_duration,
            plays: match repeat {
                Repeat::Infinite => None,
                Repeat::Finite(repeats) => Some(u32::from(repeats) + 1),
            },
            defects,
        })
    }
}

/// How many of the first `seen` frames have all their data. Their sizes must have been checked.
fn complete_frames(file: impl Read, seen: usize) -> Result<usize, GifError> {
    let Ok(mut decoder) = open(file) else { return Ok(0) };
    for complete in 0..seen {
        match decoder.read_next_frame() {
            Ok(Some(_)) => {}
            Err(DecodingError::Io(error)) => return Err(error.into()),
            Ok(None) | Err(_) => return Ok(complete),
        }
    }
    Ok(seen)
}

/// Whether the last byte is the end of a block.
fn ends_after_block(file: &mut (impl Read + Seek)) -> Result<bool, GifError> {
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [0])
}

fn unreadable(error: DecodingError, what: &str) -> GifError {
    match error {
        DecodingError::Io(error) => error.into(),
        error => GifError::Damaged(format!("{what}: {error}")),
    }
}

/// A delay in the unit of the file.
const fn raw(delay: u16) -> Duration {
    Duration::from_millis(delay as u64 * 10)
}

/// How long browsers show a frame.
fn played(raw: Duration) -> Duration {
    if raw < MIN_DELAY { DEFAULT_DELAY } else { raw }
}
