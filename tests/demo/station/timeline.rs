//! What happened in a run, as it was seen from outside: energy, balances, what both gateways say of the channel.
//!
//! Guarantees: everything in it was said by a process of the run, with the time at which it was asked. Does not: know
//! what should have happened; the run compares.

use serde::Deserialize;

use crate::{plant::Span, watch::now_ms};

/// A channel, as `sluicegate channel show --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) phase: String,
    pub(crate) version: Option<u64>,
    pub(crate) own: String,
    pub(crate) theirs: String,
    pub(crate) registered: Option<u64>,
}

impl Shown {
    /// What is ours in it, in base units.
    pub(crate) fn balance(&self) -> u64 {
        self.own.parse().unwrap_or(0)
    }
}

/// Something that happened on the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) ms: u64,
    pub(crate) text: String,
}

/// Everything seen in a run.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
    /// What the charger delivered so far, in watt hours.
    pub(crate) energy: Vec<(u64, u64)>,
    /// What the station has in the channel, in base units.
    pub(crate) balance: Vec<(u64, u64)>,
    pub(crate) marks: Vec<Mark>,
    /// Times without something: `cut` of the car's network, `down` of the station's gateway.
    pub(crate) bands: Vec<(&'static str, Span)>,
}

impl Timeline {
    pub(crate) fn start() -> Self {
        Self { started_ms: now_ms(), ..Self::default() }
    }

    pub(crate) fn energy(&mut self, watt_hours: u64) {
        push_change(&mut self.energy, watt_hours);
    }

    /// What a gateway says of the channel now; `by` is its name, and that it is the station's tells the balance.
    pub(crate) fn channel(&mut self, by: &str, shown: &Shown, is_station: bool) {
        if is_station {
            push_change(&mut self.balance, shown.balance());
        }
        if let Some(version) = shown.registered {
            self.mark(format!("version {version} registered"));
        }
        match shown.phase.as_str() {
            "open" => self.mark("funded".to_owned()),
            "final" => self.mark("final state".to_owned()),
            "concluded" => self.mark("concluded".to_owned()),
            "withdrawn" => {
                self.mark("concluded".to_owned());
                self.mark(format!("{by} paid out"));
            }
            _ => {}
        }
    }

    pub(crate) fn end(&mut self) {
        self.ended_ms = now_ms();
        for line in [&mut self.energy, &mut self.balance] {
            let last = line.last().map(|(_, value)| (self.ended_ms, *value));
            line.extend(last);
        }
    }

    /// Each once, when it was first seen.
    fn mark(&mut self, text: String) {
        if self.marks.iter().all(|mark| mark.text != text) {
            self.marks.push(Mark { ms: now_ms(), text });
        }
    }
}

/// The line is level until the next value.
fn push_change(line: &mut Vec<(u64, u64)>, value: u64) {
    let now = now_ms();
    match line.last() {
        Some((_, last)) if *last == value => {}
        Some((_, last)) => {
            let level = (now, *last);
            line.extend([level, (now, value)]);
        }
        None => line.push((now, value)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn shown(phase: &str, own: &str, registered: Option<u64>) -> Shown {
        let (id, phase) = (String::new(), phase.to_owned());
        Shown { id, phase, version: None, own: own.to_owned(), theirs: String::new(), registered }
    }

    #[test]
    fn what_happened_is_marked_once_and_balances_are_steps() {
        let mut timeline = Timeline::start();
        for (phase, own, registered) in [
            ("open", "5", None),
            ("open", "9", None),
            ("disputed", "9", Some(3)),
            ("disputed", "9", Some(8)),
        ] {
            timeline.channel("station", &shown(phase, own, registered), true);
        }
        timeline.channel("car", &shown("disputed", "1", Some(8)), false);
        timeline.channel("car", &shown("withdrawn", "1", Some(8)), false);
        let marks: Vec<_> = timeline.marks.iter().map(|mark| mark.text.as_str()).collect();
        let wanted =
            ["funded", "version 3 registered", "version 8 registered", "concluded", "car paid out"];
        assert_eq!(marks, wanted);
        let balances: Vec<_> = timeline.balance.iter().map(|(_, value)| *value).collect();
        assert_eq!(balances, [5, 5, 9]);
    }
}
