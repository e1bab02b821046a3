//! The figures of the report: what each device measured, and how the log grew and was anchored.
//!
//! Each is drawn for three widths of page; the style sheet shows one of them.
#![expect(clippy::float_arithmetic, reason = "positions on a drawing")]

use crate::{
    data::Row,
    plot::{Axis, Frame, Plot, Point, Side, thousands},
    record::Record,
};

/// Class, width and relative height of the drawings, by how wide the page is.
const SIZES: [(&str, f64, f64); 3] =
    [("wide", 900.0, 1.0), ("middle", 600.0, 1.05), (NARROW, 340.0, 1.1)];

const NARROW: &str = "narrow";

/// What one device measures.
struct Channel {
    device: &'static str,
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    /// How many of the reading's units one unit of the plot has.
    divisor: f64,
    filled: bool,
}

const CHANNELS: [Channel; 4] = [
    Channel {
        device: "meter-1",
        name: "power",
        title: "Power drawn by a household",
        unit: "kW",
        divisor: 1000.0,
        filled: true,
    },
    Channel {
        device: "tank-1",
        name: "level",
        title: "Level of a water tank",
        unit: "m",
        divisor: 1.0,
        filled: false,
    },
    Channel {
        device: "tank-1",
        name: "temperature",
        title: "Temperature in the tank",
        unit: "°C",
        divisor: 1.0,
        filled: false,
    },
    Channel {
        device: "charger-1",
        name: "power",
        title: "Power drawn by a charging car",
        unit: "kW",
        divisor: 1000.0,
        filled: true,
    },
];

/// The cards of all devices.
pub(crate) fn devices(record: &Record) -> String {
    let mut html = String::new();
    for (device, rows) in &record.devices {
        let count = thousands(rows.len());
        html += &format!(
            "<article class=\"card\"><header><h3>{device}</h3><p>{count} readings, every {} s</p>\
             </header>\n",
            period(rows)
        );
        for channel in CHANNELS.iter().filter(|channel| channel.device == *device) {
            html += &channel.figure(rows, record.last_before_kill());
        }
        html += "</article>\n";
    }
    html
}

/// Seconds between two readings of the same name.
fn period(rows: &[Row]) -> u32 {
    let name = rows.first().map(|row| row.name);
    let mut same = rows.iter().filter(|row| Some(row.name) == name).map(Row::second);
    let first = same.next().unwrap_or(0);
    same.next().unwrap_or(first) - first
}

impl Channel {
    fn figure(&self, rows: &[Row], killed: Option<u32>) -> String {
        let rows = rows.iter().filter(|row| row.name == self.name);
        let points: Vec<Point> = rows.filter_map(|row| self.point(row)).collect();
        let y = Axis::fit(points.iter().map(|(_, y)| *y), self.filled, self.unit);
        let extremes = points
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        let description = format!(
            "Readings of {} from 07:00 to 08:00 UTC, between {:.2} and {:.2} {}.",
            self.device, extremes.0, extremes.1, self.unit
        );
        let draw = |(class, width, height): (&str, f64, f64)| {
            let x = hour_axis(if class == NARROW { 20 } else { 10 });
            let id = format!("{}-{}-{class}", self.device, self.name);
            let (size, title) = ((width, 150.0 * height), self.title);
            let frame = Frame { id, class, size, title, description: &description };
            let mut plot = Plot::new(&frame, &x, &y);
            plot.line(&format!("{}-{}", self.device, self.name), &points, self.filled);
            if let Some(second) = killed {
                plot.moment(f64::from(second), "", Side::Right);
            }
            plot.finish()
        };
        format!(
            "<figure><figcaption>{}</figcaption>\n{}</figure>\n",
            self.title,
            SIZES.map(draw).concat()
        )
    }

    fn point(&self, row: &Row) -> Option<Point> {
        let value: f64 = row.value.parse().ok()?;
        Some((f64::from(row.second()), value / self.divisor))
    }
}

/// From seven to eight o'clock.
fn hour_axis(minutes: u32) -> Axis {
    let tick = |count| {
        let minute = count * minutes;
        let text = format!("{:02}:{:02}", 7 + minute / 60, minute % 60);
        (f64::from(7 * 3600 + minute * 60), text)
    };
    Axis { from: 25_200.0, to: 28_800.0, ticks: (0..=60 / minutes).map(tick).collect() }
}

/// Entries over time, with anchors and the moments of the kill and the restart.
pub(crate) fn growth(record: &Record) -> String {
    let (crash, anchored) = (&record.crash, record.status.anchors());
    let seconds = |ms: u64| seconds_since(crash.started_ms, ms);
    let point = |ms, size: u64| (seconds(ms), f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
    let all = record.samples.iter().map(|sample| (sample.ms, point(sample.ms, sample.size)));
    // An answer from just before the kill may have come just after it.
    let between = crash.killed_ms.midpoint(crash.ready_ms);
    let (before, after): (Vec<_>, Vec<_>) = all.partition(|(ms, _)| *ms < between);
    let anchors = anchored.iter().map(|anchor| point(anchor.ms, anchor.size));
    let anchors: Vec<Point> = anchors.collect();
    let ends = after.iter().map(|(_, point)| point.0).chain(anchors.iter().map(|point| point.0));
    let end = ends.fold(1.0, f64::max);
    let y = Axis::fit(after.iter().map(|(_, point)| point.1), true, "");
    let (killed, ready) = (seconds(crash.killed_ms), seconds(crash.ready_ms));
    let description = format!(
        "The log grows to {} entries in {end:.0} seconds, with {} anchors; the gateway is down from \
         second {killed:.1} to {ready:.1}.",
        record.status.size,
        anchors.len()
    );
    let draw = |(class, width, height): (&str, f64, f64)| {
        let x = run_axis(end, if class == NARROW { 2.0 } else { 1.0 });
        let (id, size) = (format!("growth-{class}"), (width, 280.0 * height));
        let title = "Growth of the log";
        let frame = Frame { id, class, size, title, description: &description };
        let mut plot = Plot::new(&frame, &x, &y);
        plot.band("down", killed, ready);
        for part in [&before, &after] {
            let points: Vec<Point> = part.iter().map(|(_, point)| *point).collect();
            plot.line("log", &points, true);
        }
        plot.line("anchored", &steps(&anchors, end), false);
        plot.moment(killed, "SIGKILL", Side::Left).moment(ready, "ready again", Side::Right);
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
fn run_axis(end: f64, step: f64) -> Axis {
    let step = if end > 20.0 { step * 5.0 } else { step * 2.0 };
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= end {
        ticks.push((at, format!("{at:.0} s")));
        at += step;
    }
    Axis { from: 0.0, to: end, ticks }
}

fn seconds_since(start_ms: u64, ms: u64) -> f64 {
    f64::from(u32::try_from(ms.saturating_sub(start_ms)).unwrap_or(u32::MAX)) / 1000.0
}
