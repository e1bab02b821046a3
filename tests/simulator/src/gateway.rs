//! A gateway: its node, its disk, what it wants from the ledger.
//!
//! Guarantees: a batch of outputs is durable as a whole before the first message of it leaves, and a crash keeps
//! either all of it or nothing, and any number of its messages. Does not: sleep or retry; the world does.

use std::collections::BTreeMap;

use sluicegate_channels::{
    Record,
    effect::{Intent, Notice},
    key::{Books, LastSigned, Limit, Spent},
    node::{About, DeviceKey, Node, Now, Output, Settings},
    policy::Policy,
    record::Stored,
    wire::{AddressMap, Codec, Envelope, Message, WireAddress},
};
use sluicegate_ledger::{Asset as Name, ChannelAsset, Cursor, Request};
use sluicegate_protocol::channel::{Amount, ChannelId, SigningKey};

use crate::ledger::{Account, Ledger};

/// The names of the two gateways, each other's names in their address books.
pub const NAMES: [&str; 2] = ["car", "station"];

/// The device of each.
pub const DEVICE: &str = "device";

/// Where a crash hits a batch of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before anything is durable.
    Before,
    /// When all is durable and this many messages have left.
    After(usize),
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    records: BTreeMap<ChannelId, Vec<u8>>,
    last: BTreeMap<ChannelId, Vec<u8>>,
    spent: Vec<Option<Vec<u8>>>,
    /// What the outbox holds.
    pub wanted: Vec<Request>,
    cursor: Cursor,
    /// Every hash that was ever made durable as signed, by channel and version.
    pub signed: Vec<(ChannelId, u64, [u8; 32])>,
}

/// One gateway.
pub struct Gateway {
    /// 0 or 1.
    pub number: usize,
    /// Its disk.
    pub disk: Disk,
    /// Its account on the ledger.
    pub account: Account,
    /// Its node; none while it is down.
    pub node: Option<Node>,
    /// What it was told.
    pub notices: Vec<(About, Notice)>,
    /// Each channel's newest state, as it was when it was durable: what a thief of a backup would have.
    pub history: Vec<Record>,
}

/// The key of a gateway's device.
pub fn device_key(number: usize) -> SigningKey {
    SigningKey::from_bytes(&[[0x11, 0x22][number]; 32]).unwrap()
}

/// A gateway's address on the wire.
pub fn address(number: usize) -> AddressMap {
    AddressMap::single(1, WireAddress::new(NAMES[number], None).unwrap()).unwrap()
}

fn settings(account: &Account) -> Settings {
    let asset = ChannelAsset {
        asset: Ledger::asset(),
        name: Name { symbol: "SIM".into(), decimals: 0 },
        granularity: Amount::from(1_u64),
        max: Amount::from(u64::MAX),
        min_payout: Amount::from(1_u64),
    };
    let policy = Policy {
        assets: vec![asset],
        min_challenge_s: 60,
        max_challenge_s: 3_600,
        min_channel_value: Amount::from(10_u64),
        max_deposit: Amount::from(100_000_u64),
    };
    Settings {
        address: address(0),
        policy,
        limits: vec![Limit {
            name: "all".into(),
            device: None,
            peer: None,
            asset: Ledger::asset(),
            amount: Amount::from(1_000_000_u64),
            period_s: 3_600,
        }],
        receiver: account.receiver(),
        answer_ms: 2_000,
        patience_ms: 600_000,
        max_openings: 4,
        max_channels: 16,
    }
}

impl Disk {
    /// Whether it knows no channel.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Gateway {
    /// Goes back to a disk of before; the node is gone.
    pub fn restore(&mut self, disk: Disk) {
        let signed = std::mem::take(&mut self.disk.signed);
        // What was ever signed is the checker's, not the backup's.
        self.disk = Disk { signed, ..disk };
        self.node = None;
    }

    /// A gateway without channels.
    pub fn new(number: usize) -> Self {
        let account = Account::new(u8::try_from(number).unwrap());
        let disk = Disk::default();
        let (notices, history) = (Vec::new(), Vec::new());
        let mut gateway = Self { number, disk, account, node: None, notices, history };
        gateway.start(Now { ms: 0, ledger_s: 0 });
        gateway
    }

