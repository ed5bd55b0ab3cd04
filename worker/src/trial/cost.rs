//! What a job costs, from its spec alone.

use domain::JobSpec;
use domain::spec::{Confusion, Conv, Precision};

use super::conv::capacity;
use crate::measure::{COMPARED, HELD, TILE, panel_len};
use crate::nn::Real;
use crate::nn::conv::ConvPass;
use crate::nn::copies;
use crate::nn::lanes::LANES;

/// Floating-point operations and memory of one job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Operations of all SGD steps.
    pub training_flop: f64,
    /// Operations of all measurements.
    pub measuring_flop: f64,
    /// The most memory the trial's arrays take at once.
    pub memory_bytes: u64,
}

/// The cost of the job that `spec` describes, on so many threads: only memory depends on them.
///
/// With W the entries of all weight matrices, W₀ of the first, P all trained numbers, S = Σ_p (fan_in + fan_out), N, T the
/// training and held-out examples, B the minibatch, n the compared gradients and M the measured steps:
///
/// ```text
/// step        B (2 W forward + 2 (W − W₀) deltas + 2 W gradient) + 4 P update
/// curve       N (6 W − 2 W₀) + T 2 W
/// confusion   n (4 W − 2 W₀) + n² S, twice where layers are measured too, + 2 n P for the mean gradient;
///             of minibatches and across a step, as for convolutional networks; averages over minibatches of b add
///             n² + (n/b)²
/// training    steps · step,   measuring  M (curve + Σ confusion)
/// memory      b ((N + T) (d + 2 c) + 4 P, 5 P with momentum, + pass(B) + pass(64)) + 16 P, and of the largest confusion
///             b (pass(min(n, 256)) + n S) + 40 n L + 8 min(n²/2, 2²⁵), and 8 (n/b)² for every average
/// pass(m)     m S, and the copies of the largest product of L layers
/// ```
///
/// # Numerics
/// Operations are an estimate: activations are not counted, and no operation is worth another. Memory is an upper bound but
/// for rows and tables, and where most cosines are equal. They decide no result, but [`checkpoint_stride`] does follow.
pub fn cost(spec: &JobSpec, threads: u32) -> Cost {
    if let Some(conv) = spec.model.conv() {
        return conv_cost(spec, &conv, threads);
    }
    let size = Size::of(spec);
    let (samples, held_out) = (f64::from(spec.data.samples), f64::from(spec.data.test_samples));
    let curve = samples * (6.0 * size.weights - 2.0 * size.first) + held_out * 2.0 * size.weights;
    let passes = if spec.measure.layers { 2.0 } else { 1.0 };
    let both = 6.0 * size.weights - 2.0 * size.first;
    let bytes = number_bytes(spec);
    let confusion = || {
        spec.measure.confusion.iter().map(|confusion| match *confusion {
            Confusion::Samples { count, ref average } => {
                let n = f64::from(count.min(spec.data.samples));
                let averaged = averages_cost(n, average, passes);
                let flop = n * (4.0 * size.weights - 2.0 * size.first)
                    + passes * (n * n * size.units + 2.0 * n * size.parameters);
                let cosines = (n * n / 2.0).min(HELD as f64);
                let pass = size.pass(n.min(COMPARED as f64));
                let bytes = bytes * (pass + in_blocks(n, TILE) * size.units)
                    + 40.0 * n * size.shapes.len() as f64
                    + 8.0 * cosines;
                Part { flop: flop + averaged.flop, bytes: bytes + averaged.bytes }
            }
            _ => formed_cost(spec, confusion, (both, 2.0 * size.weights)),
        })
    };
    let measured = spec.measured_steps().len() as f64;
    let (dim, outputs) = (f64::from(spec.data.dim), f64::from(spec.model.outputs));
    let pairs = confusion().map(|part| part.bytes).fold(0.0, f64::max);
    let numbers = (samples + held_out) * (dim + 2.0 * outputs)
        + (if spec.train.momentum > 0.0 { 5.0 } else { 4.0 }) * size.parameters
        + size.pass(f64::from(spec.train.batch))
        + size.pass(TILE as f64);
    Cost {
        training_flop: spec.train.steps as f64 * step_flop(spec),
        measuring_flop: measured * (curve + confusion().map(|part| part.flop).sum::<f64>()),
        memory_bytes: (bytes * numbers + 16.0 * size.parameters + pairs) as u64,
    }
}

