//! A poster and a small animation of a GIF.

use std::io::{BufRead, Seek};
use std::time::Duration;

use gif::{DisposalMethod, Encoder, Frame, Repeat};
use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::thumbnail;
use image::{AnimationDecoder as _, ExtendedColorType, ImageDecoder as _, ImageEncoder as _, Limits, RgbaImage};

use super::{GifDefect, GifError, GifInfo, played};

/// The maximum width and height of the small animation, in pixels.
pub const SMALL_SIDE: u32 = 200;
/// The maximum number of frames of the small animation. Of a longer one, frames are left out evenly.
pub const SMALL_FRAMES: u32 = 100;
/// From 1 to 30: a higher one takes less time and finds worse colours.
const QUANTIZER_SPEED: i32 = 20;

/// A version of a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// The file.
    pub bytes: Vec<u8>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// What [`render`] creates. None of it has metadata of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renditions {
    /// The first frame, as WebP without loss.
    pub poster: Rendition,
    /// The animation with at most [`SMALL_SIDE`] pixels to a side, as GIF; `None` if the original is no larger.
    pub small: Option<Rendition>,
    /// What only decoding shows.
    pub defect: Option<GifDefect>,
}

/// Decodes a file that [`inspect`](super::inspect) has accepted, with at most `memory` bytes, and creates its versions. Frames
/// are drawn as browsers do: on a transparent screen, with the delays that browsers use. Call it on a blocking thread.
pub fn render(file: impl BufRead + Seek, info: &GifInfo, memory: u64) -> Result<Renditions, GifError> {
    let mut decoder = GifDecoder::new(file).map_err(|error| GifError::Damaged(error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(info.width);
    limits.max_image_height = Some(info.height);
    limits.max_alloc = Some(memory);
    decoder.set_limits(limits).map_err(|error| GifError::Damaged(error.to_string()))?;
    let (mut poster, mut small, mut defect) = (None, SmallGif::new(info)?, None);
    // The iterator may not end after an error, so it is not used again.
    for frame in decoder.into_frames().take(info.frames as usize) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if poster.is_none() => {
                return Err(GifError::Damaged(format!("its first frame cannot be decoded: {error}")));
            }
            Err(_) => {
                defect = Some(GifDefect::UndecodableFrame);
                break;
            }
        };
        if poster.is_none() {
            poster = Some(encode_poster(frame.buffer())?);
        }
        let Some(small) = &mut small else { break };
        small.add(frame.buffer(), played(frame.delay().into()))?;
    }
    let poster = poster.ok_or_else(|| GifError::Damaged("it has no frame".to_owned()))?;
    Ok(Renditions { poster, small: small.map(SmallGif::finish).transpose()?, defect })
}

fn encode_poster(screen: &RgbaImage) -> Result<Rendition, GifError> {
    let (width, height) = screen.dimensions();
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    encoder.write_image(screen, width, height, ExtendedColorType::Rgba8).map_err(|error| cannot_encode(&error))?;
    Ok(Rendition { bytes, width, height })
}

/// Writes the small animation, frame by frame.
struct SmallGif {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    /// Of so many frames one is shown, for the time of all of them.
    step: u32,
    seen: u32,
    waiting: Option<(Frame<'static>, Duration)>,
}

impl SmallGif {
    /// `None` if the original is small.
    fn new(info: &GifInfo) -> Result<Option<Self>, GifError> {
        let side = info.width.max(info.height);
        if side <= SMALL_SIDE {
            return Ok(None);
        }
        let scaled = |length: u32| {
            let length = u64::from(length) * u64::from(SMALL_SIDE) / u64::from(side);
            u16::try_from(length).unwrap_or(u16::MAX).max(1)
        };
        let (width, height) = (scaled(info.width), scaled(info.height));
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(|error| cannot_encode(&error))?;
        let repeat = match info.plays {
            None => Some(Repeat::Infinite),
            // Without the extension, it is played once.
            Some(0 | 1) => None,
            Some(plays) => Some(Repeat::Finite(u16::try_from(plays - 1).unwrap_or(u16::MAX))),
        };
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).map_err(|error| cannot_encode(&error))?;
        }
        let step = info.frames.div_ceil(SMALL_FRAMES);
        Ok(Some(Self { encoder, width, height, step, seen: 0, waiting: None }))
    }

    fn add(&mut self, screen: &RgbaImage, delay: Duration) -> Result<(), GifError> {
        let is_shown = self.seen.is_multiple_of(self.step);
        self.seen += 1;
        match &mut self.waiting {
            Some((_, total)) if !is_shown => {
                *total += delay;
                Ok(())
            }
            _ => {
                self.write()?;
                let mut pixels = thumbnail(screen, self.width.into(), self.height.into());
                opaque_or_clear(&mut pixels);
                let mut frame = Frame::from_rgba_speed(self.width, self.height, &mut pixels, QUANTIZER_SPEED);
                // Each frame is the whole screen, so nothing of the previous one stays.
                frame.dispose = DisposalMethod::Background;
                self.waiting = Some((frame, delay));
                Ok(())
            }
        }
    }

    fn write(&mut self) -> Result<(), GifError> {
        let Some((mut frame, delay)) = self.waiting.take() else { return Ok(()) };
        frame.delay = u16::try_from(delay.as_millis() / 10).unwrap_or(u16::MAX);
        self.encoder.write_frame(&frame).map_err(|error| cannot_encode(&error))
    }

    fn finish(mut self) -> Result<Rendition, GifError> {
        self.write()?;
        let (width, height) = (self.width.into(), self.height.into());
        let bytes = self.encoder.into_inner().map_err(|error| cannot_encode(&error))?;
        Ok(Rendition { bytes, width, height })
    }
}

/// Gives each pixel one of the two opacities of a GIF. Clear pixels are black, so the colour of a mixed one is divided by its
/// opacity.
fn opaque_or_clear(image: &mut RgbaImage) {
    for pixel in image.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let colour = |channel: u8| u8::try_from(u16::from(channel) * 255 / u16::from(alpha)).unwrap_or(u8::MAX);
        pixel.0 = match alpha {
            0..128 => [0; 4],
            255 => continue,
            _ => [colour(red), colour(green), colour(blue), 255],
        };
    }
}

fn cannot_encode(error: &(dyn std::error::Error + 'static)) -> GifError {
    GifError::Decoder(error.to_string().into())
}
