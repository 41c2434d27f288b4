//! Trunks, legs and tails in the poses a dog takes, each with its head.

use super::anatomy::Tail;
use super::canvas::Canvas;
use super::coat::Hide;
use super::colour::{Colour, WHITE, hex};
use super::dice::Dice;
use super::head::{Mien, shade};
use super::markings::{self, Area};
use super::shape::{Edge, Point, blob, curve, ellipse, mirrored, outline};
use super::{Look, collar, head};

/// What the dog does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pose {
    /// Head and shoulders, close.
    #[default]
    Portrait,
    /// Sitting, seen from the front.
    Sitting,
    /// Standing, seen from the side.
    Standing,
}

/// Paints head and shoulders; the origin is between the eyes, the shoulders reach down to `bottom`.
pub(super) fn portrait(canvas: &mut Canvas, look: &Look, mien: Mien, bottom: f32, dice: &mut Dice) {
    let (build, colour) = (&look.build, look.coat.trunk);
    let neck = build.head.jaw.max(60.0) * 1.12;
    let base = build.head.chin;
    let half = [
        (0.0, base * 0.3),
        (neck, base * 0.45),
        (neck * 1.06, base * 1.1),
        (neck * 1.5, base * 1.55),
        (neck * 2.1, base * 2.1),
        (neck * 2.25, bottom),
        (0.0, bottom + 30.0),
    ];
    let shape = outline(&mirrored(&half), build.edge);
    canvas.fill(&shape, shade(colour, 0.05));
    canvas.inside(&shape, |canvas| {
        let area = Area { from: (-neck * 2.2, base * 1.3), to: (neck * 2.2, bottom), front: true };
        markings::hide(canvas, &look.coat, area, dice);
        front_marks(canvas, look, (0.0, base * 0.8), (neck * 0.8, bottom - base * 0.9));
        canvas.wash(&ellipse(mien.turn * 0.3, base * 0.9, neck * 1.3, base * 0.42), hex(0x18_1020), 0.18);
    });
    collar::paint(canvas, look, (0.0, base * 1.14), neck * 1.08, 1.0);
    head::paint(canvas, look, mien, dice);
}

/// Paints a sitting dog; the origin is on the ground.
pub(super) fn sitting(canvas: &mut Canvas, look: &Look, mien: Mien, dice: &mut Dice) {
    let build = &look.build;
    let (colour, dark) = (look.coat.trunk, shade(look.coat.trunk, 0.12));
    let wide = build.depth * 0.78;
    let shoulder = -(build.legs * 0.85 + build.depth * 0.95);
    let leg_top = shoulder * 0.62;
    rear_tail(canvas, look, (-wide * 0.9, -18.0));
    for side in [-1.0, 1.0] {
        let haunch = [
            (side * wide * 0.3, -build.depth * 0.7),
            (side * wide * 1.0, -build.depth * 0.66),
            (side * wide * 1.28, -26.0),
            (side * wide * 1.0, 0.0),
            (side * wide * 0.3, 0.0),
        ];
        canvas.fill(&outline(&haunch, build.edge), dark);
        paw(canvas, look, (side * wide * 1.02, -9.0), build.bone * 1.5);
    }
    let half = [
        (0.0, shoulder - 20.0),
        (wide * 0.62, shoulder - 6.0),
        (wide * 0.92, shoulder * 0.74),
        (wide * 0.92, shoulder * 0.42),
        (wide * 0.78, -26.0),
        (0.0, -14.0),
    ];
    let trunk = outline(&mirrored(&half), build.edge);
    canvas.fill(&trunk, colour);
    canvas.inside(&trunk, |canvas| {
        let area = Area { from: (-wide, shoulder), to: (wide, 0.0), front: true };
        markings::hide(canvas, &look.coat, area, dice);
        front_marks(canvas, look, (0.0, shoulder), (wide * 0.52, -shoulder * 0.78));
        canvas.wash(&ellipse(0.0, shoulder - 4.0, wide * 0.9, 30.0), hex(0x18_1020), 0.16);
        canvas.wash(&ellipse(0.0, -20.0, wide * 0.34, -leg_top * 0.5), hex(0x18_1020), 0.2);
    });
    for side in [-1.0, 1.0] {
        let top = (side * wide * 0.52, leg_top);
        leg(canvas, look, top, (side * wide * 0.4, -8.0), build.bone * 1.12, colour);
    }
    let scale = build.head_scale;
    let neck = shoulder - build.neck * 0.35;
    collar::paint(canvas, look, (0.0, shoulder - 4.0), wide * 0.6, scale);
    canvas.placed((0.0, neck - build.head.chin * scale * 0.62), (scale, scale), |canvas| {
        head::paint(canvas, look, mien, dice);
    });
}

