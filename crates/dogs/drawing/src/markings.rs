//! Markings of faces and hides. All are painted inside the outline they belong to.

use super::Look;
use super::canvas::Canvas;
use super::coat::{Coat, Face, Hide};
use super::colour::{Colour, WHITE};
use super::dice::Dice;
use super::shape::{Point, blob, curve, ellipse, mirrored};

/// A box that markings are spread over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) from: Point,
    pub(super) to: Point,
    /// Whether the trunk is seen from the front.
    pub(super) front: bool,
}

/// Paints the markings of the head, without the muzzle.
pub(super) fn face(canvas: &mut Canvas, look: &Look, turn: f32, dice: &mut Dice) {
    let (head, coat) = (&look.build.head, &look.coat);
    let whole = Area { from: (-head.cheek, -head.crown), to: (head.cheek, head.chin), front: true };
    match coat.face {
        Face::Plain => {}
        Face::Husky => husky(canvas, look, turn),
        Face::Blaze => blaze(canvas, look, turn, coat.mark),
        Face::Mask => mask(canvas, look, turn),
        Face::Points => points(canvas, look, turn),
        Face::Tricolour => {
            points(canvas, look, turn);
            blaze(canvas, look, turn, WHITE);
        }
        Face::Light => light(canvas, look, turn),
        Face::Patch => {
            let (rx, ry) = (head.temple * 0.62, head.crown * 0.86);
            canvas.fill(&ellipse(look.patch_side * head.eye_x * 1.2, -8.0, rx, ry), coat.mark);
        }
        Face::Spots => spots(canvas, whole, coat.mark, (4.0, 10.0), 26, dice),
        Face::Merle => {
            clouds(canvas, whole, coat.mark, (14.0, 30.0), 14, dice);
            blaze(canvas, look, turn, WHITE);
        }
        Face::Cap => canvas.fill(&ellipse(0.0, -head.crown, head.temple, head.crown * 0.8), coat.mark),
    }
}

/// Paints what a marking shows along the bridge of the nose.
pub(super) fn bridge(canvas: &mut Canvas, look: &Look, x: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    if coat.face == Face::Points {
        let (w, y) = (head.muzzle * 0.42, head.nose_y);
        canvas.fill(
            &blob(&[(x - w, y - 70.0), (x + w, y - 70.0), (x + w * 1.1, y), (x, y + 12.0), (x - w * 1.1, y)]),
            coat.base,
        );
    }
}

fn husky(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    canvas.fill(&ellipse(turn * 0.4, head.chin * 0.62, head.cheek * 0.98, head.chin * 0.64), coat.mark);
    for side in [-1.0, 1.0] {
        let x = side * head.eye_x + turn * 0.5;
        canvas.fill(&ellipse(x * 0.94, -8.0, 27.0, 34.0), coat.mark);
        canvas.fill(&ellipse(x + side * 16.0, 20.0, 34.0, 34.0), coat.mark);
    }
    let half = [(0.0, -head.crown), (15.0, -head.crown), (15.0, -30.0), (11.0, 2.0), (0.0, 22.0)];
    let bridge: Vec<_> = mirrored(&half).iter().map(|&(x, y)| (x + turn * 0.5, y)).collect();
    canvas.fill(&blob(&bridge), coat.base);
}

fn blaze(canvas: &mut Canvas, look: &Look, turn: f32, colour: Colour) {
    let (head, width) = (&look.build.head, look.blaze);
    let (top, eye) = (-head.crown * 1.05, turn * 0.5);
    let muzzle = head.muzzle * 1.12;
    let outline = [
        (-width * 0.7, top),
        (width * 0.7, top),
        (eye + width, -12.0),
        (turn + muzzle, head.nose_y),
        (turn + muzzle * 0.9, head.chin * 1.1),
        (turn - muzzle * 0.9, head.chin * 1.1),
        (turn - muzzle, head.nose_y),
        (eye - width, -12.0),
    ];
    canvas.fill(&blob(&outline), colour);
}

fn mask(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    let dark = coat.mark.mix(coat.base, 0.12);
    canvas.wash(&ellipse(turn * 0.9, head.nose_y + 8.0, head.muzzle * 1.5, 66.0), dark, 0.45);
    canvas.fill(&ellipse(turn * 0.9, head.nose_y + 10.0, head.muzzle * 1.22, 56.0), dark);
    for side in [-1.0, 1.0] {
        canvas.wash(&ellipse(side * head.eye_x + turn * 0.5, 3.0, head.eye * 1.7, head.eye * 1.6), dark, 0.75);
    }
}

fn points(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    for side in [-1.0, 1.0] {
        let x = side * head.eye_x * 0.86 + turn * 0.5;
        canvas.fill(&ellipse(x, -head.eye - 16.0, 12.0, 9.0), coat.mark);
        canvas.fill(&ellipse(side * head.jaw * 0.98 + turn * 0.6, head.chin * 0.62, 34.0, 42.0), coat.mark);
    }
}

