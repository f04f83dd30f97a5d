//! Lets everything break in simulated time, one thing at a time, and prints a line of JSON for each: when it broke, and all metrics
//! of the functions and of AWS. `tests/interop/test_alarms.py` reads it.

use std::io::{self, Write as _};

use end_to_end::silence::{run, scenarios};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    for scenario in scenarios() {
        let course = serde_json::to_string(&run(&scenario).await)?;
        writeln!(io::stdout(), "{course}")?;
    }
    Ok(())
}
