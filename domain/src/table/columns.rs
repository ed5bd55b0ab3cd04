//! The column lists themselves. A column is never renamed, retyped or given another meaning; new ones go at the end.

use super::{Column, ColumnType};

/// Bins of a histogram of cosines.
pub const HISTOGRAM_BINS: usize = 200;

const fn stable(
    name: &'static str,
    kind: ColumnType,
    unit: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, kind, unit, meaning, volatile: false }
}

const fn volatile(
    name: &'static str,
    kind: ColumnType,
    unit: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, kind, unit, meaning, volatile: true }
}

/// What every table starts with: the job and its settings, named as in the sweep file.
pub const IDENTITY: &[Column] = &[
    stable("job_id", ColumnType::Utf8, "", "the job: 128 bits of blake3 of its spec, hexadecimal"),
    stable("stage", ColumnType::Utf8, "", "single | tune | final"),
    stable(
        "seed",
        ColumnType::Int64,
        "",
        "the seed that all five streams share; null where they differ",
    ),
    stable("data_seed", ColumnType::Int64, "", "seed of inputs, labels and label noise"),
    stable("init_seed", ColumnType::Int64, "", "seed of the initial weights"),
    stable("order_seed", ColumnType::Int64, "", "seed of the order of examples"),
    stable("measure_seed", ColumnType::Int64, "", "seed of the choice of measured examples"),
    stable("augment_seed", ColumnType::Int64, "", "seed of augmentation"),
    stable("model_kind", ColumnType::Utf8, "", "linear | logistic | mlp | cnn | wrn"),
    stable(
        "model_width",
        ColumnType::Int32,
        "units",
        "hidden width l; widening factor of a Wide ResNet; null without hidden layers",
    ),
    stable(
        "model_depth",
        ColumnType::Int32,
        "matrices",
        "beta: hidden-to-hidden matrices of an MLP; 6n + 4 of a Wide ResNet",
    ),
    stable("model_activation", ColumnType::Utf8, "", "hidden activation"),
    stable("model_output", ColumnType::Utf8, "", "activation of the output units"),
    stable("model_init", ColumnType::Utf8, "", "initialisation of the weights"),
    stable("model_bias", ColumnType::Boolean, "", "whether layers have biases"),
    stable("model_outputs", ColumnType::Int32, "units", "output units"),
    stable(
        "model_batch_norm",
        ColumnType::Boolean,
        "",
        "batch norm; null where the model cannot have it",
    ),
    stable(
        "model_skip",
        ColumnType::Boolean,
        "",
        "skip connections; null where the model cannot have them",
    ),
    stable("model_precision", ColumnType::Utf8, "", "number format of the trial: f32 | f64"),
    stable("data_kind", ColumnType::Utf8, "", "source of the inputs"),
    stable("data_samples", ColumnType::Int32, "examples", "training examples N"),
    stable("data_dim", ColumnType::Int32, "entries", "entries d of an input"),
    stable("data_labels", ColumnType::Utf8, "", "source of the labels"),
    stable(
        "data_noise",
        ColumnType::Float64,
        "label units",
        "standard deviation of the noise on real-valued labels",
    ),
    stable("train_loss", ColumnType::Utf8, "", "squared | logistic | cross-entropy"),
    stable("train_batch", ColumnType::Int32, "examples", "examples of one step"),
    stable("train_steps", ColumnType::Int64, "steps", "SGD steps asked for"),
    stable("train_sampling", ColumnType::Utf8, "", "uniform (with replacement) | shuffle"),
    stable("train_step_size", ColumnType::Float64, "", "initial step size alpha"),
    stable("train_momentum", ColumnType::Float64, "", "momentum"),
    stable("train_weight_decay", ColumnType::Float64, "", "weight decay"),
    stable("weight_matrices", ColumnType::Int32, "matrices", "weight matrices in all"),
    stable("parameters", ColumnType::Int64, "numbers", "trained numbers, biases included"),
];

