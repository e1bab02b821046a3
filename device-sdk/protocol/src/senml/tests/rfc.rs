//! The examples of RFC 8428 §5.1 and §6.

use super::*;

const DEVICE: &str = "urn:dev:ow:10e2073a01080063";

/// §5.1.2, the second.
const VOLTAGE_AND_CURRENT: &str = r#"[
  {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
   "bu":"A","bver":5,
   "n":"voltage","u":"V","v":120.1},
  {"n":"current","t":-5,"v":1.2},
  {"n":"current","t":-4,"v":1.3},
  {"n":"current","t":-3,"v":1.4},
  {"n":"current","t":-2,"v":1.5},
  {"n":"current","t":-1,"v":1.6},
  {"n":"current","v":1.7}
]"#;

/// §6, the same in CBOR.
const VOLTAGE_AND_CURRENT_CBOR: &str = "
    87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a
    31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
    22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00
    67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
    66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06
    24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
    72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc
    cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
    f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e
    74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
    74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67
    63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
    33 33 33";

/// §5.1.3.
const MEASUREMENTS: &str = r#"[
  {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,
   "bu":"%RH","v":20},
  {"u":"lon","v":24.30621},
  {"u":"lat","v":60.07965},
  {"t":60,"v":20.3},
  {"u":"lon","t":60,"v":24.30622},
  {"u":"lat","t":60,"v":60.07965},
  {"t":120,"v":20.7},
  {"u":"lon","t":120,"v":24.30623},
  {"u":"lat","t":120,"v":60.07966},
  {"u":"%EL","t":150,"v":98},
  {"t":180,"v":21.2},
  {"u":"lon","t":180,"v":24.30628},
  {"u":"lat","t":180,"v":60.07967}
]"#;

/// §5.1.4: the same, resolved.
const RESOLVED: &str = r#"[
  {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067464e+09,"v":20},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067464e+09,"v":24.30621},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067464e+09,"v":60.07965},
  {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067524e+09,"v":20.3},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067524e+09,"v":24.30622},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067524e+09,"v":60.07965},
  {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067584e+09,"v":20.7},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067584e+09,"v":24.30623},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067584e+09,"v":60.07966},
  {"n":"urn:dev:ow:10e2073a01080063","u":"%EL","t":1.320067614e+09,"v":98},
  {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067644e+09,"v":21.2},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067644e+09,"v":24.30628},
  {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067644e+09,"v":60.07967}
]"#;

#[test]
fn a_single_datapoint() {
    let pack = r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#;
    assert_eq!(json(pack), [format!("{DEVICE} @0 23.1 Cel")]);
    let pack = Pack::parse(Format::Json, pack.as_bytes()).unwrap();
    let record = pack.records().next().unwrap();
    assert!(record.is_relative() && record.name == DEVICE && pack.version() == 10);
}

#[test]
fn two_datapoints_share_a_base_name() {
    let pack = r#"[
      {"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
      {"n":"current","u":"A","v":1.2}
    ]"#;
    let resolved = [format!("{DEVICE}:voltage @0 120.1 V"), format!("{DEVICE}:current @0 1.2 A")];
    assert_eq!(json(pack), resolved);
}

#[test]
fn base_time_and_base_unit_apply_to_all() {
    let expected = [
        "voltage @1276020076.001 120.1 V",
        "current @1276020071.001 1.2 A",
        "current @1276020072.001 1.3 A",
        "current @1276020073.001 1.4 A",
        "current @1276020074.001 1.5 A",
        "current @1276020075.001 1.6 A",
        "current @1276020076.001 1.7 A",
    ];
    let expected = expected.map(|line| format!("urn:dev:ow:10e2073a0108006:{line}"));
    assert_eq!(json(VOLTAGE_AND_CURRENT), expected);
    assert_eq!(lines(Format::Cbor, &hex(VOLTAGE_AND_CURRENT_CBOR)), expected);
    let pack = Pack::parse(Format::Json, VOLTAGE_AND_CURRENT.as_bytes()).unwrap();
    assert_eq!(pack.version(), 5);
    assert!(pack.records().all(|record| !record.is_relative()));
}

#[test]
fn a_stream_that_ends_is_a_pack() {
    let pack = r#"[
      {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,
       "bu":"%RH","v":21.2},
      {"t":10,"v":21.3},
      {"t":20,"v":21.4}
    ]"#;
    let resolved = [("464", "21.2"), ("474", "21.3"), ("484", "21.4")]
        .map(|(time, value)| format!("{DEVICE} @1320067{time} {value} %RH"));
    assert_eq!(json(pack), resolved);
}

