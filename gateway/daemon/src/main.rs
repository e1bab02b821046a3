//! The command `sluicegate`; everything is in [`sluicegate_daemon::cli`].

fn main() -> std::process::ExitCode {
    sluicegate_daemon::cli::main()
}
