//! A meter as people see it.
//!
//! Guarantees: the numbers are those that the meter decides with; amounts are base units. Does not: ask anybody.

use core::fmt;

use serde::{Deserialize, Serialize};
use sluicegate_channels::meter::{Meter, Price, Side, Standing};

use crate::config;

/// A meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Whose readings count.
    pub device: String,
    /// Which record.
    pub record: String,
    /// Its unit.
    pub unit: String,
    /// The length of a step, in this unit.
    pub step: String,
    /// It sells; otherwise it pays.
    pub sells: bool,
    /// Whether it lets deliver; none for who pays, or before it is known.
    pub on: Option<bool>,
    /// Whom it pays, or who pays.
    pub parties: Vec<PartySummary>,
}

/// One who is paid, or pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartySummary {
    /// Its name.
    pub peer: String,
    /// What a step costs.
    pub price: String,
    /// The channel of the session, hexadecimal; none without a session.
    pub channel: Option<String>,
    /// The counter has shown where the session begins.
    pub counting: bool,
    /// What was counted since.
    pub delivered: String,
    /// Whole steps of it.
    pub steps: String,
    /// What they cost, and one step more.
    pub due: String,
    /// What is paid in the channel.
    pub paid: String,
    /// What is left of our balance in it.
    pub left: String,
}

impl Summary {
    pub(super) fn of(configured: &config::Meter, meter: &Meter) -> Self {
        let config::Meter { device, record, unit, tariff, .. } = configured;
        let (prices, sells) = match &tariff.side {
            Side::Pays(payees) => (payees.as_slice(), false),
            Side::Sells(payer) => (std::slice::from_ref(payer), true),
        };
        let parties = prices.iter().zip(meter.standings());
        Self {
            device: device.clone(),
            record: record.clone(),
            unit: unit.clone(),
            step: tariff.step.to_string(),
            sells,
            on: meter.is_on(),
            parties: parties.map(|(price, standing)| PartySummary::of(price, &standing)).collect(),
        }
    }
}

impl PartySummary {
    fn of(price: &Price, standing: &Standing) -> Self {
        Self {
            peer: standing.peer.clone(),
            price: price.price.to_string(),
            channel: standing.channel.map(|channel| channel.to_string()),
            counting: standing.is_counting,
            delivered: standing.delivered.to_string(),
            steps: standing.steps.to_string(),
            due: standing.due.to_string(),
            paid: standing.paid.to_string(),
            left: standing.left.to_string(),
        }
    }
}

/// One line for each party.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, party) in self.parties.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            self.line(party, f)?;
        }
        Ok(())
    }
}

impl Summary {
    fn line(&self, party: &PartySummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, record, unit, step, .. } = self;
        let PartySummary { peer, price, delivered, steps, due, paid, left, .. } = party;
        let way = if self.sells { "from" } else { "to" };
        write!(f, "{device} {record}: {price} for each {step} {unit} {way} {peer}; ")?;
        match (&party.channel, party.counting) {
            (None, _) => write!(f, "no open channel")?,
            (Some(_), false) => write!(f, "waits for the first reading, {paid} paid")?,
            (Some(_), true) => write!(
                f,
                "{delivered} {unit} delivered, {steps} steps; {due} due with one step ahead, \
                 {paid} paid, {left} left"
            )?,
        }
        match self.on {
            Some(true) => write!(f, "; on")?,
            Some(false) => write!(f, "; off")?,
            None => {}
        }
        party.channel.as_ref().map_or(Ok(()), |channel| write!(f, "; channel {channel}"))
    }
}
