//! Result rows: what a trial measures, as typed structs, and as cells in the order of their table's own columns.

/// One value of a result row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is no such value. Also what a number that is not finite becomes: results hold no NaN.
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since the Unix epoch.
    Time(i64),
    /// Counts of a histogram.
    Counts(Vec<i64>),
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Float(number) } else { Self::Null }
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<u64> for Cell {
    /// Counts beyond 2⁶³ do not occur; they would be null rather than negative.
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Null, Self::Int)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The cells of one row, in the order of [`crate::Table::own_columns`].
pub type Row = Vec<Cell>;

/// One point of the training curve: table `steps`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepRow {
    pub step: u64,
    /// Passes over the training set so far: step · batch / N.
    pub epoch: f64,
    /// F(w): mean loss over the whole training set.
    pub risk: Option<f64>,
    /// F(w) − F*, where F* is known.
    pub excess_risk: Option<f64>,
    /// Mean mini-batch loss since the row before; `None` at step 0.
    pub running_loss: Option<f64>,
    /// |∇F(w)|.
    pub gradient_norm: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub test_risk: Option<f64>,
    pub test_accuracy: Option<f64>,
    /// The step size in force.
    pub step_size: f64,
    /// Seconds since the attempt began; volatile, filled by whoever owns a clock.
    pub elapsed_seconds: Option<f64>,
}

impl StepRow {
    /// The row as cells.
    pub fn into_row(self) -> Row {
        vec![
            self.step.into(),
            self.epoch.into(),
            self.risk.into(),
            self.excess_risk.into(),
            self.running_loss.into(),
            self.gradient_norm.into(),
            self.train_accuracy.into(),
            self.test_risk.into(),
            self.test_accuracy.into(),
            self.step_size.into(),
            self.elapsed_seconds.into(),
        ]
    }
}

/// One confusion measurement: table `confusion`. Cosines are those of pairs of gradients that are both non-zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfusionRow {
    pub step: u64,
    pub epoch: f64,
    pub risk: Option<f64>,
    pub scope: &'static str,
    /// Batch norm while measuring: `eval` (also where there is none).
    pub mode: &'static str,
    /// Index of a weight matrix from the input on; `None`: the whole network.
    pub layer: Option<u32>,
    /// Gradients compared, N.
    pub count: u32,
    /// Examples in each gradient.
    pub measure_batch: u32,
    /// Pairs i < j compared.
    pub pairs: u64,
    /// max(0, −min over i ≠ j of ⟨gᵢ, gⱼ⟩): the poster's "Gradient confusion".
    pub eta: Option<f64>,
    /// eta / mean |g|².
    pub relative_eta: Option<f64>,
    pub min_inner: Option<f64>,
    /// Training-set indices of the pair that attains `min_inner`.
    pub argmin_i: Option<u32>,
    pub argmin_j: Option<u32>,
    /// The classes of that pair, for data with classes.
    pub class_i: Option<u32>,
    pub class_j: Option<u32>,
    pub mean_inner: Option<f64>,
    pub min_cos: Option<f64>,
    pub mean_cos: Option<f64>,
    pub rms_cos: Option<f64>,
    pub cos_q001: Option<f64>,
    pub cos_q01: Option<f64>,
    pub cos_q05: Option<f64>,
    pub cos_q50: Option<f64>,
    /// Share of pairs with a negative inner product.
    pub negative_fraction: Option<f64>,
    /// mean |gᵢ|².
    pub mean_sq_norm: Option<f64>,
    /// |mean gᵢ|².
    pub sq_norm_of_mean: Option<f64>,
    /// Σ|gᵢ|² / |Σ gᵢ|² (Yin et al., 1706.05699).
    pub diversity: Option<f64>,
    /// N |mean g|² / mean |g|² (Chatterjee & Zielinski, 2008.01217): 1/diversity.
    pub coherence: Option<f64>,
    /// tr Σ / |mean g|² (McCandlish et al., 1812.06162).
    pub noise_scale: Option<f64>,
    /// max over j ≠ i of (f_j(w₊) − f_j(w)) / α; cross-iterate only.
    pub realised_interference: Option<f64>,
    /// Counts of cosines in 200 equal bins of [−1, 1].
    pub histogram: Option<Vec<i64>>,
    /// Some |gᵢ|² was below the smallest normal number, so nothing that needs it is reported.
    pub subnormal: bool,
}

impl ConfusionRow {
    /// The row as cells.
    pub fn into_row(self) -> Row {
        vec![
            self.step.into(),
            self.epoch.into(),
            self.risk.into(),
            self.scope.into(),
            self.mode.into(),
            self.layer.into(),
            self.count.into(),
            self.measure_batch.into(),
            self.pairs.into(),
            self.eta.into(),
            self.relative_eta.into(),
            self.min_inner.into(),
            self.argmin_i.into(),
            self.argmin_j.into(),
            self.class_i.into(),
            self.class_j.into(),
            self.mean_inner.into(),
            self.min_cos.into(),
            self.mean_cos.into(),
            self.rms_cos.into(),
            self.cos_q001.into(),
            self.cos_q01.into(),
            self.cos_q05.into(),
            self.cos_q50.into(),
            self.negative_fraction.into(),
            self.mean_sq_norm.into(),
            self.sq_norm_of_mean.into(),
            self.diversity.into(),
            self.coherence.into(),
            self.noise_scale.into(),
            self.realised_interference.into(),
            self.histogram.map_or(Cell::Null, Cell::Counts),
            self.subnormal.into(),
        ]
    }
}

/// What a trial knows of its own outcome: the first columns of its `jobs` row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobFigures {
    /// A loss or a weight stopped being finite: a result, not a failure.
    pub diverged: bool,
    pub steps_done: u64,
    /// The measured step at which the risk fell below `train.stop_below`.
    pub converged_step: Option<u64>,
    pub final_risk: Option<f64>,
    pub final_excess_risk: Option<f64>,
    pub final_train_accuracy: Option<f64>,
    pub final_test_risk: Option<f64>,
    pub final_test_accuracy: Option<f64>,
    /// F*, where it is known in closed form.
    pub optimum_risk: Option<f64>,
    /// μ: the smallest non-zero eigenvalue of the Hessian of F, for quadratics.
    pub strong_convexity: Option<f64>,
    /// The largest Lᵢ over the examples, where it is known.
    pub smoothness: Option<f64>,
}

impl JobFigures {
    /// The word in the column `status`.
    pub fn status(&self) -> &'static str {
        if self.diverged { "diverged" } else { "completed" }
    }
}