/// One row a committed job.
pub const JOBS: &[Column] = &[
    stable("status", ColumnType::Utf8, "", "completed | diverged"),
    stable("steps_done", ColumnType::Int64, "steps", "SGD steps taken"),
    stable(
        "converged_step",
        ColumnType::Int64,
        "steps",
        "measured step at which the risk fell below train.stop_below",
    ),
    stable("final_risk", ColumnType::Float64, "loss", "F(w) at the end"),
    stable("final_excess_risk", ColumnType::Float64, "loss", "F(w) - F* at the end"),
    stable(
        "final_train_accuracy",
        ColumnType::Float64,
        "share",
        "training examples classified correctly at the end",
    ),
    stable(
        "final_test_risk",
        ColumnType::Float64,
        "loss",
        "mean loss over the held-out set at the end",
    ),
    stable(
        "final_test_accuracy",
        ColumnType::Float64,
        "share",
        "held-out examples classified correctly at the end",
    ),
    stable("optimum_risk", ColumnType::Float64, "loss", "F*: the least risk, where known"),
    stable(
        "strong_convexity",
        ColumnType::Float64,
        "loss per squared weight",
        "mu: smallest non-zero eigenvalue of the Hessian of F, for quadratics",
    ),
    stable(
        "smoothness",
        ColumnType::Float64,
        "loss per squared weight",
        "largest L_i over the examples, where known",
    ),
    stable(
        "data_digest",
        ColumnType::Utf8,
        "",
        "blake3 of the data files; null for generated data",
    ),
    stable("engine_revision", ColumnType::Utf8, "", "revision of the numerical engine"),
    stable("instruction_set", ColumnType::Utf8, "", "instruction set the trial ran on"),
    stable("version", ColumnType::Utf8, "", "version of gradsweep that ran the trial"),
    stable("spec", ColumnType::Utf8, "", "the whole spec, canonical JSON"),
    stable(
        "sweep_id",
        ColumnType::Utf8,
        "",
        "the revision of the sweep that asked for the job first",
    ),
    volatile(
        "attempt",
        ColumnType::Int32,
        "attempts",
        "number of the attempt that gave the result",
    ),
    volatile("worker", ColumnType::Utf8, "", "worker process that ran it"),
    volatile("host", ColumnType::Utf8, "", "host it ran on"),
    volatile("queued_at", ColumnType::Timestamp, "", "when the job was first queued"),
    volatile(
        "started_at",
        ColumnType::Timestamp,
        "",
        "when the attempt that gave the result started",
    ),
    volatile("finished_at", ColumnType::Timestamp, "", "when it ended"),
    volatile("wall_seconds", ColumnType::Float64, "s", "wall time of that attempt"),
    volatile("cpu_seconds", ColumnType::Float64, "s", "CPU time of that attempt"),
    volatile(
        "peak_rss_bytes",
        ColumnType::Int64,
        "B",
        "largest resident memory of the trial process",
    ),
];

/// The training curve.
pub const STEPS: &[Column] = &[
    stable("step", ColumnType::Int64, "steps", "SGD updates done"),
    stable(
        "epoch",
        ColumnType::Float64,
        "epochs",
        "passes over the training set: step * batch / N",
    ),
    stable("risk", ColumnType::Float64, "loss", "F(w): mean loss over the whole training set"),
    stable("excess_risk", ColumnType::Float64, "loss", "F(w) - F*, where F* is known"),
    stable(
        "running_loss",
        ColumnType::Float64,
        "loss",
        "mean mini-batch loss since the row before",
    ),
    stable(
        "gradient_norm",
        ColumnType::Float64,
        "loss per weight",
        "Euclidean norm of the gradient of F",
    ),
    stable(
        "train_accuracy",
        ColumnType::Float64,
        "share",
        "training examples classified correctly",
    ),
    stable("test_risk", ColumnType::Float64, "loss", "mean loss over the held-out set"),
    stable("test_accuracy", ColumnType::Float64, "share", "held-out examples classified correctly"),
    stable("step_size", ColumnType::Float64, "", "step size in force"),
    volatile("elapsed_seconds", ColumnType::Float64, "s", "wall time since the attempt began"),
];

