//! `sluicegate peer …`: what administrators of two gateways exchange.
//!
//! Guarantees: prints nothing secret. Does not: need a running gateway; the first call makes the key that a gateway uses
//! from then on.

use std::io::{self, Write};

use clap::Subcommand;

use super::Configured;
use crate::{Error, config::Config, peers::identity::Identity};

#[derive(Debug, Subcommand)]
pub(super) enum PeerCommand {
    /// Print what peers enter to reach this gateway: name, fingerprint, wire address, certificate
    Identity(Configured),
}

/// Runs `sluicegate peer …`.
pub(super) fn run(command: PeerCommand) -> Result<(), Error> {
    let PeerCommand::Identity(Configured { config: file }) = command;
    let config = Config::load(&file)?;
    let Some(channels) = &config.channels else {
        let reason = "there is no [channels] with this gateway's name".to_owned();
        return Err(Error::Configuration { file, reason });
    };
    let text = Identity::load(&config, channels)?.describe();
    drop(writeln!(io::stdout(), "{text}"));
    Ok(())
}