#[test]
fn measurements_are_equal_to_their_resolved_form() {
    assert_eq!(json(MEASUREMENTS).len(), 13);
    assert_eq!(json(MEASUREMENTS), json(RESOLVED));
    let (pack, resolved) = (MEASUREMENTS.as_bytes(), RESOLVED.as_bytes());
    let records = Pack::parse(Format::Json, pack).unwrap().records();
    assert!(records.eq(Pack::parse(Format::Json, resolved).unwrap().records()));
}

#[test]
fn values_of_all_types() {
    let pack = r#"[
      {"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
      {"n":"label","vs":"Machine Room"},
      {"n":"open","vb":false},
      {"n":"nfc-reader","vd":"aGkgCg"}
    ]"#;
    let resolved = [
        "temp @0 23.1 Cel",
        "label @0 \"Machine Room\"",
        "open @0 false",
        "nfc-reader @0 [104, 105, 32, 10]",
    ];
    assert_eq!(json(pack), resolved.map(|line| format!("{DEVICE}:{line}")));
}

#[test]
fn a_later_base_name_leaves_the_base_time() {
    let pack = r#"[
      {"bn":"2001:db8::2/","bt":1.320078429e+09,
       "n":"temperature","u":"Cel","v":25.2},
      {"n":"humidity","u":"%RH","v":30},
      {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
      {"n":"humidity","u":"%RH","v":67}
    ]"#;
    let resolved = [
        "2001:db8::2/temperature @1320078429 25.2 Cel",
        "2001:db8::2/humidity @1320078429 30 %RH",
        "2001:db8::1/temperature @1320078429 12.3 Cel",
        "2001:db8::1/humidity @1320078429 67 %RH",
    ];
    assert_eq!(json(pack), resolved);
}

#[test]
fn a_record_of_base_fields_is_no_measurement() {
    let pack = r#"[
      {"bn":"urn:dev:ow:10e2073a01080063:"},
      {"n":"temp","u":"Cel","v":23.1},
      {"n":"heat","u":"/","v":1},
      {"n":"fan","u":"/","v":0}
    ]"#;
    let resolved = ["temp @0 23.1 Cel", "heat @0 1 /", "fan @0 0 /"];
    assert_eq!(json(pack), resolved.map(|line| format!("{DEVICE}:{line}")));
    let pack = Pack::parse(Format::Json, pack.as_bytes()).unwrap();
    assert!(pack.records().map(|record| record.index).eq([1, 2, 3]));
}

#[test]
fn actuators_at_a_time() {
    let pack = r#"[
      {"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":1},
      {"n":"2001:db8::4","v":1}
    ]"#;
    assert_eq!(json(pack), ["2001:db8::3 @1320078429 1 /", "2001:db8::4 @1320078429 1 /"]);
    let pack = r#"[
      {"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":0.5},
      {"n":"2001:db8::4","v":0.5},
      {"n":"2001:db8::3","t":0.1,"v":0},
      {"n":"2001:db8::4","t":0.1,"v":0}
    ]"#;
    let resolved = [
        "2001:db8::3 @1320078429 0.5 /",
        "2001:db8::4 @1320078429 0.5 /",
        "2001:db8::3 @1320078429.1 0 /",
        "2001:db8::4 @1320078429.1 0 /",
    ];
    assert_eq!(json(pack), resolved);
}

#[test]
fn the_writer_writes_the_examples() {
    let mut buffer = [0; 1024];
    let mut writer = Writer::new(Format::Json, &mut buffer);
    let first = NewRecord::new().base_name(DEVICE).base_time(Decimal::new(1_320_067_464, 0));
    let records = [
        first.base_unit("%RH").number(20.into()),
        NewRecord::new().unit("lon").number(Decimal::new(2_430_621, -5)),
        NewRecord::new().time(60.into()).number(Decimal::new(203, -1)),
    ];
    records.iter().for_each(|record| writer.push(record).unwrap());
    let text = [
        r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1320067464,"bu":"%RH","v":20},"#,
        r#"{"u":"lon","v":24.30621},{"t":60,"v":20.3}]"#,
    ]
    .concat();
    assert_eq!(writer.finish().unwrap(), text.as_bytes());
    let mut writer = Writer::new(Format::Cbor, &mut buffer);
    records.iter().for_each(|record| writer.push(record).unwrap());
    let bytes = hex("83 a4 02 14 21 781b 75726e3a6465763a6f773a31306532303733613031303830303633
        22 1a4eaea188 23 63255248 a2 01 636c6f6e 02 c482 24 1a0025169d a2 02 c482 20 18cb 06 183c");
    assert_eq!(writer.finish().unwrap(), bytes);
}
