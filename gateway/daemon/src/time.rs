//! UTC dates as people write them: RFC 3339, or a date alone.
//!
//! Guarantees: integers only; anything that is not a date is refused. Does not: know other offsets than `Z`.

/// Milliseconds since the Unix epoch of `2026-11-20`, `2026-11-20T10:00Z`, `2026-11-20T10:00:00Z` or with a fraction.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no UTC time: write 2026-11-20T10:00:00Z");
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let day = u64::from(parse_day(date).map_err(|_| wrong())?);
    let time = time.strip_suffix('Z').ok_or_else(wrong)?;
    let mut parts = time.splitn(3, ':');
    let mut part = |limit: u64, default| match parts.next() {
        Some(digits) => number(digits, 2).filter(|value| *value < limit),
        None => default,
    };
    let (hour, minute) = (part(24, None).ok_or_else(wrong)?, part(60, None).ok_or_else(wrong)?);
    let (second, milliseconds) = match time.splitn(3, ':').nth(2) {
        None => (0, 0),
        Some(seconds) => parse_seconds(seconds).ok_or_else(wrong)?,
    };
    Ok(((day * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + milliseconds)
}

/// Days since the Unix epoch of `2026-11-20`.
pub fn parse_day(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no date: write 2026-11-20");
    let mut parts = text.splitn(3, '-');
    let mut part = |width| parts.next().and_then(|digits| number(digits, width)).ok_or_else(wrong);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let valid = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !valid || day < 1 || day > days_in(year, month) {
        return Err(wrong());
    }
    u32::try_from(days_before(year, month) + day - 1).map_err(|_| wrong())
}

fn parse_seconds(text: &str) -> Option<(u64, u64)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = number(seconds, 2).filter(|value| *value < 60)?;
    let digits = fraction.get(..fraction.len().min(3))?;
    let fraction = number(digits, digits.len())?;
    let scale = [100, 10, 1].get(digits.len().checked_sub(1)?)?;
    Some((seconds, fraction * scale))
}

fn number(digits: &str, width: usize) -> Option<u64> {
    let plain = digits.len() == width && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Days from the Unix epoch to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>()
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_counted_right() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse("2000-02-29"), Ok(951_782_400_000));
        assert_eq!(parse("2026-11-20T10:00Z"), Ok(1_795_168_800_000));
        assert_eq!(parse("2026-11-20T10:00:01.25Z"), Ok(1_795_168_801_250));
        assert_eq!(parse_day("2026-11-20"), Ok(20_777));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-11-20T24:00Z",
            "2026-11-20T10:00",
            "2026-11-20T10:60Z",
            "2026-11-20T10:00:00.Z",
            "1969-12-31",
            "now",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
