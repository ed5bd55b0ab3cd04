//! SGD on one example at a time, some steps in one go: the poster's setting, without momentum and weight decay.
//!
//! Within a block of K steps the weight matrices stay as they are at its start, and what the steps have added to them is
//! kept as the pairs (−α δ, a) that it is made of:
//!
//! ```text
//! W_k = W₀ + Σ_{s<k} σₛ aₛᵀ,               σₛ = −αₛ δₛ
//! W_k a  = W₀ a  + Σ_{s<k} σₛ ⟨aₛ, a⟩      on the way forward
//! W_kᵀ δ = W₀ᵀ δ + Σ_{s<k} aₛ ⟨σₛ, δ⟩      on the way back
//! ```
//!
//! At its end the sum is added to the matrices in one product. So a step reads each matrix twice and writes none, and the
//! first layer, whose inputs are known before, is read once a block. In exact arithmetic this is plain SGD; in floating
//! point it is so to rounding. Where blocks begin and end is fixed by the job's spec alone.

use domain::spec::Loss;

use super::activation::{activate_here, pull_back_here};
use super::dispatch::{LaneKernel, Level};
use super::lanes::{LANES, Lanes};
use super::loss::loss_and_gradient;
use super::{Aligned, Network, Real};

/// Most steps of a block, for networks of up to so many weights: constants of the engine, part of every result's bits.
/// More steps write the weights less often, and have more pairs to take in.
const STEPS: [(usize, usize); 2] = [(20_000, 4), (250_000, 8)];
/// Bytes of the rows of weights that are written at a time.
const BLOCK_BYTES: usize = 16 << 10;
/// Inputs of so few entries are multiplied with the first matrix one by one.
const SHORT: usize = 128;
/// The same for larger networks.
const STEPS_MOST: usize = 16;

/// How many steps a block of `network` has at most.
fn steps_of<T: Real>(network: &Network<T>) -> usize {
    let weights: usize = network.layers().iter().map(|layer| layer.fan_in * layer.fan_out).sum();
    STEPS.iter().find(|(most, _)| weights <= *most).map_or(STEPS_MOST, |&(_, steps)| steps)
}

/// Buffers for the blocks of a network.
#[derive(Clone, Debug)]
pub struct Descent<T> {
    /// Most steps of a block, K.
    steps: usize,
    /// `[K, dim]` and `[K, outputs]`.
    inputs: Aligned<T>,
    targets: Aligned<T>,
    losses: Vec<T>,
    layers: Vec<Kept<T>>,
    /// ⟨xₛ, x_k⟩ of the inputs: `[K, K]`, those with s < k.
    products: Aligned<T>,
    factors: Aligned<T>,
}

/// What the steps of a block have left of one layer.
#[derive(Clone, Debug)]
struct Kept<T> {
    /// What it gave: `[K, fan_out]`.
    outputs: Aligned<T>,
    /// σ: `[K, fan_out]`.
    sigmas: Aligned<T>,
    /// δ of the step at work: `[fan_out]`.
    delta: Aligned<T>,
}

impl<T: Real> Descent<T> {
    /// Buffers for networks of the shape of `network`.
    pub fn new(network: &Network<T>) -> Self {
        let steps = steps_of(network);
        let kept = |fan_out: usize| Kept {
            outputs: Aligned::zeros(steps * fan_out),
            sigmas: Aligned::zeros(steps * fan_out),
            delta: Aligned::zeros(fan_out),
        };
        Self {
            steps,
            inputs: Aligned::zeros(steps * network.dim()),
            targets: Aligned::zeros(steps * network.outputs()),
            losses: vec![T::ZERO; steps],
            layers: network.layers().iter().map(|layer| kept(layer.fan_out)).collect(),
            products: Aligned::zeros(steps * steps),
            factors: Aligned::zeros(steps),
        }
    }

    /// Most steps of a block.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Where the inputs `[n, dim]` and the targets `[n, outputs]` of the next block are put.
    pub fn examples_mut(&mut self) -> (&mut [T], &mut [T]) {
        (&mut self.inputs, &mut self.targets)
    }

    /// Takes as many steps as `step_sizes` has, on the examples in order, and returns the loss of each at the weights it
    /// began with. After one that is not finite the network is of no use.
    ///
    /// # Cost
    /// 6 flop a weight and step, 4 in the first layer, and K (fan_in + fan_out) a layer and step for the pairs.
    pub fn run(&mut self, network: &mut Network<T>, loss: Loss, step_sizes: &[T]) -> &[T] {
        let count = step_sizes.len();
        debug_assert!(count <= self.steps);
        Level::best().run_lanes(Block { network, descent: self, loss, step_sizes });
        &self.losses[..count]
    }
}

