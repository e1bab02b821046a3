//! What the gateway knows of devices that sign for themselves: addresses, challenges, which channels are theirs.
//!
//! Guarantees: what has to survive a restart is in the batch of the turn that changes it; the rest is bounded by devices
//! and channels. Does not: answer devices; [`super::device`] does.

use std::{cmp::Reverse, collections::BTreeMap};

use sluicegate_channels::{Record, node::Node};
use sluicegate_protocol::channel::{
    Address, ChannelId,
    exchange::{Channels as List, MAX_LISTED, MAX_MESSAGE, Message},
};

use crate::{
    devices::changes::{Changes, Place, State},
    store::{channels::Batch, signing::DeviceChannel},
};

/// What is known of them all.
#[derive(Default)]
pub(super) struct Signing {
    /// The addresses that they showed to have the keys of.
    pub(super) keys: BTreeMap<String, Address>,
    /// Challenges that were not answered yet.
    pub(super) challenges: BTreeMap<String, [u8; 32]>,
    /// Requests that were refused last.
    pub(super) refused: BTreeMap<ChannelId, u64>,
    /// What devices asked for and the peer has not answered: device and share, by the proposal.
    asked: BTreeMap<[u8; 32], (String, [u8; 32])>,
    channels: BTreeMap<ChannelId, Known>,
    /// Who observes channels.
    pub(super) changes: Changes,
}

/// A channel.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Greater for those that began later.
    place: usize,
    shares: Option<[[u8; 32]; 2]>,
    seen: bool,
}

impl Signing {
    /// Goes on with what the store has; `is_ours` names devices for which the gateway signs.
    pub(super) fn load(
        &mut self,
        keys: Vec<(String, [u8; 20])>,
        channels: &[DeviceChannel],
        is_ours: impl Fn(&str) -> bool,
    ) {
        let changes = std::mem::take(&mut self.changes);
        let keys = keys.into_iter().filter(|(device, _)| !is_ours(device));
        let known = |(place, channel): (usize, &DeviceChannel)| {
            let DeviceChannel { channel, shares, seen } = *channel;
            (ChannelId::new(channel), Known { place, shares, seen })
        };
        *self = Self {
            keys: keys.map(|(device, address)| (device, Address::new(address))).collect(),
            channels: channels.iter().enumerate().map(known).collect(),
            changes,
            ..Self::default()
        };
    }

    /// A device's request became this proposal.
    pub(super) fn asks(&mut self, proposal: [u8; 32], device: &str, share: [u8; 32]) {
        self.asked.insert(proposal, (device.to_owned(), share));
    }

    /// Whether a request of this device waits for its peer.
    pub(super) fn is_asking(&mut self, node: &Node, device: &str) -> bool {
        self.asked.retain(|proposal, _| node.opening(proposal).is_some());
        self.asked.values().any(|(asking, _)| asking == device)
    }

    /// The peer accepted a proposal: the channel has the shares of both.
    pub(super) fn begun(
        &mut self,
        proposal: &[u8; 32],
        peer_share: [u8; 32],
        channel: ChannelId,
        batch: &mut Batch,
    ) {
        if let Some((_, share)) = self.asked.remove(proposal) {
            self.enter(channel, Some([share, peer_share]), batch);
        }
    }

    /// Enters the channels of such devices that begin with this batch.
    pub(super) fn enter_new(&mut self, node: &Node, batch: &mut Batch) {
        let ids = batch.records.iter().map(|row| ChannelId::new(row.id));
        let new =
            ids.filter(|id| !self.channels.contains_key(id) && self.record(node, id).is_some());
        let new: Vec<_> = new.collect();
        new.into_iter().for_each(|id| self.enter(id, None, batch));
    }

    fn enter(&mut self, channel: ChannelId, shares: Option<[[u8; 32]; 2]>, batch: &mut Batch) {
        let newest = self.channels.values().map(|known| known.place).max();
        let place = newest.map_or(0, |newest| newest.saturating_add(1));
        self.channels.insert(channel, Known { place, shares, seen: false });
        let channel = *channel.as_bytes();
        batch.signing.channels.push(DeviceChannel { channel, shares, seen: false });
    }

