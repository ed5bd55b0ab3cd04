//! Isotonic regression: the non-decreasing sequence nearest to given values.

/// The non-decreasing `f` that minimises `Σ wᵢ (yᵢ − fᵢ)²`, for values in the order of their argument.
///
/// Pool adjacent violators (Barlow, Bartholomew, Bremner and Brunk, *Statistical Inference under Order Restrictions*,
/// 1972, section 1.2). A value of weight 0 takes the level of its neighbours.
///
/// # Panics
/// If there are not as many weights as values.
///
/// # Cost
/// Linear in the number of values.
pub fn increasing(values: &[f64], weights: &[f64]) -> Vec<f64> {
    assert_eq!(values.len(), weights.len(), "one weight a value");
    let mut blocks = Vec::with_capacity(values.len());
    for (place, (&level, &weight)) in values.iter().zip(weights).enumerate() {
        let place = place as f64;
        pool(&mut blocks, Block { level, weight, first: place, last: place });
    }
    let count = |block: &Block| (block.last - block.first) as usize + 1;
    blocks.iter().flat_map(|block| std::iter::repeat_n(block.level, count(block))).collect()
}

/// Neighbours of one level: their mean, their weight, and their least and greatest arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    level: f64,
    weight: f64,
    first: f64,
    last: f64,
}

/// Puts a block behind the others, with which it becomes one as long as they are not lower.
fn pool(blocks: &mut Vec<Block>, mut block: Block) {
    while let Some(&before) = blocks.last()
        && (before.level >= block.level || before.weight == 0.0 || block.weight == 0.0)
    {
        let weight = before.weight + block.weight;
        let level = match weight {
            0.0 => block.level,
            weight => (before.level * before.weight + block.level * block.weight) / weight,
        };
        block = Block { level, weight, first: before.first, last: block.last };
        blocks.pop();
    }
    blocks.push(block);
}

/// An increasing curve: straight between its points, level beyond them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    blocks: Vec<Block>,
}

impl Curve {
    /// The curve through the isotonic fit to points `(x, y, weight)`.
    pub fn through(mut points: Vec<(f64, f64, f64)>) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut curve = Self::default();
        curve.fit(points.into_iter());
        curve
    }

    /// Becomes the curve through the isotonic fit to points in the order of their `x`, in the memory it has.
    ///
    /// Points of one `x`, to rounding, are one point first: a curve has one level there, and to order them by their
    /// values would let it follow their noise.
    pub fn fit(&mut self, points: impl Iterator<Item = (f64, f64, f64)>) {
        self.blocks.clear();
        let mut tied: Option<Block> = None;
        for (x, level, weight) in points {
            match &mut tied {
                Some(block) if x - block.first <= TIE * x.abs().max(1.0) => {
                    let sum = block.level * block.weight + level * weight;
                    block.weight += weight;
                    block.level = sum / block.weight;
                }
                _ => {
                    let next = Block { level, weight, first: x, last: x };
                    tied.replace(next).into_iter().for_each(|block| pool(&mut self.blocks, block));
                }
            }
        }
        tied.into_iter().for_each(|block| pool(&mut self.blocks, block));
    }

    /// The level at `x`; none of a curve without points.
    pub fn at(&self, x: f64) -> Option<f64> {
        let after = self.blocks.partition_point(|block| block.last < x);
        let before = after.checked_sub(1).and_then(|place| self.blocks.get(place));
        match (before, self.blocks.get(after)) {
            (Some(a), Some(b)) if x < b.first => {
                Some(a.level + (b.level - a.level) * (x - a.last) / (b.first - a.last))
            }
            (_, Some(block)) | (Some(block), None) => Some(block.level),
            (None, None) => None,
        }
    }
}

/// Arguments this close, relatively, differ by rounding only.
const TIE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], weights: &[f64], expected: &[f64]) {
        let found = increasing(values, weights);
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(found.len() == expected.len() && near, "{found:?}, not {expected:?}");
    }

    /// scipy.optimize.isotonic_regression, `analysis/tests/reference.py`.
    #[test]
    fn it_agrees_with_scipy() {
        check(
            &[1.5, 1.0, 4.0, 6.0, 5.7, 5.0, 7.8, 9.0, 7.5, 9.5, 9.0],
            &[1.0; 11],
            &[1.25, 1.25, 4.0, 16.7 / 3.0, 16.7 / 3.0, 16.7 / 3.0, 7.8, 8.25, 8.25, 9.25, 9.25],
        );
        let level = 5.4 / 2.5;
        check(&[3.0, 1.8, 2.0, 5.0], &[0.5, 1.0, 1.0, 2.0], &[2.12, 2.12, 2.12, 5.0]);
        check(&[3.0, 1.8, 2.1, 5.0], &[0.5, 1.0, 1.0, 2.0], &[level, level, level, 5.0]);
    }

    #[test]
    fn points_of_one_argument_are_one_point_of_the_curve() {
        let curve = Curve::through(vec![(2.0, 9.0, 1.0), (1.0, 4.0, 1.0), (1.0 + 1e-13, 0.0, 3.0)]);
        assert_eq!(
            [0.0, 1.0, 1.5, 2.0, 7.0].map(|x| curve.at(x)),
            [1.0, 1.0, 5.0, 9.0, 9.0].map(Some)
        );
        assert_eq!(Curve::through(Vec::new()).at(1.0), None);
    }

    #[test]
    fn what_increases_stays_and_what_decreases_becomes_its_mean() {
        check(&[], &[], &[]);
        check(&[1.0, 2.0, 2.0, 3.0], &[1.0; 4], &[1.0, 2.0, 2.0, 3.0]);
        check(&[3.0, 2.0, 1.0], &[1.0; 3], &[2.0; 3]);
        check(&[1.0, 9.0, 2.0], &[1.0, 0.0, 1.0], &[1.0, 1.0, 2.0]);
    }
}