/// The arguments of the kernel.
pub(super) struct Block<'a, T> {
    pub network: &'a mut Network<T>,
    pub descent: &'a mut Descent<T>,
    pub loss: Loss,
    pub step_sizes: &'a [T],
}

impl<T: Real> LaneKernel<T> for Block<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<T>>(self) {
        let Self { network, descent, loss, step_sizes } = self;
        let Descent { inputs, targets, losses, layers, products, factors, steps } = descent;
        let (steps, count) = (*steps, step_sizes.len());
        let (dim, units) = (network.dim(), network.outputs());
        let last = layers.len() - 1;
        let first_out = network.layers()[0].fan_out;

        // The first layer of all steps, and what their inputs have in common.
        for k in 0..count {
            let input = &inputs[k * dim..][..dim];
            let z = &mut layers[0].outputs[k * first_out..][..first_out];
            if dim <= SHORT {
                dots::<T, L>(network.weights(0), input, z);
            }
            dots::<T, L>(&inputs[..k * dim], input, &mut products[k * steps..][..k]);
        }
        if dim > SHORT {
            let z = &mut layers[0].outputs[..count * first_out];
            many_dots::<T, L>(network.weights(0), &inputs[..count * dim], dim, z);
        }

        for k in 0..count {
            for p in 0..=last {
                let layer = network.layers()[p];
                let (below, here) = layers.split_at_mut(p);
                let Kept { outputs, sigmas, .. } = &mut here[0];
                let z = &mut outputs[k * layer.fan_out..][..layer.fan_out];
                let sigmas = &sigmas[..k * layer.fan_out];
                if p == 0 {
                    add_combination::<T, L>(&products[k * steps..][..k], sigmas, z);
                } else {
                    let read = &below[p - 1].outputs[..(k + 1) * layer.fan_in];
                    let (earlier, a) = read.split_at(k * layer.fan_in);
                    dots::<T, L>(network.weights(p), a, z);
                    dots::<T, L>(earlier, a, &mut factors[..k]);
                    add_combination::<T, L>(&factors[..k], sigmas, z);
                }
                if layer.has_bias {
                    z.iter_mut().zip(network.biases(p)).for_each(|(z, &b)| *z += b);
                }
                activate_here(layer.activation, z, layer.fan_out);
            }
            let target = &targets[k * units..][..units];
            let top = &mut layers[last];
            losses[k] =
                loss_and_gradient(loss, &top.outputs[k * units..][..units], target, &mut top.delta);
            for p in (0..=last).rev() {
                let layer = network.layers()[p];
                let (below, here) = layers.split_at_mut(p);
                let Kept { outputs, sigmas, delta } = &mut here[0];
                let a = &outputs[k * layer.fan_out..][..layer.fan_out];
                pull_back_here(layer.activation, a, delta, layer.fan_out);
                let (earlier, sigma) = sigmas.split_at_mut(k * layer.fan_out);
                if let Some(Kept { outputs, delta: to, .. }) = below.last_mut() {
                    carry::<T, L>(network.weights(p), delta, to);
                    dots::<T, L>(earlier, delta, &mut factors[..k]);
                    add_combination::<T, L>(&factors[..k], &outputs[..k * layer.fan_in], to);
                }
                let scale = -step_sizes[k];
                for (sigma, &d) in sigma.iter_mut().zip(&**delta) {
                    *sigma = scale * d;
                }
                let (_, biases) = network.layer_mut(p);
                biases.iter_mut().zip(&*sigma).for_each(|(b, &sigma)| *b += sigma);
            }
        }

        for p in 0..=last {
            let layer = network.layers()[p];
            let (below, here) = layers.split_at(p);
            let read = below.last().map_or(&**inputs, |below| &*below.outputs);
            let (weights, _) = network.layer_mut(p);
            let sigmas = &here[0].sigmas[..count * layer.fan_out];
            add_pairs::<T, L>(sigmas, &read[..count * layer.fan_in], count, weights);
        }
    }
}

