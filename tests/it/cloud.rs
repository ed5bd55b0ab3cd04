//! Results in an object store: the same rows as in a folder, whatever is killed and whoever is away.

use std::process::Command;

use domain::Table;
use store::PutError;

use crate::content::{assert_once, content, content_of};
use crate::end_to_end::SMALL;
use crate::faults::{committed, slow, undisturbed};
use crate::harness::{Place, gradsweep, succeed, text, wait_for};
use crate::object_server::{Kind, ObjectServer};

const URL: &str = "s3://bucket/deep/results";

/// A client command that reads the results behind [`URL`].
fn reader(server: &ObjectServer, arguments: &[&str]) -> Command {
    let mut command = gradsweep();
    command.args(arguments).envs(server.environment());
    command
}

#[test]
fn a_killed_coordinator_and_a_store_that_is_away_cost_nothing_but_time() {
    let mut place = Place::new();
    let Some(mut server) = ObjectServer::start(Kind::SeaweedFs, &place) else { return };
    place.elsewhere = Some((URL.to_owned(), server.environment()));
    let mut coordinator = place.coordinator();
    let _worker = place.worker(2);
    succeed(place.client(&["submit"]).arg(place.sweep(&slow())));
    for target in [2, 4] {
        wait_for(|| (committed(&place) >= target).then_some(()), || coordinator.log());
        let mut flush = place.client(&["flush", "small"]);
        let mut flush = flush.spawn().expect("starts");
        // In the midst of an upload, or just before or after it.
        std::thread::sleep(std::time::Duration::from_millis(20 * target));
        coordinator.kill();
        drop(flush.wait());
        coordinator = place.coordinator();
    }
    wait_for(|| (committed(&place) >= 6).then_some(()), || coordinator.log());
    server.kill();
    let mut flush = place.client(&["flush", "small"]);
    let mut flush = flush.spawn().expect("starts");
    // It is said while it lasts, and work goes on meanwhile.
    place
        .wait_status("small", |status| status["trouble"].as_str().is_some_and(|t| t.contains(URL)));
    place.wait_status("small", |status| status["committed"] == 12);
    assert_eq!(place.status("small")["over"], false, "nothing is over before it is in place");
    server.start_again();
    place.wait_over("small");
    assert!(flush.wait().expect("it ends").success(), "the flush came through");
    assert_eq!(place.status("small")["trouble"], "", "no trouble is left");

    let found = content_of(&server.results(URL), "small");
    assert_once(found.clone(), 12);
    let expected = undisturbed(&slow());
    assert_eq!(found, expected, "{}", coordinator.log());
    let left = server.store(URL).list(".gradsweep").expect("lists");
    let probes = left.files.iter().filter(|(name, _)| name.starts_with("probe")).count();
    assert_eq!((probes, left.folders.len()), (0, 0), "no probe is left: {left:?}");
    // SeaweedFS has an object of no bytes for each folder: that is no file.
    let top = server.store(URL).list("").expect("lists");
    assert!(top.folders.contains(&"jobs".to_owned()) && top.files.is_empty(), "{top:?}");

    // Whoever reads results reads these.
    let out = place.path("report");
    succeed(reader(&server, &["report", URL, "--out"]).arg(&out));
    let html = std::fs::read_to_string(out.join("small/index.html")).expect("the page is there");
    assert!(html.contains("12 trials with a result"), "{html}");
    let id =
        expected["jobs"][0].split("job_id=Some(\"").nth(1).expect("has an id")[..12].to_owned();
    let mut export = reader(&server, &["export", URL, &id]);
    let said =
        succeed(export.arg("--weights").arg(place.path("w")).arg("--data").arg(place.path("d")));
    assert!(said.contains("has the stored bits"), "{said}");
    if cfg!(feature = "sql") {
        let query = "select count(*) as n, count(distinct job_id) as jobs from steps";
        let answer = succeed(&mut reader(&server, &["sql", URL, query, "--format", "csv"]));
        assert_eq!(answer, format!("n,jobs\n{},12\n", expected["steps"].len()));
    }
}

#[test]
fn large_files_arrive_whole_and_what_is_there_stays() {
    large_files(Kind::SeaweedFs);
}

#[test]
fn large_files_arrive_whole_at_azure_too() {
    large_files(Kind::Azurite);
}

#[test]
fn large_files_arrive_whole_in_google_s_dialect_too() {
    large_files(Kind::Google);
}

