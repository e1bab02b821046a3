//! The devices: who is enrolled, what they may do, what is known of them, what they are told to do.
//!
//! Guarantees: one [`Registry`] answers for CoAP, MQTT and the local socket; a device whose key can't be read is known but
//! can't connect over DTLS, and the administrator is told. Does not: talk to devices; [`crate::coap`] and [`crate::mqtt`] do.

pub mod changes;
pub mod commands;
pub mod contacts;
pub mod enrol;
pub mod record;
pub mod states;
pub mod twin;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    Error,
    config::{Config, Device, Security},
    credentials,
    net::psk::{self, Identity, Psk},
    recorder::Alarm,
    setup,
};

/// An enrolled device.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Its settings.
    pub device: Device,
    /// Its key, where it has one that can be used.
    pub psk: Option<Psk>,
}

/// Everybody who is enrolled; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Registry(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    devices: BTreeMap<String, Rc<Enrolled>>,
    /// What the administrator was told at the last load; it is no news at the next one.
    told: Vec<Alarm>,
}

impl Registry {
    /// Of the configuration and of the enrolments in the state folder, with what an administrator should know.
    pub fn load(config: &Config) -> (Self, Vec<Alarm>) {
        let registry = Self::default();
        let alarms = registry.reload(config);
        (registry, alarms)
    }

    /// Replaces all devices at once; who is gone can't speak from now on. Gives what was not told at the last load.
    pub fn reload(&self, config: &Config) -> Vec<Alarm> {
        let (enrolled, mut alarms) = enrol::read_all(config);
        let all = enrolled.into_iter().chain(configured(config, &mut alarms));
        let named = |enrolled: Enrolled| (enrolled.device.name.clone(), Rc::new(enrolled));
        let devices: BTreeMap<_, _> = all.map(named).collect();
        for (name, enrolled) in &devices {
            if enrolled.device.security == Security::None {
                let text = "whoever reaches the plain CoAP port may speak in its name";
                alarms.push(Alarm(format!("device {name}: security is none: {text}")));
            }
        }
        let told = std::mem::take(&mut self.0.borrow_mut().told);
        *self.0.borrow_mut() = Table { devices, told: alarms.clone() };
        alarms.retain(|alarm| !told.contains(alarm));
        alarms
    }

    /// The device with this name.
    pub fn get(&self, name: &str) -> Option<Rc<Enrolled>> {
        self.0.borrow().devices.get(name).cloned()
    }

    /// All names, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().devices.keys().cloned().collect()
    }

    /// Identities and keys for DTLS.
    pub fn psks(&self) -> psk::Enrolled {
        let table = self.0.borrow();
        let with_key = |(name, enrolled): (&String, &Rc<Enrolled>)| {
            let wanted = enrolled.device.security == Security::Psk;
            Some((Identity::new(name)?, enrolled.psk.clone().filter(|_| wanted)?))
        };
        table.devices.iter().filter_map(with_key).collect()
    }

    /// Devices that need no key, by which the plain port has something to do.
    pub fn without_security(&self) -> usize {
        let table = self.0.borrow();
        table.devices.values().filter(|enrolled| enrolled.device.security == Security::None).count()
    }
}

/// The configuration wins over an enrolment of the same name.
fn configured(config: &Config, alarms: &mut Vec<Alarm>) -> Vec<Enrolled> {
    let load = |device: &Device| {
        let name = device.psk_credential.as_deref()?;
        match credentials::load_psk(config, name) {
            Ok(psk) => Some(psk),
            Err(error) => {
                alarms.push(Alarm(format!("device {}: {error}", device.name)));
                None
            }
        }
    };
    let psks: Vec<_> = config.devices.iter().map(load).collect();
    let devices = config.devices.iter().cloned().zip(psks);
    devices.map(|(device, psk)| Enrolled { device, psk }).collect()
}

/// Names of everybody who is or was enrolled, so that a lost database can be built anew.
pub fn names(config: &Config) -> Vec<String> {
    Registry::load(config).0.names()
}

/// Enrols a device with a new key; refuses one that is enrolled already.
pub fn add(config: &Config, device: Device) -> Result<(Device, Psk), Error> {
    device.check().map_err(Error::Usage)?;
    if config.device(&device.name).is_some() {
        let reason = format!("device {:?} is in the configuration already", device.name);
        return Err(Error::Usage(reason));
    }
    let psk = enrol::add(config, &device, &setup::identity(config)?)?;
    Ok((device, psk))
}

#[cfg(test)]
mod tests;