/// `W += Σₛ σₛ aₛᵀ`, the terms in order.
///
/// # Shapes
/// `sigmas`: `[n, m]`; `read` (a): `[n, k]`; `weights` (W): `[m, k]`.
#[inline(always)]
fn add_pairs<T: Real, L: Lanes<T>>(sigmas: &[T], read: &[T], count: usize, weights: &mut [T]) {
    let (m, k) = (sigmas.len() / count, read.len() / count);
    // Some rows at a time take all terms, while they are in the first-level cache.
    let block = (BLOCK_BYTES / (k * T::BYTES)).next_multiple_of(2).max(2);
    for (block_index, rows) in weights.chunks_mut(block * k).enumerate() {
        let first = block_index * block;
        let mut s = 0;
        while s + 4 <= count {
            let mut a: [&[T]; 4] = [&[]; 4];
            let mut sigma: [&[T]; 4] = [&[]; 4];
            for t in 0..4 {
                a[t] = &read[(s + t) * k..][..k];
                sigma[t] = &sigmas[(s + t) * m + first..][..rows.len() / k];
            }
            let mut pairs = rows.chunks_exact_mut(2 * k);
            let mut j = 0;
            for pair in pairs.by_ref() {
                let (one, other) = pair.split_at_mut(k);
                let mut factors = [[L::splat(T::ZERO); 2]; 4];
                for t in 0..4 {
                    factors[t] = [L::splat(sigma[t][j]), L::splat(sigma[t][j + 1])];
                }
                add_four::<T, L>(factors, a, one, other);
                j += 2;
            }
            for row in pairs.into_remainder().chunks_exact_mut(k) {
                for t in 0..4 {
                    add_one::<T, L>(sigma[t][j], a[t], row);
                }
            }
            s += 4;
        }
        while s < count {
            let (a, sigma) = (&read[s * k..][..k], &sigmas[s * m + first..]);
            for (row, &sigma) in rows.chunks_exact_mut(k).zip(sigma) {
                add_one::<T, L>(sigma, a, row);
            }
            s += 1;
        }
    }
}

/// Four terms of two rows.
#[inline(always)]
fn add_four<T: Real, L: Lanes<T>>(
    factors: [[L; 2]; 4],
    a: [&[T]; 4],
    one: &mut [T],
    other: &mut [T],
) {
    let (rows, rest) = (one.as_chunks_mut::<LANES>(), other.as_chunks_mut::<LANES>());
    let ((one, one_rest), (other, other_rest)) = (rows, rest);
    let whole = one.len();
    let other = &mut other[..whole];
    let mut x: [&[[T; LANES]]; 4] = [&[]; 4];
    for t in 0..4 {
        x[t] = &a[t].as_chunks().0[..whole];
    }
    for chunk in 0..whole {
        let (mut w, mut v) = (L::load(&one[chunk]), L::load(&other[chunk]));
        for t in 0..4 {
            let x = L::load(&x[t][chunk]);
            w = factors[t][0].mul_add(x, w);
            v = factors[t][1].mul_add(x, v);
        }
        w.store(&mut one[chunk]);
        v.store(&mut other[chunk]);
    }
    if !one_rest.is_empty() {
        let (mut w, mut v) = (filled::<T, L>(one_rest), filled::<T, L>(other_rest));
        for t in 0..4 {
            let x = filled::<T, L>(&a[t][whole * LANES..]);
            w = factors[t][0].mul_add(x, w);
            v = factors[t][1].mul_add(x, v);
        }
        for (lanes, to) in [(w, one_rest), (v, other_rest)] {
            let mut numbers = [T::ZERO; LANES];
            lanes.store(&mut numbers);
            let len = to.len();
            to.copy_from_slice(&numbers[..len]);
        }
    }
}

/// One term of one row.
#[inline(always)]
fn add_one<T: Real, L: Lanes<T>>(factor: T, a: &[T], row: &mut [T]) {
    let ((row, row_rest), (a, a_rest)) = (row.as_chunks_mut::<LANES>(), a.as_chunks::<LANES>());
    for (to, x) in row.iter_mut().zip(a) {
        L::splat(factor).mul_add(L::load(x), L::load(to)).store(to);
    }
    for (to, &x) in row_rest.iter_mut().zip(a_rest) {
        *to = factor.mul_add(x, *to);
    }
}

