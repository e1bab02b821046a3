//! The part of the configuration that says what payment channels may be, and what may leave the keys.
//!
//! Guarantees: as the whole file ([`super`]); a limit that nothing can break is an error. Amounts are base units of the
//! ledger's own asset. Does not: know whether the ledger can settle them; the policy asks the ledger.

use serde::Deserialize;
use sluicegate_protocol::channel::Amount;

use super::{Device, Duration, Signs};

/// Base units, written as a number, or as text where it has more digits than a number holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Units(pub Amount);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for Units {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(number) => Ok(Self(Amount::from(number))),
            Written::Text(text) => text.parse().map(Self).map_err(|_| {
                format!("{text:?} is no amount: write base units as a whole number, as \"1000\"")
            }),
        }
    }
}

/// `[payments]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// Credential that the keys of the represented devices are derived from.
    pub key_credential: String,
    /// Challenge of a channel that is opened from here.
    #[serde(default = "defaults::challenge")]
    pub challenge: Duration,
    /// The shortest challenge that is accepted: a gateway that is down for longer can lose an answer.
    #[serde(default = "defaults::min_challenge")]
    pub min_challenge: Duration,
    /// The longest challenge that is accepted: money can be locked for so long.
    #[serde(default = "defaults::max_challenge")]
    pub max_challenge: Duration,
    /// The least that a channel holds; below, fees eat it.
    #[serde(default = "defaults::min_value")]
    pub min_value: Units,
    /// The most that a device brings into one channel.
    #[serde(default = "defaults::max_deposit")]
    pub max_deposit: Units,
    /// How long a peer has for an answer before it is asked again.
    #[serde(default = "defaults::answer")]
    pub answer: Duration,
    /// How long a payment may go unanswered before the channel is settled on the ledger.
    #[serde(default = "defaults::patience")]
    pub patience: Duration,
    /// Channels with one peer that are not over.
    #[serde(default = "defaults::max_channels")]
    pub max_channels: usize,
    /// Fees that are set aside for the dispute of each channel, in base units.
    #[serde(default = "defaults::fee_reserve")]
    pub fee_reserve: u64,
    /// The most that one transaction of a dispute may cost, in hundredths of what the channel holds.
    #[serde(default = "defaults::max_fee_percent")]
    pub max_fee_percent: u16,
    /// Which offers are accepted without asking; all others are declined.
    #[serde(default)]
    pub accept: Vec<Accept>,
}

/// `[[payments.accept]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Offers of this peer.
    pub peer: String,
    /// For this device.
    pub device: String,
}

/// `[[limit]]`: how much may leave the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// What it is called; what was spent is remembered by this name.
    pub name: String,
    /// For this device; all together if none is named.
    pub device: Option<String>,
    /// Towards this peer; all together if none is named.
    pub peer: Option<String>,
    /// How much may leave in one period.
    pub amount: Units,
    /// The length of a period, in ledger time.
    pub period: Duration,
}

pub(super) fn check(
    payments: Option<&Payments>,
    limits: &[Limit],
    devices: &[Device],
) -> Result<(), String> {
    for (position, limit) in limits.iter().enumerate() {
        let name = &limit.name;
        if name.is_empty() || limits[..position].iter().any(|other| other.name == *name) {
            return Err(format!("limit {name:?} has no name of its own"));
        }
        if limit.period.0 < 1_000 {
            return Err(format!("limit {name:?} has a period below 1s"));
        }
        let device = devices.iter().find(|device| limit.device.as_ref() == Some(&device.name));
        if let Some(Device { name: device, signs: Signs::Itself, .. }) = device {
            return Err(format!(
                "limit {name:?}: {device:?} signs for itself, so its limits are its own"
            ));
        }
    }
    payments.map_or(Ok(()), Payments::check)
}

impl Payments {
    fn check(&self) -> Result<(), String> {
        let range = self.min_challenge.0..=self.max_challenge.0;
        if self.min_challenge.0 < 1_000 || !range.contains(&self.challenge.0) {
            return Err("payments.challenge is not between min_challenge, at least 1s, and \
                        max_challenge"
                .to_owned());
        }
        if self.answer.0 == 0 || self.patience.0 < self.answer.0 {
            return Err("payments.patience is shorter than answer, or answer is 0".to_owned());
        }
        if !(1..=100).contains(&self.max_fee_percent) {
            return Err("payments.max_fee_percent is not between 1 and 100".to_owned());
        }
        Ok(())
    }
}

mod defaults {
    use sluicegate_protocol::channel::Amount;

    use super::{Duration, Units};

    pub(super) const fn challenge() -> Duration {
        Duration(86_400_000)
    }

    pub(super) const fn min_challenge() -> Duration {
        Duration(3_600_000)
    }

    pub(super) const fn max_challenge() -> Duration {
        Duration(7 * 86_400_000)
    }

    pub(super) fn min_value() -> Units {
        Units(Amount::from(1_000u64))
    }

    pub(super) fn max_deposit() -> Units {
        Units(Amount::from(1_000_000u64))
    }

    pub(super) const fn answer() -> Duration {
        Duration(10_000)
    }

    pub(super) const fn patience() -> Duration {
        Duration(300_000)
    }

    pub(super) const fn max_channels() -> usize {
        16
    }

    pub(super) const fn fee_reserve() -> u64 {
        100
    }

    pub(super) const fn max_fee_percent() -> u16 {
        10
    }
}
