//! Page's test for ordered alternatives: do treatments rise in a stated order, within every block?

use super::gaussian;
use super::ties::levels;

/// Page's L and its one-sided p-value for a rise along the treatments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Page {
    pub l: f64,
    pub p: f64,
    pub blocks: usize,
    pub treatments: usize,
}

/// Up to here every order of a block's treatments is counted.
const TREATMENTS_EXACT: usize = 7;
const BLOCKS_EXACT: usize = 30;

/// Page's L of `blocks`, each the values of all treatments in the order in which they are claimed to rise.
///
/// ```text
/// L = Σⱼ j · Rⱼ,   Rⱼ the sum over blocks of the rank of treatment j (ties get their mean rank)
/// E L = b k (k+1)² / 4,   Var L = b k² (k+1)² (k−1) / 144
/// ```
///
/// Page, *JASA* 58, 1963. p is exact without ties, up to 7 treatments and 30 blocks, else normal. None with fewer than
/// two treatments, no block, or blocks of different lengths.
pub fn page(blocks: &[Vec<f64>]) -> Option<Page> {
    let (b, k) = (blocks.len(), blocks.first()?.len());
    if k < 2 || blocks.iter().any(|block| block.len() != k) {
        return None;
    }
    let mut l = 0.0;
    let mut has_ties = false;
    for block in blocks {
        let block = levels(block)?;
        for (j, value) in block.iter().enumerate() {
            let below = block.iter().filter(|other| *other < value).count() as f64;
            let equal = block.iter().filter(|other| *other == value).count() as f64;
            has_ties |= equal > 1.0;
            l += (j + 1) as f64 * (below + (equal + 1.0) / 2.0);
        }
    }
    let p = if !has_ties && k <= TREATMENTS_EXACT && b <= BLOCKS_EXACT {
        exact_p(k, b, l as usize)
    } else {
        let (b, k) = (b as f64, k as f64);
        let mean = b * k * (k + 1.0).powi(2) / 4.0;
        let variance = b * (k * (k + 1.0)).powi(2) * (k - 1.0) / 144.0;
        gaussian::above((l - mean) / variance.sqrt())
    };
    Some(Page { l, p, blocks: b, treatments: k })
}

/// The share of all orders in which `blocks` blocks of `k` treatments have an L of at least `l`.
fn exact_p(k: usize, blocks: usize, l: usize) -> f64 {
    let one = shares_of_one(k);
    let mut sum = vec![1.0];
    for _ in 0..blocks {
        let mut next = vec![0.0; sum.len() + one.len() - 1];
        for (i, a) in sum.iter().enumerate() {
            next[i..].iter_mut().zip(&one).for_each(|(to, b)| *to += a * b);
        }
        sum = next;
    }
    sum[l.min(sum.len())..].iter().sum::<f64>().min(1.0)
}

/// The distribution of L in one block: the share of permutations, by value.
fn shares_of_one(k: usize) -> Vec<f64> {
    fn place(free: &mut Vec<usize>, k: usize, l: usize, share: f64, shares: &mut [f64]) {
        if free.is_empty() {
            shares[l] += share;
            return;
        }
        let rank = k - free.len() + 1;
        for index in 0..free.len() {
            let j = free.swap_remove(index);
            place(free, k, l + rank * j, share / (free.len() + 1) as f64, shares);
            free.push(j);
            let last = free.len() - 1;
            free.swap(index, last);
        }
    }
    let mut shares = vec![0.0; k * (k + 1) * (2 * k + 1) / 6 + 1];
    place(&mut (1..=k).collect(), k, 0, 1.0, &mut shares);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(blocks: &[&[f64]], l: f64, p: f64) {
        let found = page(&blocks.iter().map(|block| block.to_vec()).collect::<Vec<_>>()).unwrap();
        assert!((found.l - l).abs() < 1e-12 && (found.p - p).abs() < 1e-12, "{found:?}");
    }

    /// scipy.stats.page_trend_test, `analysis/tests/reference.py`: exact without ties, asymptotic with them.
    #[test]
    fn it_agrees_with_scipy() {
        let rising: [&[f64]; 4] = [
            &[3.0, 4.0, 3.5, 5.0],
            &[2.0, 3.0, 4.0, 4.5],
            &[1.0, 3.0, 2.0, 4.0],
            &[2.5, 2.0, 3.0, 6.0],
        ];
        check(&rising, 117.0, 0.000_696_252_893_518_518_6);
        let tied: [&[f64]; 4] =
            [&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0], &[2.0, 1.0, 3.0], &[1.0, 2.0, 2.0]];
        check(&tied, 54.0, 0.016_947_426_762_344_633);
    }

    /// The mean of ten equal numbers is that number.
    #[test]
    fn what_differs_by_rounding_ties() {
        let (a, b) = (0.1, [0.1; 10].iter().sum::<f64>() / 10.0);
        assert_ne!(a, b);
        let found = page(&vec![vec![b, a, a, a, a]; 10]).unwrap();
        assert_eq!(found.l, 10.0 * 5.0 * 36.0 / 4.0);
        assert!((found.p - 0.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn two_treatments_are_a_sign_test_and_odd_tables_have_no_answer() {
        check(&[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]], 15.0, 0.125);
        assert_eq!(page(&[]), None);
        assert_eq!(page(&[vec![1.0]]), None);
        assert_eq!(page(&[vec![1.0, 2.0], vec![1.0]]), None);
        assert_eq!(page(&[vec![1.0, f64::NAN]]), None);
    }
}
