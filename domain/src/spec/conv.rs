//! Convolutional networks: Wide ResNets of any depth 6n + 4 and width factor, with or without skips and batch norm.

use super::words;

/// A pre-activation Wide ResNet of three stages (Zagoruyko and Komodakis 2016), or one with parts taken out.
///
/// ```text
/// stem   3x3, 3 -> 16
/// stage  n blocks of BN-ReLU-conv 3x3-BN-ReLU-conv 3x3, with 16k, 32k, 64k channels; stages 2 and 3 begin with stride 2
/// skip   identity, or where channels change a bare 1x1 convolution of the pre-activated input
/// head   BN-ReLU, average over all pixels, linear with bias
/// ```
///
/// Convolutions have no bias. Without `batch_norm` every BN is left out, without `skip` every skip with its projection:
/// without both it is the CNN-β-l of the gradient confusion papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    pub kind: ConvKind,
    /// Width factor k.
    pub width: u32,
    /// 6n + 4.
    pub depth: u32,
    pub batch_norm: bool,
    pub skip: bool,
}

words! {
    /// By which name a convolutional network is asked for: it decides only what is left unsaid.
    ConvKind {
        /// Without batch norm and skips, unless they are asked for.
        Cnn = "cnn",
        /// With both, unless they are not.
        Wrn = "wrn",
    }
}

/// Channels of an image.
const IMAGE_CHANNELS: u32 = 3;
/// Channels after the stem, and of the first stage at k = 1.
const BASE: u32 = 16;

/// One residual block, by its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub inputs: u32,
    pub outputs: u32,
    pub stride: u32,
}

impl Conv {
    /// The entries of an image that it takes: 32 x 32 pixels of 3 channels.
    pub const DIM: u32 = 32 * 32 * IMAGE_CHANNELS;

    /// n: blocks of a stage.
    pub fn blocks_per_stage(&self) -> u32 {
        self.depth.saturating_sub(4) / 6
    }

    /// Channels that the stem reads and gives.
    pub fn stem(&self) -> (u32, u32) {
        (IMAGE_CHANNELS, BASE)
    }

    /// Channels that the classifier reads.
    pub fn head_inputs(&self) -> u32 {
        4 * BASE * self.width
    }

