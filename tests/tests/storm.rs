//! The receiver's promise among random faults. `cargo run -p end-to-end --bin storm` makes 10,000 calls.

use end_to_end::storm::{Options, Report, storm};

fn stormed(seed: u64, calls: usize, second_way: bool) -> Report {
    storm(Options { seed, calls, second_way }, &mut |_| {}).expect("the storm is set up")
}

#[test]
fn of_three_hundred_calls_none_is_lost_and_hardly_one_is_told_twice() {
    let report = stormed(1, 300, false);
    assert!(report.promise_kept(), "{report}");
}

#[test]
fn a_storm_with_a_second_way_out_repeats_itself_under_its_seed() {
    let report = stormed(2, 60, true);
    assert_eq!(report.lost(), 0, "{report}");
    assert_eq!(report.to_string(), stormed(2, 60, true).to_string());
}