fn large_files(kind: Kind) {
    let place = Place::new();
    let Some(server) = ObjectServer::start(kind, &place) else { return };
    let store = server.store(&server.url("large"));
    store.clone().prepare().expect("one of several creators wins");
    // Three parts of an upload, and a last one that is short.
    let bytes: Vec<u8> =
        (0..25_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let put = |name: &str, bytes: &[u8]| {
        store.put(name, |sink| {
            assert!(!store.has(name).expect("looks"), "not before it is whole");
            let written = sink.write_all(bytes);
            written.map_err(|source| PutError { path: name.into(), source })
        })
    };
    for length in [bytes.len(), 100] {
        let name = format!("of/{length}.bin");
        put(&name, &bytes[..length]).expect("puts");
        put(&name, b"other").expect("is well");
        let source = store.source(&name).expect("opens");
        assert_eq!(source.length(), length as u64);
        assert!(source.bytes(0, length).expect("reads") == bytes[..length]);
        assert!(source.bytes(37, 21).expect("reads") == bytes[37..58]);
    }
    let failed = store.put("of/none", |sink| {
        sink.write_all(&bytes).expect("takes it");
        Err(PutError { path: "none".into(), source: std::io::Error::other("on purpose") })
    });
    assert!(failed.is_err() && !store.has("of/none").expect("looks"));
}

#[test]
fn a_run_may_put_its_results_into_a_bucket_and_finds_them_there_again() {
    run_into(Kind::Moto);
}

#[test]
fn a_run_may_put_its_results_into_azure_and_finds_them_there_again() {
    run_into(Kind::Azurite);
}

#[test]
fn a_run_may_put_its_results_into_a_bucket_of_google_s_dialect_and_finds_them_there_again() {
    run_into(Kind::Google);
}

/// Weights too.
fn run_into(kind: Kind) {
    let place = Place::new();
    let Some(server) = ObjectServer::start(kind, &place) else { return };
    let url = server.url("deep/results");
    let sweep_text = format!("{SMALL}\n[run]\nkeep_weights = \"final\"\n");
    let sweep = place.sweep(&sweep_text);
    let run = |arguments: &[&str]| {
        let mut command = reader(&server, &["run", "--workers", "2", "--out", &url]);
        command.arg(&sweep).args(arguments).current_dir(place.path(""));
        command.output().expect("starts")
    };
    let first = run(&[]);
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains(&format!("results of small: {url}")), "{}", text(&first));
    let state = format!("gradsweep-state/{}-bucket-deep-results/journal", &url[..2]);
    assert!(place.path(&state).is_dir());
    let local = Place::new();
    succeed(&mut local.run(&local.sweep(&sweep_text), 1));
    let found = content_of(&server.results(&url), "small");
    assert_eq!(found, content(&local.results(), "small"));
    assert_eq!(found["weights_index"].len(), 6);
    let results = server.results(&url);
    let jobs = results.read(Table::Jobs, &"small".parse().expect("a name"), &["job_id"]);
    let job = jobs.expect("reads").texts("job_id")[0].expect("never null").to_owned();
    let mut export = reader(&server, &["export", &url, &job]);
    export.arg("--weights").arg(place.path("w")).arg("--data").arg(place.path("d"));
    let said = succeed(&mut export);
    assert!(said.contains("nothing was trained again"), "{said}");
    let second = run(&[]);
    assert!(text(&second).contains("left to do"), "{}", text(&second));
    assert_eq!(content_of(&server.results(&url), "small"), found);
    // A journal that does not know of them would put them there twice.
    let other = run(&["--state", "elsewhere"]);
    assert_eq!(other.status.code(), Some(2), "{}", text(&other));
    let said = format!("6 jobs of small have results in {url} already");
    assert!(text(&other).contains(&said), "{}", text(&other));
    assert!(place.path("elsewhere/journal").is_dir());
    assert_eq!(content_of(&server.results(&url), "small"), found);
}

#[test]
fn a_store_that_lets_two_creators_win_is_refused_at_the_start() {
    let mut place = Place::new();
    let Some(server) = ObjectServer::start(Kind::Moto, &place) else { return };
    place.elsewhere = Some((URL.to_owned(), server.forgetful_environment()));
    let said = refused(&place);
    assert!(said.contains("17 of 17 creators") && said.contains("conditional writes"), "{said}");
    place.elsewhere = Some(("s3://nobodys/results".to_owned(), server.environment()));
    let said = refused(&place);
    assert!(
        said.contains("cannot write to s3://nobodys/results") && said.contains("NoSuchBucket"),
        "{said}"
    );
}

/// What a coordinator says that does not start.
fn refused(place: &Place) -> String {
    let (url, environment) = place.elsewhere.as_ref().expect("it has one");
    let mut command = gradsweep();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--results", url]);
    command.arg("--journal").arg(place.path("journal")).envs(environment.iter().cloned());
    let output = command.arg("--connection").arg(place.path("c.json")).output().expect("starts");
    assert_eq!(output.status.code(), Some(74), "{}", text(&output));
    text(&output)
}

#[test]
fn a_store_of_google_s_dialect_without_conditions_is_refused_at_the_start() {
    let mut place = Place::new();
    let Some(server) = ObjectServer::start(Kind::Google, &place) else { return };
    place.elsewhere = Some((server.url("results"), server.forgetful_environment()));
    let said = refused(&place);
    assert!(said.contains("17 of 17 creators") && said.contains("conditional writes"), "{said}");
}
