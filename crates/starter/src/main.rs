//! The `kennel` program.

fn main() -> std::process::ExitCode {
    kennel_starter::cli::main()
}
