//! What is refused, by which rule, and what is not.

use super::*;

#[test]
fn a_refusal_names_the_record_and_the_rule() {
    for (pack, text) in [
        (r#"[{"n":"a","v":1},{"n":"b"}]"#, "record 1: neither a value nor a sum"),
        (r#"[{"n":"a","v":1},{}]"#, "record 1: no field"),
        (r#"[{"n":"a","v":1,"vs":"x"}]"#, "record 0, vs: a second value in one record"),
        (r#"[{"n":"a","v":1,"v":1}]"#, "record 0, v: twice in one record"),
        (r#"[{"n":"a","v":1,"\u0076":1}]"#, "record 0, v: twice in one record"),
        (r#"[{"n":"a","v":1,"x":1,"x":2}]"#, "record 0: a label twice in one record"),
        (r#"[{"n":"a","v":"1"}]"#, "record 0, v: not a number"),
        (r#"[{"n":"a","v":null}]"#, "record 0, v: not a number"),
        (r#"[{"n":"a","v":[1]}]"#, "record 0, v: not a number"),
        (r#"[{"n":"a","vb":1}]"#, "record 0, vb: not a boolean"),
        (r#"[{"n":1,"v":1}]"#, "record 0, n: not a text"),
        (r#"[{"n":"a","v":1,"x_":1}]"#, "record 0: a label ends in _ and is not understood"),
        (r#"[{"n":"a","v":1E3}]"#, "record 0, v: the exponent is not marked by a lower-case e"),
        (r#"[{"n":"a","bver":11,"v":1}]"#, "record 0, bver: newer than version 10"),
        (r#"[{"n":"a","bver":0,"v":1}]"#, "record 0, bver: not a positive integer"),
        (r#"[{"n":"a","bver":-3,"v":1}]"#, "record 0, bver: not a positive integer"),
        (r#"[{"n":"a","bver":9.5,"v":1}]"#, "record 0, bver: not a positive integer"),
        (
            r#"[{"n":"a","v":1},{"bver":5}]"#,
            "record 1, bver: not the version of the records before",
        ),
        ("[]", "SenML pack: no measurement"),
        (r#"[{"bn":"a"}]"#, "SenML pack: no measurement"),
        ("{}", "SenML pack: not a JSON array"),
        ("", "SenML pack: not a JSON array"),
        (r#"[{"n":"a","v":1}] x"#, "SenML pack: bytes behind the pack"),
        (r#"[{"n":"a","v":1}"#, "SenML pack: no comma or ] between or after records"),
        (r#"[{"n":"a","v":1},]"#, "SenML pack: a record is not a JSON object"),
        ("[1]", "SenML pack: a record is not a JSON object"),
    ] {
        assert_eq!(refusal(Format::Json, pack.as_bytes()), text, "{pack}");
    }
}

#[test]
fn names_have_only_the_characters_of_the_rfc() {
    let named = |base: &str, name: &str| format!(r#"[{{"bn":"{base}","n":"{name}","v":1}}]"#);
    for (base, name) in [("a", ""), ("", "a"), ("0-:./_", "zZ9"), ("a", "-")] {
        assert_eq!(json(&named(base, name)), [format!("{base}{name} @0 1")]);
    }
    assert_eq!(json(r#"[{"n":"\u0061\/b","v":1}]"#), ["a/b @0 1"]);
    let long = "x".repeat(MAX_NAME - 1);
    assert_eq!(json(&named("a", &long)), [format!("a{long} @0 1")]);
    let text = refusal(Format::Json, named("aa", &long).as_bytes());
    assert_eq!(text, "record 0, n: the name is too long");
    for (base, name, rule) in [
        ("", "", "no name"),
        ("-", "a", "the name begins with neither letter nor digit"),
        ("", "_a", "the name begins with neither letter nor digit"),
        ("a b", "", "a character of the name is not allowed"),
        ("a", "ü", "a character of the name is not allowed"),
        ("a", "\\u0000", "a character of the name is not allowed"),
    ] {
        let text = refusal(Format::Json, named(base, name).as_bytes());
        assert_eq!(text, format!("record 0, n: {rule}"), "{base} {name}");
    }
}

#[test]
fn only_strict_json_is_read() {
    for text in [
        r#"{"n":"a" "v":1}"#,
        r#"{"n":"a","v":1,}"#,
        r#"{,"n":"a","v":1}"#,
        r#"{n:"a","v":1}"#,
        r#"{'n':"a","v":1}"#,
        r#"{"n":"a","v":01}"#,
        r#"{"n":"a","v":+1}"#,
        r#"{"n":"a","v":.5}"#,
        r#"{"n":"a","v":5.}"#,
        r#"{"n":"a","v":1e}"#,
        r#"{"n":"a","v":-}"#,
        r#"{"n":"a","v":1-1}"#,
        r#"{"n":"a","v":0x1}"#,
        r#"{"n":"a","v":NaN}"#,
        r#"{"n":"a","vb":tru}"#,
        r#"{"n":"a","vb":True}"#,
        r#"{"n":"a","vs":"a}"#,
        "{\"n\":\"a\",\"vs\":\"a\nb\"}",
        r#"{"n":"a","vs":"\x"}"#,
        r#"{"n":"a","vs":"\u12g4"}"#,
        r#"{"n":"a","vs":"\ud800"}"#,
        r#"{"n":"a","vs":"\udc00"}"#,
        r#"{"n":"a","vs":"\ud800\u0041"}"#,
        r#"{"n":"a","v":1 /* one */}"#,
        r#"{"n":"a","v":1,"x":01}"#,
        r#"{"n":"a","v":1,"x":{"y"}}"#,
        r#"{"n":"a","v":1,"x":[1 2]}"#,
        r#"{"n":"a","v":1,"x":[1,]}"#,
        r#"{"n":"a","v":1,"x":"\ud800"}"#,
        r#"{"n":"a","v":1"#,
    ] {
        refusal(Format::Json, format!("[{text}]").as_bytes());
    }
    refusal(Format::Json, b"[{\"n\":\"a\",\"vs\":\"\xff\"}]");
    refusal(Format::Json, b"\xef\xbb\xbf[{\"n\":\"a\",\"v\":1}]");
}

#[test]
fn escapes_are_undone() {
    let text = r#"[{"n":"a","vs":"\"\\\/\b\f\n\r\t\u00fc\ud83d\ude00ü😀"}]"#;
    let pack = Pack::parse(Format::Json, text.as_bytes()).unwrap();
    let Some(Value::Text(text)) = pack.records().next().unwrap().value else { panic!() };
    assert_eq!(text, "\"\\/\u{8}\u{c}\n\r\tü😀ü😀");
    assert_eq!(text.as_str(), None);
}

#[test]
fn white_space_is_free() {
    let text = " \t\r\n[ { \"n\" : \"a\" , \"v\" : 1 , \"x\" : [ 1 , { } , [ ] ] } ] \n";
    assert_eq!(json(text), ["a @0 1"]);
}

#[test]
fn unknown_fields_are_passed_within_bounds() {
    let unknown = |fields: usize| {
        let fields: String = (0..fields).map(|n| format!(r#","x{n}":{{"y":[null]}}"#)).collect();
        format!(r#"[{{"n":"a","v":1{fields}}}]"#)
    };
    assert_eq!(json(&unknown(MAX_UNKNOWN)), ["a @0 1"]);
    let text = refusal(Format::Json, unknown(MAX_UNKNOWN + 1).as_bytes());
    assert_eq!(text, "record 0: too many labels that are not understood");
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"[{{"n":"a","v":1,"x":{open}{close}}}]"#)
    };
    assert_eq!(json(&nested(MAX_DEPTH.into())), ["a @0 1"]);
    for depth in [usize::from(MAX_DEPTH) + 1, 100_000] {
        let text = refusal(Format::Json, nested(depth).as_bytes());
        assert_eq!(text, "record 0: a value is nested too deep");
        let bytes = [hex("81a300616102010a"), std::vec![0x81; depth], hex("00")].concat();
        assert_eq!(refusal(Format::Cbor, &bytes), "record 0: a value is nested too deep");
    }
    // A base field of the future alone is no measurement; a regular one alone is a mistake.
    assert_eq!(json(r#"[{"bfuture":1},{"n":"a","v":1}]"#), ["a @0 1"]);
    refusal(Format::Json, br#"[{"future":1},{"n":"a","v":1}]"#);
}

#[test]
fn data_has_one_base64() {
    let data = |text: &str| format!(r#"[{{"n":"a","vd":"{text}"}}]"#);
    assert_eq!(json(&data("")), ["a @0 []"]);
    assert_eq!(json(&data("-_8")), ["a @0 [251, 255]"]);
    assert_eq!(json(&data("\\u0041A")), ["a @0 [0]"]);
    for wrong in ["A", "AA==", "AB", "AAB", "+/8", "A A", "AAAAA"] {
        refusal(Format::Json, data(wrong).as_bytes());
    }
}

#[test]
fn sums_and_base_values_are_added() {
    let pack =
        r#"[{"bn":"a","bv":20,"bs":100,"v":0.5,"s":1},{"vb":true},{"s":2,"ut":60},{"v":-1}]"#;
    let resolved =
        ["a @0 20.5 sum 101", "a @0 true sum 100", "a @0 sum 102 ut 60", "a @0 19 sum 100"];
    assert_eq!(json(pack), resolved);
    let text = refusal(Format::Json, br#"[{"n":"a","bt":1e30,"t":1,"v":1}]"#);
    assert_eq!(text, "record 0, t: the sum with the base field needs more than 64 bits");
}

#[test]
fn a_time_below_2_to_the_28_is_relative() {
    let relative = |time: &str| {
        let text = format!(r#"[{{"n":"a","v":1,"t":{time}}}]"#);
        let pack = Pack::parse(Format::Json, text.as_bytes()).unwrap();
        pack.records().all(|record| record.is_relative())
    };
    assert!(["0", "-5", "268435455.999", "-1e300"].into_iter().all(relative));
    assert!(!["268435456", "268435456.001", "1795180000"].into_iter().any(relative));
}

#[test]
fn cbor_of_another_shape_is_refused() {
    for (bytes, text) in [
        ("80", "SenML pack: no measurement"),
        ("", "SenML pack: the pack ends too early"),
        ("a0", "SenML pack: not a CBOR array"),
        ("9fa200616102 01ff", "SenML pack: a string or the pack has no definite length"),
        ("82a2006161 0201", "SenML pack: the pack ends too early"),
        ("9bffffffffffffffffa2006161 0201", "SenML pack: the pack ends too early"),
        ("81a2006161 020100", "SenML pack: bytes behind the pack"),
        ("8101", "SenML pack: a record is not a CBOR map"),
        ("81a0", "record 0: no field"),
        ("81a2006161 02", "record 0: the pack ends too early"),
        ("81a1007affffffff", "record 0: the pack ends too early"),
        ("81a2616e6161 0201", "record 0: a label of RFC 8428 is not an integer"),
        ("81a2006161 f601", "record 0: a label is neither an integer nor a text"),
        ("81a300616102010201", "record 0, v: twice in one record"),
        ("81a400616102010a010a01", "record 0: a label twice in one record"),
        ("81a30061610201 625f5f00", "record 0: a label ends in _ and is not understood"),
        ("81a2006161 02f97e00", "record 0, v: not a finite number"),
        ("81a2006161 02fa7f800000", "record 0, v: not a finite number"),
        ("81a2006161 02fb7ff0000000000000", "record 0, v: not a finite number"),
        ("81a2006161 02fc", "record 0: not well-formed CBOR"),
        ("81a2006161 02f814", "record 0: not well-formed CBOR"),
        ("81a2006161 02c48101", "record 0: a decimal fraction is not an array of two"),
        ("81a2006161 02c482f601", "record 0, v: a decimal fraction of other than two integers"),
        ("81a2006161 02c249010000000000000000", "record 0, v: not a number"),
        ("81a2006161 037f6161ff", "record 0: a string or the pack has no definite length"),
        ("81a2006161 0361ff", "record 0: a text is not UTF-8"),
        ("81a2006161 08624141", "record 0, vd: not octets"),
        ("81a3006161 20f94900 0201", "record 0, bver: not a number"),
    ] {
        assert_eq!(refusal(Format::Cbor, &hex(bytes)), text, "{bytes}");
    }
}

#[test]
fn cbor_numbers_of_every_kind() {
    for (bytes, value) in [
        ("1bffffffffffffffff", None),
        ("1b7fffffffffffffff", Some("9223372036854775807")),
        ("1b8ac7230489e80000", Some("10000000000000000000")),
        ("3b7fffffffffffffff", Some("-9223372036854775808")),
        ("3bffffffffffffffff", None),
        ("1800", Some("0")),
        ("c482 20 18e7", Some("23.1")),
        ("c482 21 39 7a11", Some("-312.5")),
        ("c482 1b7fffffffffffffff 01", None),
        ("c482 1bffffffffffffffff 01", None),
        ("f93e00", Some("1.5")),
        ("fa41b8cccd", Some("23.1")),
        ("fb403719999999999a", Some("23.1")),
    ] {
        let bytes = hex(&format!("81a200616102{bytes}"));
        match value {
            Some(value) => assert_eq!(lines(Format::Cbor, &bytes), [format!("a @0 {value}")]),
            None => assert!(refusal(Format::Cbor, &bytes).starts_with("record 0, v: ")),
        }
    }
}

#[test]
fn unknown_cbor_is_passed_if_it_is_well_formed() {
    for unknown in
        ["0a f6", "0a 9f018102ff", "0a bf6161 02ff", "0a c101", "2a f7", "6178 f8ff", "0a f97e00"]
    {
        let bytes = hex(&format!("81a300616102 01{unknown}"));
        assert_eq!(lines(Format::Cbor, &bytes), ["a @0 1"], "{unknown}");
    }
    assert_eq!(lines(Format::Cbor, &hex("81bf0061610201ff")), ["a @0 1"]);
    for broken in ["0a bf6161ff", "0a 9f01", "0a ff", "0a 5f4100ff", "0a df01", "0a 6180"] {
        refusal(Format::Cbor, &hex(&format!("81a300616102 01{broken}")));
    }
}

#[test]
fn the_writer_refuses_what_would_be_refused() {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(Format::Json, &mut buffer);
    let value = NewRecord::new().number(1.into());
    for (record, rule) in [
        (NewRecord::new(), "no field"),
        (value, "no name"),
        (value.name("-a"), "the name begins with neither letter nor digit"),
        (NewRecord::new().name("a"), "neither a value nor a sum"),
        (
            value.name("a").base_time(Decimal::new(1, 30)).time(1.into()),
            "the sum with the base field needs more than 64 bits",
        ),
    ] {
        assert_eq!(writer.push(&record), Err(Error::SenmlRecord { record: 0, rule }));
    }
    writer.push(&NewRecord::new().base_name("a")).unwrap();
    writer.push(&value.name("b")).unwrap();
    let long = value.text("a text that does not fit into the buffer behind the others");
    assert_eq!(writer.push(&long), Err(Error::BufferFull));
    assert_eq!(writer.finish().unwrap(), br#"[{"bn":"a"},{"n":"b","v":1}]"#);
    let empty = Writer::new(Format::Cbor, &mut []);
    assert_eq!(empty.finish(), Err(Error::SenmlPack("no measurement")));
}
