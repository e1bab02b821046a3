//! The part of the configuration that says what a device's readings pay, and what is wanted for what it delivers.
//!
//! Guarantees: as the whole file ([`super`]), and a mistake within one meter is told with its line; a meter either pays
//! or sells; one channel has one meter, and one actuator too. Does not: know whether there is such a channel.

use serde::Deserialize;
use sluicegate_channels::meter::{Price, Side, Tariff};
use sluicegate_protocol::{channel::Amount, senml::Decimal};

use super::{Payments, Peer, Units};

/// `[[meter]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Meter {
    /// Whose readings count.
    pub device: String,
    /// The SenML record, without the device's name: a counter that only rises.
    pub record: String,
    /// Its unit.
    pub unit: String,
    /// What is paid for what.
    pub tariff: Tariff,
    /// Switched on while it is paid; only where it sells.
    pub actuator: Option<Actuator>,
}

/// `[meter.actuator]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actuator {
    /// The device that has it.
    pub device: String,
    /// The resource that is written.
    pub resource: String,
    /// What is written to let deliver.
    pub on: String,
    /// What is written to stop it.
    pub off: String,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    device: String,
    record: String,
    unit: String,
    /// In this unit, as "10" or "0.5".
    step: Number,
    /// The most steps that one reading pays.
    #[serde(default = "max_steps")]
    max_steps: u32,
    #[serde(default)]
    payee: Vec<WrittenPrice>,
    payer: Option<WrittenPrice>,
    actuator: Option<Actuator>,
}

/// `[[meter.payee]]` and `[meter.payer]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    peer: String,
    price: Units,
}

/// A whole number, or a decimal as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Whole(u32),
}

const fn max_steps() -> u32 {
    100
}

impl TryFrom<Written> for Meter {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = format!("the meter of {:?}, record {:?}", written.device, written.record);
        written.read().map_err(|reason| format!("{name}: {reason}"))
    }
}

impl Written {
    fn read(self) -> Result<Meter, String> {
        let (step, side) = (self.step.read()?, self.side()?);
        if self.max_steps == 0 {
            return Err("max_steps is 0, so nothing would ever be paid".to_owned());
        }
        if self.record.is_empty() || self.device.is_empty() {
            return Err("device or record is empty".to_owned());
        }
        let Self { device, record, unit, max_steps, actuator, .. } = self;
        Ok(Meter { device, record, unit, tariff: Tariff { step, max_steps, side }, actuator })
    }

    fn side(&self) -> Result<Side, String> {
        match (&self.payer, self.payee.as_slice()) {
            (None, []) => {
                Err("it has neither a payee, whom it pays, nor a payer, to whom it sells".into())
            }
            (Some(_), [_, ..]) => {
                Err("it has both payee and payer; a meter either pays or sells".into())
            }
            (Some(payer), []) => payer.read().map(Side::Sells),
            (None, _) if self.actuator.is_some() => {
                Err("an actuator belongs to a meter that sells, with a payer".into())
            }
            (None, payees) => payees
                .iter()
                .enumerate()
                .map(|(place, payee)| {
                    match payees[..place].iter().any(|other| other.peer == payee.peer) {
                        true => Err(format!("payee {:?} is there twice", payee.peer)),
                        false => payee.read(),
                    }
                })
                .collect::<Result<_, _>>()
                .map(Side::Pays),
        }
    }
}

impl WrittenPrice {
    fn read(&self) -> Result<Price, String> {
        let (peer, price) = (self.peer.clone(), self.price.0);
        match price == Amount::ZERO {
            true => Err(format!("the price for {peer:?} is 0")),
            false => Ok(Price { peer, price }),
        }
    }
}

impl Number {
    fn read(&self) -> Result<Decimal, String> {
        let (text, step) = match self {
            Self::Whole(number) => (number.to_string(), Some(Decimal::new((*number).into(), 0))),
            Self::Text(text) => (text.clone(), text.parse().ok()),
        };
        let step = step.filter(|step| *step > Decimal::ZERO);
        step.ok_or_else(|| {
            format!("step {text:?} is no number above 0: write a decimal, as \"10\" or \"0.5\"")
        })
    }
}

impl Meter {
    /// The peers that pay or are paid.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        let prices = match &self.tariff.side {
            Side::Pays(payees) => payees.as_slice(),
            Side::Sells(payer) => std::slice::from_ref(payer),
        };
        prices.iter().map(|price| price.peer.as_str())
    }

    fn name(&self) -> String {
        format!("the meter of {:?}, record {:?}", self.device, self.record)
    }
}

/// Checks meters against each other and against the rest of the file.
pub(super) fn check(
    meters: &[Meter],
    payments: Option<&Payments>,
    peers: &[Peer],
) -> Result<(), String> {
    if payments.is_none() && !meters.is_empty() {
        return Err("a meter needs [payments]".to_owned());
    }
    for (position, meter) in meters.iter().enumerate() {
        let name = meter.name();
        if let Some(stranger) = meter.peers().find(|name| peers.iter().all(|p| p.name != **name)) {
            return Err(format!("{name}: there is no [[peer]] with the name {stranger:?}"));
        }
        for other in &meters[..position] {
            meter.check_against(other)?;
        }
    }
    Ok(())
}

