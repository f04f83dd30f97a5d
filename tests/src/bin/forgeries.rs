//! Writes the corpus of forgeries; `forgeries --help` says how.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use end_to_end::forgeries::{
    target::{LOGIN_ENDPOINT, Target},
    write,
};

const HELP: &str = "\
Writes a corpus of notifications that Graph did not send, and what a receiver must be set up with to be tried with them.

Usage: forgeries DIRECTORY [LOGIN_ENDPOINT]

LOGIN_ENDPOINT is the sign-in host that the receiver is configured with; https://login.microsoftonline.com by default.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "forgeries: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (directory, login_endpoint) = match arguments {
        [help] if help == "--help" || help == "-h" => return Ok(std::io::stdout().write_all(HELP.as_bytes())?),
        [directory] => (directory, LOGIN_ENDPOINT),
        [directory, login_endpoint] => (directory, login_endpoint.trim_end_matches('/')),
        _ => return Err("see --help".into()),
    };
    Ok(write(Path::new(directory), &Target::new(login_endpoint))?)
}
