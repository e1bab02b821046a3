//! What the demo checks by itself: nothing lost, nothing twice, nothing visible before it was
//! durable, every command carried out once.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use serde_json::Value;

use crate::{
    failure::{Doing, Failure, Result, expect},
    fleet::{Said, VALVE},
    plant::Command,
    proofs::Reading,
};

/// A device and what it said.
pub(crate) type Heard = (&'static str, Said);

/// Records of the effects log, by what they are about.
pub(crate) type Effects = BTreeMap<String, usize>;

/// Every `sent` has an earlier `durable` with the same hash. Gives the number of `sent` of each
/// kind; these kinds must be among them.
pub(crate) fn effects(file: &str, kinds: &[&str]) -> Result<Effects> {
    let text = fs::read_to_string(file).doing(file)?;
    let (mut durable, mut sent) = (HashSet::new(), Effects::new());
    for (number, line) in (1..).zip(text.lines()) {
        let Some((order, record)) = line.split_once(' ') else {
            return Err(Failure::new(format!("{file}:{number}: not a record: {line}")));
        };
        let kind = record.split(' ').next().unwrap_or_default();
        match order {
            "durable" => drop(durable.insert(record)),
            "sent" if durable.contains(record) => *sent.entry(kind.to_owned()).or_default() += 1,
            _ => return Err(Failure::new(format!("{file}:{number}: sent before durable: {line}"))),
        }
    }
    for kind in kinds {
        expect(sent.contains_key(*kind), || format!("{file}: no {kind} was sent"))?;
    }
    Ok(sent)
}

/// The bundles show each reading that a device was told to be logged, where it was told, and no
/// other one.
pub(crate) fn exactly_once(heard: &[Heard], readings: &[Reading]) -> Result<()> {
    for (device, said) in heard {
        let mut logged = BTreeMap::new();
        let of_device = readings.iter().filter(|reading| reading.device == *device);
        for (seq, reading) in of_device.filter_map(|reading| Some((reading.seq?, reading))) {
            let before = logged.insert(seq, reading.index);
            expect(before.is_none(), || format!("the log has reading {seq} of {device} twice"))?;
        }
        expect(logged == said.logged, || {
            format!("{device} knows of {:?}, the log has {logged:?}", said.logged)
        })?;
    }
    Ok(())
}

/// The valve carried out each command once, and the log tells it: the command, its result, and the
/// states that followed from it.
pub(crate) fn valve(readings: &[Reading], commands: &[Command], heard: &[Heard]) -> Result<()> {
    let of_valve = readings.iter().filter(|reading| reading.device == VALVE);
    let records: Vec<Value> = of_valve.filter_map(Reading::record).collect();
    let acted = heard.iter().filter(|(device, _)| *device == VALVE);
    let acted: Vec<_> = acted.flat_map(|(_, said)| &said.acted).collect();
    let wanted: Vec<_> = commands.iter().map(|made| (made.id, made.value.to_owned())).collect();
    expect(acted.iter().copied().eq(&wanted), || {
        format!("the valve was to do {wanted:?} and did {acted:?}")
    })?;
    for Command { id, value, .. } in commands {
        let with_id = |kind: &str| {
            let all = records.iter().filter_map(|record| record.get(kind));
            all.filter(|record| record["id"] == *id).count()
        };
        expect(with_id("command") == 1 && with_id("result") == 1, || {
            format!("the log does not have command {id} ({value}) and its result once: {records:?}")
        })?;
    }
    let mut states: Vec<_> =
        records.iter().filter_map(|record| record["observed"]["value"].as_str()).collect();
    states.dedup();
    expect(states == ["open", "closed", "open"], || format!("the valve was observed {states:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{fleet::METER, plant::Span};

    fn entry(device: &str, index: u64, seq: Option<u64>, text: &str) -> Reading {
        serde_json::from_value(json!({
            "index": index, "device": device, "seq": seq, "content_format": 110, "time_ms": 0,
            "value": { "text": text },
        }))
        .unwrap()
    }

    #[test]
    fn each_acknowledged_reading_is_found_once_and_in_its_place() {
        let said = Said { logged: [(1, 4), (2, 6)].into(), acted: Vec::new() };
        let heard = [(METER, said)];
        let entries =
            [(4, 1), (6, 2), (8, 3), (6, 1)].map(|(i, seq)| entry(METER, i, Some(seq), ""));
        let [first, second, third, elsewhere] = entries;
        let strange = entry("other", 9, Some(1), "");
        let holds = |log: &[&Reading]| {
            let log: Vec<Reading> = log.iter().copied().cloned().collect();
            exactly_once(&heard, &log).is_ok()
        };
        assert!(holds(&[&first, &second, &strange]));
        assert!(!holds(&[&first]));
        assert!(!holds(&[&first, &second, &third]));
        assert!(!holds(&[&first, &first, &second]));
        assert!(!holds(&[&elsewhere, &second]));
    }

    #[test]
    fn a_command_that_acts_twice_or_leaves_no_trace_is_found() {
        let record = |index, value: Value| entry(VALVE, index, None, &value.to_string());
        let observed = |index, value| {
            record(index, json!({ "observed": { "resource": "valve", "value": value } }))
        };
        let of = |kind: &str, index| record(index, json!({ kind: { "id": 7, "value": "closed" } }));
        let log = [
            observed(1, "open"),
            of("command", 2),
            of("result", 3),
            observed(4, "closed"),
            observed(5, "closed"),
            observed(6, "open"),
        ];
        let span = Span { from_ms: 0, to_ms: 0 };
        let commands = [Command { id: 7, value: "closed", span }];
        let holds = |log: &[Reading], acts: usize| {
            let acted = vec![(7, "closed".to_owned()); acts];
            valve(log, &commands, &[(VALVE, Said { logged: BTreeMap::new(), acted })]).is_ok()
        };
        assert!(holds(&log, 1));
        assert!(!holds(&log, 2) && !holds(&log, 0));
        for missing in [1, 2, 5] {
            let mut log = log.to_vec();
            log.remove(missing);
            assert!(!holds(&log, 1), "{missing}");
        }
    }
}