impl Meter {
    fn check_against(&self, other: &Self) -> Result<(), String> {
        let name = self.name();
        let shared = self.peers().find(|peer| other.peers().any(|known| known == *peer));
        if let Some(peer) = shared.filter(|_| self.device == other.device) {
            return Err(format!(
                "{name}: another meter counts for the channel with {peer:?} already"
            ));
        }
        let place = |meter: &Self| {
            meter
                .actuator
                .as_ref()
                .map(|actuator| (actuator.device.clone(), actuator.resource.clone()))
        };
        match place(self) {
            Some((device, resource)) if place(self) == place(other) => {
                Err(format!("{name}: another meter switches {resource:?} of {device:?} already"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const BOTH: &str = r#"
[channels]
name = "car"
[payments]
key_credential = "device-seed"
[[peer]]
name = "station"
fingerprint = "1111111111111111111111111111111111111111111111111111111111111111"
[[peer]]
name = "provider"
fingerprint = "2222222222222222222222222222222222222222222222222222222222222222"
[[meter]]
device = "car-1"
record = "energy"
unit = "Wh"
step = "10"
[[meter.payee]]
peer = "station"
price = "15"
[[meter.payee]]
peer = "provider"
price = 2
[[meter]]
device = "charger-1"
record = "energy"
unit = "Wh"
step = "0.5"
max_steps = 7
[meter.payer]
peer = "station"
price = "15"
[meter.actuator]
device = "charger-1"
resource = "relay"
on = "on"
off = "off"
"#;

    fn load(text: &str) -> Result<Vec<Meter>, String> {
        let text = format!("{}\n{text}", super::super::tests::MINIMAL);
        Config::parse(&text, Path::new("/")).map(|config| config.meters)
    }

    #[test]
    fn a_meter_pays_or_sells() {
        let meters = load(BOTH).unwrap();
        let Side::Pays(payees) = &meters[0].tariff.side else { panic!("{:?}", meters[0]) };
        assert_eq!((payees.len(), payees[1].price), (2, Amount::from(2_u64)));
        assert_eq!((meters[0].tariff.max_steps, meters[0].tariff.step), (100, Decimal::new(10, 0)));
        let Side::Sells(payer) = &meters[1].tariff.side else { panic!("sells") };
        assert_eq!((payer.peer.as_str(), meters[1].tariff.step), ("station", Decimal::new(5, -1)));
        assert_eq!(meters[1].actuator.as_ref().unwrap().resource, "relay");
    }

    #[test]
    fn mistakes_are_named() {
        let actuator =
            "[meter.actuator]\ndevice = \"a\"\nresource = \"r\"\non = \"1\"\noff = \"0\"";
        for (from, to, named) in [
            ("step = \"10\"", "step = \"0\"", "step \"0\" is no number above 0"),
            ("step = \"10\"", "step = \"-1\"", "no number above 0"),
            ("step = \"10\"", "step = 1.5", "step"),
            ("step = \"10\"", "", "step"),
            ("price = 2", "price = \"0\"", "the price for \"provider\" is 0"),
            ("peer = \"provider\"", "peer = \"station\"", "payee \"station\" is there twice"),
            (
                "peer = \"provider\"",
                "peer = \"stranger\"",
                "no [[peer]] with the name \"stranger\"",
            ),
            ("[meter.payer]", "[meter.buyer]", "buyer"),
            ("max_steps = 7", "max_steps = 0", "max_steps"),
            ("device = \"charger-1\"", "device = \"car-1\"", "counts for the channel with"),
            (
                "[[meter.payee]]\npeer = \"station\"",
                &format!("{actuator}\n[[meter.payee]]\npeer = \"station\""),
                "belongs to a meter that sells",
            ),
            ("[meter.payer]\npeer = \"station\"\nprice = \"15\"\n", "", "neither a payee"),
            (
                "[meter.payer]",
                "[[meter.payee]]\npeer = \"provider\"\nprice = 1\n[meter.payer]",
                "both payee and payer",
            ),
            ("[payments]\nkey_credential = \"device-seed\"", "", "needs [payments]"),
        ] {
            assert!(BOTH.contains(from), "{from}");
            let error = load(&BOTH.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(named), "{named}: {error}");
        }
        let zero = load(&BOTH.replace("\"10\"", "\"0\"")).unwrap_err();
        assert!(zero.contains("line ") && zero.contains("car-1"), "{zero}");
    }

    #[test]
    fn an_actuator_has_one_meter() {
        let second = r#"
[[meter]]
device = "charger-1"
record = "energy"
unit = "Wh"
step = "10"
[meter.payer]
peer = "provider"
price = "15"
[meter.actuator]
device = "charger-1"
resource = "relay"
on = "on"
off = "off"
"#;
        let error = load(&format!("{BOTH}{second}")).unwrap_err();
        assert!(error.contains("switches \"relay\" of \"charger-1\" already"), "{error}");
        assert_eq!(load(&format!("{BOTH}{}", second.replace("relay", "lamp"))).unwrap().len(), 3);
    }
}
