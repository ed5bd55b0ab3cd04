//! What is done to each image between two points where all images are needed: the pieces that a pass is made of.
//!
//! An image goes through all steps of a phase while it is in the cache, then the next one does. Images do not depend on one
//! another within a phase, so a phase can be split among threads; what is added up over images waits in slots, and is
//! added in order afterwards. No bit depends on the number of threads.

use std::ops::Range;
use std::thread;

use domain::spec::Mode;

use super::correlate::{Begin, correlate};
use super::grid::Grid;
use super::layout::{ConvLayer, NormLayer};
use super::norm::{Moments, add_up, pull_back_rectified, rectify, scale_gradients};
use super::walks::{self, Walks};
use super::weight_gradient::add_weight_gradient;
use crate::nn::Real;

/// The pixels that a convolution's three passes go over.
#[derive(Clone, Debug)]
pub struct Plans {
    pub layer: ConvLayer,
    pub forward: Walks,
    pub backward: Vec<Walks>,
}

impl Plans {
    /// Those of `layer` from `from` to `to`.
    pub fn new(layer: ConvLayer, from: Grid, to: Grid) -> Self {
        let forward = walks::forward(&layer, from, to);
        Self { layer, forward, backward: walks::backward(&layer, from, to) }
    }
}

/// Numbers of some images, `stride` each.
#[derive(Clone, Copy)]
pub struct Part<'a, T> {
    pub numbers: &'a [T],
    pub stride: usize,
}

/// The same, to be changed.
pub struct PartMut<'a, T> {
    pub numbers: &'a mut [T],
    pub stride: usize,
}

impl<'a, T> Part<'a, T> {
    fn split(self, images: usize) -> [Self; 2] {
        let (one, other) = self.numbers.split_at(images * self.stride);
        [one, other].map(|numbers| Self { numbers, ..self })
    }
}

impl<'a, T> PartMut<'a, T> {
    fn split(self, images: usize) -> [Self; 2] {
        let (one, other) = self.numbers.split_at_mut(images * self.stride);
        [one, other].map(|numbers| Self { numbers, stride: self.stride })
    }

    /// Those of one image.
    pub fn of(&mut self, image: usize) -> &mut [T] {
        &mut self.numbers[image * self.stride..(image + 1) * self.stride]
    }
}

/// Splits what may be there.
fn split<T>(what: Option<T>, each: impl Fn(T) -> [T; 2]) -> [Option<T>; 2] {
    what.map_or([None, None], |what| each(what).map(Some))
}

/// Work on some images that can be split among threads.
pub trait Phase: Sized + Send {
    /// The work on the first `images` of them, and that on the others.
    fn split(self, images: usize) -> [Self; 2];
    /// Does the work on `images` images.
    fn run(self, images: usize);

    /// Does the work on `images` images on `threads` threads.
    fn run_on(self, threads: usize, images: usize) {
        if threads <= 1 || images <= 1 {
            return self.run(images);
        }
        let own = images.div_ceil(threads);
        let [own_work, rest] = self.split(own);
        thread::scope(|scope| {
            scope.spawn(|| rest.run_on(threads - 1, images - own));
            own_work.run(own);
        });
    }
}

/// One norm-ReLU, or the ReLU alone.
pub struct NormStage<'a, T> {
    pub norm: Option<NormLayer>,
    pub moments: &'a Moments<T>,
    pub parameters: &'a [T],
    pub grid: Grid,
}

impl<T> Clone for NormStage<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for NormStage<'_, T> {}

