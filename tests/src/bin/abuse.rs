//! `make abuse`: attacks on every surface beside honest clients. The exit code tells whether every promise
//! held; see [`tests::abuse`].

use std::process::ExitCode;

use clap::Parser;
use tests::{
    abuse::{AbuseCommand, AbuseOptions, AbuseReport, run, run_attackers, run_stand_in},
    print_report,
};

fn main() -> ExitCode {
    let options = AbuseOptions::parse();
    let helped = match options.command {
        None => return with_honest_clients(&options),
        Some(AbuseCommand::Attack) => run_attackers(),
        Some(AbuseCommand::StandIn) => run_stand_in(),
    };
    match helped {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("helper of the abuse: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn with_honest_clients(options: &AbuseOptions) -> ExitCode {
    print_report(run(options).await, options.json, AbuseReport::is_good)
}
