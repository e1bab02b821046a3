//! Decimals: one form for each value, exact sums, and what binary floats stand for.

use std::string::ToString;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn a_value_has_one_form() {
    for (text, same) in [
        ("1.10", "1.1"),
        ("1.3e2", "130"),
        ("-0", "0"),
        ("0e99999999999999", "0"),
        ("1000e-3", "1"),
        ("12.5e+01", "125"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1e-19", "0.0000000000000000001"),
        ("1e-20", "1e-20"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "17976931348623157e292"),
        ("1.0000000000000000000000000000000000000", "1"),
        ("10000000000000000000000000000000000", "1e34"),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        assert_eq!(decimal(text).to_string(), same);
        assert_eq!(decimal(text), decimal(same));
    }
    assert_eq!((decimal("-12.50").mantissa(), decimal("-12.50").exponent()), (-125, -1));
    assert_eq!(Decimal::new(1000, 0), Decimal::new(1, 3));
}

#[test]
fn what_is_not_exact_is_refused() {
    for text in ["9223372036854775808", "1.00000000000000000001", "1e32768", "1e-32769"] {
        assert!(text.parse::<Decimal>().is_err(), "{text}");
    }
    assert_eq!(decimal("1e20").checked_add(1.into()), None);
    assert_eq!(decimal("1e18").checked_add(1.into()), Some(decimal("1000000000000000001")));
    assert_eq!(decimal("9223372036854775807").checked_add(1.into()), None);
    assert_eq!(
        decimal("9223372036854775807").checked_add(3.into()),
        Some(decimal("922337203685477581e1"))
    );
    assert_eq!(decimal("0.1").checked_add(decimal("0.2")), Some(decimal("0.3")));
    assert_eq!(decimal("1e300").checked_add(Decimal::ZERO), Some(decimal("1e300")));
}

#[test]
fn the_order_is_that_of_the_values() {
    let ascending = [
        "-1e300",
        "-12",
        "-11.9",
        "-9223372036854775808e-18",
        "-0.1",
        "-1e-300",
        "0",
        "1e-300",
        "0.09",
        "0.1",
        "0.11",
        "9",
        "9.5",
        "10",
        "9223372036854775807",
        "1e19",
        "1e300",
    ];
    for pair in ascending.windows(2) {
        assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
    }
    assert_eq!(decimal("1.0").cmp(&1.into()), core::cmp::Ordering::Equal);
}

#[test]
fn scaling_rounds_down() {
    for (text, places, scaled) in [
        ("1276020076.001", 3, Some(1_276_020_076_001)),
        ("1.9999", 3, Some(1999)),
        ("-1.9999", 3, Some(-2000)),
        ("1e-300", 3, Some(0)),
        ("-1e-300", 3, Some(-1)),
        ("5e2", 1, Some(5000)),
        ("1e18", 1, None),
        ("1e300", 0, None),
        ("0", 255, Some(0)),
    ] {
        assert_eq!(decimal(text).scaled(places), scaled, "{text}");
    }
}

#[test]
fn a_float_is_the_decimal_that_it_stands_for() {
    for (value, text) in [
        (0.1, "0.1"),
        (-23.1, "-23.1"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (f64::MAX, "17976931348623157e292"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (1e18, "1000000000000000000"),
        (1_276_020_076.001, "1276020076.001"),
    ] {
        assert_eq!(Decimal::from_f64(value).unwrap().to_string(), text);
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(Decimal::from_f64(value).is_err());
    }
    let single = |bits| Decimal::from_single(bits).unwrap().to_string();
    // 123456792 is exact; 8 digits would name it as well.
    assert_eq!([single(0x4ceb_79a3), single(0x3dcc_cccd)], ["123456792", "0.1"]);
}

/// Every half-precision float, against the same search with doubles.
#[test]
#[allow(clippy::float_arithmetic)]
fn a_half_float_is_the_shortest_decimal_that_rounds_to_it() {
    let double = |bits: u16| {
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
        match exponent {
            0 => fraction * 2_f64.powi(-24),
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        }
    };
    for bits in 0..0x7c00_u16 {
        let found = Decimal::from_half(bits).unwrap();
        let value: f64 = found.to_string().parse().unwrap();
        let distance = (value - double(bits)).abs();
        for neighbour in [bits.saturating_sub(1), bits + 1].into_iter().filter(|n| *n != bits) {
            assert!(distance < (value - double(neighbour)).abs(), "{bits:04x}: {found}");
        }
        assert!(found.mantissa() < 100_000, "{bits:04x}: {found}");
        assert_eq!(
            Decimal::from_half(bits | 0x8000).unwrap().to_string(),
            if bits == 0 { "0".into() } else { format!("-{found}") }
        );
    }
    assert!((0x7c00..=0x7fff).all(|bits| Decimal::from_half(bits).is_err()));
    assert_eq!(Decimal::from_half(0x2e66).unwrap().to_string(), "0.1");
}
