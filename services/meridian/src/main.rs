//! `meridian`: the four roles in one binary, and the commands of operators.

#![warn(clippy::unwrap_used)]

mod allocator;
mod arguments;
mod background_runtime;
mod backup;
mod catalogue;
mod certificates;
mod cli;
mod config;
mod demo;
mod doctor;
mod effective;
mod keys;
mod openapi;
mod peer_tls;
mod restart;
mod roles;
mod secrets;
mod serve;
mod storage;
mod write_watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    restart::once();
    restart::make_files_private();
    exit_on_closed_output();
    let arguments = cli::Arguments::parse();
    let runtime = match background_runtime::request_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("meridian cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        restart::survive_file_limits();
        cli::run(arguments).await
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meridian: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Exits quietly when the reader of the output closes the pipe (`meridian keys list | head -1`), which makes `println!`
/// panic.
fn exit_on_closed_output() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.starts_with("failed printing to stdout")) {
            // The exit code of a process that SIGPIPE terminates.
            std::process::exit(128 + 13);
        }
        default_hook(panic);
    }));
}