fn light(canvas: &mut Canvas, look: &Look, turn: f32) {
    let (head, coat) = (&look.build.head, &look.coat);
    let soft = coat.mark.mix(coat.base, 0.25);
    for side in [-1.0, 1.0] {
        let x = turn * 0.5;
        canvas
            .fill(&ellipse(x + side * head.cheek * 0.72, head.chin * 0.56, head.cheek * 0.44, head.chin * 0.42), soft);
        canvas.fill(&ellipse(x + side * head.eye_x * 0.86, -head.eye - 15.0, 14.0, 9.0), soft);
    }
    canvas.fill(&ellipse(turn * 0.8, head.chin * 0.82, head.jaw, 48.0), soft);
}

/// Paints the markings of a trunk that fills the area.
pub(super) fn hide(canvas: &mut Canvas, coat: &Coat, area: Area, dice: &mut Dice) {
    let ((left, top), (right, bottom)) = (area.from, area.to);
    let (width, height) = (right - left, bottom - top);
    let mark = coat.third;
    match coat.hide {
        Hide::Plain | Hide::Points | Hide::Bib | Hide::Collar => {}
        Hide::Saddle if area.front => {
            for x in [left, right] {
                canvas.fill(&ellipse(x, top + height * 0.3, width * 0.24, height * 0.5), mark);
            }
        }
        Hide::Saddle => {
            let back = [
                (left - width * 0.1, top - height * 0.3),
                (right, top - height * 0.3),
                (right - width * 0.1, top + height * 0.22),
                (right - width * 0.24, top + height * 0.52),
                (left + width * 0.42, top + height * 0.42),
                (left + width * 0.16, top + height * 0.62),
                (left - width * 0.1, top + height * 0.4),
            ];
            canvas.fill(&blob(&back), mark);
        }
        Hide::Spots => spots(canvas, area, mark, (4.5, 12.0), 46, dice),
        Hide::Patches => clouds(canvas, area, mark, (width * 0.13, width * 0.22), 3, dice),
        Hide::Ticked => spots(canvas, area, mark, (1.8, 4.6), 190, dice),
        Hide::Merle => clouds(canvas, area, mark, (9.0, 24.0), 24, dice),
        Hide::Brindle => stripes(canvas, area, mark.mix(coat.trunk, 0.4), dice),
        Hide::Ridge => {
            canvas.fill(&ellipse(left + width * 0.45, top + height * 0.02, width * 0.42, height * 0.07), mark);
        }
    }
}

fn stripes(canvas: &mut Canvas, area: Area, colour: Colour, dice: &mut Dice) {
    for step in 0u8..22 {
        let x = area.from.0 + (area.to.0 - area.from.0) * f32::from(step) / 21.0;
        let lean = dice.range(-18.0, 4.0);
        let top = area.from.1 + (area.to.1 - area.from.1) * dice.range(-0.1, 0.35);
        let end = top + (area.to.1 - area.from.1) * dice.range(0.3, 0.6);
        let line = curve((x, top), (x + lean * 1.4, f32::midpoint(top, end)), (x + lean, end));
        canvas.stroke(&line, colour, dice.range(2.5, 5.0));
    }
}

fn spots(canvas: &mut Canvas, area: Area, colour: Colour, size: (f32, f32), count: u8, dice: &mut Dice) {
    for _ in 0..count {
        let (x, y) = (dice.range(area.from.0, area.to.0), dice.range(area.from.1, area.to.1));
        let radius = dice.range(size.0, size.1);
        canvas.fill(&ellipse(x, y, radius, dice.around(radius, 0.25)), colour);
    }
}

fn clouds(canvas: &mut Canvas, area: Area, colour: Colour, size: (f32, f32), count: u8, dice: &mut Dice) {
    let step = (area.to.0 - area.from.0) / f32::from(count);
    for index in 0..count {
        // One to a column, so that they never all fall on one spot.
        let x = area.from.0 + step * (f32::from(index) + dice.range(0.1, 0.9));
        let y = dice.range(area.from.1, area.from.1 + (area.to.1 - area.from.1) * 0.8);
        let radius = dice.range(size.0, size.1);
        let points: Vec<_> = [0.0_f32, 60.0, 120.0, 180.0, 240.0, 300.0]
            .iter()
            .map(|angle| {
                let (sin, cos) = angle.to_radians().sin_cos();
                let reach = dice.around(radius, 0.35);
                (x + cos * reach * 1.15, y + sin * reach)
            })
            .collect();
        canvas.fill(&blob(&points), colour);
    }
}

/// A light breast: a shape that narrows downwards.
pub(super) fn breast(canvas: &mut Canvas, colour: Colour, at: Point, size: (f32, f32)) {
    let ((x, y), (width, height)) = (at, size);
    let half =
        [(0.0, y), (width * 0.8, y), (width, y + height * 0.3), (width * 0.5, y + height * 0.8), (0.0, y + height)];
    let points: Vec<_> = mirrored(&half).iter().map(|&(dx, dy)| (x + dx, dy)).collect();
    canvas.fill(&blob(&points), colour);
}
