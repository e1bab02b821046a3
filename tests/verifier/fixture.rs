//! A small gateway and a small ledger in memory, whose keys follow from one number.
//!
//! Guarantees: the same number gives the same bytes; another number gives a gateway that is as good but unknown.

use sluicegate_ledger::{
    AnchorEvidence, BlockEvidence,
    evidence::{BlockHeader, Operation, Receipt},
};
use sluicegate_notary::{
    Error,
    bundle::{Bundle, DeviceOpening, Opening, Parts},
    entry::{Beacon, Body, DAY_MS, Entry, Erasure, Genesis, Reading, Summary, Timestamp, epoch_of},
    proof::NodeSource,
    tile::subtree_root,
};
use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey,
    commitment::{commit, pseudonym, pseudonym_opening, salt},
    merkle::{Frontier, empty_root, leaf_hash, node_hash},
    note::{self, KeyKind, VerifierKey},
    sha256,
};

/// Name of the log.
pub const ORIGIN: &str = "example.com/gw/1";
/// Name of the ledger.
pub const LEDGER: &str = "ledger.example";
/// The day of most readings, and the morning of that day.
pub const DAY: u32 = 20_777;
const MORNING: u64 = DAY as u64 * DAY_MS + 6 * 3_600_000;

/// Indexes in the log of [`Gateway::new`].
pub mod at {
    /// Names block 1.
    pub const BEACON: u64 = 1;
    /// The first reading of meter-1.
    pub const READING: u64 = 2;
    /// The readings of meter-1 on [`super::DAY`] before its summary.
    pub const METER_1: [u64; 4] = [2, 4, 6, 8];
    /// The readings of meter-2.
    pub const METER_2: [u64; 3] = [3, 5, 7];
    /// The summary of meter-1's day.
    pub const SUMMARY: u64 = 9;
    /// A reading of meter-1 for the same day, logged after the summary: the clock stepped back.
    pub const LATE: u64 = 10;
    /// The readings of meter-2 are erased.
    pub const ERASURE: u64 = 11;
    /// Names block 2.
    pub const SECOND_BEACON: u64 = 12;
    /// A reading of meter-1 on the next day, after a gap of two.
    pub const NEXT_DAY: u64 = 13;
    /// A summary of meter-1's whole first day, the late reading included.
    pub const SECOND_SUMMARY: u64 = 14;
}

/// Log, ledger and secrets.
pub struct Gateway {
    seed: u8,
    pub entries: Vec<Vec<u8>>,
    payloads: Vec<Option<(u64, Vec<u8>)>>,
    blocks: Vec<BlockHeader>,
}

/// Leaf hashes in memory.
pub struct Leaves(pub Vec<Digest>);

impl NodeSource for Leaves {
    type Error = Error;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
        let first = usize::try_from(index << level).unwrap();
        Ok(subtree_root(&self.0[first..first + (1 << level)]))
    }
}

impl Gateway {
    /// The log described by [`at`], and a ledger of two blocks.
    pub fn new(seed: u8) -> Self {
        let mut gateway =
            Self { seed, entries: Vec::new(), payloads: Vec::new(), blocks: Vec::new() };
        gateway.add_block(empty_root(), 0);
        gateway.add_block(empty_root(), 0);
        gateway.add_block(empty_root(), 0);
        gateway.push(0, Body::Genesis(Genesis { origin: ORIGIN.into(), previous: None }));
        gateway.push_beacon(1);
        for minute in 0..3 {
            gateway.push_reading("meter-1", minute, Some(minute), 0);
            gateway.push_reading("meter-2", minute, None, 0);
        }
        gateway.push_reading("meter-1", 3, Some(3), 0);
        gateway.push_summary(&at::METER_1);
        gateway.push_reading("meter-1", 4, Some(4), 0);
        let erasure = Erasure {
            pseudonym: gateway.pseudonym("meter-2"),
            class: "billing".into(),
            day: DAY,
            count: 3,
        };
        gateway.push(1441, Body::Erasure(erasure));
        gateway.push_beacon(2);
        gateway.push_reading("meter-1", 1500, Some(7), 2);
        gateway.push_summary(&[2, 4, 6, 8, 10]);
        gateway
    }

    /// Adds an entry, `minute` after the morning.
    pub fn push(&mut self, minute: u64, body: Body) {
        let time = Timestamp { ms: MORNING + minute * 60_000, synchronised: minute != 1 };
        self.entries.push(Entry { time, body }.encode());
        self.payloads.push(None);
    }

    fn push_beacon(&mut self, number: usize) {
        let ledger = format!("embedded:{LEDGER}");
        let block = &self.blocks[number];
        let beacon = Beacon { ledger, number: block.number, hash: block.hash() };
        self.push(0, Body::Beacon(beacon));
    }