impl<T: Real> NormStage<'_, T> {
    /// Activates image number `image`.
    pub fn activate(&self, image: usize, read: &[T], activations: &mut [T]) {
        let Some(norm) = self.norm else {
            let whole = image * self.grid.image()..(image + 1) * self.grid.image();
            return rectify(&read[whole.clone()], &mut activations[whole]);
        };
        let numbers = norm.of(self.parameters);
        self.moments.activate((self.grid, image), numbers, (read, activations));
    }

    fn pull(
        &self,
        image: usize,
        (read, activations): (&[T], &[T]),
        residual: Option<&[T]>,
        delta: &mut [T],
    ) {
        let Some(norm) = self.norm else {
            let whole = image * self.grid.image()..(image + 1) * self.grid.image();
            let residual = residual.map(|residual| &residual[whole.clone()]);
            return pull_back_rectified(&activations[whole.clone()], residual, &mut delta[whole]);
        };
        let (scales, _) = norm.of(self.parameters);
        self.moments.pull((self.grid, image), scales, (read, activations), residual, delta);
    }
}

/// What the sums over the pixels of each image are put into.
pub struct Slots<'a> {
    pub grid: Grid,
    pub to: PartMut<'a, f64>,
}

impl Slots<'_> {
    fn split(self, images: usize) -> [Self; 2] {
        let grid = self.grid;
        self.to.split(images).map(|to| Self { grid, to })
    }
}

/// A norm-ReLU, if there is one, then a convolution, then the moments of what it gives.
pub struct Forward<'a, T> {
    pub norm: Option<(NormStage<'a, T>, Part<'a, T>)>,
    /// What the convolution reads: overwritten by the norm-ReLU.
    pub activations: PartMut<'a, T>,
    pub plans: &'a Plans,
    pub packed: &'a [T],
    /// The convolution that what is given begins with, and what it reads.
    pub projection: Option<(&'a Plans, &'a [T], Part<'a, T>)>,
    /// What is given begins with this where there is no projection.
    pub residual: Option<Part<'a, T>>,
    pub given: PartMut<'a, T>,
    pub slots: Option<Slots<'a>>,
}

impl<T: Real> Phase for Forward<'_, T> {
    fn split(self, images: usize) -> [Self; 2] {
        let Self { plans, packed, .. } = self;
        let norms = split(self.norm, |(norm, read)| read.split(images).map(|read| (norm, read)));
        let projections = split(self.projection, |(plans, packed, read)| {
            read.split(images).map(|read| (plans, packed, read))
        });
        let [norm, norm_2] = norms;
        let [projection, projection_2] = projections;
        let [activations, activations_2] = self.activations.split(images);
        let [residual, residual_2] = split(self.residual, |part| part.split(images));
        let [given, given_2] = self.given.split(images);
        let [slots, slots_2] = split(self.slots, |slots| slots.split(images));
        let one = Self { norm, activations, plans, packed, projection, residual, given, slots };
        let other = Self {
            norm: norm_2,
            activations: activations_2,
            plans,
            packed,
            projection: projection_2,
            residual: residual_2,
            given: given_2,
            slots: slots_2,
        };
        [one, other]
    }

    fn run(mut self, images: usize) {
        let (activations, given) = (&mut *self.activations.numbers, &mut *self.given.numbers);
        for image in 0..images {
            if let Some((norm, read)) = &self.norm {
                norm.activate(image, read.numbers, activations);
            }
            let only = image..image + 1;
            let begin = if let Some((plans, packed, read)) = self.projection {
                let read = (read.numbers, packed);
                correlate(&plans.forward, only.clone(), Begin::Zero, read, given);
                Begin::There
            } else {
                self.residual.map_or(Begin::Zero, |part| Begin::With(part.numbers))
            };
            correlate(&self.plans.forward, only, begin, (activations, self.packed), given);
            if let Some(Slots { grid, to }) = &mut self.slots {
                add_up((*grid, image), given, to.of(image));
            }
        }
    }
}

/// The gradient of a norm-ReLU on its way back.
#[derive(Clone, Copy)]
pub struct Pull<'a, T> {
    pub norm: NormStage<'a, T>,
    /// What it read and gave.
    pub read: Part<'a, T>,
    pub activations: Part<'a, T>,
    /// Added to what it gives back.
    pub residual: Option<Part<'a, T>>,
}

