//! Which layers a convolutional network has, and where their numbers lie.

use domain::spec::Conv;

use super::grid::Grid;

/// One convolution: weights `[kernel, kernel, inputs, outputs]` at `offset` of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvLayer {
    pub inputs: usize,
    pub outputs: usize,
    /// 3, with a border of one pixel, or 1.
    pub kernel: usize,
    pub stride: usize,
    pub offset: usize,
}

impl ConvLayer {
    /// Its trained numbers.
    pub fn parameters(&self) -> usize {
        self.kernel * self.kernel * self.inputs * self.outputs
    }

    /// Its part of a buffer that is laid out like the parameters.
    pub fn of<'a, T>(&self, buffer: &'a [T]) -> &'a [T] {
        &buffer[self.offset..self.offset + self.parameters()]
    }

    /// As [`Self::of`], to be changed.
    pub fn of_mut<'a, T>(&self, buffer: &'a mut [T]) -> &'a mut [T] {
        &mut buffer[self.offset..self.offset + self.parameters()]
    }
}

/// One batch norm: scales `[channels]` then shifts `[channels]` at `offset` of the parameters, running means then running
/// variances at `statistics` of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormLayer {
    pub channels: usize,
    pub offset: usize,
    pub statistics: usize,
}

impl NormLayer {
    /// Scales and shifts, in a buffer that is laid out like the parameters.
    pub fn of<'a, T>(&self, buffer: &'a [T]) -> (&'a [T], &'a [T]) {
        buffer[self.offset..self.offset + 2 * self.channels].split_at(self.channels)
    }

    /// As [`Self::of`], to be changed.
    pub fn of_mut<'a, T>(&self, buffer: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        buffer[self.offset..self.offset + 2 * self.channels].split_at_mut(self.channels)
    }

    /// Running means and variances.
    pub fn running<'a, T>(&self, statistics: &'a [T]) -> (&'a [T], &'a [T]) {
        statistics[self.statistics..self.statistics + 2 * self.channels].split_at(self.channels)
    }

    /// As [`Self::running`], to be changed.
    pub fn running_mut<'a, T>(&self, statistics: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        statistics[self.statistics..self.statistics + 2 * self.channels].split_at_mut(self.channels)
    }
}

/// One block: norm-ReLU-convolution twice, and its skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// Which of the grids it reads, and which it gives.
    pub from: usize,
    pub to: usize,
    pub norms: [Option<NormLayer>; 2],
    pub convs: [ConvLayer; 2],
    pub skip: bool,
    pub projection: Option<ConvLayer>,
}

/// A whole network. The numbers follow one another in the order of the forward pass, a projection after its block's
/// convolutions.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The images.
    pub input: Grid,
    /// Every shape of activations, the stem's first, the head's last.
    pub grids: Vec<Grid>,
    pub stem: ConvLayer,
    pub blocks: Vec<BlockLayout>,
    pub norm: Option<NormLayer>,
    /// The linear classifier: weights `[outputs, inputs]`, then biases `[outputs]`, at `offset`.
    pub head: ConvLayer,
    pub parameters: usize,
    pub statistics: usize,
}

impl Layout {
    /// The layout of `conv` with `outputs` classes for images of `side` x `side` pixels.
    pub fn new(conv: &Conv, outputs: usize, side: usize) -> Self {
        let mut maker = Maker { batch_norm: conv.batch_norm, parameters: 0, statistics: 0 };
        let (read, given) = conv.stem();
        let input = Grid { side, channels: read as usize };
        let mut grids = vec![Grid { side, channels: given as usize }];
        let stem = maker.conv(read, given, 3, 1);
        let mut blocks = Vec::new();
        for block in conv.blocks() {
            let from = grids.len() - 1;
            let side = grids[from].side.div_ceil(block.stride as usize);
            let grid = Grid { side, channels: block.outputs as usize };
            if grid != grids[from] {
                grids.push(grid);
            }
            let first = maker.norm(block.inputs);
            let conv_1 = maker.conv(block.inputs, block.outputs, 3, block.stride);
            let second = maker.norm(block.outputs);
            let conv_2 = maker.conv(block.outputs, block.outputs, 3, 1);
            let projection = conv
                .projects(block)
                .then(|| maker.conv(block.inputs, block.outputs, 1, block.stride));
            blocks.push(BlockLayout {
                from,
                to: grids.len() - 1,
                norms: [first, second],
                convs: [conv_1, conv_2],
                skip: conv.skip,
                projection,
            });
        }
        let norm = maker.norm(conv.head_inputs());
        let head = maker.conv(conv.head_inputs(), outputs as u32, 1, 1);
        let Maker { parameters, statistics, .. } = maker;
        let parameters = parameters + outputs;
        Self { input, grids, stem, blocks, norm, head, parameters, statistics }
    }

    /// Every convolution, in the order of the parameters.
    pub fn convs(&self) -> impl Iterator<Item = &ConvLayer> {
        self.convs_between().map(|(layer, ..)| layer)
    }

    /// Every convolution, with what it reads and what it gives.
    pub fn convs_between(&self) -> impl Iterator<Item = (&ConvLayer, Grid, Grid)> {
        let blocks = self.blocks.iter().flat_map(|block| {
            let (from, to) = (self.grids[block.from], self.grids[block.to]);
            let [first, second] = &block.convs;
            let projection = block.projection.iter().map(move |layer| (layer, from, to));
            [(first, from, to), (second, to, to)].into_iter().chain(projection)
        });
        std::iter::once((&self.stem, self.input, self.grids[0])).chain(blocks)
    }

    /// Every batch norm, in the order of the parameters.
    pub fn norms(&self) -> impl Iterator<Item = &NormLayer> {
        self.blocks.iter().flat_map(|block| block.norms.iter().flatten()).chain(&self.norm)
    }
}

/// Hands out places in the buffers.
struct Maker {
    batch_norm: bool,
    parameters: usize,
    statistics: usize,
}

impl Maker {
    fn conv(&mut self, inputs: u32, outputs: u32, kernel: usize, stride: u32) -> ConvLayer {
        let (inputs, outputs, stride) = (inputs as usize, outputs as usize, stride as usize);
        let layer = ConvLayer { inputs, outputs, kernel, stride, offset: self.parameters };
        self.parameters += layer.parameters();
        layer
    }

    fn norm(&mut self, channels: u32) -> Option<NormLayer> {
        let channels = channels as usize;
        self.batch_norm.then(|| {
            let layer =
                NormLayer { channels, offset: self.parameters, statistics: self.statistics };
            self.parameters += 2 * channels;
            self.statistics += 2 * channels;
            layer
        })
    }
}
