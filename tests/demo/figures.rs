//! The figures of the report: what each device measured, and how the log grew and was anchored.
//!
//! Each is drawn for three widths of page; the style sheet shows one of them.
#![expect(clippy::float_arithmetic, reason = "positions on a drawing")]

use crate::{
    fleet::{METER, THERMOMETER, VALVE},
    measured::{Measured, series},
    plant::{Command, Span},
    plot::{Axis, Frame, Plot, Point, Side, thousands},
    record::Record,
};

/// Class, width and relative height of the drawings, by how wide the page is.
pub(crate) const SIZES: [(&str, f64, f64); 3] =
    [("wide", 900.0, 1.0), ("middle", 600.0, 1.05), (NARROW, 340.0, 1.1)];

const NARROW: &str = "narrow";

/// A reading is late when it was logged so long after it was measured, in milliseconds.
const LATE_MS: u64 = 1_000;

/// Milliseconds of a quarter hour.
const QUARTER_MS: u64 = 900_000;

/// What one device measures.
struct Channel {
    device: &'static str,
    /// How it speaks.
    how: &'static str,
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    /// How many of the reading's units one unit of the plot has.
    divisor: f64,
    filled: bool,
}

const CHANNELS: [Channel; 3] = [
    Channel {
        device: METER,
        how: "CoAP over DTLS",
        name: "power",
        title: "Power drawn by a household",
        unit: "kW",
        divisor: 1000.0,
        filled: true,
    },
    Channel {
        device: THERMOMETER,
        how: "MQTT",
        name: "temperature",
        title: "Temperature in a cold store",
        unit: "°C",
        divisor: 1.0,
        filled: false,
    },
    Channel {
        device: VALVE,
        how: "CoAP over DTLS",
        name: "flow",
        title: "Flow through a water valve, and its commands",
        unit: "l/min",
        divisor: 1.0,
        filled: true,
    },
];

/// The cards of all devices.
pub(crate) fn devices(record: &Record) -> String {
    CHANNELS.iter().map(|channel| channel.card(record)).collect()
}

/// Measurements that were logged late; day profiles are not counted.
pub(crate) fn late(record: &Record) -> usize {
    let late = |channel: &Channel| {
        let values = series(&record.readings, channel.device, channel.name);
        values.iter().filter(|value| is_late(value)).count()
    };
    CHANNELS.iter().map(late).sum()
}

const fn is_late(value: &Measured) -> bool {
    value.logged_ms >= value.ms + LATE_MS
}

impl Channel {
    fn card(&self, record: &Record) -> String {
        let of_device = record.readings.iter().filter(|reading| reading.device == self.device);
        let count = thousands(of_device.filter(|reading| reading.seq.is_some()).count());
        let (device, how) = (self.device, self.how);
        let more = match device {
            METER => profile(record),
            VALVE => outcomes(record),
            _ => String::new(),
        };
        format!(
            "<article class=\"card {device}\"><header><h3>{device}</h3><p>{how}, {count} readings\
             </p></header>\n{}{more}</article>\n",
            self.figure(record)
        )
    }

    fn figure(&self, record: &Record) -> String {
        let values = series(&record.readings, self.device, self.name);
        let point = |value: &Measured| {
            (seconds(record, value.ms), thousandths(value.thousandths) / self.divisor)
        };
        let points: Vec<Point> = values.iter().map(point).collect();
        let late: Vec<Point> = values.iter().filter(|value| is_late(value)).map(point).collect();
        let y = Axis::fit(points.iter().map(|(_, y)| *y), self.filled, self.unit);
        let extremes = points
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        let description = format!(
            "{} readings of {}, between {:.2} and {:.2} {}; {} of them were logged late.",
            points.len(),
            self.device,
            extremes.0,
            extremes.1,
            self.unit,
            late.len()
        );
        let end = seconds(record, record.events.ended_ms);
        let draw = |(class, width, height): (&str, f64, f64)| {
            let x = run_axis(end, class);
            let id = format!("{}-{class}", self.device);
            let (size, title) = ((width, 170.0 * height), self.title);
            let frame = Frame { id, class, size, title, description: &description };
            let mut plot = Plot::new(&frame, &x, &y);
            self.bands(record, &mut plot);
            plot.line(self.device, &points, self.filled);
            for at in &late {
                plot.dot(
                    &format!("late {}", self.device),
                    *at,
                    "logged when the way was free again",
                );
            }
            self.commands(record, &mut plot);
            plot.finish()
        };
        figure(self.title, &SIZES.map(draw).concat())
    }

