//! The storm of calls as a program; `storm --help` lists its options.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use end_to_end::storm::{Options, storm};

const HELP: &str = "\
Lets 10,000 calls come while everything around the receiver fails at random, in virtual time, and says whether any was lost.

Usage: storm [options]

  --calls N     how many; 10000 by default
  --seed N      what is drawn; by default another one each time, printed first
  --second-way  with a topic in another Region
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "storm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout();
    let Some(options) = asked(arguments, fastrand::u64(..))? else {
        out.write_all(HELP.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(out, "seed {}", options.seed)?;
    let report = storm(options, &mut |line| {
        let _ = writeln!(std::io::stdout(), "{line}");
    })?;
    write!(out, "{report}")?;
    Ok(if report.promise_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is asked for; nothing if it is help.
fn asked(arguments: &[String], seed: u64) -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options { seed, calls: 10_000, second_way: false };
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        if flag == "--help" || flag == "-h" {
            return Ok(None);
        }
        if flag == "--second-way" {
            options.second_way = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} is unknown or lacks its value; see --help"))?;
        match flag.as_str() {
            "--calls" => options.calls = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            _ => return Err(format!("{flag} is unknown; see --help").into()),
        }
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Option<Options>, Box<dyn Error>> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        asked(&arguments, 9)
    }

    #[test]
    fn options_reach_the_storm() {
        assert_eq!(options("").unwrap(), Some(Options { seed: 9, calls: 10_000, second_way: false }));
        assert_eq!(options("--calls 10 --seed 7").unwrap(), Some(Options { seed: 7, calls: 10, second_way: false }));
        assert!(options("--second-way --calls 10").unwrap().unwrap().second_way);
        assert_eq!(options("--help").unwrap(), None);
    }

    #[test]
    fn unknown_options_are_refused() {
        for text in ["--nonsense 1", "--calls", "--seed x"] {
            assert!(options(text).is_err(), "{text}");
        }
    }
}
