//! How a device can be reached: the transport of its last sign of life, and when that was.
//!
//! Guarantees: bounded by the enrolled devices; whoever waits for a contact is woken. Does not: survive a restart; a
//! device that has not spoken since is asleep as far as the gateway knows.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use tokio::sync::Notify;

/// The transport of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// CoAP, plain or over DTLS.
    Coap,
    /// MQTT through the broker.
    Mqtt,
}

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// How it came.
    pub transport: Transport,
    /// When, in wall-clock milliseconds.
    pub wall_ms: u64,
    /// When, in monotonic milliseconds.
    pub monotonic_ms: u64,
}

/// The newest contact of every device; clones share it.
#[derive(Clone, Default)]
pub struct Contacts {
    newest: Rc<RefCell<BTreeMap<String, Contact>>>,
    woken: Rc<Notify>,
}

impl Contacts {
    /// An enrolled device gave a sign of life.
    pub fn seen(&self, device: &str, contact: Contact) {
        let mut newest = self.newest.borrow_mut();
        match newest.get_mut(device) {
            Some(known) => *known = contact,
            None => drop(newest.insert(device.to_owned(), contact)),
        }
        self.woken.notify_one();
    }

    /// Forgets devices that are no longer enrolled.
    pub fn retain(&self, is_enrolled: impl Fn(&str) -> bool) {
        self.newest.borrow_mut().retain(|device, _| is_enrolled(device));
    }

    /// The newest contact of a device.
    pub fn newest(&self, device: &str) -> Option<Contact> {
        self.newest.borrow().get(device).copied()
    }

    /// Resolves after a contact since the last call; for one waiter.
    pub async fn changed(&self) {
        self.woken.notified().await;
    }
}
