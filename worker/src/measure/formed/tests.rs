//! Formed gradients against those of single passes, and panels of any size against one.

use domain::spec::{
    Activation, Confusion, Conv, ConvKind, Init, Loss, Mode, Model, Precision, Shape,
};

use super::*;
use crate::data::Label;
use crate::measure::{Averages, Compared, ConvTiles, Occasion, formed_rows};
use crate::nn::conv::{ConvNetwork, ConvPass};
use crate::random::Stream;

const COUNT: usize = 7;

fn network<T: Real>(batch_norm: bool) -> ConvNetwork<T> {
    let conv = Conv { kind: ConvKind::Wrn, width: 1, depth: 10, batch_norm, skip: true };
    let model = Model {
        shape: Shape::Conv(conv),
        output: Activation::Identity,
        init: Init::He,
        bias: false,
        outputs: 10,
        precision: Precision::F64,
    };
    ConvNetwork::initialise(&model, &conv, 3)
}

fn examples<T: Real>() -> Examples<T> {
    let mut stream = Stream::new(3, "test images", 0);
    Examples {
        inputs: (0..COUNT * 3_072).map(|_| T::from_f64(stream.normal())).collect(),
        labels: (0..COUNT as u32).map(Label::Class).collect(),
        targets: (0..COUNT * 10).map(|i| T::from_f64(f64::from(i / 10 == i % 10))).collect(),
    }
}

#[test]
fn pairs_are_those_of_the_gradients_and_panels_do_not_show() {
    for batch_norm in [true, false] {
        let (network, examples) = (network::<f64>(batch_norm), examples());
        let mut pass = ConvPass::new(&network, COUNT);
        let chosen: Vec<u32> = (0..COUNT as u32).collect();
        let groups: Vec<&[u32]> = chosen.chunks(1).collect();
        let layers = network.layer_ranges();
        // Of one size after another: what a larger one has left in it does not show.
        let mut workspace = Workspace::default();
        let mut in_panels = |panel| {
            let (pass, loss) = (&mut pass, Loss::CrossEntropy);
            let mut tiles = ConvTiles { network: &network, pass, loss, mode: Mode::Eval };
            Formed::in_panels(&mut tiles, &examples, &groups, &layers, (panel, &mut workspace))
        };
        let all = in_panels(COUNT);
        for panel in [1, 2, 3, 6] {
            for (other, formed) in in_panels(panel).iter().zip(&all) {
                assert_eq!(other.gram, formed.gram, "{panel}");
                assert_eq!(other.sq_norm_of_sum, formed.sq_norm_of_sum);
            }
        }
        let formed = &all[0];

        let parameters = network.parameters().len();
        let gradients: Vec<Vec<f64>> = (0..COUNT)
            .map(|i| {
                let mut gradient = vec![0.0; parameters];
                pass.forward(&network, &examples.inputs[i * 3_072..(i + 1) * 3_072], Mode::Eval);
                let target = &examples.targets[i * 10..(i + 1) * 10];
                pass.backward(&network, Loss::CrossEntropy, target, &mut gradient);
                gradient
            })
            .collect();
        let inner = |i: usize, j: usize| -> f64 {
            gradients[i].iter().zip(&gradients[j]).map(|(a, b)| a * b).sum()
        };
        let mut least = f64::INFINITY;
        for i in 0..COUNT {
            for j in i..COUNT {
                let found = formed.gram[place(COUNT, i, j)];
                assert!((found - inner(i, j)).abs() <= 1e-12 * inner(i, i).max(inner(j, j)));
                least = least.min(found);
            }
        }
        // The layers' products add up to the whole's, the scales and shifts of batch norm apart.
        assert_eq!(all.len(), 1 + layers.len());
        for (layer, range) in all[1..].iter().zip(&layers) {
            let part = |i: usize| &gradients[i][range.clone()];
            for i in 0..COUNT {
                for j in i..COUNT {
                    let expected = part(i).iter().zip(part(j)).map(|(a, b)| a * b).sum::<f64>();
                    let found = layer.gram[place(COUNT, i, j)];
                    assert!((found - expected).abs() <= 1e-12 * inner(i, i).max(inner(j, j)));
                }
            }
        }
        // The gradient of the whole minibatch is the sum of its examples'.
        let mut whole = vec![0.0; parameters];
        pass.forward(&network, &examples.inputs, Mode::Eval);
        pass.backward(&network, Loss::CrossEntropy, &examples.targets, &mut whole);
        let square = whole.iter().map(|g| g * g).sum::<f64>();
        assert!((square / formed.sq_norm_of_sum - 1.0).abs() < 1e-12);

        let occasion = Occasion { step: 4, epoch: 0.5, risk: Some(2.0) };
        let named = Some((&*chosen, &*examples.labels));
        let compared = Compared {
            scope: "samples",
            mode: Mode::Eval,
            batch: 1,
            examples: named,
            averages: None,
        };
        let rows = formed_rows(&all, compared, occasion);
        let numbers: Vec<_> = rows.iter().map(|row| row.layer).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[1]), (1 + layers.len(), None, Some(0)));
        let row = &rows[0];
        assert_eq!((row.step, row.count, row.pairs, row.mode), (4, 7, 21, "eval"));
        assert_eq!(row.eta, Some((-least).max(0.0)));
        let mean = (0..COUNT).map(|i| inner(i, i)).sum::<f64>() / COUNT as f64;
        assert!((row.mean_sq_norm.expect("finite") / mean - 1.0).abs() < 1e-12);
        let (i, j) = (row.argmin_i.expect("a pair"), row.argmin_j.expect("a pair"));
        assert_eq!((row.class_i, row.class_j), (Some(i), Some(j)));
        let cosine = row.min_cos.expect("not zero");
        assert!(
            cosine > -1.0 && cosine < 1.0 && row.histogram.as_ref().expect("counts").len() == 200
        );
    }
}

