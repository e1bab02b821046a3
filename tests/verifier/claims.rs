//! What a report claims: values, names, days, times; and what may not be claimed.

use sluicegate_notary::{
    bundle::{DeviceOpening, Opening, Parts},
    entry::{Body, Entry, Genesis, Predecessor},
    verify::{Check, Report, Status, Value, Verdict},
};
use sluicegate_protocol::sha256;

use crate::{
    fixture::{Gateway, ORIGIN, at},
    judge, verdict,
};

/// The bundle with other parts than the ones it was made of, and the verdict on it.
fn swapped(gateway: &Gateway, shown: &[u64], change: impl FnOnce(&mut Parts)) -> Verdict {
    let mut bundle = gateway.bundle(gateway.full_parts(shown)).unwrap();
    change(&mut bundle.parts);
    assert!(bundle.check().is_err());
    verdict(&bundle.to_bytes(), &gateway.policy())
}

#[test]
fn a_reading_with_its_bracket() {
    let gateway = Gateway::new(1);
    let report = judge(&gateway.file(&[at::BEACON, at::READING]), &gateway.policy());
    assert_eq!(report.verdict, Verdict::Valid, "{}", report.to_text());
    let reading = &report.readings[0];
    assert_eq!((reading.index, reading.seq, reading.content_format), (2, Some(0), 50));
    assert_eq!(reading.device.as_deref(), Some("meter-1"));
    assert_eq!(reading.value, Value::Text("{\"n\":\"meter-1\",\"v\":0}".into()));
    assert_eq!(reading.after_beacon, Some(1));
    assert_eq!(report.bracket.not_before.as_ref().unwrap().number, 1);
    assert_eq!(report.bracket.not_after.as_ref().unwrap().number, 3);
    let text = report.to_text();
    for words in [
        "logged this value, unchanged since block 3",
        "order and integrity to whoever trusts this ledger key, not time",
        "Not before  block 1",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("true"));
}

#[test]
fn not_before_needs_a_beacon_below_every_reading() {
    let gateway = Gateway::new(1);
    let policy = gateway.policy();
    let shown = [at::READING, at::SECOND_BEACON, at::NEXT_DAY];
    let report = judge(&gateway.file(&shown), &policy);
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(report.bracket.not_before, None);
    let after: Vec<_> = report.readings.iter().map(|reading| reading.after_beacon).collect();
    assert_eq!(after, [None, Some(at::SECOND_BEACON)]);
    let both = judge(&gateway.file(&[1, 2, at::SECOND_BEACON, at::NEXT_DAY]), &policy);
    assert_eq!(both.bracket.not_before.unwrap().number, 1);
    assert_eq!(both.beacons.len(), 2);
}

#[test]
fn a_complete_day() {
    let gateway = Gateway::new(1);
    let report = judge(&gateway.file(&[2, 4, 6, 8, at::SUMMARY]), &gateway.policy());
    assert_eq!(report.verdict, Verdict::Valid, "{}", report.to_text());
    assert_eq!(report.days.len(), 1);
    let day = &report.days[0];
    assert_eq!((day.readings, day.complete_at, day.missing), (4, Some(at::SUMMARY), 0));
    assert_eq!(day.date, "2026-11-20");
}

#[test]
fn a_day_with_one_reading_more_or_less_is_refused() {
    let gateway = Gateway::new(1);
    for shown in [&[2, 4, 6, at::SUMMARY][..], &[4, 6, 8, at::SUMMARY], &[2, 4, 8, at::SUMMARY]] {
        assert!(gateway.bundle(gateway.full_parts(shown)).is_err(), "{shown:?}");
    }
    // A summary that counts another device's reading, or one too few, is not matched by the device's own readings.
    for summarised in [&[2, 3, 4, 6, 8][..], &[2, 4, 6]] {
        let mut other = Gateway::new(1);
        other.push_summary(summarised);
        let summary = other.entries.len() as u64 - 1;
        let shown = [2, 3, 4, 6, 8, 10, summary];
        assert!(other.bundle(other.full_parts(&shown)).is_err(), "{summarised:?}");
    }
}

