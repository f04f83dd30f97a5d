//! The renewer's promise, over days of virtual time. `cargo run -p end-to-end --bin soak` does it for a year.

use end_to_end::soak::{Options, Report, crowd, soak};
use jiff::SignedDuration;

async fn soaked(seed: u64, days: u32) -> Report {
    let options = Options { days, rotation_days: 1, ..Options::year(seed) };
    let report = soak(options, &mut |_| {}).await.expect("the simulator starts");
    assert!(report.failure().is_none(), "{report}");
    assert!(report.runs() >= 90 * u64::from(days), "{report}");
    assert!(report.lies() > 0, "{report}");
    let (times, longest) = report.gaps_after_removals();
    assert!(longest <= SignedDuration::from_secs(150), "{report}");
    // In a day Graph may remove nothing.
    assert!(days < 4 || (report.passes() > 0 && times > 0), "{report}");
    report
}

#[tokio::test]
async fn nobody_is_without_cover_for_four_days() {
    soaked(1, 4).await;
}

#[tokio::test]
async fn nobody_is_without_cover_for_two_other_days() {
    soaked(2, 2).await;
}

#[tokio::test]
async fn nobody_is_without_cover_for_a_day_that_repeats_itself_under_its_seed() {
    let reports = [soaked(3, 1).await.to_string(), soaked(3, 1).await.to_string()];
    assert_eq!(reports[0], reports[1]);
}

/// More policies than the thousand changes that Graph lets an app make in 20 seconds.
#[tokio::test]
async fn twelve_hundred_policies_are_served_in_each_run() {
    let crowd = crowd(1200).await.unwrap();
    assert!(crowd.failure.is_none(), "{crowd}");
}