/// `out[j]` = ⟨row j, a⟩, in the order of sixteen lanes.
///
/// # Shapes
/// `rows`: `[m, k]`; `a`: `[k]`; `out`: `[m]`, overwritten.
#[inline(always)]
fn dots<T: Real, L: Lanes<T>>(rows: &[T], a: &[T], out: &mut [T]) {
    let k = a.len();
    if k == 4 * LANES {
        return short_dots::<T, L, 4>(rows, a, out);
    }
    let mut eights = rows.chunks_exact(8 * k);
    let mut outs = out.chunks_exact_mut(8);
    for (rows, out) in eights.by_ref().zip(outs.by_ref()) {
        // Four at a time: the sums of eight would not stay in the registers of AVX2.
        let (upper, lower) = rows.split_at(4 * k);
        let [r, s, t, u] = four_sums::<T, L>(upper, a);
        let [v, w, x, y] = four_sums::<T, L>(lower, a);
        out.copy_from_slice(&L::add_halves([r, s, t, u, v, w, x, y]));
    }
    for (row, out) in eights.remainder().chunks_exact(k).zip(outs.into_remainder()) {
        *out = lanes_of::<T, L>(row, a).add_lanes();
    }
}

/// The same for rows of `C` times sixteen, `a` being in registers.
#[inline(always)]
fn short_dots<T: Real, L: Lanes<T>, const C: usize>(rows: &[T], a: &[T], out: &mut [T]) {
    let (rows, _) = rows.as_chunks::<LANES>().0.as_chunks::<C>();
    let (a, _) = a.as_chunks::<LANES>();
    let mut x = [L::splat(T::ZERO); C];
    for c in 0..C {
        x[c] = L::load(&a[c]);
    }
    let (eights, rest) = rows.as_chunks::<8>();
    let (outs, out_rest) = out.as_chunks_mut::<8>();
    for (rows, out) in eights.iter().zip(outs) {
        let mut halves = [x[0].halved(); 8];
        for r in 0..8 {
            let mut sum = L::splat(T::ZERO);
            for c in 0..C {
                sum = x[c].mul_add(L::load(&rows[r][c]), sum);
            }
            halves[r] = sum.halved();
        }
        *out = L::add_halves(halves);
    }
    for (row, out) in rest.iter().zip(out_rest) {
        let mut sum = L::splat(T::ZERO);
        for c in 0..C {
            sum = x[c].mul_add(L::load(&row[c]), sum);
        }
        *out = sum.add_lanes();
    }
}

/// The halved lanes of the dot products of four rows, `[4, k]`, with `a`.
#[inline(always)]
fn four_sums<T: Real, L: Lanes<T>>(rows: &[T], a: &[T]) -> [L::Half; 4] {
    let k = a.len();
    let whole = k / LANES;
    let mut row: [&[T]; 4] = [&[]; 4];
    for r in 0..4 {
        row[r] = &rows[r * k..][..k];
    }
    let x = &a.as_chunks::<LANES>().0[..whole];
    let mut y: [&[[T; LANES]]; 4] = [&[]; 4];
    for r in 0..4 {
        y[r] = &row[r].as_chunks().0[..whole];
    }
    let mut four = [L::splat(T::ZERO); 4];
    for chunk in 0..whole {
        let x = L::load(&x[chunk]);
        for r in 0..4 {
            four[r] = x.mul_add(L::load(&y[r][chunk]), four[r]);
        }
    }
    if k > whole * LANES {
        let x = filled::<T, L>(&a[whole * LANES..]);
        for r in 0..4 {
            four[r] = x.mul_add(filled(&row[r][whole * LANES..]), four[r]);
        }
    }
    let [a, b, c, d] = four;
    [a.halved(), b.halved(), c.halved(), d.halved()]
}

