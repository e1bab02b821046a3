//! One turn: what the node wants, as one batch for the store and a list of what follows it.
//!
//! Guarantees: nothing that shows a state stands before what keeps it; whoever carries out the list does so when the
//! batch is durable. Does not: commit or send.

use sluicegate_channels::{
    Record,
    effect::{Intent, Notice, Refusal, SignRequest},
    funder::SignWithdrawal,
    key::Limit,
    node::{About, Node, Output},
    record::Stored as _,
    wire::Message,
};
use sluicegate_ledger::Request;
use sluicegate_protocol::channel::{Amount, ChannelId};

use super::signatures;
use crate::store::channels::{Batch, ChannelRow, Wanted};

/// What is done when the batch is durable.
#[derive(Debug)]
pub(super) enum Deed {
    /// Close a peer's connection.
    Disconnect { peer: String, reason: String },
    /// Answer a command.
    Refuse { channel: ChannelId, refusal: Refusal },
    /// Send a message; it shows the signature with this place in [`Batch::shown`].
    Send { peer: String, message: Box<Message>, shows: Option<usize> },
    /// Ask a device to sign.
    Sign { channel: ChannelId, device: String, request: SignRequest },
    /// Tell whoever waits, and the log.
    Tell { about: About, notice: Notice },
}

/// A batch with its deeds.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) batch: Batch,
    pub(super) deeds: Vec<Deed>,
}

impl Turn {
    /// Adds what the node wants, in its order; `node` is as it is after that.
    pub(super) fn add(
        &mut self,
        outputs: Vec<Output>,
        node: &Node,
        limits: &[Limit],
        sign: SignWithdrawal<'_>,
    ) {
        let mut kept: Option<Box<Record>> = None;
        for output in outputs {
            match output {
                Output::Disconnect { peer, reason } => {
                    self.deeds.push(Deed::Disconnect { peer, reason });
                }
                Output::Forget { channel } => self.batch.forgotten.push(*channel.as_bytes()),
                Output::Keep(record) => {
                    self.keep(&record);
                    kept = Some(record);
                }
                Output::KeepBooks { channel, books } => {
                    if let Some(last) = &books.last {
                        self.batch.signatures.push(signatures::booked(&channel, last));
                        self.batch.lasts.push((*channel.as_bytes(), last.to_bytes()));
                    }
                    let spent = limits.iter().zip(&books.spent);
                    let spent =
                        spent.filter_map(|(l, s)| Some((l.name.clone(), s.as_ref()?.to_bytes())));
                    self.batch.spent.extend(spent);
                }
                Output::Ledger { channel, intent } => {
                    let last = kept.as_deref().filter(|record| record.id == channel);
                    if let Some(record) = last.or_else(|| node.record(&channel)) {
                        self.want(record, intent, sign);
                    }
                }
                Output::Refuse { channel, refusal } => {
                    self.deeds.push(Deed::Refuse { channel, refusal });
                }
                Output::Send { peer, message } => self.send(peer, message, node),
                Output::Sign { channel, device, request } => {
                    self.deeds.push(Deed::Sign { channel, device, request });
                }
                Output::Tell { about, notice } => self.deeds.push(Deed::Tell { about, notice }),
            }
        }
    }

    fn keep(&mut self, record: &Record) {
        let batch = &mut self.batch;
        batch.signatures.extend(signatures::signed(record));
        batch.adopted.extend(signatures::adopted(record));
        let enforced_from = record.state().map_or(0, |state| state.version);
        let (id, over) = (*record.id.as_bytes(), record.phase.is_over());
        batch.records.push(ChannelRow { id, record: record.to_bytes(), over, enforced_from });
    }

    fn want(&mut self, record: &Record, intent: Intent, sign: SignWithdrawal<'_>) {
        if intent == Intent::CancelDeposit {
            self.batch.wanted.push(Wanted::cancel(record.id.as_bytes()));
        }
        let stake = stake(record);
        let wanted = |request: Request| Wanted {
            key: *request.key().as_bytes(),
            request: request.to_bytes(),
            stake,
        };
        self.batch.wanted.extend(record.requests(intent, sign).into_iter().map(wanted));
    }

    fn send(&mut self, peer: String, message: Box<Message>, node: &Node) {
        let own = |channel: &ChannelId| node.record(channel).map(|record| record.own);
        let shows = signatures::shown(&message, own).map(|signature| {
            self.batch.shown.push(signature);
            self.batch.shown.len() - 1
        });
        self.deeds.push(Deed::Send { peer, message, shows });
    }
}

/// What a dispute is about: all that the channel holds of its first asset.
fn stake(record: &Record) -> u128 {
    let total = record.state().and_then(|state| state.total(0).ok()).unwrap_or(Amount::ZERO);
    u128::try_from(total).unwrap_or(u128::MAX)
}