/// Products of mean gradients that are formed, against averages of those of their examples: 7 examples in three
/// minibatches of 2, one of them left out, and in two of 3.
#[test]
fn averages_are_the_rows_of_mean_gradients_that_are_formed() {
    for batch_norm in [true, false] {
        let (network, examples) = (network::<f64>(batch_norm), examples());
        let mut pass = ConvPass::new(&network, COUNT);
        let (pass, loss) = (&mut pass, Loss::CrossEntropy);
        let mut tiles = ConvTiles { network: &network, pass, loss, mode: Mode::Eval };
        let asked = Confusion::Samples { count: COUNT as u32, average: vec![2, 3] };
        let averages = Averages::of(&asked, COUNT, 5);
        let layers = network.layer_ranges();
        let chosen: Vec<u32> = (0..COUNT as u32).collect();
        let groups: Vec<&[u32]> = chosen.chunks(1).collect();
        let occasion = Occasion { step: 4, epoch: 0.5, risk: Some(2.0) };
        let compared = Compared {
            scope: "samples",
            mode: Mode::Eval,
            batch: 1,
            examples: None,
            averages: Some(&averages),
        };
        let formed =
            Formed::take(&mut tiles, &examples, &groups, &layers, &mut Workspace::default());
        let found = formed_rows(&formed, compared, occasion);
        assert_eq!(found.len(), 3 * (1 + layers.len()));
        for (batch, rows) in [2, 3].into_iter().zip(found.chunks(1 + layers.len()).skip(1)) {
            let groups: Vec<&[u32]> = averages.minibatches(batch).collect();
            let formed =
                Formed::take(&mut tiles, &examples, &groups, &layers, &mut Workspace::default());
            let compared = Compared { batch, averages: None, ..compared };
            for (found, expected) in rows.iter().zip(formed_rows(&formed, compared, occasion)) {
                let told = |row: &domain::ConfusionRow| {
                    let sizes = (row.count, row.pairs, row.measure_batch, row.layer);
                    (row.step, row.scope, sizes, row.argmin_i, row.negative_fraction)
                };
                assert_eq!(told(found), told(&expected));
                let figures = |row: &domain::ConfusionRow| {
                    [
                        row.min_inner,
                        row.mean_inner,
                        row.mean_sq_norm,
                        row.sq_norm_of_mean,
                        row.min_cos,
                        row.mean_cos,
                        row.rms_cos,
                        row.cos_q05,
                        row.diversity,
                        row.noise_scale,
                    ]
                    .map(|figure| figure.expect("finite"))
                };
                let scale = expected.mean_sq_norm.expect("finite");
                for (place, (a, b)) in
                    figures(found).into_iter().zip(figures(&expected)).enumerate()
                {
                    let scale = if place < 4 { scale } else { 1.0f64.max(b) };
                    assert!((a - b).abs() <= 1e-10 * scale, "{batch} {place}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn gradients_that_are_not_finite_have_no_figures() {
    let (mut network, examples) = (network::<f32>(false), examples());
    network.parameters_mut()[0] = f32::NAN;
    let mut pass = ConvPass::new(&network, TILE);
    let (pass, loss) = (&mut pass, Loss::CrossEntropy);
    let mut tiles = ConvTiles { network: &network, pass, loss, mode: Mode::Eval };
    let formed = {
        let layers = network.layer_ranges();
        Formed::take(&mut tiles, &examples, &[&[1], &[3]], &layers, &mut Workspace::default())
    };
    let occasion = Occasion { step: 0, epoch: 0.0, risk: None };
    let named = Some((&[1, 3][..], &examples.labels[..2]));
    let compared =
        Compared { scope: "samples", mode: Mode::Eval, batch: 1, examples: named, averages: None };
    for row in formed_rows(&formed, compared, occasion) {
        assert_eq!((row.eta, row.min_cos, row.pairs), (None, None, 1));
    }
}