/// The lanes of ⟨a, b⟩.
#[inline(always)]
fn lanes_of<T: Real, L: Lanes<T>>(a: &[T], b: &[T]) -> L {
    let ((x, x_rest), (y, y_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sum = L::splat(T::ZERO);
    for (x, y) in x.iter().zip(y) {
        sum = L::load(y).mul_add(L::load(x), sum);
    }
    if !x_rest.is_empty() {
        sum = filled::<T, L>(y_rest).mul_add(filled(x_rest), sum);
    }
    sum
}

/// Less than sixteen numbers, filled up with zeros.
#[inline(always)]
fn filled<T: Real, L: Lanes<T>>(rest: &[T]) -> L {
    let mut lanes = [T::ZERO; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    L::load(&lanes)
}

/// `out[i, j]` = ⟨row j, vector i⟩ with the bits of [`dots`], each row read once for some vectors.
///
/// # Shapes
/// `rows`: `[m, k]`; `vectors`: `[n, k]`; `out`: `[n, m]`, overwritten.
#[inline(always)]
fn many_dots<T: Real, L: Lanes<T>>(rows: &[T], vectors: &[T], k: usize, out: &mut [T]) {
    super::kernel::Dots { a: vectors, b: rows, k, out }.run::<L>();
}

/// `out += Σₛ factors[s] · rows[s]`, the terms in order.
///
/// # Shapes
/// `rows`: `[s, m]`; `out`: `[m]`.
#[inline(always)]
fn add_combination<T: Real, L: Lanes<T>>(factors: &[T], rows: &[T], out: &mut [T]) {
    let m = out.len();
    let (chunks, rest) = out.as_chunks_mut::<LANES>();
    let first_of_rest = chunks.len() * LANES;
    for (chunk, to) in chunks.iter_mut().enumerate() {
        let mut sum = L::load(to);
        for (&factor, row) in factors.iter().zip(rows.chunks_exact(m)) {
            let (row, _) = row[chunk * LANES..][..LANES].as_chunks();
            sum = L::splat(factor).mul_add(L::load(&row[0]), sum);
        }
        sum.store(to);
    }
    for (j, to) in rest.iter_mut().enumerate() {
        for (&factor, row) in factors.iter().zip(rows.chunks_exact(m)) {
            *to = factor.mul_add(row[first_of_rest + j], *to);
        }
    }
}

/// `out = Σⱼ delta[j] · rows[j]`, the terms in order from 0.
///
/// # Shapes
/// `rows`: `[m, k]`; `delta`: `[m]`; `out`: `[k]`, overwritten.
#[inline(always)]
fn carry<T: Real, L: Lanes<T>>(rows: &[T], delta: &[T], out: &mut [T]) {
    let k = out.len();
    // Short rows are gone over for a few columns at a time, whose sums stay in registers. Long ones are read as they lie.
    if L::SUMS >= 6 && k == 4 * LANES {
        return carry_columns::<T, L, 4>(rows, delta, out);
    }
    if k == 2 * LANES {
        return carry_columns::<T, L, 2>(rows, delta, out);
    }
    out.fill(T::ZERO);
    let mut quads = rows.chunks_exact(4 * k);
    let mut deltas = delta.chunks_exact(4);
    for (quad, d) in quads.by_ref().zip(deltas.by_ref()) {
        let mut row: [&[T]; 4] = [&[]; 4];
        for r in 0..4 {
            row[r] = &quad[r * k..][..k];
        }
        let (chunks, rest) = out.as_chunks_mut::<LANES>();
        let whole = chunks.len();
        let mut y: [&[[T; LANES]]; 4] = [&[]; 4];
        let mut factor = [L::splat(T::ZERO); 4];
        for r in 0..4 {
            y[r] = &row[r].as_chunks().0[..whole];
            factor[r] = L::splat(d[r]);
        }
        for chunk in 0..whole {
            let mut sum = L::load(&chunks[chunk]);
            for r in 0..4 {
                sum = factor[r].mul_add(L::load(&y[r][chunk]), sum);
            }
            sum.store(&mut chunks[chunk]);
        }
        for (j, to) in rest.iter_mut().enumerate() {
            for r in 0..4 {
                *to = d[r].mul_add(row[r][whole * LANES + j], *to);
            }
        }
    }
    for (row, &d) in quads.remainder().chunks_exact(k).zip(deltas.remainder()) {
        let (chunks, rest) = out.as_chunks_mut::<LANES>();
        let (row, row_rest) = row.as_chunks::<LANES>();
        for (to, x) in chunks.iter_mut().zip(row) {
            L::splat(d).mul_add(L::load(x), L::load(to)).store(to);
        }
        for (to, &x) in rest.iter_mut().zip(row_rest) {
            *to = d.mul_add(x, *to);
        }
    }
}

/// The same for rows of `C` times sixteen.
#[inline(always)]
fn carry_columns<T: Real, L: Lanes<T>, const C: usize>(rows: &[T], delta: &[T], out: &mut [T]) {
    let mut sums = [L::splat(T::ZERO); C];
    let (rows, _) = rows.as_chunks::<LANES>();
    for (row, &d) in rows.chunks_exact(C).zip(delta) {
        let d = L::splat(d);
        for c in 0..C {
            sums[c] = d.mul_add(L::load(&row[c]), sums[c]);
        }
    }
    let (out, _) = out.as_chunks_mut();
    for c in 0..C {
        sums[c].store(&mut out[c]);
    }
}

#[cfg(test)]
mod tests;
