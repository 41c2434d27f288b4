//! Draws a sprite in motion and encodes the frames.

use std::borrow::Cow;

use super::sprites::{PALETTE, Sprite};

/// Width and height of every animation in pixels.
pub(super) const SIDE: u16 = 96;
/// Size of a point of a sprite in pixels.
const SCALE: usize = 6;
/// Distance of a resting sprite from the edges in pixels.
const MARGIN: usize = 12;
const FRAMES: usize = 12;
/// In units of 10 ms.
const DELAY: u16 = 8;
/// The colors of the palette for backgrounds.
const BACKGROUNDS: [u8; 6] = [1, 2, 3, 4, 5, 6];

/// How a sprite moves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    /// Up and down.
    Jump,
    /// Around its vertical axis.
    Spin,
    /// From side to side, facing left and right.
    Dance,
    /// In place, in front of changing colors.
    Party,
}

/// Every motion.
pub(super) const MOTIONS: [Motion; 4] = [Motion::Jump, Motion::Spin, Motion::Dance, Motion::Party];

impl Motion {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Spin => "spin",
            Self::Dance => "dance",
            Self::Party => "party",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Jump => "Jumping",
            Self::Spin => "Spinning",
            Self::Dance => "Dancing",
            Self::Party => "Partying",
        }
    }

    pub(super) const fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Jump => &["jump", "happy", "yes"],
            Self::Spin => &["spin", "turn", "wow"],
            Self::Dance => &["dance", "fun", "music"],
            Self::Party => &["party", "celebrate", "color"],
        }
    }

    /// How a frame is drawn: the background, the offset in pixels, the visible width in percent, and whether the sprite is
    /// mirrored.
    fn pose(self, frame: usize) -> Pose {
        // 0 at the first frame, 6 in the middle, 0 again at the end.
        let rise = if frame < FRAMES / 2 { frame } else { FRAMES - frame };
        let mut pose = Pose { background: 1, x: MARGIN, y: MARGIN, width: 100, mirrored: false };
        match self {
            Self::Jump => pose.y = MARGIN * 2 - rise * 4,
            Self::Spin => {
                pose.background = 2;
                pose.width = [100, 85, 50, 15, 15, 50, 85, 100, 85, 50, 15, 50][frame];
                pose.mirrored = (4..11).contains(&frame);
            }
            Self::Dance => {
                pose.background = 3;
                pose.x = rise * 4;
                pose.mirrored = frame >= FRAMES / 2;
                pose.y = MARGIN - (frame % 3) * 3;
            }
            Self::Party => pose.background = BACKGROUNDS[frame / 2],
        }
        pose
    }
}

struct Pose {
    background: u8,
    x: usize,
    y: usize,
    width: usize,
    mirrored: bool,
}

/// The animation as GIF, which repeats without end.
pub(super) fn encode(sprite: &Sprite, motion: Motion) -> Result<Vec<u8>, gif::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, SIDE, SIDE, &PALETTE)?;
    encoder.set_repeat(gif::Repeat::Infinite)?;
    for frame in 0..FRAMES {
        let pixels = draw(sprite, &motion.pose(frame));
        let buffer = Cow::Owned(pixels);
        encoder.write_frame(&gif::Frame {
            width: SIDE,
            height: SIDE,
            delay: DELAY,
            buffer,
            ..gif::Frame::default()
        })?;
    }
    drop(encoder);
    Ok(bytes)
}

fn draw(sprite: &Sprite, pose: &Pose) -> Vec<u8> {
    let canvas = usize::from(SIDE);
    let mut pixels = vec![pose.background; canvas * canvas];
    let height = Sprite::SIDE * SCALE;
    let width = (height * pose.width / 100).max(1);
    let left = pose.x + (height - width) / 2;
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let column = x * Sprite::SIDE / width;
        let column = if pose.mirrored { Sprite::SIDE - 1 - column } else { column };
        let (row, position) = (y + pose.y, x + left);
        if let Some(color) = sprite.color(y / SCALE, column)
            && row < canvas
            && position < canvas
        {
            pixels[row * canvas + position] = color;
        }
    }
    pixels
}