    /// A channel whose record is not kept any more.
    pub(super) fn forget(&mut self, channel: &ChannelId) {
        self.channels.remove(channel);
        self.refused.remove(channel);
    }

    /// The channel, if it is one of such a device.
    fn record<'n>(&self, node: &'n Node, channel: &ChannelId) -> Option<&'n Record> {
        node.record(channel).filter(|record| self.keys.contains_key(&record.device))
    }

    /// The channel that a device asked for with this share.
    pub(super) fn opened(&self, node: &Node, device: &str, share: &[u8; 32]) -> Option<ChannelId> {
        let is_it = |(id, known): &(&ChannelId, &Known)| {
            known.shares.is_some_and(|[own, _]| own == *share)
                && node.record(id).is_some_and(|record| record.device == device)
        };
        self.channels.iter().find(is_it).map(|(id, _)| *id)
    }

    /// The peer's share in the nonce of a channel that the device asked for.
    pub(super) fn peer_share(&self, channel: &ChannelId) -> Option<[u8; 32]> {
        self.channels.get(channel)?.shares.map(|[_, peer]| peer)
    }

    /// The device sees the channel; a channel that is over is not listed any more from then on.
    pub(super) fn see(&mut self, record: &Record, batch: &mut Batch) {
        let known = self.channels.get_mut(&record.id).filter(|_| record.phase.is_over());
        if let Some(known) = known.filter(|known| !known.seen) {
            known.seen = true;
            batch.signing.seen.push(*record.id.as_bytes());
        }
    }

    /// The channels of a device: those that are not over, the newest first, then those whose end it has not seen.
    pub(super) fn list(&self, node: &Node, device: &str) -> List {
        let row = |(id, known): (&ChannelId, &Known)| {
            let record = node.record(id).filter(|record| record.device == device)?;
            let is_over = record.phase.is_over();
            (!(is_over && known.seen)).then_some((is_over, Reverse(known.place), *id))
        };
        let mut rows: Vec<_> = self.channels.iter().filter_map(row).collect();
        rows.sort_unstable_by_key(|(is_over, place, _)| (*is_over, *place));
        List(rows.into_iter().take(MAX_LISTED).map(|(.., id)| id).collect())
    }

    /// Tells who observes a channel, or the list that it is in, how it stands now.
    pub(super) fn tell(&self, node: &Node, channel: &ChannelId) {
        let Some(record) = self.record(node, channel) else { return };
        let device = &record.device;
        let summary = || record.summary(self.peer_share(channel)).and_then(|it| state(&it));
        self.changes.put(place(device, Some(channel)), summary);
        self.changes.put(place(device, None), || state(&self.list(node, device)));
    }
}

/// What is observed: the channels of a device, or one of them. No resource of a device has such a name.
pub(crate) fn place(device: &str, channel: Option<&ChannelId>) -> Place {
    let resource = channel.map_or("\0channels".to_owned(), |id| format!("\0channels/{id}"));
    (device.to_owned(), resource)
}

/// A message as it is sent; none if it is too long, which no well-formed channel is.
fn state(message: &impl Message) -> Option<State> {
    let format = sluicegate_protocol::channel::exchange::CONTENT_FORMAT;
    match message.encode(&mut [0; MAX_MESSAGE]) {
        Ok(bytes) => Some(State { format, bytes: bytes.to_vec() }),
        Err(error) => {
            tracing::error!(%error, "a channel can't be told to its device");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_forgotten_channel_and_the_next_one_is_the_newest() {
        let (mut signing, mut batch) = (Signing::default(), Batch::default());
        let ids = [3, 2, 1].map(|byte| ChannelId::new([byte; 32]));
        ids[..2].iter().for_each(|id| signing.enter(*id, None, &mut batch));
        signing.refused.insert(ids[0], 7);
        signing.forget(&ids[0]);
        signing.enter(ids[2], None, &mut batch);
        assert!(signing.refused.is_empty() && !signing.channels.contains_key(&ids[0]));
        assert!(signing.channels[&ids[2]].place > signing.channels[&ids[1]].place);
    }
}
