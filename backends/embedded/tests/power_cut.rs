//! The ledger's file on a disk that fails or is cut at every write and every sync, all of them, also while it recovers.
//!
//! After each restart every answered transaction is there, what was final is where it was, and every head that was
//! signed before is a beginning of the ledger as it is now.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use sluicegate_embedded::{
    Chain, Error, Settings,
    disk::Disk,
    transaction::{Body, Transaction},
};
use sluicegate_ledger::{BlockRef, Error as PortError, Request, Status, TransactionId};
use sluicegate_protocol::{
    Checkpoint, SigningKey,
    merkle::{Frontier, leaf_hash},
    note::{KeyKind, Note, VerifierKey},
    sha256,
};

const NAME: &str = "ledger.example";
const LEDGER_KEY: [u8; 32] = [1; 32];

/// What happens to the unfinished bytes when the power goes.
const SURVIVES: [Survives; 4] =
    [Survives::Nothing, Survives::Half, Survives::All, Survives::Zeroes];

#[derive(Debug, Clone, Copy)]
enum Survives {
    Nothing,
    Half,
    All,
    /// The file has its new length, but not its new content.
    Zeroes,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// One operation fails, the process lives on.
    Fails,
    /// The power goes in the middle of an operation.
    Cut,
}

#[derive(Debug, Default)]
struct Medium {
    bytes: Vec<u8>,
    durable: usize,
    operations: usize,
    trouble: Option<(usize, Trouble)>,
    dead: bool,
}

impl Medium {
    /// Counts an operation; an error is the trouble.
    fn operate(&mut self) -> io::Result<()> {
        let trouble = self.trouble.filter(|(at, _)| *at == self.operations);
        self.operations += 1;
        self.dead |= matches!(trouble, Some((_, Trouble::Cut)));
        if self.dead || trouble.is_some() { Err(io::Error::other("trouble")) } else { Ok(()) }
    }

    /// The disk after the power came back.
    fn survivor(&self, survives: Survives) -> Self {
        let (durable, open) = self.bytes.split_at(self.durable);
        let open = match survives {
            Survives::Nothing => vec![],
            Survives::Half => open[..open.len() / 2].to_vec(),
            Survives::All => open.to_vec(),
            Survives::Zeroes => vec![0; open.len()],
        };
        let bytes = [durable, &open].concat();
        Self { durable: bytes.len(), bytes, ..Self::default() }
    }
}

#[derive(Debug, Clone, Default)]
struct MemoryDisk(Arc<Mutex<Medium>>);

impl Disk for MemoryDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().bytes.clone())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        let verdict = medium.operate();
        let part = if verdict.is_ok() { bytes } else { &bytes[..bytes.len() - 1] };
        medium.bytes.extend(part);
        verdict
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        medium.operate()?;
        medium.durable = medium.bytes.len();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        medium.operate()?;
        let length = usize::try_from(length).unwrap();
        medium.bytes.truncate(length);
        medium.durable = medium.durable.min(length);
        Ok(())
    }
}

/// What the world outside was told.
#[derive(Debug, Clone, Default)]
struct Told {
    answered: Vec<TransactionId>,
    finals: Vec<(TransactionId, BlockRef)>,
    heads: Vec<String>,
}

fn open(disk: &MemoryDisk) -> Result<Chain, Error> {
    let settings = Settings { finality_blocks: 1, ..Settings::new(NAME) };
    Chain::open(Box::new(disk.clone()), settings, &LEDGER_KEY, 5_000)
}

fn transaction(account: u8, nonce: u64, fee: u64) -> Transaction {
    let key = SigningKey::from_bytes(&[account; 32]);
    let request = Request::Anchor(sha256(&[&[account], &nonce.to_be_bytes()]));
    Body::new(key.verifying_key().to_bytes(), nonce, fee, &request).sign(NAME, &key)
}

