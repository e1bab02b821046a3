//! From a configuration to the plan of the channels.
//!
//! Guarantees: keys of represented devices come from one credential and from nothing else. Does not: know peers; whoever
//! connects with them adds them to the plan.

use sluicegate_channels::{
    key::{Limit, device_key},
    node::{DeviceKey, Settings},
    policy::Policy,
    wire::AddressMap,
};
use sluicegate_ledger::Terms;
use sluicegate_protocol::channel::Asset;

use super::{Plan, Rule};
use crate::{
    Error,
    config::{Config, Payments},
    credentials::{self, Secret},
};

/// Proposals under way with one peer.
const MAX_OPENINGS: usize = 4;

/// An older state on the ledger is an alarm from this part of the shortest challenge on.
const WARN_PART: u64 = 2;

impl Plan {
    /// As configured, for these devices; with no peers yet.
    pub fn of(
        config: &Config,
        payments: &Payments,
        terms: &Terms,
        address: AddressMap,
        devices: &[String],
    ) -> Result<Self, Error> {
        let asset = terms.assets.first().ok_or_else(|| {
            Error::Usage("payments need a ledger that holds channels; this one has no asset".into())
        })?;
        let seed = credentials::load(config, &payments.key_credential)?;
        let accept = payments.accept.iter();
        let settings = Settings {
            address,
            policy: policy(payments, terms),
            limits: limits(config, &asset.asset),
            receiver: terms.payout.receiver,
            answer_ms: payments.answer.0,
            patience_ms: payments.patience.0,
            max_openings: MAX_OPENINGS,
            max_channels: payments.max_channels,
        };
        Ok(Self {
            settings,
            devices: keys(&seed, devices)?,
            rules: accept
                .map(|rule| Rule { peer: rule.peer.clone(), device: rule.device.clone() })
                .collect(),
            challenge_s: payments.challenge.0 / 1_000,
            ledger_pause: config.ledger.block_interval.to_std(),
            fee_reserve: payments.fee_reserve.into(),
            warn_s: payments.min_challenge.0 / 1_000 / WARN_PART,
        })
    }
}

fn policy(payments: &Payments, terms: &Terms) -> Policy {
    Policy {
        assets: terms.assets.clone(),
        min_challenge_s: payments.min_challenge.0 / 1_000,
        max_challenge_s: payments.max_challenge.0 / 1_000,
        min_channel_value: payments.min_value.0,
        max_deposit: payments.max_deposit.0,
    }
}

fn limits(config: &Config, asset: &Asset) -> Vec<Limit> {
    let limit = |limit: &crate::config::Limit| Limit {
        name: limit.name.clone(),
        device: limit.device.clone(),
        peer: limit.peer.clone(),
        asset: asset.clone(),
        amount: limit.amount.0,
        period_s: limit.period.0 / 1_000,
    };
    config.limits.iter().map(limit).collect()
}

fn keys(seed: &Secret, devices: &[String]) -> Result<Vec<(String, DeviceKey)>, Error> {
    let key = |device: &String| {
        let wrong = |error| Error::Credential { name: device.clone(), reason: format!("{error}") };
        let key = device_key(seed, device).map_err(wrong)?;
        Ok((device.clone(), DeviceKey::Here(key)))
    };
    devices.iter().map(key).collect()
}
