//! A gateway with CoAP on free ports, and devices whose keys are credentials.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::OpenOptionsExt,
};

use serde_json::Value;

use crate::{device::Device, place::Place, process::Process};

pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) plain: SocketAddr,
    pub(crate) secure: SocketAddr,
}

/// The key of the device with this name.
pub(crate) fn key(name: &str) -> [u8; 16] {
    let mut key = [0x5A; 16];
    key.iter_mut().zip(name.bytes()).for_each(|(byte, letter)| *byte ^= letter);
    key
}

impl Site {
    /// With `meter-1` and these devices behind keys, and `lab-1` without.
    pub(crate) fn new(devices: &[String]) -> Self {
        let place = Place::with_ledger_in_process();
        let (plain, secure) = (free_address(), free_address());
        place.configure("listen = []\n", &format!("listen = [\"{plain}\"]\n"));
        place.configure("listen_dtls = []\n", &format!("listen_dtls = [\"{secure}\"]\n"));
        let mut more =
            "name = \"meter-2\"\n\n[[device]]\nname = \"lab-1\"\nsecurity = \"none\"\n".to_owned();
        for name in devices {
            more.push_str(&format!(
                "\n[[device]]\nname = \"{name}\"\npsk_credential = \"{name}\"\n"
            ));
        }
        place.configure("name = \"meter-2\"\n", &more);
        place.configure(
            "class = \"billing\"\n",
            "class = \"billing\"\npsk_credential = \"meter-1\"\n",
        );
        for name in devices.iter().map(String::as_str).chain(["meter-1"]) {
            let file = place.path(&format!("credentials/{name}"));
            let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            let hex: String = key(name).iter().map(|byte| format!("{byte:02x}")).collect();
            opened.unwrap().write_all(hex.as_bytes()).unwrap();
        }
        Self { place, plain, secure }
    }

    pub(crate) fn gateway(&self) -> Process {
        self.place.gateway()
    }

    /// A device with a session.
    pub(crate) fn device(&self, name: &str) -> Device {
        Device::secure(self.secure, name, &key(name)).expect("its key is right")
    }

    /// Something at the plain port.
    pub(crate) fn stranger(&self) -> Device {
        Device::plain(self.plain)
    }

    /// What is known of a device.
    pub(crate) fn twin(&self, name: &str) -> Value {
        let show = ["device", "show", "--config", "sluicegate.toml", "--json", name];
        serde_json::from_str(&self.place.done(&show)).unwrap()
    }

    /// Rows of the log that speak of devices.
    pub(crate) fn rows(&self) -> u64 {
        // The gateway keeps its database to itself; a copy is as good.
        let copy = tempfile::tempdir().unwrap();
        for name in ["gateway.db", "gateway.db-wal"] {
            let from = self.place.path("state").join(name);
            let _ = fs::copy(from, copy.path().join(name));
        }
        let store = rusqlite::Connection::open(copy.path().join("gateway.db")).unwrap();
        let count: i64 =
            store.query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).unwrap();
        count.unsigned_abs()
    }
}

pub(crate) fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