/// Everything that a ledger does; goes on after a failure, as other callers would.
fn work(chain: &mut Chain, told: &mut Told) {
    let submit = |chain: &mut Chain, told: &mut Told, transaction: Transaction| {
        if let Ok(id) = chain.submit(&transaction.to_bytes()) {
            // A transaction that a fee bump replaces is not promised any more.
            let nonce = transaction.body.nonce;
            if !(transaction.body.fee == 10 && nonce == 1) {
                told.answered.push(id);
            }
        }
        look(chain, told);
    };
    submit(chain, told, transaction(2, 0, 10));
    submit(chain, told, transaction(3, 0, 10));
    let _ = chain.produce(6_000);
    look(chain, told);
    submit(chain, told, transaction(2, 1, 10));
    submit(chain, told, transaction(2, 1, 12));
    let _ = chain.produce(7_000);
    look(chain, told);
    let _ = chain.reorg(1, true);
    look(chain, told);
    submit(chain, told, transaction(4, 0, 10));
    for time in [8_000, 9_000, 9_500] {
        let _ = chain.produce(time);
        look(chain, told);
    }
}

fn look(chain: &Chain, told: &mut Told) {
    told.heads.push(chain.signed_head());
    for id in told.answered.clone() {
        if let Status::Final { block } = chain.status(&id) {
            told.finals.push((id, block));
        }
    }
}

fn check(chain: &Chain, told: &Told, context: &str) {
    for id in &told.answered {
        assert_ne!(chain.status(id), Status::Unknown, "{context}: an answered one is lost");
    }
    for (id, block) in &told.finals {
        assert_eq!(chain.status(id), Status::Final { block: *block }, "{context}");
    }
    let key = SigningKey::from_bytes(&LEDGER_KEY).verifying_key();
    let key = VerifierKey::new(NAME, KeyKind::Note, key).unwrap();
    let finals = 0..=chain.head().finalised.number;
    let headers: Vec<_> = finals.map(|n| chain.block_evidence(n).unwrap().header).collect();
    let mut heads = told.heads.clone();
    heads.dedup();
    for head in &heads {
        let note = Note::parse(head).unwrap();
        note.verify(&key).unwrap();
        let head = Checkpoint::parse(note.text()).unwrap();
        let mut beginning = Frontier::new();
        let size = usize::try_from(head.size).unwrap();
        assert!(size <= headers.len(), "{context}: final blocks are lost");
        for header in &headers[..size] {
            beginning.push(leaf_hash(header));
        }
        assert_eq!(beginning.root(), head.root, "{context}: two heads contradict each other");
    }
}

/// Operations of a whole run, opening included.
fn operations() -> usize {
    let disk = MemoryDisk::default();
    let mut told = Told::default();
    work(&mut open(&disk).unwrap(), &mut told);
    assert_eq!(told.answered.len(), 4);
    assert!(told.finals.len() > 4);
    disk.0.lock().unwrap().operations
}

/// Opens the survivor, cut at every operation of its own recovery as well.
fn recover(medium: &Medium, survives: Survives, told: &Told, context: &str) {
    for cut in 0.. {
        let mut survivor = medium.survivor(survives);
        survivor.trouble = Some((cut, Trouble::Cut));
        let disk = MemoryDisk(Arc::new(Mutex::new(survivor)));
        let opened = open(&disk);
        let again = MemoryDisk(Arc::new(Mutex::new(disk.0.lock().unwrap().survivor(survives))));
        drop(opened);
        let mut chain = open(&again).unwrap_or_else(|error| panic!("{context}: {error}"));
        check(&chain, told, context);
        let mut told = told.clone();
        work(&mut chain, &mut told);
        check(&chain, &told, context);
        check(&open(&again).unwrap(), &told, context);
        if disk.0.lock().unwrap().operations <= cut {
            return;
        }
    }
}

