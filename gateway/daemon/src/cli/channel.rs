//! `sluicegate channel …`: payment channels of the running gateway.
//!
//! Guarantees: amounts are whole base units; a payment is asked for once. Does not: wait for ever; what is under way
//! goes on without the command.

use std::io::{self, Write};

use clap::Subcommand;

use super::{Configured, ask, refused, usable};
use crate::{
    Error,
    channels::{Summary, Terms},
    wire::{ChannelRequest, OpenChannel, PayChannel, Request, Response},
};

macro_rules! say {
    ($($part:tt)*) => {
        drop(writeln!(io::stdout(), $($part)*))
    };
}

#[derive(Debug, Subcommand)]
pub(super) enum ChannelCommand {
    /// End a channel together with the peer: both withdraw at once
    Close {
        #[command(flatten)]
        configured: Configured,
        /// The channel, or the first digits of its name
        channel: String,
    },
    /// Settle a channel on the ledger without the peer; takes as long as its challenge
    Dispute {
        #[command(flatten)]
        configured: Configured,
        /// The channel, or the first digits of its name
        channel: String,
    },
    /// List the channels
    List {
        #[command(flatten)]
        configured: Configured,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Propose a channel to a connected peer, and wait for the answer
    Open {
        #[command(flatten)]
        configured: Configured,
        /// The peer's name
        peer: String,
        /// The device whose channel it is
        device: String,
        /// What we bring, in base units
        own: String,
        /// What the peer brings, in base units
        peer_amount: String,
        /// How long a dispute can be answered, in seconds
        #[arg(long)]
        challenge: Option<u64>,
    },
    /// Pay in a channel, and wait until both have signed
    Pay {
        #[command(flatten)]
        configured: Configured,
        /// The channel, or the first digits of its name
        channel: String,
        /// How much, in base units
        amount: String,
    },
    /// Show a channel
    Show {
        #[command(flatten)]
        configured: Configured,
        /// The channel, or the first digits of its name
        channel: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a device has to know that signs for itself: the owner's account and the assets
    Terms(Configured),
}

pub(super) fn run(command: ChannelCommand) -> Result<(), Error> {
    let (configured, request, json) = match command {
        ChannelCommand::Close { configured, channel } => {
            (configured, ChannelRequest::Close(channel), false)
        }
        ChannelCommand::Dispute { configured, channel } => {
            (configured, ChannelRequest::Dispute(channel), false)
        }
        ChannelCommand::List { configured, json } => (configured, ChannelRequest::List, json),
        ChannelCommand::Open { configured, peer, device, own, peer_amount, challenge } => {
            let open = OpenChannel { peer, device, own, theirs: peer_amount, challenge };
            (configured, ChannelRequest::Open(open), false)
        }
        ChannelCommand::Pay { configured, channel, amount } => {
            (configured, ChannelRequest::Pay(PayChannel { channel, amount }), false)
        }
        ChannelCommand::Show { configured, channel, json } => {
            (configured, ChannelRequest::Show(channel), json)
        }
        ChannelCommand::Terms(configured) => (configured, ChannelRequest::Terms, false),
    };
    let config = usable(&configured.config)?;
    match ask(&config.socket, &Request::Channel(request))? {
        Response::Channels(channels) if json => {
            say!("{}", serde_json::to_string(&channels).unwrap_or_default());
        }
        Response::Channels(channels) => channels.iter().for_each(print),
        Response::Opened(channel) => say!("{channel}"),
        Response::Terms(Terms { receiver, assets }) => {
            say!("receiver  {receiver}");
            assets.iter().for_each(|asset| say!("asset     {asset}"));
        }
        Response::Done => {}
        other => return Err(refused(&config, other)),
    }
    Ok(())
}

fn print(channel: &Summary) {
    let Summary { id, peer, device, phase, own, theirs, .. } = channel;
    let version = channel.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
    say!("{id}  {phase}, version {version}, {device} with {peer}: ours {own}, theirs {theirs}");
    if let Some(deadline) = channel.deadline_s {
        let until = sluicegate_notary::verify::utc(deadline.saturating_mul(1_000));
        say!("    until {until} of the ledger");
    }
    if let Some(registered) = channel.registered {
        say!("    version {registered} is registered on the ledger");
    }
    if channel.restored {
        say!("    comes from a backup: it signs nothing more");
    }
    if let Some(reason) = &channel.ended {
        say!("    {reason}");
    }
}