/// The cost of a convolutional network.
///
/// With M the multiplications of one forward pass, M₀ of its stem, A the bytes of the buffers of one image, R the images that are passed together, p the gradients of a
/// panel, n rounded up to sixteens in a panel, and the rest as for [`cost`]:
///
/// ```text
/// step        B (6 M − 2 M₀) + 4 P
/// curve       N (6 M − 2 M₀) + T 2 M
/// confusion   n gradients of m examples, all pairs: n m (6 M − 2 M₀) · (1 + n / 2p where n > p) + n² P
///             n/2 pairs of minibatches of m:        n m (6 M − 2 M₀) + 3 n P
///             across a step:                        N (6 M − 2 M₀ + 6 P) + 4 N M
///             averages over minibatches of b:       (1 + layers) (n² + (n/b)²) more
/// memory      b ((N + T) (d + 2 c) + 2 R d + (6 + 2 min(n, p) + min(n, 16)) P + max(m, 64) d) + R A + 16 P + 4 n² (2 + layers)
///             + Σ 8 (n/b)², and b times the weights of the largest layer twice; for every thread copies of one image and its delta
/// ```
fn conv_cost(spec: &JobSpec, conv: &Conv, threads: u32) -> Cost {
    let outputs = f64::from(spec.model.outputs);
    let parameters = spec.model.parameters(spec.data.dim) as f64;
    let bytes = number_bytes(spec);
    let forward = 2.0 * conv.multiplications(spec.model.outputs) as f64;
    let both = conv_flop(spec, conv);
    let (samples, held_out) = (f64::from(spec.data.samples), f64::from(spec.data.test_samples));
    let confusion = || {
        let cost = |confusion| formed_cost(spec, confusion, (both, forward));
        spec.measure.confusion.iter().map(cost)
    };
    let classes = spec.model.outputs as usize;
    let (image, thread) = match spec.model.precision {
        Precision::F32 => pass_bytes::<f32>(conv, classes),
        Precision::F64 => pass_bytes::<f64>(conv, classes),
    };
    let weights = |(out, fan_in): (u32, u32)| f64::from(out) * f64::from(fan_in);
    let shapes = conv.weight_shapes(spec.model.outputs).into_iter();
    let largest = shapes.map(weights).fold(0.0, f64::max);
    let measured = spec.measured_steps().len() as f64;
    let room = capacity(spec) as f64;
    let numbers = (samples + held_out) * (f64::from(spec.data.dim) + 2.0 * outputs)
        + 2.0 * room * f64::from(spec.data.dim)
        + 5.0 * parameters
        + 2.0 * largest;
    Cost {
        training_flop: spec.train.steps as f64 * step_flop(spec),
        measuring_flop: measured
            * (samples * both
                + held_out * forward
                + confusion().map(|part| part.flop).sum::<f64>()),
        memory_bytes: (bytes * numbers
            + room * image as f64
            + f64::from(threads) * thread as f64
            + 16.0 * parameters
            + confusion().map(|part| part.bytes).fold(0.0, f64::max)) as u64,
    }
}

/// What a pass takes for each image, and for each thread.
fn pass_bytes<T: Real>(conv: &Conv, outputs: usize) -> (usize, usize) {
    (ConvPass::<T>::image_bytes(conv, outputs), ConvPass::<T>::thread_bytes(conv, outputs))
}

/// What one measurement of confusion takes: operations, and bytes beside the network's.
struct Part {
    flop: f64,
    bytes: f64,
}

/// One measurement of gradients that are formed, with the operations of both passes and of the forward pass of one
/// example.
fn formed_cost(spec: &JobSpec, confusion: &Confusion, (both, forward): (f64, f64)) -> Part {
    let (samples, step) = (spec.data.samples, spec.train.batch);
    let parameters = spec.model.parameters(spec.data.dim) as f64;
    let bytes = number_bytes(spec);
    let n = confusion.gradients(samples, step) as f64;
    let layers =
        if spec.measure.layers { spec.model.weight_shapes(spec.data.dim).len() } else { 0 };
    let passes = if layers > 0 { 2.0 } else { 1.0 };
    let of_all_pairs = |batch: f64| {
        let panel = panel_len((parameters * bytes) as usize) as f64;
        let (again, panels) = if n > panel { (n / (2.0 * panel), 2.0) } else { (0.0, 1.0) };
        Part {
            flop: n * batch * both * (1.0 + again) + passes * n * n * parameters,
            bytes: bytes
                * parameters
                * (panels * in_blocks(n.min(panel), LANES) + n.min(LANES as f64) + 1.0)
                + bytes * batch.max(TILE as f64) * f64::from(spec.data.dim)
                + 4.0 * n * n * (2.0 + layers as f64),
        }
    };
    match *confusion {
        Confusion::Samples { ref average, .. } => {
            let (part, averaged) =
                (of_all_pairs(1.0), averages_cost(n, average, 1.0 + layers as f64));
            Part { flop: part.flop + averaged.flop, bytes: part.bytes + averaged.bytes }
        }
        Confusion::Batches { batch, .. } => of_all_pairs(f64::from(batch)),
        Confusion::BatchPairs { batch, .. } => Part {
            flop: n * f64::from(batch) * both + passes * 3.0 * n * parameters,
            bytes: 3.0 * bytes * parameters,
        },
        Confusion::CrossIterate => Part {
            flop: n * (both + 6.0 * parameters) + 2.0 * f64::from(samples) * forward,
            bytes: 4.0 * bytes * parameters + 64.0 * n,
        },
    }
}

