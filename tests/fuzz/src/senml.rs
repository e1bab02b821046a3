//! The target for SenML packs of devices.

use sluicegate_protocol::senml::{Decimal, Format, NewRecord, Pack, Record, Value, Writer};

/// A pack in one of the formats: written anew from its resolved records, it says the same.
pub fn senml(data: &[u8]) -> bool {
    let formats = [Format::Json, Format::Cbor];
    let packs = formats.into_iter().filter_map(|format| Pack::parse(format, data).ok());
    packs.inspect(check).count() > 0
}

fn check(pack: &Pack<'_>) {
    let records: Vec<_> = pack.records().map(Owned::new).collect();
    assert!(!records.is_empty() && records.len() == pack.len());
    for format in [Format::Json, Format::Cbor] {
        // The longest is an escape for each byte of a text, and the base name for each record.
        let mut buffer = vec![0; 1 << 20];
        let mut writer = Writer::new(format, &mut buffer);
        if records.iter().any(|record| writer.push(&record.record()).is_err()) {
            return;
        }
        let bytes = writer.finish().expect("there is a measurement");
        let again = Pack::parse(format, bytes).expect("what was written is accepted");
        assert_eq!(again.records().map(Owned::new).collect::<Vec<_>>(), records);
    }
}

/// A resolved record, without its place in the pack.
#[derive(PartialEq, Debug)]
struct Owned {
    name: String,
    unit: Option<String>,
    text: Option<String>,
    data: Option<Vec<u8>>,
    number: Option<Decimal>,
    truth: Option<bool>,
    sum: Option<Decimal>,
    time: Decimal,
    update_time: Option<Decimal>,
}

impl Owned {
    fn new(record: Record<'_>) -> Self {
        let numbers = [record.sum, Some(record.time), record.update_time];
        for number in numbers.into_iter().flatten() {
            assert_eq!(number.to_string().parse(), Ok(number));
        }
        let (mut text, mut data, mut number, mut truth) = (None, None, None, None);
        match record.value {
            Some(Value::Bool(value)) => truth = Some(value),
            Some(Value::Data(value)) => data = Some(value.bytes().collect()),
            Some(Value::Number(value)) => number = Some(value),
            Some(Value::Text(value)) => text = Some(value.to_string()),
            None => assert!(record.sum.is_some()),
        }
        Self {
            name: record.name.to_string(),
            unit: record.unit.map(|unit| unit.to_string()),
            text,
            data,
            number,
            truth,
            sum: record.sum,
            time: record.time,
            update_time: record.update_time,
        }
    }

    fn record(&self) -> NewRecord<'_> {
        let mut record = NewRecord::new().name(&self.name).time(self.time);
        record = self.unit.as_ref().map_or(record, |unit| record.unit(unit));
        record = self.text.as_ref().map_or(record, |text| record.text(text));
        record = self.data.as_ref().map_or(record, |data| record.data(data));
        record = self.number.map_or(record, |number| record.number(number));
        record = self.truth.map_or(record, |truth| record.bool(truth));
        record = self.sum.map_or(record, |sum| record.sum(sum));
        self.update_time.map_or(record, |time| record.update_time(time))
    }
}