impl<T> Pull<'_, T> {
    fn split(self, images: usize) -> [Self; 2] {
        let ([read, read_2], [activations, activations_2]) =
            (self.read.split(images), self.activations.split(images));
        let [residual, residual_2] = split(self.residual, |part| part.split(images));
        [
            Self { read, activations, residual, ..self },
            Self { read: read_2, activations: activations_2, residual: residual_2, ..self },
        ]
    }
}

/// Where gradients in weights go.
pub enum Gradients<'a, T> {
    /// All images' into one, laid out like the parameters; only where one thread does all images.
    Sum(&'a mut [T]),
    /// Each image's into its own.
    Each(PartMut<'a, T>),
    /// Nowhere yet.
    Later,
}

/// A convolution whose weights' gradient is wanted, and what it read.
#[derive(Clone, Copy)]
pub struct Weighed<'a, T> {
    pub plans: &'a Plans,
    pub read: Part<'a, T>,
}

/// A convolution that a gradient is carried back through, with its weights.
#[derive(Clone, Copy)]
pub struct Carried<'a, T> {
    pub plans: &'a Plans,
    /// For one backward walk after the other.
    pub packed: &'a [T],
}

impl<T: Real> Carried<'_, T> {
    fn run(self, image: usize, begin: Begin<'_, T>, delta: &[T], to: &mut [T]) {
        let mut packed = self.packed;
        for walks in &self.plans.backward {
            let (weights, rest) = packed.split_at(walks.terms() * walks.outputs);
            packed = rest;
            correlate(walks, image..image + 1, begin, (delta, weights), to);
        }
    }
}

/// The way back: of a norm-ReLU, then of the convolution before it, then the sums for the norm before that.
pub struct Backward<'a, T> {
    pub pull: Pull<'a, T>,
    /// The gradient in what the norm-ReLU gave, then in what it read.
    pub delta: PartMut<'a, T>,
    /// The convolutions that gave what the norm-ReLU read.
    pub weighed: [Option<Weighed<'a, T>>; 2],
    pub carried: Option<(Carried<'a, T>, PartMut<'a, T>)>,
    /// Another convolution whose gradient is added to what is carried back, and the gradient in what it gave.
    pub projection: Option<(Carried<'a, T>, Part<'a, T>)>,
    /// The norm-ReLU before that convolution, and where its sums go.
    pub below: Option<(Pull<'a, T>, PartMut<'a, f64>)>,
    pub gradients: Gradients<'a, T>,
    /// For the sums over pixels, of each thread.
    pub copies: PartMut<'a, T>,
}

