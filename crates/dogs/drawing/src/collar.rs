//! Collars with a tag, and bandanas.

use super::Look;
use super::canvas::Canvas;
use super::colour::{Colour, WHITE, hex};
use super::shape::{Point, band, curve, ellipse, polygon};

/// What a dog wears around its neck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Wear {
    #[default]
    Collar,
    Bandana,
    Bow,
}

pub(super) const COLOURS: &[Colour] =
    &[hex(0xd6_453d), hex(0x2f_78b7), hex(0x2f_9a78), hex(0xe0_9a2b), hex(0x7a_4fa3), hex(0xe0_5a78), hex(0x2a_4a63)];

impl Default for Colour {
    fn default() -> Self {
        COLOURS[0]
    }
}

/// Paints it around a neck of the half width at the point; `scale` is that of the head.
pub(super) fn paint(canvas: &mut Canvas, look: &Look, (x, y): Point, half: f32, scale: f32) {
    let colour = look.collar;
    let (thick, sag) = (24.0 * scale, 20.0 * scale);
    let band = band((x, y), half, thick, sag);
    let middle = (x, y + sag);
    match look.wear {
        Wear::Collar => {
            canvas.fill(&band, colour);
            tag(canvas, (x, middle.1 + 22.0 * scale), scale);
        }
        Wear::Bandana => {
            let cloth = [
                (x - half, y - thick * 0.5),
                (x + half, y - thick * 0.5),
                (x + half * 0.5, y + 58.0 * scale),
                (x, y + 112.0 * scale),
                (x - half * 0.5, y + 58.0 * scale),
            ];
            canvas.fill(&polygon(&cloth), colour);
            for (dx, dy) in [(-0.5, 14.0), (0.0, 20.0), (0.5, 14.0), (-0.26, 46.0), (0.26, 46.0), (0.0, 76.0)] {
                canvas.fill(&ellipse(x + half * dx, y + dy * scale, 6.0 * scale, 6.0 * scale), WHITE);
            }
            canvas.fill(&band, colour.darker(0.14));
        }
        Wear::Bow => {
            canvas.fill(&band, colour);
            for side in [-1.0, 1.0] {
                let wing = [
                    middle,
                    (x + side * 40.0 * scale, middle.1 - 24.0 * scale),
                    (x + side * 44.0 * scale, middle.1 + 22.0 * scale),
                ];
                canvas.fill(&polygon(&wing), colour.darker(0.12));
            }
            canvas.fill(&ellipse(middle.0, middle.1, 11.0 * scale, 13.0 * scale), colour.darker(0.26));
        }
    }
}

fn tag(canvas: &mut Canvas, (x, y): Point, scale: f32) {
    let gold = hex(0xf2_c14e);
    canvas.fill(&ellipse(x, y, 16.0 * scale, 16.0 * scale), gold.darker(0.2));
    canvas.fill(&ellipse(x, y - 1.0, 14.0 * scale, 14.0 * scale), gold);
    let bone = curve((x - 6.0 * scale, y), (x, y - 1.0), (x + 6.0 * scale, y));
    canvas.stroke(&bone, gold.darker(0.45), 3.6 * scale);
    for (dx, dy) in [(-6.5, -2.5), (-6.5, 2.5), (6.5, -2.5), (6.5, 2.5)] {
        canvas.fill(&ellipse(x + dx * scale, y + dy * scale, 2.6 * scale, 2.6 * scale), gold.darker(0.45));
    }
}
