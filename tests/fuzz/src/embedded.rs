//! Targets for `sluicegate-embedded`: its file, its transactions, the messages on its socket.

use sluicegate_embedded::{
    Chain, Settings,
    disk::MemoryDisk,
    record::Record,
    transaction::{Body, Transaction},
    wire::{Answer, Question},
};

use crate::LEDGER;

/// The seed of the key that the targets' ledger signs with.
const LEDGER_KEY: [u8; 32] = [1; 32];

/// What a ledger's file begins with, and the length of a frame's header.
const MAGIC: &[u8; 16] = b"sluicegate/led1\n";
const FRAME_HEADER: usize = 12;

/// A transaction and its body: one encoding each; a changed one is not signed.
pub fn transaction(data: &[u8]) -> bool {
    if let Ok(body) = Body::decode(data) {
        assert_eq!(body.to_bytes(), data);
    }
    let Ok(transaction) = Transaction::decode(data) else { return false };
    assert_eq!(transaction.to_bytes(), data);
    if transaction.verify(LEDGER).is_ok() {
        assert!(transaction.verify("other.example").is_err(), "signed for two ledgers");
        let mut changed = transaction;
        changed.body.nonce ^= 1;
        assert!(changed.verify(LEDGER).is_err(), "signed for two nonces");
    }
    true
}

/// A record of the file: one encoding.
pub fn ledger_record(data: &[u8]) -> bool {
    let Ok(record) = Record::decode(data) else { return false };
    assert_eq!(record.to_bytes(), data);
    true
}

/// A question on the socket: one encoding.
pub fn ledger_question(data: &[u8]) -> bool {
    let Ok(question) = Question::decode(data) else { return false };
    assert_eq!(question.to_bytes(), data);
    true
}

/// An answer on the socket: one encoding.
pub fn ledger_answer(data: &[u8]) -> bool {
    let Ok(answer) = Answer::decode(data) else { return false };
    assert_eq!(answer.to_bytes(), data);
    true
}

/// A file of records, `(length of two bytes ‖ record)…`, framed here with good checksums: it opens
/// twice as the same ledger, and that ledger goes on; or it is refused.
pub fn ledger_file(data: &[u8]) -> bool {
    let Some(records) = records(data) else { return false };
    let disk = file_of(&records);
    let Ok(chain) = open_ledger(&disk) else { return false };
    let (head, signed) = (chain.head(), chain.signed_head());
    drop(chain);
    let mut again = open_ledger(&disk).expect("what opens once opens again");
    assert_eq!((again.head(), again.signed_head()), (head, signed));
    // No time is left after the last moment, so a block may be refused there.
    let _ = again.produce(head.time_ms.saturating_add(1_000));
    assert!(again.head().newest.number >= head.newest.number);
    drop(again);
    assert!(open_ledger(&disk).is_ok(), "what the ledger wrote does not open");
    true
}

/// Opens the targets' ledger on a disk, or begins it there.
pub fn open_ledger(disk: &MemoryDisk) -> Result<Chain, sluicegate_embedded::Error> {
    Chain::open(Box::new(disk.clone()), Settings::new(LEDGER), &LEDGER_KEY, 0)
}

fn records(mut data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let (record, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        records.push(record);
        data = rest;
    }
    data.is_empty().then_some(records)
}

/// A file with these records, framed with good checksums.
fn file_of(records: &[&[u8]]) -> MemoryDisk {
    let mut file = MAGIC.to_vec();
    for record in records {
        let length = u32::try_from(record.len()).expect("a record is shorter than 64 KiB");
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend(crc32fast::hash(record).to_le_bytes());
        frame.extend(crc32fast::hash(&frame).to_le_bytes());
        file.extend(frame);
        file.extend(*record);
    }
    MemoryDisk::new(file)
}

/// The records of a ledger's file, as [`ledger_file`] reads them.
pub fn records_of(disk: &MemoryDisk) -> Vec<u8> {
    let (mut rest, mut out) = (disk.bytes().split_off(MAGIC.len()), Vec::new());
    while rest.len() > FRAME_HEADER {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        out.extend([rest[1], rest[0]]);
        out.extend(&rest[FRAME_HEADER..FRAME_HEADER + length]);
        rest.drain(..FRAME_HEADER + length);
    }
    out
}