/// `n` gradients in blocks of `size`, the last one filled up.
fn in_blocks(n: f64, size: usize) -> f64 {
    (n / size as f64).ceil() * size as f64
}

/// Bytes of one number of the trial's precision.
fn number_bytes(spec: &JobSpec) -> f64 {
    match spec.model.precision {
        Precision::F32 => 4.0,
        Precision::F64 => 8.0,
    }
}

/// What it takes to add up the inner products of `n` gradients by minibatches of each size in `average`, and to compare those,
/// for so many parts of the gradients; the products of one part are kept at a time.
fn averages_cost(n: f64, average: &[u32], parts: f64) -> Part {
    let minibatches = |&batch: &u32| (n / f64::from(batch)).floor();
    let products = average.iter().map(|batch| minibatches(batch).powi(2)).sum::<f64>();
    Part { flop: parts * (n * n * average.len() as f64 + products), bytes: 8.0 * products }
}

/// Operations of a forward and a backward pass of one image.
fn conv_flop(spec: &JobSpec, conv: &Conv) -> f64 {
    let (read, given) = conv.stem();
    let stem = 9.0 * f64::from(read * given) * 1024.0;
    6.0 * conv.multiplications(spec.model.outputs) as f64 - 2.0 * stem
}

/// Operations between two steps where a checkpoint may be taken: about 20 ms on one core.
const STRIDE_FLOP: f64 = 5e7;

/// Every how many steps a checkpoint may be taken, beside the measured steps: a power of two, by the cost of a step and
/// never by time, so that these steps are the same on every machine.
pub fn checkpoint_stride(spec: &JobSpec) -> u64 {
    let steps = (STRIDE_FLOP / (step_flop(spec) + STEP_OVERHEAD)).max(1.0) as u64;
    1 << steps.ilog2()
}

/// What a step costs whatever the network's size, in operations' worth of time.
const STEP_OVERHEAD: f64 = 500.0;

fn step_flop(spec: &JobSpec) -> f64 {
    if let Some(conv) = spec.model.conv() {
        let parameters = spec.model.parameters(spec.data.dim) as f64;
        return f64::from(spec.train.batch) * conv_flop(spec, &conv) + 4.0 * parameters;
    }
    let size = Size::of(spec);
    f64::from(spec.train.batch) * (6.0 * size.weights - 2.0 * size.first) + 4.0 * size.parameters
}

/// The sizes of a network that its cost follows from.
struct Size {
    weights: f64,
    first: f64,
    parameters: f64,
    units: f64,
    /// Of each matrix, fan_out and fan_in.
    shapes: Vec<(u32, u32)>,
}

impl Size {
    fn of(spec: &JobSpec) -> Self {
        let shapes = spec.model.weight_shapes(spec.data.dim);
        let entries = |&(fan_out, fan_in): &(u32, u32)| f64::from(fan_out) * f64::from(fan_in);
        let units = |&(fan_out, fan_in): &(u32, u32)| f64::from(fan_out) + f64::from(fan_in);
        Self {
            weights: shapes.iter().map(entries).sum(),
            first: shapes.first().map_or(0.0, entries),
            parameters: spec.model.parameters(spec.data.dim) as f64,
            units: shapes.iter().map(units).sum(),
            shapes,
        }
    }

    /// Numbers that a pass of `rows` examples takes: what goes in and out of each layer, both ways, and copies for products.
    fn pass(&self, rows: f64) -> f64 {
        let copies = self.shapes.iter().map(|&(fan_out, fan_in)| {
            copies::<f32>(rows as usize, fan_out as usize, fan_in as usize)
        });
        rows * self.units + copies.max().unwrap_or(0) as f64
    }
}