    /// The blocks of all three stages, in order.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (width, count) = (self.width, self.blocks_per_stage());
        (0..3u32).flat_map(move |stage| {
            let outputs = (BASE * width) << stage;
            let before = if stage == 0 { BASE } else { outputs / 2 };
            (0..count).map(move |index| Block {
                inputs: if index == 0 { before } else { outputs },
                outputs,
                stride: if index == 0 && stage > 0 { 2 } else { 1 },
            })
        })
    }

    /// Whether `block` has a projection: it has a skip, and its channels change.
    pub fn projects(&self, block: Block) -> bool {
        self.skip && block.inputs != block.outputs
    }

    /// The shape `(fan_out, fan_in)` of every weight matrix: stem, blocks (two convolutions, then the projection), head.
    pub fn weight_shapes(&self, outputs: u32) -> Vec<(u32, u32)> {
        let (read, given) = self.stem();
        let mut shapes = vec![(given, 9 * read)];
        for block in self.blocks() {
            shapes.push((block.outputs, 9 * block.inputs));
            shapes.push((block.outputs, 9 * block.outputs));
            if self.projects(block) {
                shapes.push((block.outputs, block.inputs));
            }
        }
        shapes.push((outputs, self.head_inputs()));
        shapes
    }

    /// Trained numbers of batch norm: a scale and a shift for each normalised channel.
    pub fn norm_parameters(&self) -> u64 {
        if !self.batch_norm {
            return 0;
        }
        let channels =
            self.blocks().map(|block| u64::from(block.inputs) + u64::from(block.outputs));
        2 * (channels.sum::<u64>() + u64::from(self.head_inputs()))
    }

    /// Multiplications of one forward pass of one image.
    pub fn multiplications(&self, outputs: u32) -> u64 {
        let mut pixels = 32 * 32;
        let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
        let (read, given) = self.stem();
        let mut sum = 9 * product(read, given) * pixels;
        for block in self.blocks() {
            pixels /= u64::from(block.stride * block.stride);
            sum += 9 * pixels * product(block.inputs + block.outputs, block.outputs);
            if self.projects(block) {
                sum += pixels * product(block.inputs, block.outputs);
            }
        }
        sum + product(self.head_inputs(), outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Activation, Init, Model, Precision, Shape};

    /// The counts of parameters with 10 classes: whole, without batch norm, and without skips too.
    const PUBLISHED: &[(u32, u32, u64, u64, u64)] = &[
        (16, 1, 175_066, 174_138, 171_578),
        (16, 2, 691_674, 689_850, 679_098),
        (16, 3, 1_549_530, 1_546_810, 1_523_002),
        (16, 4, 2_748_890, 2_745_274, 2_703_290),
        (16, 5, 4_289_754, 4_285_242, 4_219_962),
        (16, 6, 6_172_122, 6_166_714, 6_073_018),
        (16, 8, 10_961_370, 10_954_170, 10_788_282),
        (22, 2, 1_079_642, 1_076_922, 1_066_170),
        (28, 2, 1_467_610, 1_463_994, 1_453_242),
        (28, 10, 36_479_194, 36_461_242, 36_202_682),
        (34, 2, 1_855_578, 1_851_066, 1_840_314),
        (40, 1, 563_930, 561_210, 558_650),
        (40, 2, 2_243_546, 2_238_138, 2_227_386),
        (40, 4, 8_949_210, 8_938_426, 8_896_442),
        (52, 2, 3_019_482, 3_012_282, 3_001_530),
        (76, 2, 4_571_354, 4_560_570, 4_549_818),
        (100, 2, 6_123_226, 6_108_858, 6_098_106),
    ];

    fn model(depth: u32, width: u32, batch_norm: bool, skip: bool, outputs: u32) -> Model {
        Model {
            shape: Shape::Conv(Conv { kind: ConvKind::Wrn, width, depth, batch_norm, skip }),
            output: Activation::Identity,
            init: Init::He,
            bias: false,
            outputs,
            precision: Precision::F32,
        }
    }

    #[test]
    fn parameters_are_those_published() {
        let count = |depth, width, batch_norm, skip, outputs| {
            model(depth, width, batch_norm, skip, outputs).parameters(Conv::DIM)
        };
        for &(depth, width, whole, without_norm, bare) in PUBLISHED {
            let found = [(true, true), (false, true), (false, false)]
                .map(|(norm, skip)| count(depth, width, norm, skip, 10));
            assert_eq!(found, [whole, without_norm, bare], "{depth}-{width}");
        }
        for (depth, width, whole) in
            [(22, 8, 17_158_106), (22, 10, 26_797_914), (16, 10, 17_116_634)]
        {
            assert_eq!(count(depth, width, true, true, 10), whole, "{depth}-{width}");
        }
        assert_eq!(count(40, 8, true, true, 10), 35_748_314);
        assert_eq!(count(28, 12, true, true, 10), 52_517_850);
        assert_eq!(count(40, 2, true, true, 100), 2_255_156);
        assert_eq!(count(28, 10, true, true, 100), 36_536_884);
    }

    #[test]
    fn a_pass_costs_what_is_published() {
        for (depth, width, millions) in [(16, 1, 26.7), (16, 2, 101.1), (40, 4, 1_299.0)] {
            let conv = model(depth, width, true, true, 10).conv().expect("it is one");
            let found = conv.multiplications(10) as f64 / 1e6;
            assert!((found / millions - 1.0).abs() < 0.005, "{depth}-{width}: {found}");
        }
    }

    #[test]
    fn a_projection_is_where_channels_change() {
        let projections = |width, skip| {
            let conv = model(16, width, true, skip, 10).conv().expect("it is one");
            conv.blocks().filter(|&block| conv.projects(block)).count()
        };
        assert_eq!((projections(1, true), projections(2, true), projections(2, false)), (2, 3, 0));
        assert_eq!(model(16, 1, true, true, 10).weight_shapes(Conv::DIM).len(), 1 + 12 + 2 + 1);
    }
}
