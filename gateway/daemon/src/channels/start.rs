//! How the channels begin: after a start, a restore, or a turn that the store refused.
//!
//! Guarantees: nothing is signed before the newest anchor on the ledger was compared with the store, and nothing is
//! sent to a peer before the ledger's events were read to their end: what happened while we were away is known first.
//! A record that can't be read costs its channel and an alarm, not the others.

use std::{sync::Arc, time::Duration};

use sluicegate_channels::{
    Record,
    key::{LastSigned, Spent},
    node::{DeviceKey, Node},
    record::Stored as _,
};
use sluicegate_ledger::Cursor;
use sluicegate_protocol::channel::ChannelId;

use super::{Channels, NAP, ledger, signatures, turn::Turn};
use crate::{
    Error,
    store::channels::{Committed, StoredChannel},
};

/// Pause between two looks at whether the store may be trusted.
const PAUSE: Duration = Duration::from_millis(100);

impl Channels {
    /// Begins when the store may be trusted, and catches up with the ledger.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        while !self.keeper.insist(|desk, _| Ok(desk.is_compared())).await? {
            tokio::time::sleep(PAUSE).await;
        }
        self.load().await?;
        let mut turn = Turn::default();
        let now = self.now();
        let outputs = self.node.start(now);
        self.add(outputs, &mut turn);
        if self.keeper.insist(|desk, _| desk.recorder.store().channels_restored()).await? {
            self.settle_restored(&mut turn);
        }
        self.finish(turn).await?;
        self.catch_up().await
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        loop {
            match ledger::read(&*self.ledger, &self.cursor).await {
                Ok(page) => {
                    let was_last = page.events.is_empty();
                    let mut turn = Turn::default();
                    self.read(page, &mut turn);
                    self.finish(turn).await?;
                    if was_last {
                        return Ok(());
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the channels wait for the ledger");
                    let now = self.now();
                    self.warn(now).await;
                    tokio::time::sleep(NAP).await;
                    self.keeper.insist(|_, _| Ok(())).await?;
                }
            }
        }
    }

    /// Every channel of a restored backup signs nothing more and is settled.
    fn settle_restored(&mut self, turn: &mut Turn) {
        let now = self.now();
        let open = self.node.records().filter(|record| !record.phase.is_over());
        let ids: Vec<_> = open.map(|record| record.id).collect();
        for id in ids {
            let outputs = self.node.restored(id, now);
            self.add(outputs, turn);
        }
        turn.batch.restored_done = true;
    }

    /// A node with what is durable, and nothing else.
    async fn load(&mut self) -> Result<(), Error> {
        let names: Vec<_> = self.plan.settings.limits.iter().map(|l| l.name.clone()).collect();
        let kept = self.keeper.insist(move |desk, _| {
            let store = desk.recorder.store();
            let spent: Result<Vec<_>, _> = names.iter().map(|name| store.spent(name)).collect();
            let signing = (store.device_keys()?, store.device_channels()?);
            Ok((store.channels()?, spent?, store.channel_cursor()?, signing))
        });
        let (channels, spent, cursor, signing) = kept.await?;
        self.cursor = Cursor(cursor);
        self.node = Node::new(self.plan.settings.clone());
        for (name, address) in &self.connected {
            self.node.add_peer(name, address.clone());
        }
        for (name, key) in &self.plan.devices {
            self.node.add_device(name, key.clone());
        }
        let is_ours = |device: &str| self.plan.devices.iter().any(|(name, _)| name == device);
        self.signing.load(signing.0, &signing.1, is_ours);
        for (device, address) in &self.signing.keys {
            self.node.add_device(device, DeviceKey::Away(*address));
        }
        let spent =
            spent.iter().map(|bytes| bytes.as_deref().and_then(|b| Spent::from_bytes(b).ok()));
        self.node.load_spent(spent.collect());
        let now = self.now();
        for channel in channels {
            match read_channel(&channel) {
                Ok((record, last)) => {
                    // The process before this one may have ended between the commit and the lines about it.
                    let durable =
                        [signatures::signed(&record), Vec::from_iter(signatures::adopted(&record))];
                    self.effects.durable_signatures(durable.iter().flatten());
                    self.node.load(record, last, now);
                }
                Err(reason) => {
                    let id = ChannelId::from_slice(&channel.id).unwrap_or_default();
                    let text = format!(
                        "channel {id} can't be read and is left alone: {reason}. Settle it from \
                         the peer's side, or restore a backup"
                    );
                    self.alarm(text).await;
                }
            }
        }
        Ok(())
    }

    /// The store refused a signature: the record was behind what our key has signed. As if it came from a backup, the
    /// channel signs nothing more and is settled; nothing of the turn has happened.
    pub(super) async fn begin_again(
        &mut self,
        channel: [u8; 32],
        version: u64,
    ) -> Result<(), Error> {
        let id = ChannelId::new(channel);
        self.alarm(format!(
            "channel {id}: another state with version {version} or a newer one was signed before, \
             so this one was not. The channel signs nothing more and is settled on the ledger"
        ))
        .await;
        self.pages.clear();
        self.answers.clear();
        self.told.clear();
        self.waiting.clear();
        self.load().await?;
        let now = self.now();
        let mut turn = Turn::default();
        let outputs = self.node.restored(id, now);
        self.add(outputs, &mut turn);
        let Turn { batch, deeds } = turn;
        let batch = Arc::new(batch);
        match self.commit(&batch).await? {
            Committed::Stored { unknown } => self.carry_out(deeds, &batch.shown, &unknown).await,
            // It signs nothing in memory either, and the next start tries again.
            Committed::Refused { .. } => {
                let text = "its record and its signatures in the store contradict each other";
                self.alarm(format!("channel {id}: {text}")).await;
            }
        }
        let mut turn = Turn::default();
        let peers: Vec<_> = self.connected.keys().cloned().collect();
        for peer in peers {
            let outputs = self.node.connected(&peer, now);
            self.add(outputs, &mut turn);
        }
        Box::pin(self.finish(turn)).await
    }
}

fn read_channel(channel: &StoredChannel) -> Result<(Record, Option<LastSigned>), String> {
    let record = Record::from_bytes(&channel.record).map_err(|error| error.to_string())?;
    let last = channel.last.as_deref().map(LastSigned::from_bytes).transpose();
    Ok((record, last.map_err(|error| error.to_string())?))
}