    /// Adds two blocks to the ledger and names the second.
    pub fn name_new_blocks(&mut self) {
        self.add_block(empty_root(), 0);
        let number = self.add_block(empty_root(), 0);
        self.push_beacon(usize::try_from(number).unwrap());
    }

    /// Adds a reading.
    pub fn push_reading(&mut self, device: &str, minute: u64, seq: Option<u64>, gap: u64) {
        let index = self.entries.len() as u64;
        let payload = format!("{{\"n\":\"{device}\",\"v\":{minute}}}").into_bytes();
        let commitment = commit(&self.salt(seq, index), &payload);
        let pseudonym = self.pseudonym(device);
        let reading = Reading { pseudonym, seq, format: 50, commitment, gap };
        self.push(minute, Body::Reading(reading));
        self.payloads.pop();
        self.payloads.push(Some((seq.unwrap_or(u64::MAX), payload)));
    }

    /// Adds a summary of meter-1's day over these readings.
    pub fn push_summary(&mut self, indexes: &[u64]) {
        let mut tree = Frontier::new();
        for index in indexes {
            tree.push(leaf_hash(&self.entries[usize::try_from(*index).unwrap()]));
        }
        let (first, last) = (indexes[0], indexes[indexes.len() - 1]);
        let pseudonym = self.pseudonym("meter-1");
        let (count, root) = (tree.size(), tree.root());
        self.push(1440, Body::Summary(Summary { pseudonym, day: DAY, count, first, last, root }));
    }

    fn add_block(&mut self, root: Digest, transactions: u64) -> u64 {
        let number = self.blocks.len() as u64;
        let parent = self.blocks.last().map_or(Digest::default(), BlockHeader::hash);
        let time_ms = MORNING + number * 600_000;
        self.blocks.push(BlockHeader { number, time_ms, parent, transactions, root });
        number
    }

