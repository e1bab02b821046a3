//! Plots as static SVG: axes with units and times, lines, areas, bands and marks.
//!
//! Guarantees: colours come from the page's style sheet, so both colour schemes work; every plot
//! has a title and a description for screen readers; nothing is scripted. Does not: know devices or
//! logs ([`crate::figures`]).
//!
//! A drawing is as wide as its text is meant to be read: figures draw one for each
//! width of page.
#![expect(clippy::float_arithmetic, reason = "pixels, never amounts or times that are stored")]

use std::fmt::Write;

/// Space around the plotting area, for labels.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;

/// Height of a row of labels.
const ROW: f64 = 16.0;

/// A point in the units of the axes.
pub(crate) type Point = (f64, f64);

/// One axis: its range, and where its ticks are with their labels.
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero or just below the smallest value to above the largest, with about four round
    /// ticks; the topmost carries the unit.
    pub(crate) fn fit(values: impl Iterator<Item = f64>, from_zero: bool, unit: &str) -> Self {
        let (low, high) = values
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let low = if from_zero { 0.0 } else { low };
        let step = round_step((high - low) / 4.0);
        let (from, to) = ((low / step).floor() * step, (high / step).ceil() * step);
        let mut ticks = Vec::new();
        let mut tick = from;
        while tick < to + step / 2.0 {
            ticks.push((tick, label(tick, step)));
            tick += step;
        }
        if let Some((_, text)) = ticks.last_mut() {
            *text = format!("{text} {unit}");
        }
        Self { from, to, ticks }
    }

    fn position(&self, value: f64, start: f64, length: f64) -> f64 {
        start + (value - self.from) / (self.to - self.from) * length
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    let fits = |factor: &&f64| **factor * power >= step;
    [1.0, 2.0, 2.5, 5.0].iter().find(fits).unwrap_or(&10.0) * power
}

/// A tick's number, with the digits that its step needs.
fn label(value: f64, step: f64) -> String {
    let digits = [1.0, 0.1, 0.01].iter().filter(|&&unit| (step / unit) % 1.0 > 1e-6).count();
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    thousands(whole) + rest
}

/// A whole number with thin spaces between thousands.
pub(crate) fn thousands(number: impl ToString) -> String {
    let (digits, mut text) = (number.to_string(), String::new());
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A drawing in progress.
pub(crate) struct Plot<'a> {
    size: (f64, f64),
    x: &'a Axis,
    y: &'a Axis,
    svg: String,
}

impl<'a> Plot<'a> {
    /// Draws the axes. `id` is unique in the page; `class` tells the page when to show it.
    pub(crate) fn new(frame: &Frame<'_>, x: &'a Axis, y: &'a Axis) -> Self {
        let Frame { id, class, size: (width, height), title, description } = frame;
        let svg = format!(
            "<svg class=\"plot {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
             <desc id=\"{id}-d\">{description}</desc>"
        );
        let mut plot = Self { size: frame.size, x, y, svg };
        plot.axes();
        plot
    }

    fn axes(&mut self) {
        let (left, right) = (LEFT, self.size.0 - RIGHT);
        let (x_axis, y_axis) = (self.x, self.y);
        for (value, text) in &y_axis.ticks {
            let y = self.y(*value);
            let _ = write!(self.svg, "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>");
            self.text((LEFT - 8.0, y + 4.0), "end", "tick", text);
        }
        let bottom = self.size.1 - BOTTOM;
        for (value, text) in &x_axis.ticks {
            let x = self.x(*value);
            let _ = write!(self.svg, "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v5\"/>");
            self.text((x, bottom + 19.0), self.anchor(x), "tick", text);
        }
        let _ = write!(self.svg, "<path class=\"axis\" d=\"M{left} {bottom:.1}H{right}\"/>");
    }

    /// A label at the right edge ends there instead of being centred.
    fn anchor(&self, x: f64) -> &'static str {
        if x > self.size.0 - RIGHT - 12.0 { "end" } else { "middle" }
    }

    fn x(&self, value: f64) -> f64 {
        self.x.position(value, LEFT, self.size.0 - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let height = self.size.1 - TOP - BOTTOM;
        self.y.position(value, TOP + height, -height)
    }

    /// A line through `points`, with the area below it tinted.
    pub(crate) fn line(&mut self, class: &str, points: &[Point], filled: bool) -> &mut Self {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return self };
        let mut path = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let command = if place == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*x), self.y(*y));
        }
        if filled {
            let (start, end, bottom) = (self.x(first.0), self.x(last.0), self.size.1 - BOTTOM);
            let _ = write!(
                self.svg,
                "<path class=\"area {class}\" d=\"{path}L{end:.1} {bottom:.1}H{start:.1}Z\"/>"
            );
        }
        let _ = write!(self.svg, "<path class=\"line {class}\" d=\"{path}\"/>");
        self
    }

    /// A stretch of time, from top to bottom.
    pub(crate) fn band(&mut self, class: &str, from: f64, to: f64) -> &mut Self {
        let (start, end, bottom) = (self.x(from), self.x(to), self.size.1 - BOTTOM);
        let (width, height) = ((end - start).max(1.0), bottom - TOP);
        let _ = write!(
            self.svg,
            "<rect class=\"{class}\" x=\"{start:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
        self
    }

    /// A moment, from top to bottom, with a label on one side of it.
    pub(crate) fn moment(&mut self, x: f64, text: &str, side: Side) -> &mut Self {
        self.moment_in_row(x, text, side, 0)
    }

    /// The same with the label so many rows below the top, where moments are close to each other.
    pub(crate) fn moment_in_row(&mut self, x: f64, text: &str, side: Side, row: u8) -> &mut Self {
        let (at, bottom) = (self.x(x), self.size.1 - BOTTOM);
        let _ = write!(self.svg, "<path class=\"moment\" d=\"M{at:.1} {TOP}V{bottom:.1}\"/>");
        let (offset, anchor) = match side {
            Side::Left => (-6.0, "end"),
            Side::Right => (6.0, "start"),
        };
        let y = TOP + 12.0 + f64::from(row) * ROW;
        self.text((at + offset, y), anchor, "moment-label", text);
        self
    }

    /// A dot whose title shows what it is.
    pub(crate) fn dot(&mut self, class: &str, (x, y): Point, title: &str) -> &mut Self {
        let (x, y) = (self.x(x), self.y(y));
        let _ = write!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{title}</title>\
             </circle>"
        );
        self
    }

    fn text(&mut self, (x, y): Point, anchor: &str, class: &str, text: &str) {
        let _ = write!(
            self.svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// The finished drawing.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.svg) + "</svg>\n"
    }
}

/// What stands around a plot.
pub(crate) struct Frame<'a> {
    pub(crate) id: String,
    pub(crate) class: &'a str,
    pub(crate) size: (f64, f64),
    pub(crate) title: &'a str,
    pub(crate) description: &'a str,
}

/// Of a moment.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Left,
    Right,
}
