//! `sluicegate meter …`: metered payments of the running gateway.
//!
//! Guarantees: shows what the meters decide with. Does not: change anything; the configuration does.

use std::io::{self, Write};

use clap::Subcommand;

use super::{Configured, ask, refused, usable};
use crate::{
    Error,
    wire::{Request, Response},
};

#[derive(Debug, Subcommand)]
pub(super) enum MeterCommand {
    /// List the meters: what was delivered, what is due, what is paid
    List {
        #[command(flatten)]
        configured: Configured,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: MeterCommand) -> Result<(), Error> {
    let MeterCommand::List { configured, json } = command;
    let config = usable(&configured.config)?;
    let meters = match ask(&config.socket, &Request::Meters)? {
        Response::Meters(meters) => meters,
        other => return Err(refused(&config, other)),
    };
    let lines: Vec<_> = match json {
        true => vec![serde_json::to_string(&meters).unwrap_or_default()],
        false => meters.iter().map(ToString::to_string).collect(),
    };
    // A reader that went away is no error.
    lines.iter().for_each(|line| drop(writeln!(io::stdout(), "{line}")));
    Ok(())
}