#[test]
fn a_reading_after_the_summary_is_told_apart() {
    let gateway = Gateway::new(1);
    let policy = gateway.policy();
    let first = judge(&gateway.file(&[2, 4, 6, 8, at::SUMMARY, at::LATE]), &policy);
    assert_eq!(first.verdict, Verdict::Valid);
    assert_eq!((first.days[0].readings, first.days[0].after_summary), (5, 1));
    let whole = judge(&gateway.file(&[2, 4, 6, 8, at::LATE, at::SECOND_SUMMARY]), &policy);
    assert_eq!(whole.verdict, Verdict::Valid);
    assert_eq!((whole.days[0].after_summary, whole.days[0].complete_at), (0, Some(14)));
    assert!(gateway.bundle(gateway.full_parts(&[2, 4, 6, 8, at::SECOND_SUMMARY])).is_err());
}

#[test]
fn a_day_has_one_summary() {
    let gateway = Gateway::new(1);
    let both = [2, 4, 6, 8, at::SUMMARY, at::LATE, at::SECOND_SUMMARY];
    assert!(gateway.bundle(gateway.full_parts(&both)).is_err());
}

#[test]
fn a_day_is_complete_in_this_log_only() {
    let mut gateway = Gateway::new(1);
    let shown = [0, 2, 4, 6, 8, at::SUMMARY];
    let report = judge(&gateway.file(&shown), &gateway.policy());
    let days = |report: &Report| {
        let step = report.steps.iter().find(|step| step.check == Check::Days);
        step.unwrap().text.clone()
    };
    assert!(days(&report).contains("in this log") && !days(&report).contains("follows"));
    assert!(report.to_text().contains("complete in this log as it stood at entry 9"));
    let mut genesis = Entry::decode(&gateway.entries[0]).unwrap();
    let (origin, root) = (String::from("example.com/gw/0"), sha256(&[b"earlier"]));
    let previous = Some(Predecessor { origin, size: 7, root });
    genesis.body = Body::Genesis(Genesis { origin: ORIGIN.into(), previous });
    gateway.entries[0] = genesis.encode();
    let report = judge(&gateway.file(&shown), &gateway.policy());
    assert_eq!(report.verdict, Verdict::Valid, "{}", report.to_text());
    assert!(days(&report).contains("follows example.com/gw/0; readings of that day may be there"));
}

#[test]
fn what_came_late_is_not_missing() {
    let mut gateway = Gateway::new(1);
    // Number 7 came after 4; now 6 arrives, and 5 never does. The other 5 is another device's.
    gateway.push_reading("meter-1", 1501, Some(6), 0);
    gateway.push_reading("meter-2", 1501, Some(5), 0);
    let late = gateway.entries.len() as u64 - 2;
    let policy = gateway.policy();
    let missing = |shown: &[u64]| {
        let report = judge(&gateway.file(shown), &policy);
        assert_eq!(report.verdict, Verdict::Valid, "{}", report.to_text());
        report.days.iter().map(|day| day.missing).collect::<Vec<_>>()
    };
    assert_eq!(missing(&[at::NEXT_DAY]), [2]);
    assert_eq!(missing(&[at::NEXT_DAY, late]), [1]);
    let mut both = missing(&[at::READING, at::NEXT_DAY, late, late + 1]);
    both.sort_unstable();
    assert_eq!(both, [0, 0, 1]);
    let text = judge(&gateway.file(&[at::NEXT_DAY, late]), &policy).to_text();
    assert!(text.contains("1 skipped by the device's own count and not shown here"), "{text}");
    assert!(text.contains("(2 skipped before it)"), "{text}");
}

#[test]
fn gaps_erasures_and_withheld_values_are_shown() {
    let gateway = Gateway::new(1);
    let shown = [at::METER_2[0], at::METER_2[1], at::ERASURE, at::NEXT_DAY];
    let mut parts = gateway.full_parts(&shown);
    parts.openings.retain(|opening| opening.index == at::NEXT_DAY);
    let file = gateway.bundle(parts).unwrap().to_bytes();
    let report = judge(&file, &gateway.policy());
    assert_eq!(report.verdict, Verdict::Valid, "{}", report.to_text());
    assert_eq!(report.readings[0].value, Value::Withheld);
    assert_eq!((report.erasures[0].count, report.erasures[0].class.as_str()), (3, "billing"));
    let day = report.days.iter().find(|day| day.device.as_deref() == Some("meter-2")).unwrap();
    assert_eq!((day.readings, day.withheld, day.complete_at), (2, 2, None));
    assert_eq!(report.days.iter().map(|day| day.missing).sum::<u64>(), 2);
    let days = report.steps.iter().find(|step| step.check == Check::Days).unwrap();
    assert_eq!(days.status, Status::NotChecked);
}

