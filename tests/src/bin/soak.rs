//! The soak of the renewer as a program; `soak --help` lists its options.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use end_to_end::soak::{Options, crowd, soak};

const HELP: &str = "\
Lets the renewer live through a year of faults in virtual time, and says whether every policy was covered all along.

Usage: soak [options]

  --days N                     how long; 365 by default
  --seed N                     what is drawn; by default another one each time, printed first
  --rotation-days N            KeyRotationDays; 30 by default
  --longest-storm MINUTES      27 by default, which excuses no gap
  --policies N                 instead: creates and renews subscriptions for N policies of one tenant
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
enum Asked {
    Help,
    Soak(Options),
    Crowd(usize),
}

fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kept = match asked(arguments, fastrand::u64(..))? {
        Asked::Help => {
            out.write_all(HELP.as_bytes())?;
            true
        }
        Asked::Soak(options) => {
            writeln!(out, "seed {}", options.seed)?;
            let report = runtime.block_on(soak(options, &mut |line| {
                let _ = writeln!(std::io::stdout(), "{line}");
            }))?;
            write!(out, "{report}")?;
            report.failure().is_none()
        }
        Asked::Crowd(policies) => {
            let crowd = runtime.block_on(crowd(policies))?;
            writeln!(out, "{policies} policies: {crowd}")?;
            crowd.failure.is_none()
        }
    };
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn asked(arguments: &[String], seed: u64) -> Result<Asked, Box<dyn Error>> {
    let mut options = Options::year(seed);
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        if flag == "--help" || flag == "-h" {
            return Ok(Asked::Help);
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} is unknown or lacks its value; see --help"))?;
        match flag.as_str() {
            "--days" => options.days = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--rotation-days" => options.rotation_days = value.parse()?,
            "--longest-storm" => options.longest_storm_minutes = value.parse()?,
            "--policies" => return Ok(Asked::Crowd(value.parse()?)),
            _ => return Err(format!("{flag} is unknown; see --help").into()),
        }
    }
    Ok(Asked::Soak(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match asked(&arguments, 9).unwrap() {
            Asked::Soak(options) => options,
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn options_reach_the_soak() {
        assert_eq!(options(""), Options::year(9));
        let short = options("--days 10 --seed 7 --rotation-days 2 --longest-storm 60");
        assert_eq!(short, Options { seed: 7, days: 10, rotation_days: 2, longest_storm_minutes: 60 });
    }

    #[test]
    fn unknown_options_are_refused() {
        for text in ["--nonsense 1", "--days", "--seed x"] {
            let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            assert!(asked(&arguments, 0).is_err(), "{text}");
        }
    }
}
