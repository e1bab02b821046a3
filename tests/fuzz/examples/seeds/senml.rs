//! Seeds for the packs of `sluicegate-protocol`: every field, every kind of number, what is passed.

use sluicegate_protocol::senml::{Decimal, Format, NewRecord, Writer};

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    let json = |name, text: &str| ("senml", name, text.as_bytes().to_vec());
    vec![
        json("json-resolved", r#"[{"n":"a","u":"Cel","t":1.320067464e+09,"v":-23.10}]"#),
        json(
            "json-base",
            r#"[{"bn":"urn:dev:","bt":1320067464,"bu":"%RH","bver":5},{"n":"x","t":-5,"v":1.2}]"#,
        ),
        json("json-unknown", r#"[{"n":"a","x":{"y":[null,[true],1E5]},"bz":"\n","vb":false}]"#),
        json(
            "json-strings",
            r#"[{"n":"a","vs":"\"\u00fc\ud83d\ude00\\"},{"n":"b","vd":"aGkgCg"}]"#,
        ),
        json("json-sum", "[ {\"bn\":\"a\",\"bs\":1e3,\"bv\":5,\n\"s\":0.5,\"ut\":60} ]"),
        json("json-not-understood", r#"[{"n":"a","x_":1,"v":1}]"#),
        ("senml", "cbor-written", pack(Format::Cbor)),
        ("senml", "json-written", pack(Format::Json)),
        (
            "senml",
            "cbor-floats",
            b"\x83\xa3\x00aa\x02\xf9\x3e\x00\x06\x24\
              \xa2\x00aa\x02\xfa\x41\xb8\xcc\xcd\
              \xa2\x00aa\x02\xfb\x41\xd3\x03\xa1\x5b\x00\x10\x62"
                .to_vec(),
        ),
        (
            "senml",
            "cbor-unknown",
            b"\x81\xbf\x00aa\x02\x01\x0a\x9f\xc1\x01\xff\x61x\xf6\xff".to_vec(),
        ),
    ]
}

fn pack(format: Format) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = Writer::new(format, &mut buffer);
    for record in [
        NewRecord::new().base_name("urn:dev:").base_time(1_320_067_464.into()).base_unit("Wh"),
        NewRecord::new().name("a").number(Decimal::new(231, -1)).sum(7.into()),
        NewRecord::new().name("b").time((-5).into()).text("\"ü\"").update_time(60.into()),
        NewRecord::new().name("c").data(&[0, 255]),
        NewRecord::new().name("d").bool(true).unit("/"),
    ] {
        writer.push(&record).expect("the records are valid and fit");
    }
    writer.finish().expect("there are measurements").to_vec()
}
