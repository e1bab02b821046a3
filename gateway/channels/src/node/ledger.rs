//! What the ledger's event stream brings.
//!
//! Guarantees: deposits and withdrawals count once, when they are final; registrations and conclusions at once, and
//! are taken back when the ledger does. The same event again changes nothing (I6). Does not: keep the cursor; it is
//! kept in the transaction that keeps what its events caused.

use sluicegate_ledger::{Event, EventKind, Finality, channels::Movement};
use sluicegate_protocol::channel::ChannelId;

use super::{Node, Now, Output};
use crate::{record::Registration, watcher::LedgerEvent};

impl Node {
    /// An event of the ledger.
    pub fn ledger(&mut self, event: &Event, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some((channel, event)) = self.translate(event)
            && let Some(record) = self.record(&channel)
        {
            let input = record.watch(event);
            self.run(channel, input, now, &mut out);
        }
        out
    }

    /// The ledger does not know any more where its events were read to: they come from their beginning, all of them.
    pub fn anew(&mut self, now: Now) -> Vec<Output> {
        let inputs: Vec<_> = self.records().map(|record| (record.id, record.anew())).collect();
        let mut out = Vec::new();
        inputs.into_iter().for_each(|(channel, input)| self.run(channel, input, now, &mut out));
        out
    }

    fn translate(&self, event: &Event) -> Option<(ChannelId, LedgerEvent)> {
        let is_back = event.finality == Finality::Retracted;
        Some(match &event.kind {
            EventKind::Deposited(paid) if event.finality == Finality::Final => {
                let (channel, asset, participant) = self.place(paid)?;
                let (amount, block) = (paid.amount, event.block.number);
                (channel, LedgerEvent::Deposited { asset, participant, amount, block })
            }
            EventKind::Withdrawn { paid, .. } if event.finality == Finality::Final => {
                let (channel, asset, participant) = self.place(paid)?;
                let is_ours = self.record(&channel)?.own == participant;
                let amount = paid.amount;
                (channel, is_ours.then_some(LedgerEvent::Withdrawn { asset, amount })?)
            }
            EventKind::Registered { channel, version, .. } if is_back => {
                (*channel, LedgerEvent::RetractedRegistration { version: *version })
            }
            EventKind::Registered { channel, version, timeout, signed } => {
                let signed =
                    signed.as_ref().map(|signed| (signed.state.clone(), signed.signatures));
                let registration = Registration {
                    version: *version,
                    hash: signed.as_ref().map(|(state, _)| *state.hash().as_bytes()),
                    timeout_s: *timeout,
                    state: signed.as_ref().map(|(state, _)| Box::new(state.clone())),
                };
                let state = signed.map(Box::new);
                (*channel, LedgerEvent::Registered { registration, state })
            }
            EventKind::Concluded { channel, .. } if is_back => {
                (*channel, LedgerEvent::RetractedConclusion)
            }
            EventKind::Concluded { channel, version } => {
                let (version, block) = (*version, event.block.number);
                (*channel, LedgerEvent::Concluded { version, block })
            }
            _ => return None,
        })
    }

    /// The channel, the asset's place and the participant's place.
    fn place(&self, paid: &Movement) -> Option<(ChannelId, usize, usize)> {
        let (channel, participant) = *self.funding.get(&paid.funding)?;
        let record = self.record(&channel)?;
        let state = record.state().or(record.pending.as_ref().map(|pending| &pending.state))?;
        let asset = state.outcome.assets.iter().position(|asset| *asset == paid.asset)?;
        Some((channel, asset, participant))
    }
}