    fn bands(&self, record: &Record, plot: &mut Plot<'_>) {
        let mut band = |class, span: Span| {
            plot.band(class, seconds(record, span.from_ms), seconds(record, span.to_ms));
        };
        if self.device == VALVE {
            closed(record).into_iter().for_each(|span| band("shut", span));
        }
        if self.device == METER {
            band("cut", record.events.cut);
        }
        band("down", record.events.down);
    }

    fn commands(&self, record: &Record, plot: &mut Plot<'_>) {
        if self.device == VALVE {
            for command in &record.events.commands {
                plot.moment(seconds(record, command.span.from_ms), command.value, Side::Right);
            }
        }
    }
}

/// When the valve was closed, by the states that were observed and logged.
fn closed(record: &Record) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut since = None;
    for reading in record.readings.iter().filter(|reading| reading.device == VALVE) {
        let Some(logged) = reading.record() else { continue };
        match (logged["observed"]["value"].as_str(), since) {
            (Some("closed"), None) => since = Some(reading.time_ms),
            (Some("open"), Some(from_ms)) => {
                spans.push(Span { from_ms, to_ms: reading.time_ms });
                since = None;
            }
            _ => {}
        }
    }
    let to_ms = record.events.ended_ms;
    spans.extend(since.map(|from_ms| Span { from_ms, to_ms }));
    spans
}

/// What came of the commands.
fn outcomes(record: &Record) -> String {
    let outcome = |command: &Command| {
        let (value, took) = (command.value, command.span.seconds().replace(' ', "&nbsp;"));
        format!("<b>{value}</b> (done in {took})")
    };
    let commands = record.events.commands.each_ref().map(outcome).join(" and ");
    format!(
        "<p class=\"hint\">Commands: {commands}; each was carried out once, and is in the log \
         with its result. The shade is the state that the gateway observed.</p>\n"
    )
}