/// Paints a standing dog that looks to the right; the origin is on the ground, below the middle of the trunk.
pub(super) fn standing(canvas: &mut Canvas, look: &Look, mien: Mien, dice: &mut Dice) {
    let build = &look.build;
    let (length, depth, legs) = (build.length, build.depth, build.legs);
    let (colour, far) = (look.coat.trunk, shade(look.coat.trunk, 0.2));
    let back = -(legs + depth);
    let reach = dice.range(-8.0, 12.0);
    tail(canvas, look, (-length * 0.45, back + depth * 0.24));
    leg(canvas, look, (length * 0.36, -legs * 1.2), (length * 0.40 + reach, -8.0), build.bone * 0.9, far);
    hind(canvas, look, (-length * 0.27, -legs * 1.15), reach * 0.6 - 4.0, far);
    let trunk = outline(&trunk(look), build.edge);
    canvas.fill(&trunk, colour);
    canvas.inside(&trunk, |canvas| {
        let area = Area { from: (-length * 0.55, back), to: (length * 0.5, -legs + depth * 0.05), front: false };
        side_marks(canvas, look, area);
        markings::hide(canvas, &look.coat, area, dice);
        canvas.wash(&ellipse(0.0, -legs, length * 0.6, depth * 0.26), hex(0x18_1020), 0.13);
    });
    hind(canvas, look, (-length * 0.36, -legs - depth * 0.1), -reach * 0.5, colour);
    leg(canvas, look, (length * 0.30, -legs - depth * 0.08), (length * 0.29 - reach * 0.6, -8.0), build.bone, colour);
    let scale = build.head_scale;
    let at = (length * 0.46 + build.neck * 0.42, back - build.neck * 0.62 - build.head.chin * scale * 0.36);
    neck(canvas, look, at);
    canvas.placed(at, (scale, scale), |canvas| head::paint(canvas, look, mien, dice));
}

fn trunk(look: &Look) -> Vec<Point> {
    let build = &look.build;
    let (length, depth, legs) = (build.length, build.depth, build.legs);
    let back = -(legs + depth);
    vec![
        (length * 0.40, back - 6.0),
        (0.0, back + 5.0),
        (-length * 0.38, back + 2.0),
        (-length * 0.52, back + depth * 0.36),
        (-length * 0.48, -legs - depth * 0.12),
        (-length * 0.24, -legs - depth * (0.06 + build.tuck)),
        (length * 0.08, -legs - depth * build.tuck * 0.3),
        (length * 0.34, -legs + depth * 0.07),
        (length * 0.52, -legs - depth * 0.36),
        (length * 0.53, back + depth * 0.3),
    ]
}

fn neck(canvas: &mut Canvas, look: &Look, head: Point) {
    let build = &look.build;
    let (length, depth) = (build.length, build.depth);
    let back = -(build.legs + depth);
    let width = (build.head.jaw * build.head_scale * 1.02).max(26.0);
    let points = [
        (head.0 - width * 0.9, head.1 + 4.0),
        (head.0 + width * 0.75, head.1 + 10.0),
        (head.0 + width * 0.72, head.1 + build.head.chin * build.head_scale),
        (length * 0.545, back + depth * 0.52),
        (length * 0.36, back + depth * 0.5),
        (length * 0.2, back + 8.0),
    ];
    let shape = outline(&points, build.edge);
    canvas.fill(&shape, look.coat.trunk);
    let throat = head.1 + build.head.chin * build.head_scale * 0.98;
    canvas.inside(&shape, |canvas| {
        if matches!(look.coat.hide, Hide::Bib | Hide::Collar) {
            let width = if look.coat.hide == Hide::Collar { width * 2.2 } else { width * 0.9 };
            canvas.fill(&ellipse(length * 0.58, back + depth * 0.34, width, depth * 0.66), look.bib());
        }
        canvas.wash(&ellipse(head.0, throat - 8.0, width * 1.4, 24.0), hex(0x18_1020), 0.2);
    });
    let at = (f32::midpoint(head.0, length * 0.44) + 4.0, throat + 6.0);
    canvas.turned(at, -14.0, |canvas| collar::paint(canvas, look, at, width * 0.98, build.head_scale));
}

