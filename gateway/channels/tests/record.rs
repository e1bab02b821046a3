//! Records as they stand in stores of versions before this one.

use sluicegate_channels::{
    Phase, Record,
    record::{Stored as _, View},
};

/// Written when a view said only whether something was withdrawn.
const BEFORE: [(&[u8], Phase); 3] = [
    (include_bytes!("vectors/record-of-before-disputed.cbor"), Phase::Exchanging),
    (include_bytes!("vectors/record-of-before-honest.cbor"), Phase::Abandoned),
    (include_bytes!("vectors/record-of-before-restored.cbor"), Phase::Abandoned),
];

#[test]
fn a_record_of_the_version_before_is_read_and_written_in_this_one() {
    for (bytes, phase) in BEFORE {
        let record = Record::from_bytes(bytes).unwrap();
        assert_eq!(record.phase, phase);
        let of_this = View { deposits: record.view.deposits.clone(), ..View::new(1) };
        assert_eq!(record.view, of_this);
        let written = record.to_bytes();
        assert_ne!(written, bytes);
        assert_eq!(Record::from_bytes(&written).unwrap(), record);
    }
}

#[test]
fn a_record_of_the_version_before_has_one_encoding_too() {
    for (bytes, _) in BEFORE {
        assert!(Record::from_bytes(&[bytes, &[0]].concat()).is_err());
        // The first number of the record, in two bytes.
        let longer = [&bytes[..1], &[0x18, 0x01], &bytes[2..]].concat();
        assert!(Record::from_bytes(&longer).is_err());
    }
}
