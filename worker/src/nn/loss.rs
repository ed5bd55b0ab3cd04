//! The losses of one example, and their gradients in the network's outputs.

use domain::spec::Loss;

use super::Real;
use super::dispatch::Kernel;

/// [`loss_and_gradient`] of several examples.
///
/// # Shapes
/// `outputs`, `targets` and `gradients`: `[n, units]`; `losses`: `[n]`.
pub(super) struct Losses<'a, T> {
    pub loss: Loss,
    pub units: usize,
    pub outputs: &'a [T],
    pub targets: &'a [T],
    pub gradients: &'a mut [T],
    pub losses: &'a mut [T],
}

impl<T: Real> Kernel for Losses<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { loss, units, outputs, targets, gradients, losses } = self;
        let outputs = outputs.chunks_exact(units);
        let examples =
            outputs.zip(targets.chunks_exact(units)).zip(gradients.chunks_exact_mut(units));
        for (((g, target), d), value) in examples.zip(losses) {
            *value = loss_and_gradient(loss, g, target, d);
        }
    }
}

/// f for one example, with ∂f/∂g left in `gradient`.
///
/// ```text
/// squared        ½ Σₖ (gₖ − Cₖ)²            gₖ − Cₖ
/// logistic       Σₖ ln(1 + exp(−Cₖ gₖ))     −Cₖ / (1 + exp(Cₖ gₖ))
/// cross-entropy  ln Σⱼ exp(gⱼ) − Σₖ Cₖ gₖ    exp(gₖ) / Σⱼ exp(gⱼ) − Cₖ
/// ```
///
/// # Shapes
/// `outputs` (g), `target` (C) and `gradient`: `[c]`. C is real for squared, ±1 for logistic, and one-hot for
/// cross-entropy.
///
/// # Units
/// Nats for the last two.
///
/// # Numerics
/// Cross-entropy subtracts the largest output and takes ln(1 + x) of the others' sum, so that loss and gradient of a well
/// classified example keep their digits. Finite outputs give finite losses, squares apart.
#[inline(always)]
pub fn loss_and_gradient<T: Real>(
    loss: Loss,
    outputs: &[T],
    target: &[T],
    gradient: &mut [T],
) -> T {
    let units = outputs.iter().zip(target).zip(gradient.iter_mut());
    match loss {
        Loss::Squared => {
            let mut sum = T::ZERO;
            for ((&g, &c), d) in units {
                *d = g - c;
                sum += *d * *d;
            }
            T::from_f64(0.5) * sum
        }
        Loss::Logistic => {
            let mut sum = T::ZERO;
            for ((&g, &c), d) in units {
                sum += (-c * g).softplus();
                *d = -c * (-c * g).sigmoid();
            }
            sum
        }
        Loss::CrossEntropy => cross_entropy(outputs, target, gradient),
    }
}

#[inline(always)]
fn cross_entropy<T: Real>(outputs: &[T], target: &[T], gradient: &mut [T]) -> T {
    let top = (1..outputs.len()).fold(0, |top, k| if outputs[k] > outputs[top] { k } else { top });
    let largest = outputs[top];
    let (mut others, mut labelled) = (T::ZERO, T::ZERO);
    for (k, ((&g, &c), d)) in outputs.iter().zip(target).zip(gradient.iter_mut()).enumerate() {
        *d = (g - largest).exp();
        if k != top {
            others += *d;
        }
        // Off the label nothing is added: 0 · ∞ would be NaN.
        if c != T::ZERO {
            labelled += c * (largest - g);
        }
    }
    let partition = T::ONE + others;
    for (d, &c) in gradient.iter_mut().zip(target) {
        *d = *d / partition - c;
    }
    if target[top] == T::ONE {
        gradient[top] = -others / partition;
    }
    others.ln_1p() + labelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_outputs_cost_the_logarithm_of_the_classes() {
        let mut target = [0.0; 10];
        target[4] = 1.0;
        let loss = loss_and_gradient(Loss::CrossEntropy, &[3.0f64; 10], &target, &mut [0.0; 10]);
        assert!((loss - 10f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn cross_entropy_on_two_units_is_the_logistic_loss_of_their_difference() {
        for z in [-40.0f64, -3.0, 0.0, 0.25, 7.0, 40.0] {
            let (mut two, mut one) = ([0.0f64; 2], [0.0f64; 1]);
            let entropy = loss_and_gradient(Loss::CrossEntropy, &[0.0, z], &[0.0, 1.0], &mut two);
            let logistic = loss_and_gradient(Loss::Logistic, &[z], &[1.0], &mut one);
            assert!((entropy / logistic - 1.0).abs() < 1e-15, "{z}");
            assert!((two[1] / one[0] - 1.0).abs() < 1e-15 && (two[0] / one[0] + 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn extreme_outputs_stay_finite() {
        let mut gradient = [0.0f32; 2];
        let loss =
            loss_and_gradient(Loss::CrossEntropy, &[1e30, -1e30], &[1.0, 0.0], &mut gradient);
        assert_eq!((loss, gradient), (0.0, [0.0, 0.0]));
        let loss = loss_and_gradient(Loss::Logistic, &[-1e30f32], &[1.0], &mut gradient[..1]);
        assert_eq!((loss, gradient[0]), (1e30, -1.0));
    }
}
