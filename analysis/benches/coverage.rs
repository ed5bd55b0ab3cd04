//! How often the 95 % regions hold the truth, over simulated sweeps: `cargo bench -p analysis --bench coverage`.
//!
//! Prints, for each truth, censoring and number of seeds, the share of regions that hold the true exponents, its
//! Monte-Carlo standard error, and the share that hold the poster's.

use analysis::scaling::Boundary;
use analysis::simulated::{Simulation, Truth};
use analysis::statistics::bootstrap::Clusters;
use analysis::study::{Moment, Statistic};

const SWEEPS: u64 = 500;
const RESAMPLES: usize = 500;
const POSTER: [f64; 2] = [0.5, 0.25];

fn main() {
    println!("{SWEEPS} simulated sweeps a line, {RESAMPLES} resamples each");
    println!("true p, q        depths  seeds  coverage  error  poster held  rows censored  fitted");
    for truth in [POSTER, [1.0, 0.0], [-1.0 / 3.0, 2.0 / 3.0]] {
        for (name, depths) in [("1..64", vec![1, 2, 4, 8, 16, 32, 64]), ("4..16", vec![4, 8, 16])] {
            for seeds in [5_i64, 10, 20] {
                let own: Vec<_> = (0..seeds).map(|seed| (seed, seed)).collect();
                line(truth, (name, &depths), (&seeds.to_string(), own));
            }
            let crossed = (0..5).flat_map(|data| (0..5).map(move |init| (data, init)));
            line(truth, (name, &depths), ("5x5", crossed.collect()));
        }
    }
}

fn line([p, q]: [f64; 2], (name, depths): (&str, &[i64]), (count, seeds): (&str, Vec<(i64, i64)>)) {
    let truth = Truth::Exponents { p, q, scale: 0.7 };
    let simulation = Simulation { depths: depths.to_vec(), seeds, ..Simulation::of(truth, 1) };
    let (mut held, mut poster, mut fitted, mut censored, mut rows) = (0.0, 0.0, 0, 0, 0);
    for draw in 0..SWEEPS {
        let panel = simulation.group(draw).panel(Statistic::RmsCos, Moment::Start);
        let clusters = Clusters::of(&panel.seeds);
        let estimate = Boundary::at(0.25).estimate(&panel, &clusters, RESAMPLES);
        // Sweeps of which nearly every row is censored have no exponents, and say so.
        let Some((estimate, region)) = estimate.ok().and_then(|e| Some((e.clone(), e.region?)))
        else {
            continue;
        };
        fitted += 1;
        held += f64::from(u8::from(region.contains([p, q])));
        poster += f64::from(u8::from(region.contains(POSTER)));
        censored += estimate.censored_count();
        rows += estimate.rows.len();
    }
    let n = f64::from(fitted);
    let share = held / n;
    let error = (share * (1.0 - share) / n).sqrt();
    println!(
        "{p:>6.2} {q:>6.2}  {name:>8}  {count:>5}  {share:>8.3}  {error:.3}  {:>11.3}  {:>13.2}  {fitted:>6}",
        poster / n,
        censored as f64 / rows as f64
    );
}