#[test]
fn another_value_or_name_is_refused() {
    let gateway = Gateway::new(1);
    let shown = [at::READING, 3];
    let changes: [fn(&mut Parts); 8] = [
        |parts| parts.openings[0].payload[0] ^= 1,
        |parts| parts.openings[0].salt[0] ^= 1,
        |parts| parts.openings[0].index = 3,
        |parts| parts.openings.swap(0, 1),
        |parts| parts.devices[0].name.push('x'),
        |parts| parts.devices[0].epoch += 1,
        |parts| parts.devices.swap(0, 1),
        |parts| parts.devices[1] = parts.devices[0].clone(),
    ];
    for change in changes {
        assert_eq!(swapped(&gateway, &shown, change), Verdict::Invalid);
    }
}

#[test]
fn what_nothing_needs_is_refused() {
    let gateway = Gateway::new(1);
    let unused = |parts: &mut Parts| parts.devices.push(gateway.device("meter-2"));
    assert_eq!(swapped(&gateway, &[at::READING], unused), Verdict::Invalid);
    let opening = gateway.opening(at::READING).unwrap();
    let absent = |parts: &mut Parts| parts.openings = vec![Opening { index: 4, ..opening.clone() }];
    assert_eq!(swapped(&gateway, &[at::READING], absent), Verdict::Invalid);
    let of_beacon = |parts: &mut Parts| parts.openings[0].index = at::BEACON;
    assert_eq!(swapped(&gateway, &[at::BEACON, at::READING], of_beacon), Verdict::Invalid);
    let nothing = |parts: &mut Parts| parts.entries.clear();
    assert_eq!(swapped(&gateway, &[at::BEACON], nothing), Verdict::Invalid);
    let mut bundle = gateway.bundle(gateway.full_parts(&[at::READING])).unwrap();
    bundle.nodes.push(bundle.nodes[0]);
    assert_eq!(verdict(&bundle.to_bytes(), &gateway.policy()), Verdict::Invalid);
}

#[test]
fn a_pseudonym_of_another_epoch_is_refused() {
    let gateway = Gateway::new(1);
    let DeviceOpening { name, opening, epoch, .. } = gateway.device("meter-1");
    let epoch = epoch + 1;
    let pseudonym = sluicegate_protocol::commitment::pseudonym(&opening, &name, epoch);
    let other = DeviceOpening { pseudonym, name, epoch, opening };
    let change = |parts: &mut Parts| parts.devices[0] = other.clone();
    assert_eq!(swapped(&gateway, &[at::READING], change), Verdict::Invalid);
}

#[test]
fn only_the_first_entry_is_the_genesis_of_this_log() {
    let mut gateway = Gateway::new(1);
    let origin = String::from("example.com/other");
    gateway.push(0, Body::Genesis(Genesis { origin, previous: None }));
    let last = gateway.entries.len() as u64 - 1;
    assert!(gateway.bundle(gateway.full_parts(&[0])).is_ok());
    assert!(gateway.bundle(gateway.full_parts(&[last])).is_err());
}

#[test]
fn foreign_text_reaches_no_terminal() {
    let mut gateway = Gateway::new(1);
    gateway.push_reading("\u{1b}[2Jmeter\u{202e}", 5, None, 0);
    let last = gateway.entries.len() as u64 - 1;
    let mut parts = gateway.full_parts(&[last]);
    parts.devices = vec![gateway.device("\u{1b}[2Jmeter\u{202e}")];
    let report = judge(&gateway.bundle(parts).unwrap().to_bytes(), &gateway.policy());
    assert_eq!(report.verdict, Verdict::Valid);
    assert!(matches!(report.readings[0].value, Value::Hex(_)));
    let text = report.to_text();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
}