/// Light parts of a breast seen from the front.
fn front_marks(canvas: &mut Canvas, look: &Look, at: Point, size: (f32, f32)) {
    match look.coat.hide {
        Hide::Bib | Hide::Collar => markings::breast(canvas, look.bib(), at, size),
        Hide::Points => {
            for side in [-1.0, 1.0] {
                let x = at.0 + side * size.0 * 0.62;
                canvas.fill(&ellipse(x, at.1 + size.1 * 0.44, size.0 * 0.46, size.1 * 0.14), look.coat.third);
            }
        }
        _ => {}
    }
}

/// Light parts of a trunk seen from the side.
fn side_marks(canvas: &mut Canvas, look: &Look, area: Area) {
    let ((left, top), (right, bottom)) = (area.from, area.to);
    let (width, height) = (right - left, bottom - top);
    match look.coat.hide {
        Hide::Bib => {
            canvas.fill(&ellipse(right, bottom - height * 0.18, width * 0.22, height * 0.46), look.bib());
            canvas.fill(&ellipse(left + width * 0.5, bottom + height * 0.02, width * 0.5, height * 0.2), look.bib());
        }
        Hide::Collar => canvas.fill(&ellipse(right, top + height * 0.5, width * 0.3, height * 0.72), look.bib()),
        Hide::Points => canvas
            .fill(&ellipse(right - width * 0.02, bottom - height * 0.34, width * 0.09, height * 0.2), look.coat.third),
        _ => {}
    }
}

fn leg(canvas: &mut Canvas, look: &Look, top: Point, foot: Point, bone: f32, colour: Colour) {
    let knee = f32::midpoint(top.1, foot.1);
    let points = [
        (top.0 - bone * 1.35, top.1),
        (top.0 + bone * 1.35, top.1),
        (f32::midpoint(top.0, foot.0) + bone * 0.98, knee),
        (foot.0 + bone * 0.86, foot.1 - 4.0),
        (foot.0, foot.1 + 4.0),
        (foot.0 - bone * 0.86, foot.1 - 4.0),
        (f32::midpoint(top.0, foot.0) - bone * 0.98, knee),
    ];
    limb(canvas, look, &points, top.1, colour);
    paw(canvas, look, foot, bone * 1.22);
}

fn hind(canvas: &mut Canvas, look: &Look, hip: Point, step: f32, colour: Colour) {
    let (bone, legs) = (look.build.bone, look.build.legs);
    let thigh = (look.build.depth * 0.36).max(bone * 1.5);
    let hock = -legs * 0.36;
    let foot = (hip.0 - legs * 0.06 + step, -8.0);
    let points = [
        (hip.0 - thigh * 0.8, hip.1 - thigh * 0.6),
        (hip.0 + thigh, hip.1 - thigh * 0.4),
        (hip.0 + thigh * 0.86, hip.1 + (hock - hip.1) * 0.5),
        (foot.0 + bone * 0.5, hock),
        (foot.0 + bone * 0.9, foot.1 - 4.0),
        (foot.0, foot.1 + 4.0),
        (foot.0 - bone * 0.8, foot.1 - 6.0),
        (foot.0 - bone * 1.5, hock),
        (hip.0 - thigh * 0.9, hip.1 + (hock - hip.1) * 0.4),
    ];
    limb(canvas, look, &points, hip.1, colour);
    paw(canvas, look, foot, bone * 1.22);
}

fn limb(canvas: &mut Canvas, look: &Look, points: &[Point], top: f32, colour: Colour) {
    let edge = match look.build.edge {
        Edge::Tufted(size) => Edge::Tufted(size * 0.5),
        Edge::Curly(size) => Edge::Curly(size * 0.72),
        Edge::Smooth => Edge::Smooth,
    };
    let shape = outline(points, edge);
    canvas.fill(&shape, colour);
    let Some(sock) = look.sock() else { return };
    let height = match look.coat.hide {
        Hide::Points => top * 0.72,
        _ => top * 0.44,
    };
    let far = if colour == look.coat.trunk { sock } else { shade(sock, 0.12) };
    canvas.inside(&shape, |canvas| canvas.fill(&ellipse(points[3].0, 0.0, 90.0, -height), far));
}