/// The newest day profile of the meter: one reading of many records.
fn profile(record: &Record) -> String {
    let mut energy = series(&record.readings, METER, "energy");
    let profiles = {
        let mut seqs: Vec<u64> = energy.iter().map(|value| value.seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    };
    let Some(newest) = profiles.last() else { return String::new() };
    energy.retain(|value| value.seq == *newest);
    let last_ms = energy.last().map_or(0, |value| value.ms) + QUARTER_MS;
    let hours = |value: &Measured| seconds_between(value.ms, last_ms) / -3600.0;
    let points: Vec<Point> =
        energy.iter().map(|value| (hours(value), thousandths(value.thousandths))).collect();
    let y = Axis::fit(points.iter().map(|(_, y)| *y), true, "Wh");
    let bytes = record.readings.iter().find(|reading| reading.seq == Some(*newest));
    let bytes = bytes.map_or(0, |reading| reading.payload().len());
    let title = format!(
        "Day profile: energy of {} quarter hours, one reading of {} bytes, sent block-wise; \
         the last of {}",
        points.len(),
        thousands(bytes),
        profiles.len()
    );
    let draw = |(class, width, height): (&str, f64, f64)| {
        let x = day_axis();
        let (id, size) = (format!("profile-{class}"), (width, 120.0 * height));
        let frame = Frame { id, class, size, title: "Day profile", description: &title };
        Plot::new(&frame, &x, &y).line("profile", &points, true).finish()
    };
    figure(&title, &SIZES.map(draw).concat())
}

/// A drawing for each width, with its caption.
pub(crate) fn figure(title: &str, drawings: &str) -> String {
    format!("<figure><figcaption>{title}</figcaption>\n{drawings}</figure>\n")
}

/// Entries over time, with anchors, the cut network and the gateway's absence.
pub(crate) fn growth(record: &Record) -> String {
    let (events, anchored) = (&record.events, record.status.anchors());
    let point =
        |ms, size: u64| (seconds(record, ms), f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
    // An answer from just before the kill may have come just after it.
    let between = events.down.from_ms.midpoint(events.down.to_ms);
    let samples = record.samples.iter().filter(|sample| sample.ms >= events.started_ms);
    let all = samples.map(|sample| (sample.ms, point(sample.ms, sample.size)));
    let (before, after): (Vec<_>, Vec<_>) = all.partition(|(ms, _)| *ms < between);
    let anchors: Vec<Point> = anchored.iter().map(|anchor| point(anchor.ms, anchor.size)).collect();
    let ends = after.iter().map(|(_, point)| point.0).chain(anchors.iter().map(|point| point.0));
    let end = ends.fold(1.0, f64::max);
    let y = Axis::fit(after.iter().map(|(_, point)| point.1), true, "");
    let description = format!(
        "The log grows to {} entries in {end:.0} seconds, with {} anchors.",
        record.status.size,
        anchors.len()
    );
    let draw = |(class, width, height): (&str, f64, f64)| {
        let x = run_axis(end, class);
        let (id, size) = (format!("growth-{class}"), (width, 280.0 * height));
        let title = "Growth of the log";
        let frame = Frame { id, class, size, title, description: &description };
        let mut plot = Plot::new(&frame, &x, &y);
        for (band, span) in [("cut", events.cut), ("down", events.down)] {
            plot.band(band, seconds(record, span.from_ms), seconds(record, span.to_ms));
        }
        for part in [&before, &after] {
            let points: Vec<Point> = part.iter().map(|(_, point)| *point).collect();
            plot.line("log", &points, true);
        }
        plot.line("anchored", &steps(&anchors, end), false);
        plot.moment(seconds(record, events.down.from_ms), "SIGKILL", Side::Left);
        for (anchor, at) in anchored.iter().zip(&anchors) {
            let text = format!("block {}: {} entries anchored", anchor.block, anchor.size);
            plot.dot("anchor", *at, &text);
        }
        plot.finish()
    };
    SIZES.map(draw).concat()
}

/// What is anchored stays so until the next anchor.
fn steps(anchors: &[Point], end: f64) -> Vec<Point> {
    let mut points = Vec::new();
    let mut level = anchors.first().map_or(0.0, |first| first.1);
    for (x, y) in anchors {
        points.extend([(*x, level), (*x, *y)]);
        level = *y;
    }
    points.push((end, level));
    points
}

/// Seconds of the run.
pub(crate) fn run_axis(end: f64, class: &str) -> Axis {
    let step = if class == NARROW { 10.0 } else { 5.0 };
    axis(end, step, "s")
}

/// Hours before the profile's end.
fn day_axis() -> Axis {
    let tick = |count: u32| (f64::from(count) * -6.0, format!("−{} h", count * 6));
    let mut ticks: Vec<_> = (1..=4).rev().map(tick).collect();
    ticks.push((0.0, "now".to_owned()));
    Axis { from: -24.0, to: 0.0, ticks }
}

fn axis(end: f64, step: f64, unit: &str) -> Axis {
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= end {
        ticks.push((at, format!("{at:.0} {unit}")));
        at += step;
    }
    Axis { from: 0.0, to: end, ticks }
}

/// Since the devices began.
fn seconds(record: &Record, ms: u64) -> f64 {
    seconds_between(record.events.started_ms, ms)
}

fn seconds_between(start_ms: u64, ms: u64) -> f64 {
    thousandths(i32::try_from(ms.saturating_sub(start_ms)).unwrap_or(i32::MAX))
}

fn thousandths(number: i32) -> f64 {
    f64::from(number) / 1000.0
}