    fn log_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    fn ledger_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed + 1; 32])
    }

    fn witness_key(&self, number: u8) -> SigningKey {
        SigningKey::from_bytes(&[self.seed + 2 + number; 32])
    }

    fn salt(&self, seq: Option<u64>, index: u64) -> [u8; 32] {
        salt(&[self.seed; 32], seq, index)
    }

    fn pseudonym(&self, device: &str) -> [u8; 16] {
        self.device(device).pseudonym
    }

    /// What opens a device's pseudonym.
    pub fn device(&self, name: &str) -> DeviceOpening {
        let epoch = epoch_of(DAY);
        let opening = pseudonym_opening(&[self.seed; 32], name, epoch);
        let pseudonym = pseudonym(&opening, name, epoch);
        DeviceOpening { pseudonym, name: name.into(), epoch, opening }
    }

    /// What opens a reading.
    pub fn opening(&self, index: u64) -> Option<Opening> {
        let place = usize::try_from(index).unwrap();
        let (seq, payload) = self.payloads[place].clone()?;
        let seq = (seq != u64::MAX).then_some(seq);
        Some(Opening { index, salt: self.salt(seq, index), payload })
    }

    /// The hashes of the log.
    pub fn leaves(&self) -> Leaves {
        Leaves(self.entries.iter().map(|entry| leaf_hash(entry)).collect())
    }

    /// The signed checkpoint over the whole log, cosigned by these witnesses.
    pub fn checkpoint(&self, witnesses: &[u8]) -> String {
        let mut tree = Frontier::new();
        for entry in &self.entries {
            tree.push(leaf_hash(entry));
        }
        let body = Checkpoint { origin: ORIGIN, size: tree.size(), root: tree.root() }.to_string();
        let mut note = String::new();
        note::sign(&body, ORIGIN, &self.log_key(), &mut note).unwrap();
        for number in witnesses {
            let name = format!("witness{number}.example");
            let time = MORNING / 1000 + 90_000;
            note::cosign(&body, &name, &self.witness_key(*number), time, &mut note).unwrap();
        }
        note
    }

    /// The anchor of the checkpoint in a new last block, in front of another one.
    pub fn anchor(&self) -> AnchorEvidence {
        self.anchor_of(sha256(&[self.body().as_bytes()]))
    }

    /// The anchor of any digest.
    pub fn anchor_of(&self, digest: Digest) -> AnchorEvidence {
        let receipt = |byte: u8, digest| Receipt {
            transaction: sha256(&[&[byte]]),
            account: [byte; 32],
            nonce: 0,
            fee: 10,
            operation: Operation::Anchor(digest),
        };
        let (ours, other) = (receipt(1, digest), receipt(2, sha256(&[b"other"])));
        let mut ledger = Self {
            seed: self.seed,
            entries: Vec::new(),
            payloads: Vec::new(),
            blocks: self.blocks.clone(),
        };
        let number = ledger.add_block(node_hash(&ours.leaf(), &other.leaf()), 2);
        let block = ledger.block(number);
        AnchorEvidence { block, receipt: ours.to_bytes(), index: 0, path: vec![other.leaf()] }
    }

    /// A block under a signed head over all of them.
    pub fn block(&self, number: u64) -> BlockEvidence {
        let hashes: Vec<_> = self.blocks.iter().map(BlockHeader::hash).collect();
        let leaves = Leaves(hashes);
        let size = leaves.0.len() as u64;
        let root = sluicegate_notary::proof::root(&leaves, size).unwrap();
        let body = Checkpoint { origin: LEDGER, size, root }.to_string();
        let mut head = String::new();
        note::sign(&body, LEDGER, &self.ledger_key(), &mut head).unwrap();
        let header = self.blocks[usize::try_from(number).unwrap()].to_bytes();
        let path = sluicegate_notary::proof::inclusion(&leaves, number, size).unwrap();
        BlockEvidence { head, header, path }
    }

    fn body(&self) -> String {
        let note = self.checkpoint(&[]);
        note::Note::parse(&note).unwrap().text().into()
    }

    /// The parts that show these entries, with everything that opens them; neither anchored nor witnessed.
    pub fn parts(&self, indexes: &[u64]) -> Parts {
        let entries: Vec<_> = indexes
            .iter()
            .map(|index| (*index, self.entries[usize::try_from(*index).unwrap()].clone()))
            .collect();
        let decoded: Vec<_> = entries.iter().map(|(_, e)| Entry::decode(e).unwrap().body).collect();
        let used = |device: &DeviceOpening| {
            decoded.iter().any(|body| match body {
                Body::Erasure(erasure) => erasure.pseudonym == device.pseudonym,
                Body::Reading(reading) => reading.pseudonym == device.pseudonym,
                Body::Summary(summary) => summary.pseudonym == device.pseudonym,
                _ => false,
            })
        };
        let devices = ["meter-1", "meter-2"].map(|name| self.device(name));
        let beacons = decoded.iter().filter_map(|body| match body {
            Body::Beacon(beacon) => Some(self.block(beacon.number)),
            _ => None,
        });
        Parts {
            checkpoint: self.checkpoint(&[]),
            devices: devices.into_iter().filter(used).collect(),
            openings: indexes.iter().filter_map(|index| self.opening(*index)).collect(),
            anchors: Vec::new(),
            beacons: beacons.collect(),
            entries,
        }
    }

    /// [`Self::parts`], anchored and witnessed.
    pub fn full_parts(&self, indexes: &[u64]) -> Parts {
        let (anchors, checkpoint) = (vec![self.anchor()], self.checkpoint(&[0, 1]));
        Parts { anchors, checkpoint, ..self.parts(indexes) }
    }

    /// The bundle of these parts.
    pub fn bundle(&self, parts: Parts) -> Result<Bundle, Error> {
        Bundle::assemble(parts, &self.leaves())
    }

    /// The bytes of a full bundle of these entries.
    pub fn file(&self, indexes: &[u64]) -> Vec<u8> {
        self.bundle(self.full_parts(indexes)).unwrap().to_bytes()
    }

    /// The line of the log's key.
    pub fn log_line(&self) -> String {
        let key = self.log_key().verifying_key();
        format!("log {}\n", VerifierKey::new(ORIGIN, KeyKind::Note, key).unwrap())
    }

    /// The line of the ledger's key.
    pub fn ledger_line(&self) -> String {
        let key = self.ledger_key().verifying_key();
        format!("ledger {}\n", VerifierKey::new(LEDGER, KeyKind::Note, key).unwrap())
    }

    /// Lines of three witnesses and a quorum of two.
    pub fn witness_lines(&self) -> String {
        let lines = (0..3).map(|number| {
            let name = format!("witness{number}.example");
            let key = self.witness_key(number).verifying_key();
            let key = VerifierKey::new(&name, KeyKind::Cosignature, key).unwrap();
            format!("witness w{number} {key}\n")
        });
        lines.collect::<String>() + "group most 2 w0 w1 w2\nquorum most\n"
    }

    /// Log, ledger and witnesses.
    pub fn policy(&self) -> String {
        self.log_line() + &self.ledger_line() + &self.witness_lines()
    }

    /// Log and ledger, no witness.
    pub fn policy_without_witnesses(&self) -> String {
        self.log_line() + &self.ledger_line() + "quorum none\n"
    }
}
