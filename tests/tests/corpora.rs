//! The kept inputs of the fuzz targets: corpora, and what once broke a rule. `docs/fuzzing.md` tells how they come about.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use end_to_end::fuzzing::TARGETS;

fn directory(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(of)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Lets a target have all that is kept for it, and names each input that breaks a rule.
fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    let corpus = files(&directory("corpus").join(name));
    assert!(corpus.len() >= 5, "{name} has no corpus to speak of");
    let regressions = files(&directory("regressions").join(name));
    let broken: Vec<_> = corpus
        .into_iter()
        .chain(regressions)
        .filter(|file| {
            let input = fs::read(file).unwrap();
            catch_unwind(AssertUnwindSafe(|| target(&input))).is_err()
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_request_that_a_forger_can_make_raises_an_alert() {
    run("request");
}

#[test]
fn a_collection_is_read_as_one() {
    run("envelope");
}

#[test]
fn no_token_is_valid_that_entra_did_not_sign() {
    run("validation_token");
}

#[test]
fn claims_pass_if_they_say_what_they_must() {
    run("token_claims");
}

#[test]
fn a_keyring_is_the_same_when_it_is_written_and_read() {
    run("keyring");
}

#[test]
fn an_authentic_call_raises_one_alert_whatever_it_says() {
    run("sealed_document");
}

#[test]
fn a_document_becomes_an_alert_or_is_refused() {
    run("document");
}

#[test]
fn an_alert_keeps_its_limits_whatever_it_says() {
    run("rendering");
}

#[test]
fn answers_of_graph_are_read_for_what_they_say() {
    run("graph_answers");
}

#[test]
fn answers_of_entra_are_read_for_what_they_say() {
    run("entra_answers");
}

#[test]
fn there_is_a_fuzz_target_for_each_and_nothing_else_is_kept() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found = |of: &str| files(&directory(of)).iter().map(|path| stem(path)).collect::<BTreeSet<String>>();
    assert_eq!(found("fuzz_targets"), names);
    assert_eq!(found("corpus"), names);
    assert!(found("regressions").is_subset(&names));
    for name in &names {
        let program = fs::read_to_string(directory("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("end_to_end::fuzzing::{name}(data)")), "{name}");
    }
}

#[test]
fn the_corpora_stay_under_two_megabytes() {
    let kept = files(&directory("corpus")).into_iter().flat_map(|of_target| files(&of_target));
    let bytes: u64 = kept.map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 2_000_000, "{bytes} bytes; docs/fuzzing.md tells how to minimise them");
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
