//! The timelines of the charging station: energy and the station's balance over time, and what the ledger did.
#![expect(clippy::float_arithmetic, reason = "positions on a drawing")]

use super::{
    Run,
    timeline::{Mark, Timeline},
};
use crate::{
    figures::{SIZES, figure, run_axis},
    plot::{Axis, Frame, Plot, Point, Side, thousands},
};

/// Rows for the numbers of marks: two that are close to each other stand below each other.
const ROWS: u8 = 6;

/// A line of a timeline.
struct Line<'a> {
    class: &'static str,
    title: &'static str,
    unit: &'static str,
    values: &'a [(u64, u64)],
    height: f64,
}

/// The cards of all runs.
pub(crate) fn cards(runs: &[Run]) -> String {
    runs.iter().map(card).collect()
}

fn card(run: &Run) -> String {
    let Run { key, title, timeline, outcome, effects } = run;
    let (effects, marks) = (thousands(effects), list(timeline));
    let energy = Line {
        class: "energy",
        title: "Energy that the charger delivered",
        unit: "Wh",
        values: &timeline.energy,
        height: 120.0,
    };
    let balance = Line {
        class: "balance",
        title: "What the station has in the channel, in base units, and what happened on the ledger",
        unit: "",
        values: &timeline.balance,
        height: 190.0,
    };
    format!(
        "<article class=\"card\" id=\"run-{key}\"><header><h3>{title}</h3><p>{effects} effects, \
         each durable before</p></header>\n{}{}{marks}<p class=\"hint\">{outcome}</p></article>\n",
        draw(run, &energy, &[]),
        draw(run, &balance, &timeline.marks),
    )
}

fn draw(run: &Run, line: &Line<'_>, marks: &[Mark]) -> String {
    let timeline = &run.timeline;
    let points: Vec<Point> =
        line.values.iter().map(|(ms, value)| (seconds(timeline, *ms), number(*value))).collect();
    let end = seconds(timeline, timeline.ended_ms);
    let y = Axis::fit(points.iter().map(|(_, y)| *y), true, line.unit);
    let last = line.values.last().map_or(0, |(_, value)| *value);
    let description = format!("It reaches {last} {} in {end:.0} seconds.", line.unit);
    let draw = |(class, width, height): (&str, f64, f64)| {
        let x = run_axis(end, class);
        let id = format!("{}-{}-{class}", run.key, line.class);
        let (size, title) = ((width, line.height * height), line.title);
        let frame = Frame { id, class, size, title, description: &description };
        let mut plot = Plot::new(&frame, &x, &y);
        for (band, span) in &timeline.bands {
            plot.band(band, seconds(timeline, span.from_ms), seconds(timeline, span.to_ms));
        }
        plot.line(line.class, &points, true);
        for (place, mark) in (1_u8..).zip(marks) {
            let row = (place - 1) % ROWS;
            plot.moment_in_row(seconds(timeline, mark.ms), &place.to_string(), Side::Left, row);
        }
        plot.finish()
    };
    figure(line.title, &SIZES.map(draw).concat())
}

/// What the numbers on the drawing are.
fn list(timeline: &Timeline) -> String {
    let item = |mark: &Mark| {
        let (at, text) = (seconds(timeline, mark.ms), &mark.text);
        format!("<li><time>{at:.1} s</time> {text}</li>\n")
    };
    let items: String = timeline.marks.iter().map(item).collect();
    format!("<ol class=\"marks\">\n{items}</ol>\n")
}

fn seconds(timeline: &Timeline, ms: u64) -> f64 {
    number(ms.saturating_sub(timeline.started_ms)) / 1000.0
}

fn number(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
