//! `make abuse`: attacks on every surface beside honest clients. The exit code tells whether every promise
//! held; see [`tests::abuse`].

use std::process::ExitCode;

use clap::Parser;
use tests::{
    abuse::{AbuseCommand, AbuseOptions, AbuseReport, run, run_attackers},
    print_report,
};

fn main() -> ExitCode {
    let options = AbuseOptions::parse();
    if options.command == Some(AbuseCommand::Attack) {
        return match run_attackers() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("attackers: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    with_honest_clients(&options)
}

#[tokio::main]
async fn with_honest_clients(options: &AbuseOptions) -> ExitCode {
    print_report(run(options).await, options.json, AbuseReport::is_good)
}
