//! Heads, seen from the front or a little from the side.

use super::anatomy::{Ears, Hair, Head};
use super::canvas::Canvas;
use super::coat::{Coat, Face};
use super::colour::{Colour, WHITE, hex};
use super::dice::Dice;
use super::shape::{Edge, Point, Shape, curve, ellipse, mirrored, outline};
use super::{Look, ears, hair, markings};

/// What a head does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mien {
    /// How far the nose is off the axis.
    pub(super) turn: f32,
    pub(super) tongue: bool,
}

/// Paints a head around the origin.
pub(super) fn paint(canvas: &mut Canvas, look: &Look, mien: Mien, dice: &mut Dice) {
    let (head, coat) = (&look.build.head, &look.coat);
    let skull = outline(&skull(head, mien.turn), look.build.edge);
    hair::behind(canvas, look);
    if ears::stand(head.ears) {
        ears::paint(canvas, look, mien.turn, dice);
    }
    canvas.fill(&skull, coat.base);
    canvas.inside(&skull, |canvas| {
        markings::face(canvas, look, mien.turn, dice);
        canvas.wash(&ellipse(-head.cheek * 1.25, head.chin * 0.75, head.cheek, head.chin * 1.1), hex(0x20_1428), 0.10);
    });
    wrinkles(canvas, head, coat, mien.turn);
    if !ears::stand(head.ears) {
        ears::paint(canvas, look, mien.turn, dice);
    }
    let bearded = matches!(head.hair, Hair::Beard | Hair::Curtain);
    if !bearded {
        jaw(canvas, look, mien);
    }
    muzzle(canvas, look, mien.turn);
    hair::front(canvas, look, mien.turn);
    if bearded && mien.tongue {
        tongue(canvas, head, mien.turn);
    }
    mouth(canvas, head, shade(look.muzzle(), 0.55), mien.turn);
    if head.hair != Hair::Fringe {
        eyes(canvas, look, mien.turn);
    }
    nose(canvas, head, coat, mien.turn);
}

fn skull(head: &Head, turn: f32) -> Vec<Point> {
    let mut points = mirrored(&[
        (0.0, -head.crown),
        (head.temple * 0.56, -head.crown * 0.92),
        (head.temple, -head.crown * 0.36),
        (head.cheek, head.chin * 0.26),
        (head.jaw, head.chin * 0.78),
        (0.0, head.chin),
    ]);
    for point in &mut points {
        // The lower a part is, the further it turns.
        point.0 += turn * ((point.1 + head.crown) / (head.chin + head.crown)) * 0.6;
    }
    points
}

/// The lower lip, and the tongue over it.
fn jaw(canvas: &mut Canvas, look: &Look, mien: Mien) {
    let head = &look.build.head;
    let lip = shade(look.muzzle(), 0.22);
    canvas.fill(&ellipse(mien.turn, lower_lip(head), head.muzzle * 0.46, 17.0), lip);
    if mien.tongue {
        tongue(canvas, head, mien.turn);
    }
}

fn tongue(canvas: &mut Canvas, head: &Head, x: f32) {
    let (x, lip) = (x + 2.0, lower_lip(head));
    canvas.fill(&ellipse(x, lip + 14.0, head.muzzle * 0.27, 27.0), hex(0xe0_7383));
    canvas.stroke(&curve((x, lip), (x + 1.0, lip + 12.0), (x, lip + 24.0)), hex(0xc4_5a6c), 3.0);
}

fn lower_lip(head: &Head) -> f32 {
    head.nose_y + 46.0 + head.jowls * 0.5
}

fn muzzle(canvas: &mut Canvas, look: &Look, x: f32) {
    let (head, colour) = (&look.build.head, look.muzzle());
    let (width, y) = (head.muzzle, head.nose_y);
    let half = [
        (0.0, y - 58.0),
        (width * 0.56, y - 30.0),
        (width * 0.97, y + 4.0),
        (width * 1.02, y + 26.0 + head.jowls * 0.8),
        (width * 0.62, y + 42.0 + head.jowls),
        (0.0, y + 37.0),
    ];
    let shape = shifted(&mirrored(&half), x, if look.furry() { Edge::Tufted(7.0) } else { Edge::Smooth });
    canvas.fill(&shape, colour);
    canvas.inside(&shape, |canvas| {
        markings::bridge(canvas, look, x);
        let below = ellipse(x - width * 0.9, y + 40.0, width * 0.8, 46.0);
        canvas.wash(&below, hex(0x20_1428), 0.08);
    });
}