fn paw(canvas: &mut Canvas, look: &Look, at: Point, size: f32) {
    let colour = look.sock().unwrap_or_else(|| look.coat.trunk.lighter(0.04));
    canvas.fill(&ellipse(at.0 + size * 0.14, at.1, size, size * 0.58), colour);
    for step in [-0.2, 0.36] {
        let x = at.0 + size * (step + 0.1);
        canvas.stroke(
            &curve((x, at.1 - size * 0.08), (x + 1.0, at.1 + size * 0.2), (x, at.1 + size * 0.44)),
            shade(colour, 0.3),
            2.4,
        );
    }
}

/// The tail of a standing dog, from its root.
fn tail(canvas: &mut Canvas, look: &Look, root: Point) {
    let colour = shade(look.coat.trunk, 0.06);
    let light = matches!(look.coat.hide, Hide::Bib | Hide::Collar);
    let tip = if light { WHITE.mix(colour, 0.1) } else { shade(colour, 0.1) };
    let (x, y) = root;
    match look.build.tail {
        Tail::Curled => curled_tail(canvas, look.build.edge, root, (colour, tip)),
        Tail::Plumed => plumed_tail(canvas, look.build.edge, root, (colour, tip)),
        Tail::Straight => {
            let to = [(14.0, -12.0), (-40.0, -38.0), (-84.0, -78.0), (-92.0, -68.0), (-54.0, -12.0), (10.0, 22.0)];
            canvas.fill(&blob(&from(root, &to)), colour);
        }
        Tail::Whip => canvas.stroke(&curve((x + 10.0, y), (x - 54.0, y + 34.0), (x - 92.0, y - 28.0)), colour, 12.0),
        Tail::Stub => canvas.fill(&ellipse(x - 6.0, y - 10.0, 17.0, 15.0), colour),
        Tail::Pompon => {
            canvas.stroke(&curve((x + 8.0, y), (x - 20.0, y - 20.0), (x - 34.0, y - 48.0)), colour, 12.0);
            let ball = from(root, &[(-38.0, -88.0), (-8.0, -62.0), (-38.0, -36.0), (-68.0, -62.0)]);
            canvas.fill(&outline(&ball, Edge::Curly(11.0)), look.coat.trunk.lighter(0.05));
        }
    }
}

fn curled_tail(canvas: &mut Canvas, fur: Edge, root: Point, (colour, tip): (Colour, Colour)) {
    let (x, y) = root;
    let ring = [(12.0, -4.0), (-30.0, -24.0), (-34.0, -76.0), (8.0, -98.0), (48.0, -74.0), (34.0, -34.0)];
    canvas.fill(&outline(&from(root, &ring), fur), colour);
    let swirl = curve((x + 26.0, y - 44.0), (x + 4.0, y - 66.0), (x - 12.0, y - 38.0));
    canvas.stroke(&swirl, shade(colour, 0.16), 5.0);
    canvas.fill(&ellipse(x + 28.0, y - 48.0, 17.0, 14.0), tip);
}

fn plumed_tail(canvas: &mut Canvas, fur: Edge, root: Point, (colour, tip): (Colour, Colour)) {
    let plume =
        [(14.0, -14.0), (-40.0, -34.0), (-92.0, -66.0), (-118.0, -44.0), (-84.0, 8.0), (-30.0, 18.0), (14.0, 20.0)];
    let shape = outline(&from(root, &plume), fur);
    canvas.fill(&shape, colour);
    canvas.inside(&shape, |canvas| canvas.fill(&ellipse(root.0 - 112.0, root.1 - 54.0, 30.0, 36.0), tip));
}

/// The points, measured from the root.
fn from(root: Point, points: &[Point]) -> Vec<Point> {
    points.iter().map(|&(x, y)| (root.0 + x, root.1 + y)).collect()
}

/// What is seen of the tail behind a sitting dog.
fn rear_tail(canvas: &mut Canvas, look: &Look, (x, y): Point) {
    let colour = shade(look.coat.trunk, 0.16);
    match look.build.tail {
        Tail::Stub => {}
        Tail::Whip | Tail::Straight => {
            canvas.stroke(&curve((x + 20.0, y), (x - 50.0, y + 14.0), (x - 84.0, y - 36.0)), colour, 15.0);
        }
        Tail::Plumed | Tail::Curled | Tail::Pompon => {
            let points = [
                (x + 16.0, y - 16.0),
                (x - 42.0, y - 40.0),
                (x - 84.0, y - 82.0),
                (x - 104.0, y - 40.0),
                (x - 64.0, y + 6.0),
                (x + 16.0, y + 16.0),
            ];
            canvas.fill(&outline(&points, look.build.edge), colour);
        }
    }
}
