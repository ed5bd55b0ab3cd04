//! Where the names of points go: beside them, inside the panel, and over neither another name nor a point.

/// How wide a letter of 11 px is taken to be, and how high a line.
const LETTER: f64 = 6.2;
const HEIGHT: f64 = 12.0;
/// Half the size of a marker, with a little air.
const MARKER: f64 = 5.0;
/// How far up or down a name beside its point may move.
const SHIFT: f64 = 4.0;
/// By how much another point has to be farther from a name than its own.
const NEARER: f64 = 1.5;

/// A rectangle: left, top, right, bottom.
type Box = [f64; 4];

/// The start of the baseline of each name. Names are placed one by one, each at the first of the twelve places around its
/// point that is free and plainly nearer to it than to any other point; where none is, at the free one that is nearest to it by
/// comparison, or to the right.
pub(super) fn place(points: &[((f64, f64), &str)], frame: Box) -> Vec<(f64, f64)> {
    let marker = |(x, y): (f64, f64)| [x - MARKER, y - MARKER, x + MARKER, y + MARKER];
    let mut taken: Vec<Box> = points.iter().map(|(at, _)| marker(*at)).collect();
    let mut found = Vec::with_capacity(points.len());
    for &((x, y), text) in points {
        let width = LETTER * text.chars().count() as f64;
        let (right, left, middle) = (x + MARKER + 2.0, x - MARKER - 2.0 - width, x - width / 2.0);
        let (above, below) = (y - MARKER - 2.0 - HEIGHT, y + MARKER + 2.0);
        let places = [
            (right, y - HEIGHT / 2.0),
            (left, y - HEIGHT / 2.0),
            (right, y - HEIGHT / 2.0 + SHIFT),
            (right, y - HEIGHT / 2.0 - SHIFT),
            (left, y - HEIGHT / 2.0 + SHIFT),
            (left, y - HEIGHT / 2.0 - SHIFT),
            (middle, above),
            (middle, below),
            (right, above),
            (left, above),
            (right, below),
            (left, below),
        ];
        let at = |(x, y): (f64, f64)| [x, y, x + width, y + HEIGHT];
        let is_free = |place: &&(f64, f64)| {
            let own = at(**place);
            let is_inside = own[0] >= frame[0]
                && own[1] >= frame[1]
                && own[2] <= frame[2]
                && own[3] <= frame[3];
            is_inside && taken.iter().all(|other| !overlap(own, *other))
        };
        // How much farther the nearest other point is.
        let clarity = |place: &(f64, f64)| {
            let others = points.iter().map(|(other, _)| *other).filter(|other| *other != (x, y));
            let nearest = others.map(|other| gap(at(*place), other)).fold(f64::INFINITY, f64::min);
            nearest / gap(at(*place), (x, y))
        };
        let free = || places.iter().filter(is_free);
        let best = *free()
            .find(|place| clarity(place) > NEARER)
            .or_else(|| free().max_by(|a, b| clarity(a).total_cmp(&clarity(b))))
            .unwrap_or(&places[0]);
        taken.push(at(best));
        // The baseline lies a fifth of the line above its lower edge.
        found.push((best.0, best.1 + 0.8 * HEIGHT));
    }
    found
}

fn overlap(a: Box, b: Box) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// How far a point is from a rectangle.
fn gap([left, top, right, bottom]: Box, (x, y): (f64, f64)) -> f64 {
    (left - x).max(x - right).max(0.0).hypot((top - y).max(y - bottom).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(points: &[((f64, f64), &str)], frame: Box) -> Vec<Box> {
        let texts = points.iter().map(|(_, text)| LETTER * text.chars().count() as f64);
        let places = texts.zip(place(points, frame));
        let own = |(width, (x, y)): (f64, (f64, f64))| {
            let top = y - 0.8 * HEIGHT;
            [x, top, x + width, top + HEIGHT]
        };
        places.map(own).collect()
    }

    /// The six laws of the region's panel at the scale of a real one, where two names once covered each other.
    #[test]
    fn names_of_near_points_cover_neither_each_other_nor_a_point() {
        let frame = [0.0, 0.0, 230.0, 190.0];
        let at = |p: f64, q: f64| (56.0 + 105.0 * p, 165.0 - 125.0 * q);
        let points = [
            (at(0.5, 0.25), "poster"),
            (at(0.0, 1.0 / 6.0), "ICLR"),
            (at(1.0 / 6.0, 1.0 / 6.0), "ICML, lβ≪d"),
            (at(0.4, 0.0), "ICML, lβ≫d"),
            (at(1.0, 0.0), "random matrix"),
            (at(-1.0 / 3.0, 2.0 / 3.0), "first layer"),
        ];
        let found = boxes(&points, frame);
        for (index, own) in found.iter().enumerate() {
            assert!(
                own[0] >= 0.0 && own[2] <= 230.0 && own[1] >= 0.0 && own[3] <= 190.0,
                "{own:?}"
            );
            assert!(found[..index].iter().all(|other| !overlap(*own, *other)), "{found:?}");
            for ((x, y), _) in points {
                assert!(!overlap(*own, [x - 4.0, y - 4.0, x + 4.0, y + 4.0]), "{own:?}");
            }
            let gaps = points.map(|(at, _)| gap(*own, at));
            let mut others = gaps.iter().enumerate().filter(|(other, _)| *other != index);
            let is_plain = others.all(|(_, other)| *other > 1.1 * gaps[index]);
            assert!(is_plain, "{} could name another point: {gaps:?}", points[index].1);
        }
    }

    #[test]
    fn a_name_without_room_is_still_placed() {
        let crowd = [((5.0, 5.0), "a long name"); 12];
        assert_eq!(place(&crowd, [0.0, 0.0, 10.0, 10.0]).len(), 12);
        assert!(place(&[], [0.0; 4]).is_empty());
    }
}