fn mouth(canvas: &mut Canvas, head: &Head, colour: Colour, x: f32) {
    let (width, y) = (head.muzzle, head.nose_y);
    let bottom = y + 37.0;
    canvas.stroke(&curve((x, y + 10.0), (x, y + 20.0), (x, bottom)), colour, 4.0);
    for side in [-1.0, 1.0] {
        let corner = (x + side * width * 0.78, y + 30.0 + head.jowls * 0.7);
        canvas.stroke(&curve((x, bottom), (x + side * width * 0.42, bottom + 14.0 + head.jowls), corner), colour, 4.0);
        for (dx, dy) in [(0.42, 12.0), (0.58, 20.0), (0.38, 24.0)] {
            canvas.fill(&ellipse(x + side * width * dx, y + dy, 2.2, 2.2), colour);
        }
    }
}

fn nose(canvas: &mut Canvas, head: &Head, coat: &Coat, x: f32) {
    let (size, y) = (head.nose, head.nose_y - 4.0);
    let half = [(0.0, -0.66), (0.72, -0.58), (1.02, -0.08), (0.5, 0.5), (0.0, 0.74)]
        .map(|(dx, dy)| (dx * size, y + dy * size));
    let colour = if look_dark(coat) { coat.nose.darker(0.35) } else { coat.nose };
    canvas.fill(&shifted(&mirrored(&half), x, Edge::Smooth), colour);
    canvas.wash(&ellipse(x - size * 0.2, y - size * 0.36, size * 0.42, size * 0.15), hex(0xff_ffff), 0.42);
    for side in [-1.0, 1.0] {
        canvas.wash(&ellipse(x + side * size * 0.42, y + size * 0.1, size * 0.17, size * 0.13), hex(0x0c_080c), 0.6);
    }
}

fn look_dark(coat: &Coat) -> bool {
    coat.base.luma() < 0.25
}

fn eyes(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    for side in [-1.0, 1.0] {
        let x = side * head.eye_x + turn * 0.55;
        // The eye on the far side looks narrower.
        let far = if side * turn > 0.0 { 1.0 - turn.abs() / 160.0 } else { 1.0 };
        let (rx, ry) = (head.eye * far, head.eye * 1.06);
        let ground = if look.dark_around_eyes() { coat.base.lighter(0.22) } else { shade(coat.base, 0.22) };
        if coat.face != Face::Mask || look.dark_around_eyes() {
            canvas.wash(&ellipse(x, 0.0, rx * 1.28, ry * 1.24), ground, 0.7);
        }
        canvas.fill(&ellipse(x, 0.0, rx, ry), hex(0x1d_1517));
        canvas.fill(&ellipse(x, 1.0, rx * 0.84, ry * 0.84), coat.eyes);
        canvas.fill(&ellipse(x, 0.0, rx * 0.56, ry * 0.56), hex(0x14_0e10));
        canvas.fill(&ellipse(x - rx * 0.28, -ry * 0.36, rx * 0.28, ry * 0.28), WHITE);
        canvas.wash(&ellipse(x + rx * 0.34, ry * 0.36, rx * 0.16, ry * 0.16), WHITE, 0.7);
    }
}

fn wrinkles(canvas: &mut Canvas, head: &Head, coat: &Coat, turn: f32) {
    let colour = shade(coat.base, 0.2);
    for fold in 0..head.wrinkles {
        let fold = f32::from(fold);
        let (y, reach) = (-head.crown * 0.34 - fold * 15.0, 16.0 + fold * 13.0);
        let x = turn * 0.4;
        canvas.stroke(&curve((x - reach, y - 6.0), (x, y + 10.0), (x + reach, y - 6.0)), colour, 4.5);
    }
    if head.wrinkles > 1 {
        for side in [-1.0, 1.0] {
            let x = turn * 0.8 + side * head.muzzle;
            let top = (x - side * head.muzzle * 0.5, head.nose_y - 44.0);
            let end = (x + side * 18.0, head.nose_y + 34.0);
            canvas.stroke(&curve(top, (x + side * 26.0, head.nose_y - 26.0), end), colour, 4.5);
        }
    }
}

/// A contrasting shade of the colour: dark colours get lighter, others darker.
pub(super) fn shade(colour: Colour, share: f32) -> Colour {
    if colour.luma() < 0.24 { colour.lighter(share * 0.55) } else { colour.darker(share) }
}

pub(super) fn shifted(points: &[Point], by: f32, edge: Edge) -> Shape {
    let points: Vec<_> = points.iter().map(|&(x, y)| (x + by, y)).collect();
    outline(&points, edge)
}

/// Whether these ears are painted with hair of their own.
pub(super) const fn feathered(ears: Ears) -> bool {
    matches!(ears, Ears::Feathered | Ears::Butterfly)
}
