//! Shapes: smooth outlines through points, plain and with fur.

use tiny_skia::{Path, PathBuilder, Rect};

/// A point; y grows downwards.
pub(super) type Point = (f32, f32);

/// A path, or `None` when its points do not form one.
#[derive(Debug, Clone)]
pub(super) struct Shape(pub(super) Option<Path>);

/// How an outline ends: as a line, in round curls or in pointed tufts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Edge {
    Smooth,
    /// Curls of this size.
    Curly(f32),
    /// Tufts of this length.
    Tufted(f32),
}

pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Shape {
    Shape(Rect::from_xywh(x - rx, y - ry, rx * 2.0, ry * 2.0).and_then(PathBuilder::from_oval))
}

pub(super) fn rect(x: f32, y: f32, width: f32, height: f32) -> Shape {
    Shape(Rect::from_xywh(x, y, width, height).map(PathBuilder::from_rect))
}

/// A smooth closed outline through the points.
pub(super) fn blob(points: &[Point]) -> Shape {
    let mut path = PathBuilder::new();
    for (index, &point) in points.iter().enumerate() {
        if index == 0 {
            path.move_to(point.0, point.1);
        }
        let [before, from, to, after] = around(points, index);
        let (one, two) = controls(before, from, to, after);
        path.cubic_to(one.0, one.1, two.0, two.1, to.0, to.1);
    }
    path.close();
    Shape(path.finish())
}

/// An outline with corners.
pub(super) fn polygon(points: &[Point]) -> Shape {
    let mut path = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    Shape(path.finish())
}

/// An open curve from `from` to `to`, bent towards `by`.
pub(super) fn curve(from: Point, by: Point, to: Point) -> Shape {
    let mut path = PathBuilder::new();
    path.move_to(from.0, from.1);
    path.quad_to(by.0, by.1, to.0, to.1);
    Shape(path.finish())
}

/// A band across the point that sags in the middle.
pub(super) fn band((x, y): Point, half: f32, thick: f32, sag: f32) -> Shape {
    let mut path = PathBuilder::new();
    let (top, bottom) = (y - thick * 0.5, y + thick * 0.5);
    path.move_to(x - half, top);
    path.quad_to(x, top + sag * 2.0, x + half, top);
    path.quad_to(x + half + thick * 0.2, y, x + half, bottom);
    path.quad_to(x, bottom + sag * 2.0, x - half, bottom);
    path.quad_to(x - half - thick * 0.2, y, x - half, top);
    path.close();
    Shape(path.finish())
}

/// The points and their mirror images, as one outline. The first and last point are on the axis and not doubled.
pub(super) fn mirrored(half: &[Point]) -> Vec<Point> {
    let inner = half.get(1..half.len().saturating_sub(1)).unwrap_or_default();
    let mut points = half.to_vec();
    points.extend(inner.iter().rev().map(|&(x, y)| (-x, y)));
    points
}

/// A closed outline with the given edge.
pub(super) fn outline(points: &[Point], edge: Edge) -> Shape {
    match edge {
        Edge::Smooth => blob(points),
        Edge::Curly(size) => fringe(&resample(points, size * 1.7), |from, to, out| {
            let bulge = size * 0.95;
            let middle = (f32::midpoint(from.0, to.0) + out.0 * bulge, f32::midpoint(from.1, to.1) + out.1 * bulge);
            [middle, to, to]
        }),
        Edge::Tufted(size) => fringe(&resample(points, size * 1.25), |from, to, out| {
            // Hair hangs: tips point outwards and down.
            let tip = (to.0 + out.0 * size * 0.55, to.1 + out.1 * size * 0.4 + size * 0.3);
            let middle =
                (f32::midpoint(from.0, to.0) + out.0 * size * 0.5, f32::midpoint(from.1, to.1) + out.1 * size * 0.4);
            [middle, tip, to]
        }),
    }
}

/// Joins the points by arcs: control point, tip, and the point itself.
fn fringe(points: &[Point], arc: impl Fn(Point, Point, Point) -> [Point; 3]) -> Shape {
    let mut path = PathBuilder::new();
    let turn = if area(points) > 0.0 { 1.0 } else { -1.0 };
    for (index, &from) in points.iter().enumerate() {
        let to = points[(index + 1) % points.len()];
        if index == 0 {
            path.move_to(from.0, from.1);
        }
        let length = (to.0 - from.0).hypot(to.1 - from.1).max(0.01);
        let out = ((to.1 - from.1) / length * turn, (from.0 - to.0) / length * turn);
        let [by, tip, end] = arc(from, to, out);
        path.quad_to(by.0, by.1, tip.0, tip.1);
        path.line_to(end.0, end.1);
    }
    path.close();
    Shape(path.finish())
}

/// Points of the smooth outline, about `step` apart.
fn resample(points: &[Point], step: f32) -> Vec<Point> {
    let mut dense = Vec::new();
    for index in 0..points.len() {
        let [before, from, to, after] = around(points, index);
        let (one, two) = controls(before, from, to, after);
        dense.extend((0u8..12).map(|part| cubic(from, one, two, to, f32::from(part) / 12.0)));
    }
    let mut picked: Vec<Point> = Vec::new();
    let mut travelled = step;
    let mut last = dense.first().copied().unwrap_or_default();
    for point in dense {
        travelled += (point.0 - last.0).hypot(point.1 - last.1);
        last = point;
        if travelled >= step {
            picked.push(point);
            travelled = 0.0;
        }
    }
    picked
}

/// The point before the segment `index`, its two ends, and the point behind it.
fn around(points: &[Point], index: usize) -> [Point; 4] {
    let count = points.len();
    [count - 1, 0, 1, 2].map(|offset| points[(index + offset) % count])
}

/// Control points of a Catmull-Rom segment.
fn controls(before: Point, from: Point, to: Point, after: Point) -> (Point, Point) {
    let one = (from.0 + (to.0 - before.0) / 6.0, from.1 + (to.1 - before.1) / 6.0);
    let two = (to.0 - (after.0 - from.0) / 6.0, to.1 - (after.1 - from.1) / 6.0);
    (one, two)
}

fn cubic(from: Point, one: Point, two: Point, to: Point, at: f32) -> Point {
    let rest = 1.0 - at;
    let [a, b, c, d] = [rest * rest * rest, 3.0 * rest * rest * at, 3.0 * rest * at * at, at * at * at];
    (a * from.0 + b * one.0 + c * two.0 + d * to.0, a * from.1 + b * one.1 + c * two.1 + d * to.1)
}

/// Twice the signed area; positive when the points run clockwise on the screen.
fn area(points: &[Point]) -> f32 {
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fur_grows_outwards_whichever_way_the_outline_runs() {
        let square = [(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)];
        let backwards: Vec<_> = square.iter().rev().copied().collect();
        for points in [&square[..], &backwards] {
            let plain = blob(points).0.unwrap().bounds();
            let furry = outline(points, Edge::Curly(10.0)).0.unwrap().bounds();
            assert!(furry.width() > plain.width() + 4.0, "{furry:?}");
        }
    }

    #[test]
    fn mirrored_doubles_all_but_the_axis() {
        let points = mirrored(&[(0.0, 0.0), (5.0, 1.0), (0.0, 2.0)]);
        assert_eq!(points, [(0.0, 0.0), (5.0, 1.0), (0.0, 2.0), (-5.0, 1.0)]);
    }
}