#[test]
fn every_write_and_sync_fails_or_is_cut() {
    let operations = operations();
    assert!(operations > 20);
    for at in 0..=operations {
        for trouble in [Trouble::Fails, Trouble::Cut] {
            let disk = MemoryDisk::default();
            disk.0.lock().unwrap().trouble = Some((at, trouble));
            let mut told = Told::default();
            if let Ok(mut chain) = open(&disk) {
                work(&mut chain, &mut told);
            }
            let medium = disk.0.lock().unwrap();
            for survives in SURVIVES {
                let context = format!("{trouble:?} at {at}, {survives:?} survives");
                recover(&medium, survives, &told, &context);
            }
        }
    }
}

/// A file that lost all its content is not begun anew: heads were signed over what it held.
#[test]
fn only_a_file_that_never_began_may_be_zeros() {
    let zeros = |length| {
        let medium = Medium { bytes: vec![0; length], durable: length, ..Medium::default() };
        MemoryDisk(Arc::new(Mutex::new(medium)))
    };
    for length in [0, 1, 16, 100] {
        assert!(open(&zeros(length)).is_ok(), "{length}");
    }
    for length in [1_000, 100_000] {
        let disk = zeros(length);
        assert!(matches!(open(&disk), Err(Error::Corrupt { offset: 0, .. })), "{length}");
        assert_eq!(disk.0.lock().unwrap().bytes.len(), length, "left alone");
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_promised() {
    let disk = MemoryDisk::default();
    let mut chain = open(&disk).unwrap();
    let next = disk.0.lock().unwrap().operations;
    disk.0.lock().unwrap().trouble = Some((next + 1, Trouble::Fails));
    let failed = chain.submit(&transaction(2, 0, 10).to_bytes());
    assert!(matches!(failed, Err(PortError::ResultUnknown(_))), "{failed:?}");
    let later = chain.submit(&transaction(3, 0, 10).to_bytes());
    assert!(matches!(later, Err(PortError::Unavailable(_))), "{later:?}");
    assert!(chain.tick(60_000).is_err());
}

/// A finished ledger's bytes.
fn bytes() -> Vec<u8> {
    let disk = MemoryDisk::default();
    work(&mut open(&disk).unwrap(), &mut Told::default());
    let medium = disk.0.lock().unwrap();
    medium.bytes.clone()
}

fn open_bytes(bytes: Vec<u8>) -> (Result<Chain, Error>, Vec<u8>) {
    let medium = Medium { durable: bytes.len(), bytes, ..Medium::default() };
    let disk = MemoryDisk(Arc::new(Mutex::new(medium)));
    let opened = open(&disk);
    let bytes = disk.0.lock().unwrap().bytes.clone();
    (opened, bytes)
}

#[test]
fn damage_in_the_middle_is_told_and_changes_nothing() {
    let whole = bytes();
    // The last record, a block of one transaction or none, is shorter than this.
    for position in 0..whole.len() - 160 {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        let (opened, after) = open_bytes(damaged.clone());
        let told = matches!(opened, Err(Error::Corrupt { .. } | Error::NotALedger));
        assert!(told, "byte {position}");
        assert_eq!(after, damaged, "byte {position}");
    }
}

#[test]
fn a_foreign_file_and_another_key_are_refused() {
    let foreign = b"some other file that an administrator wants to keep".to_vec();
    let (opened, after) = open_bytes(foreign.clone());
    assert!(matches!(opened, Err(Error::NotALedger)));
    assert_eq!(after, foreign);
    let disk = MemoryDisk::default();
    open(&disk).unwrap();
    let other = Chain::open(Box::new(disk), Settings::new(NAME), &[9; 32], 0);
    assert!(matches!(other, Err(Error::Identity { .. })));
    let bad = Chain::open(Box::new(MemoryDisk::default()), Settings::new("a b"), &LEDGER_KEY, 0);
    assert!(matches!(bad, Err(Error::Name(_))));
}