    /// Starts from the disk. What has to be asked again is in the outputs.
    pub fn start(&mut self, now: Now) -> Vec<Output> {
        let settings = Settings { address: address(self.number), ..settings(&self.account) };
        let mut node = Node::new(settings);
        node.add_peer(NAMES[1 - self.number], address(1 - self.number));
        node.add_device(DEVICE, DeviceKey::Here(device_key(self.number)));
        let spent = self
            .disk
            .spent
            .iter()
            .map(|bytes| bytes.as_ref().map(|bytes| Spent::from_bytes(bytes).unwrap()));
        node.load_spent(spent.collect());
        for (id, bytes) in &self.disk.records {
            let record = Record::from_bytes(bytes).unwrap();
            let last = self.disk.last.get(id);
            let last = last.map(|bytes| LastSigned::from_bytes(bytes).unwrap());
            node.load(record, last, now);
        }
        let out = node.start(now);
        self.node = Some(node);
        out
    }

    /// Performs a batch of outputs. Gives the messages that left, as bytes.
    pub fn perform(
        &mut self,
        outputs: Vec<Output>,
        cursor: Option<Cursor>,
        crash: Option<Crash>,
    ) -> Vec<Vec<u8>> {
        if crash == Some(Crash::Before) {
            self.node = None;
            return Vec::new();
        }
        self.keep(&outputs);
        if let Some(cursor) = cursor {
            self.disk.cursor = cursor;
        }
        let messages = outputs.into_iter().filter_map(|output| match output {
            Output::Send { message, .. } => Some(*message),
            Output::Tell { about, notice } => {
                self.notices.push((about, notice));
                None
            }
            _ => None,
        });
        let mut messages: Vec<_> = messages.collect();
        if let Some(Crash::After(left)) = crash {
            messages.truncate(left);
            self.node = None;
        }
        messages.into_iter().map(|message| self.encode(message)).collect()
    }

    /// One transaction: records, books and intents of the batch.
    fn keep(&mut self, outputs: &[Output]) {
        let mut records: BTreeMap<ChannelId, &Record> = BTreeMap::new();
        for output in outputs {
            match output {
                Output::Keep(record) => {
                    records.insert(record.id, record);
                    self.disk.records.insert(record.id, record.to_bytes());
                    self.history.push((**record).clone());
                }
                Output::Forget { channel } => {
                    self.disk.records.remove(channel);
                    self.disk.last.remove(channel);
                }
                Output::KeepBooks { channel, books } => self.keep_books(*channel, books),
                Output::Ledger { channel, intent: Intent::CancelDeposit } => {
                    let is_deposit = |request: &Request| matches!(request, Request::Deposit(deposit) if deposit.channel == *channel);
                    self.disk.wanted.retain(|request| !is_deposit(request));
                }
                Output::Ledger { channel, intent } => {
                    let stored = self.disk.records.get(channel).unwrap();
                    let record = Record::from_bytes(stored).unwrap();
                    let key = device_key(self.number);
                    let sign = |record: &Record, amount| {
                        key.sign_withdrawal(&record.withdrawal(amount)).ok()
                    };
                    let requests = record.requests(*intent, &sign);
                    let known: Vec<_> = self.disk.wanted.iter().map(Request::key).collect();
                    let new = requests.into_iter().filter(|new| !known.contains(&new.key()));
                    self.disk.wanted.extend(new);
                }
                _ => {}
            }
        }
    }

    fn keep_books(&mut self, channel: ChannelId, books: &Books) {
        if let Some(last) = &books.last {
            self.disk.last.insert(channel, last.to_bytes());
            self.disk.signed.push((channel, last.version, last.hash));
        }
        let spent = books.spent.iter();
        self.disk.spent = spent.map(|spent| spent.as_ref().map(Stored::to_bytes)).collect();
    }

    fn encode(&self, message: Message) -> Vec<u8> {
        let (sender, recipient) = (address(self.number), address(1 - self.number));
        Codec::Perunio.encode(&Envelope { sender, recipient, message }).unwrap()
    }

    /// Where it has read the ledger's events to.
    pub const fn cursor(&self) -> &Cursor {
        &self.disk.cursor
    }

    /// The record of a channel on its disk.
    pub fn record(&self, channel: &ChannelId) -> Option<Record> {
        self.disk.records.get(channel).map(|bytes| Record::from_bytes(bytes).unwrap())
    }

    /// All its channels, as they are on the disk.
    pub fn channels(&self) -> Vec<Record> {
        self.disk.records.values().map(|bytes| Record::from_bytes(bytes).unwrap()).collect()
    }
}
