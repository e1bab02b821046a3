//! The part of the configuration that faces the field: CoAP, MQTT, the devices.
//!
//! Guarantees: as the whole file ([`super`]). Does not: hold a PSK or a password; both are credentials.

use std::net::SocketAddr;

use serde::Deserialize;

use super::Duration;

/// Longest name of a device, in bytes: what constrained DTLS stacks take as an identity.
pub const MAX_NAME: usize = 32;

/// `[coap]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coap {
    /// Where CoAP over DTLS is served; an empty list for nowhere.
    pub listen_dtls: Vec<SocketAddr>,
    /// Where plain CoAP is served: discovery, and devices with `security = "none"`.
    pub listen: Vec<SocketAddr>,
    /// Most peers that are remembered, over all transports.
    pub max_peers: usize,
    /// Most bytes of block-wise transfers, kept answers and waiting messages; peers without DTLS get a quarter of it.
    pub max_transfer_memory: usize,
    /// The same for each peer.
    pub max_peer_memory: usize,
    /// Most messages whose repetitions are recognised.
    pub max_exchanges: usize,
    /// Most observations of devices' states.
    pub max_observations: usize,
    /// Most registrations in the resource directory; as many as sessions if absent.
    pub max_registrations: Option<usize>,
    /// Most DTLS sessions.
    pub max_sessions: usize,
    /// Most DTLS handshakes under way.
    pub max_handshakes: usize,
    /// Requests that a peer may make a second, on average.
    pub requests_per_second: u32,
    /// Requests that a peer may make at once.
    pub request_burst: u32,
}

impl Default for Coap {
    fn default() -> Self {
        let any = |port| vec![SocketAddr::from(([0u16; 8], port))];
        Self {
            listen_dtls: any(5684),
            listen: any(5683),
            max_peers: 4_096,
            max_transfer_memory: 8 << 20,
            max_peer_memory: 512 << 10,
            max_exchanges: 65_536,
            max_observations: 4_096,
            max_registrations: None,
            max_sessions: 4_096,
            max_handshakes: 256,
            requests_per_second: 100,
            request_burst: 500,
        }
    }
}

/// `[mqtt]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// The broker's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The gateway's name at the broker, which keeps the session under it; a random one of its own if absent, because
    /// whoever connects under the same name takes the gateway's place.
    pub client_id: Option<String>,
    /// User name at the broker.
    pub user: Option<String>,
    /// Credential of the password, 64 hexadecimal digits as they are written.
    pub password_credential: Option<String>,
    /// The client is built anew when the broker acknowledges nothing for so long.
    pub patience: Duration,
    /// Most publications that wait for the broker.
    pub max_outbox: usize,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1_883,
            client_id: None,
            user: None,
            password_credential: None,
            patience: Duration(30_000),
            max_outbox: 10_000,
        }
    }
}

impl Mqtt {
    /// Checks what a broker would only refuse later; the error says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.host.is_empty() || self.client_id.as_ref().is_some_and(String::is_empty) {
            return Err("mqtt.host or mqtt.client_id is empty".to_owned());
        }
        if self.patience.0 < 1_000 {
            return Err("mqtt.patience is shorter than 1s".to_owned());
        }
        if self.password_credential.is_some() && self.user.is_none() {
            return Err("mqtt.password_credential needs mqtt.user".to_owned());
        }
        match self.max_outbox {
            0 => Err("mqtt.max_outbox is 0".to_owned()),
            _ => Ok(()),
        }
    }
}

/// How a device proves over CoAP who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// By its PSK, over DTLS.
    #[default]
    Psk,
    /// Not at all: whoever reaches the plain port may speak in its name. For laboratories.
    None,
}

/// Who signs for a device in payment channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signs {
    /// This gateway, with a key of its own for the device.
    #[default]
    Gateway,
    /// The device, with a key that never leaves it.
    Itself,
}

/// `[[device]]`
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Endpoint name, at most 32 bytes.
    pub name: String,
    /// Retention class of its readings.
    #[serde(default = "super::defaults::class")]
    pub class: String,
    /// Credential of its PSK: 32 hexadecimal digits.
    pub psk_credential: Option<String>,
    /// How it proves over CoAP who it is.
    #[serde(default)]
    pub security: Security,
    /// Who signs for it in payment channels.
    #[serde(default)]
    pub signs: Signs,
    /// Devices whose state it may read at `/devices/<name>/…`, besides its own; `*` for all.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Readings that it may send a second, on average.
    #[serde(default = "super::defaults::readings_per_second")]
    pub readings_per_second: u32,
}

impl Device {
    /// Checks name and class; the error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let whole = (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.');
        if !whole || !name.chars().all(valid) {
            let rule = "a name has 1 to 32 of A-Z a-z 0-9 - _ . and does not begin with a dot";
            return Err(format!("device {name:?}: {rule}"));
        }
        if self.readings_per_second == 0 {
            return Err(format!("device {name:?}: readings_per_second is 0"));
        }
        check_class(&self.class)
    }

    /// Whether it may read the state of the device `name`.
    pub fn may_read(&self, name: &str) -> bool {
        self.name == name || self.reads.iter().any(|read| read == "*" || read == name)
    }
}

/// Checks the name of a retention class.
pub(super) fn check_class(class: &str) -> Result<(), String> {
    match class.is_empty() || class.len() > sluicegate_notary::entry::MAX_NAME {
        true => Err(format!("class {class:?} is empty or longer than 64 bytes")),
        false => Ok(()),
    }
}
