//! Where `data/hour.csv` comes from: a synthetic hour of three devices, always the same bytes.
//!
//! Guarantees: whole numbers and a seeded sequence only, so every machine writes the same file; a
//! test compares it with the committed one. Does not: claim that anyone measured this. The shapes
//! are those of real devices: a household between seven and eight in the morning, a water tank
//! whose pump starts at a low level, a car that charges. `demo generate` prints the file.

/// First line of the file.
pub(crate) const HEADER: &str = "time,device,seq,name,unit,value";

/// Length of the recording, in seconds.
const HOUR: i64 = 3600;

/// The whole file.
pub(crate) fn hour() -> String {
    let mut rows = [meter(), tank(), charger()].concat();
    // Stable: rows of one second keep the order of the devices above.
    rows.sort_by_key(|row| row.second);
    let mut text = format!("{HEADER}\n");
    let mut seqs = std::collections::BTreeMap::new();
    for row in rows {
        let seq = seqs.entry(row.device).and_modify(|seq| *seq += 1).or_insert(1);
        text.push_str(&row.line(*seq));
    }
    text
}

#[derive(Clone)]
struct Row {
    second: i64,
    device: &'static str,
    name: &'static str,
    unit: &'static str,
    value: String,
}

impl Row {
    fn line(&self, seq: u32) -> String {
        let Self { second, device, name, unit, value } = self;
        let (hour, minute, second) = (7 + second / 3600, second / 60 % 60, second % 60);
        let time = format!("2026-11-19T{hour:02}:{minute:02}:{second:02}Z");
        format!("{time},{device},{seq},{name},{unit},{value}\n")
    }
}

/// A household: fridge, lights, breakfast, then a washing machine. Watts, every ten seconds.
fn meter() -> Vec<Row> {
    let mut noise = Noise(0x6d65_7465_7231);
    let power = |second: i64| {
        let minute = second / 60;
        let mut watts = 182;
        watts += on(second % 1620 < 660, 86 + noise.around(3)); // fridge
        watts += on((3..47).contains(&minute), 64); // lights
        watts += on((740..910).contains(&second), 2041 + noise.around(30)); // kettle
        watts += on((870..1020).contains(&second), 862 + noise.around(14)); // toaster
        watts += on((1680..2460).contains(&second), 1958 + noise.around(38)); // washing: heats
        // The drum turns for 20 seconds and rests for 10.
        watts += on(second >= 2460 && second % 30 < 20, 148 + noise.around(55));
        watts + noise.around(6)
    };
    let row = |second, value: i64| row(second, "meter-1", "power", "W", value.to_string());
    every(10).map(power_row(power, row)).collect()
}

/// A tank: water is drawn, a pump fills it with colder water from 1.45 m to 1.90 m. Every 30
/// seconds.
fn tank() -> Vec<Row> {
    let mut noise = Noise(0x0074_616e_6b31);
    let (mut tenths_of_mm, mut hundredths, mut pumping) = (16_240, 1_164, false);
    let mut rows = Vec::new();
    for second in every(30) {
        pumping = (pumping || tenths_of_mm < 14_500) && tenths_of_mm < 19_000;
        tenths_of_mm += on(pumping, 148) - 34 - on(noise.next(5) == 0, 40);
        // The inflow has 9.40 °C; in a still tank the room warms the water.
        hundredths += if pumping { (940 - hundredths) / 40 } else { i64::from(second % 60 == 0) };
        let ripple = noise.around(if pumping { 4 } else { 1 });
        let level = decimal((tenths_of_mm / 10) + ripple, 3);
        let temperature = decimal(hundredths + noise.around(2), 2);
        rows.push(row(second, "tank-1", "level", "m", level));
        rows.push(row(second, "tank-1", "temperature", "Cel", temperature));
    }
    rows
}

/// A charging session at 11 kW: plugged in at minute 7, limited to 6 kW from minute 24 to 32 while
/// the washing machine heats, full at minute 55. Watts, every five seconds.
fn charger() -> Vec<Row> {
    let mut noise = Noise(0x6368_6172_6765);
    let mut watts = 0;
    let power = |second: i64| {
        let wanted = match second {
            0..420 | 3310.. => 0,
            1440..1920 => 5_980,
            2640..3310 => watts - watts / 70, // nearly full: halves every four minutes
            _ => 11_020,
        };
        // The car follows its limit at 900 W each second, and stops at once.
        watts = if wanted == 0 { 0 } else { watts + (wanted - watts).clamp(-4_500, 4_500) };
        if watts == 0 { on(second > 420, 3) } else { watts + noise.around(60) }
    };
    let row = |second, value: i64| row(second, "charger-1", "power", "W", value.to_string());
    every(5).map(power_row(power, row)).collect()
}

fn every(step: i64) -> impl Iterator<Item = i64> {
    (0..HOUR / step).map(move |count| count * step)
}

fn power_row(
    mut power: impl FnMut(i64) -> i64,
    row: impl Fn(i64, i64) -> Row,
) -> impl FnMut(i64) -> Row {
    move |second| row(second, power(second))
}

fn row(
    second: i64,
    device: &'static str,
    name: &'static str,
    unit: &'static str,
    value: String,
) -> Row {
    Row { second, device, name, unit, value }
}

fn on(condition: bool, value: i64) -> i64 {
    if condition { value } else { 0 }
}

/// A whole number of 10⁻ⁿ units as a decimal.
fn decimal(value: i64, digits: u32) -> String {
    let one = 10_i64.pow(digits);
    let width = digits as usize;
    format!("{}.{:0width$}", value / one, value % one)
}

/// Numbers without pattern: xorshift, seeded, the same everywhere.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// From `-reach` to `reach`, more often in the middle.
    fn around(&mut self, reach: u32) -> i64 {
        let mut half = || i64::try_from(self.next(u64::from(reach) + 1)).unwrap_or(0);
        half() + half() - i64::from(reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_file_is_what_the_generator_writes() {
        assert!(hour() == include_str!("data/hour.csv"), "run: demo generate > data/hour.csv");
    }
}
