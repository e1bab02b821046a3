//! The owner's commands as the local socket brings them.
//!
//! Guarantees: a channel may be named by the first digits of its name, if they are of one only; whoever asks is answered
//! in time, also while what was asked for goes on.

use std::time::Duration;

use sluicegate_protocol::channel::{Amount, ChannelId};
use tokio::time::timeout;

use super::{Answer, Command, Handle, Summary};
use crate::wire::{ChannelRequest, OpenChannel, PayChannel, Response};

/// How long an answer may take; the command line waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fewest digits that name a channel.
const MIN_DIGITS: usize = 4;

impl Handle {
    /// Carries out a request of a local program.
    pub async fn serve(&self, request: ChannelRequest) -> Response {
        let done = async { self.command(self.understand(request).await?).await };
        match timeout(PATIENCE, done).await {
            Ok(Ok(Answer::Channels(channels))) => Response::Channels(channels),
            Ok(Ok(Answer::Terms(terms))) => Response::Terms(terms),
            // Nobody asks this way for what meters see.
            Ok(Ok(Answer::Done | Answer::Accounts(_))) => Response::Done,
            Ok(Ok(Answer::Opened(channel))) => Response::Opened(channel.to_string()),
            Ok(Err(reason)) => Response::Error(reason),
            Err(_) => Response::Error(
                "no answer yet; it goes on, do not ask again: `sluicegate channel list` shows \
                 what becomes of it"
                    .to_owned(),
            ),
        }
    }

    async fn understand(&self, request: ChannelRequest) -> Result<Command, String> {
        Ok(match request {
            ChannelRequest::Close(channel) => Command::Close(self.find(&channel).await?),
            ChannelRequest::Dispute(channel) => Command::Dispute(self.find(&channel).await?),
            ChannelRequest::List => Command::List,
            ChannelRequest::Open(OpenChannel { peer, device, own, theirs, challenge }) => {
                let (own, theirs) = (amount(&own)?, amount(&theirs)?);
                Command::Open { peer, device, own, theirs, challenge_s: challenge }
            }
            ChannelRequest::Pay(PayChannel { channel, amount: units }) => {
                Command::Pay(self.find(&channel).await?, amount(&units)?)
            }
            ChannelRequest::Show(channel) => Command::Show(self.find(&channel).await?),
            ChannelRequest::Terms => Command::Terms,
        })
    }

    async fn find(&self, digits: &str) -> Result<ChannelId, String> {
        if let Some(id) = ChannelId::from_hex(digits) {
            return Ok(id);
        }
        if digits.len() < MIN_DIGITS {
            return Err(format!("a channel is named by at least {MIN_DIGITS} digits"));
        }
        let Answer::Channels(all) = self.command(Command::List).await? else {
            return Err("the channels can't be listed".to_owned());
        };
        let digits = digits.to_ascii_lowercase();
        let mut found = all.iter().filter(|Summary { id, .. }| id.starts_with(&digits));
        match (found.next().and_then(|one| ChannelId::from_hex(&one.id)), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(format!("more than one channel begins with {digits}")),
            (None, _) => Err(format!("no channel begins with {digits}")),
        }
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    text.parse().map_err(|_| format!("{text:?} is no amount: write base units as a whole number"))
}