impl<T: Real> Phase for Backward<'_, T> {
    fn split(self, images: usize) -> [Self; 2] {
        let [pull, pull_2] = self.pull.split(images);
        let [delta, delta_2] = self.delta.split(images);
        let [weighed, weighed_2] = {
            let parts = self.weighed.map(|weighed| {
                split(weighed, |Weighed { plans, read }| {
                    read.split(images).map(|read| Weighed { plans, read })
                })
            });
            [parts.map(|[one, _]| one), parts.map(|[_, other]| other)]
        };
        let [carried, carried_2] =
            split(self.carried, |(carried, to)| to.split(images).map(|to| (carried, to)));
        let [projection, projection_2] = split(self.projection, |(carried, from)| {
            from.split(images).map(|from| (carried, from))
        });
        let [below, below_2] = split(self.below, |(pull, to)| {
            let ([pull, pull_2], [to, to_2]) = (pull.split(images), to.split(images));
            [(pull, to), (pull_2, to_2)]
        });
        let [gradients, gradients_2] = match self.gradients {
            Gradients::Each(part) => part.split(images).map(Gradients::Each),
            // A sum over images has an order, which threads have not.
            Gradients::Sum(_) | Gradients::Later => [Gradients::Later, Gradients::Later],
        };
        let [copies, copies_2] = self.copies.split(1);
        let one = Self { pull, delta, weighed, carried, projection, below, gradients, copies };
        let other = Self {
            pull: pull_2,
            delta: delta_2,
            weighed: weighed_2,
            carried: carried_2,
            projection: projection_2,
            below: below_2,
            gradients: gradients_2,
            copies: copies_2,
        };
        [one, other]
    }

    fn run(mut self, images: usize) {
        let Self { pull, .. } = self;
        let (delta, copies) = (&mut *self.delta.numbers, &mut *self.copies.numbers);
        for image in 0..images {
            let read = (pull.read.numbers, pull.activations.numbers);
            pull.norm.pull(image, read, pull.residual.map(|part| part.numbers), delta);
            for Weighed { plans, read } in self.weighed.iter().flatten() {
                let gradient = match &mut self.gradients {
                    Gradients::Sum(gradient) => &mut **gradient,
                    Gradients::Each(part) => part.of(image),
                    Gradients::Later => break,
                };
                let rows = 0..plans.forward.terms();
                let gradient = (rows, plans.layer.of_mut(gradient));
                let read = (read.numbers, &*delta);
                add_weight_gradient(&plans.forward, image, read, copies, gradient);
            }
            let Some((carried, to)) = &mut self.carried else { continue };
            carried.run(image, Begin::Zero, delta, to.numbers);
            if let Some((carried, from)) = self.projection {
                carried.run(image, Begin::There, from.numbers, to.numbers);
            }
            let Some((below, slots)) = &mut self.below else { continue };
            let NormStage { moments, grid, .. } = below.norm;
            let read = (below.read.numbers, below.activations.numbers);
            moments.add_up_pull((grid, image), read, to.numbers, slots.of(image));
        }
    }
}

/// The gradient in some weights of one convolution, over all images in order.
pub struct Weighing<'a, T> {
    pub weighed: Weighed<'a, T>,
    pub images: usize,
    pub delta: &'a [T],
    /// The rows of the weights, and their gradient.
    pub rows: Range<usize>,
    pub gradient: &'a mut [T],
    pub copies: PartMut<'a, T>,
}

/// Here it is rows of weights that are split, not images.
impl<T: Real> Phase for Weighing<'_, T> {
    fn split(self, rows: usize) -> [Self; 2] {
        let Self { weighed, images, delta, .. } = self;
        let (gradient, gradient_2) = self.gradient.split_at_mut(rows * weighed.plans.layer.outputs);
        let [copies, copies_2] = self.copies.split(1);
        let middle = self.rows.start + rows;
        let (first, second) = (self.rows.start..middle, middle..self.rows.end);
        [
            Self { weighed, images, delta, rows: first, gradient, copies },
            Self { weighed, images, delta, rows: second, gradient: gradient_2, copies: copies_2 },
        ]
    }

    fn run(self, _: usize) {
        let Weighed { plans, read } = self.weighed;
        for image in 0..self.images {
            let gradient = (self.rows.clone(), &mut *self.gradient);
            let read = (read.numbers, self.delta);
            add_weight_gradient(&plans.forward, image, read, self.copies.numbers, gradient);
        }
    }
}

/// Ends the sums of a norm on the way back: puts out the gradients in γ and β, and takes what is subtracted in train mode.
pub fn end_pull<T: Real>(
    norm: Option<NormLayer>,
    moments: &mut Moments<T>,
    (mode, grid): (Mode, Grid),
    slots: &Part<'_, f64>,
    gradient: &mut [T],
    is_each: bool,
) {
    let Some(norm) = norm else { return };
    let images = slots.numbers.chunks_exact(slots.stride);
    let count = images.len();
    if is_each {
        let parameters = gradient.len() / count;
        for (slot, gradient) in images.clone().zip(gradient.chunks_exact_mut(parameters)) {
            scale_gradients(std::iter::once(slot), norm.of_mut(gradient));
        }
    } else {
        scale_gradients(images.clone(), norm.of_mut(gradient));
    }
    let pixels = (mode == Mode::Train).then_some(count * grid.side * grid.side);
    moments.take_pull(pixels, images);
}
