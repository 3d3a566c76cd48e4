//! `meridian`: all roles in one binary.

#![warn(clippy::unwrap_used)]

mod background_runtime;
mod catalogue;
mod cli;
mod config;
mod demo;
mod doctor;
mod effective;
mod keys;
mod roles;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// The C library's gives big pieces back to the system and takes them again with a page fault each: up to a third of the
/// time of a long plan's proposals (measured; mimalloc 3 was slower than either and held twice the memory).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    end_with_the_reader();
    let arguments = cli::Arguments::parse();
    let runtime = match background_runtime::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("meridian cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meridian: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends quietly where whoever reads the output has seen enough (`meridian keys list | head -1`): the standard library's
/// `println!` panics then.
fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.starts_with("failed printing to stdout")) {
            // As a program that SIGPIPE has ended.
            std::process::exit(128 + 13);
        }
        usual(panic);
    }));
}