/// One row a measurement, scope and layer.
pub const CONFUSION: &[Column] = &[
    stable("step", ColumnType::Int64, "steps", "SGD updates done"),
    stable("epoch", ColumnType::Float64, "epochs", "passes over the training set"),
    stable("risk", ColumnType::Float64, "loss", "F(w): mean loss over the whole training set"),
    stable(
        "scope",
        ColumnType::Utf8,
        "",
        "what is compared: samples | batches | batch-pairs | cross-iterate",
    ),
    stable("mode", ColumnType::Utf8, "", "batch norm while measuring: eval | train"),
    stable(
        "layer",
        ColumnType::Int32,
        "",
        "index of a weight matrix from the input on; null: the whole network",
    ),
    stable("count", ColumnType::Int32, "gradients", "gradients compared, N"),
    stable("measure_batch", ColumnType::Int32, "examples", "examples in each gradient"),
    stable("pairs", ColumnType::Int64, "pairs", "pairs i < j compared"),
    stable(
        "eta",
        ColumnType::Float64,
        "loss^2 per weight^2",
        "gradient confusion: max(0, -min over i != j of <g_i, g_j>)",
    ),
    stable("relative_eta", ColumnType::Float64, "", "eta / mean |g|^2"),
    stable(
        "min_inner",
        ColumnType::Float64,
        "loss^2 per weight^2",
        "smallest inner product of a pair",
    ),
    stable(
        "argmin_i",
        ColumnType::Int32,
        "",
        "training-set index of the first gradient of that pair",
    ),
    stable(
        "argmin_j",
        ColumnType::Int32,
        "",
        "training-set index of the second gradient of that pair",
    ),
    stable("class_i", ColumnType::Int32, "", "class of the first; null without classes"),
    stable("class_j", ColumnType::Int32, "", "class of the second; null without classes"),
    stable(
        "mean_inner",
        ColumnType::Float64,
        "loss^2 per weight^2",
        "mean inner product over pairs",
    ),
    stable("min_cos", ColumnType::Float64, "", "smallest cosine of a pair of non-zero gradients"),
    stable("mean_cos", ColumnType::Float64, "", "mean cosine"),
    stable("rms_cos", ColumnType::Float64, "", "root of the mean squared cosine"),
    stable("cos_q001", ColumnType::Float64, "", "0.001 quantile of the cosines"),
    stable("cos_q01", ColumnType::Float64, "", "0.01 quantile"),
    stable("cos_q05", ColumnType::Float64, "", "0.05 quantile"),
    stable("cos_q50", ColumnType::Float64, "", "median"),
    stable(
        "negative_fraction",
        ColumnType::Float64,
        "share",
        "pairs with a negative inner product",
    ),
    stable("mean_sq_norm", ColumnType::Float64, "loss^2 per weight^2", "mean |g_i|^2"),
    stable("sq_norm_of_mean", ColumnType::Float64, "loss^2 per weight^2", "|mean g_i|^2"),
    stable("diversity", ColumnType::Float64, "", "sum |g_i|^2 / |sum g_i|^2"),
    stable("coherence", ColumnType::Float64, "", "N |mean g|^2 / mean |g|^2"),
    stable(
        "noise_scale",
        ColumnType::Float64,
        "examples",
        "trace of the gradient covariance / |mean g|^2",
    ),
    stable(
        "realised_interference",
        ColumnType::Float64,
        "loss per step size",
        "largest rise of another example's loss in one step / alpha; cross-iterate only",
    ),
    stable(
        "histogram",
        ColumnType::Histogram,
        "pairs",
        "counts of cosines in 200 equal bins of [-1, 1]",
    ),
    stable(
        "subnormal",
        ColumnType::Boolean,
        "",
        "a squared norm was below the smallest normal number: nothing that needs it is reported",
    ),
];

/// One row an attempt that ended without a result.
pub const FAILURES: &[Column] = &[
    stable(
        "sweep_id",
        ColumnType::Utf8,
        "",
        "the revision of the sweep that asked for the job first",
    ),
    volatile("attempt", ColumnType::Int32, "attempts", "number of the attempt"),
    volatile("class", ColumnType::Utf8, "", "failure class"),
    volatile("exit_code", ColumnType::Int32, "", "exit code of the trial process"),
    volatile("signal", ColumnType::Int32, "", "signal that ended the trial process"),
    volatile("message", ColumnType::Utf8, "", "one line for a person"),
    volatile("log_tail", ColumnType::Utf8, "", "last lines of the trial process's log"),
    volatile("worker", ColumnType::Utf8, "", "worker process that ran it"),
    volatile("host", ColumnType::Utf8, "", "host it ran on"),
    volatile("failed_at", ColumnType::Timestamp, "", "when the coordinator heard of it"),
];

/// One row a step at which a job's weights were kept.
pub const WEIGHTS_INDEX: &[Column] = &[
    stable("step", ColumnType::Int64, "steps", "SGD updates done"),
    volatile(
        "file",
        ColumnType::Utf8,
        "",
        "the safetensors file in the results; its arrays of this row are named <job_id>/<step>/...",
    ),
    stable("bytes", ColumnType::Int64, "bytes", "length of the arrays, which lie together"),
    stable("digest", ColumnType::Utf8, "", "blake3 of these bytes, hexadecimal"),
];

/// One row a quantity that somebody defines for themselves: a measure of a job that no column has. Reserved: nothing of ours
/// writes such a table, and what is put there as `quantities/sweep=<name>/*.parquet` is read by SQL.
pub const QUANTITIES: &[Column] = &[
    stable("step", ColumnType::Int64, "steps", "SGD updates done"),
    stable("name", ColumnType::Utf8, "", "what is measured; its unit is for the name to tell"),
    stable("value", ColumnType::Float64, "as named", "how much of it"),
];
