//! Random shifts and mirrors of training images.

use crate::random::Stream;

/// Pixels by which an image may move, over a border that mirrors it.
const REACH: u32 = 4;

/// One image moved and perhaps mirrored: padded by 4 pixels of reflection, cut out again at random, and flipped left to
/// right with even odds. A function of (seed, epoch, index) alone.
///
/// # Shapes
/// `image` and `out`: `[side, side, channels]`, with side above 4.
pub fn augment<T: Copy>(
    (seed, epoch, index): (u64, u64, u32),
    (side, channels): (usize, usize),
    image: &[T],
    out: &mut [T],
) {
    // Four draws of the epoch's stream for each index: two shifts, the mirror, and one to spare.
    let mut stream = Stream::new(seed, "augmentation", epoch).at(4 * u64::from(index));
    let [down, right] = [0; 2].map(|_| stream.index(2 * REACH + 1) as usize);
    let is_mirrored = stream.index(2) == 1;
    let source = |place: usize, shift: usize| {
        let (place, reach) = (place + shift, REACH as usize);
        // The border repeats the image without its edge: −1 is 1, and `side` is `side − 2`.
        let inside = place.abs_diff(reach);
        if inside < side { inside } else { 2 * (side - 1) - inside }
    };
    for (y, row) in out.chunks_exact_mut(side * channels).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let x = if is_mirrored { side - 1 - x } else { x };
            let from = (source(y, down) * side + source(x, right)) * channels;
            pixel.copy_from_slice(&image[from..from + channels]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows and columns of a 8 x 8 image that were seen at the corners, over many draws.
    #[test]
    fn an_image_moves_by_up_to_four_and_is_mirrored_half_the_time() {
        let image: Vec<usize> = (0..64).collect();
        let (mut mirrored, mut shifts) = (0, std::collections::BTreeSet::new());
        for index in 0..1_000 {
            let mut out = vec![0; 64];
            augment((3, 0, index), (8, 1), &image, &mut out);
            // Two neighbours in the middle never both lie beyond the border.
            let step = out[4 * 8 + 4] as i64 - out[4 * 8 + 3] as i64;
            assert!(step.abs() == 1, "{step}");
            mirrored += usize::from(out[4 * 8 + 3] > out[4 * 8 + 4]);
            shifts.insert((out[4 * 8] / 8, out[0] / 8));
        }
        assert!((400..600).contains(&mirrored), "{mirrored}");
        assert_eq!(shifts.len(), 9, "{shifts:?}");
    }

    #[test]
    fn it_is_a_function_of_seed_epoch_and_index() {
        let image: Vec<u32> = (0..192).collect();
        let of = |key| {
            let mut out = vec![0; 192];
            augment(key, (8, 3), &image, &mut out);
            out
        };
        assert_eq!(of((1, 2, 3)), of((1, 2, 3)));
        let differ = |one, other| (0..20).any(|i| of((one, other, i)) != of((1, 2, i)));
        assert!(differ(2, 2) && differ(1, 3));
    }
}
