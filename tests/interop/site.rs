//! A gateway with CoAP on free ports, and foreign programs that talk to it.

use std::{
    fs,
    io::Write,
    net::UdpSocket,
    os::unix::fs::OpenOptionsExt,
    process::{Child, Command, Output, Stdio},
};

use crate::{place::Place, process::Process};

/// The PSK of `meter-1`, as libcoap's client takes it.
pub(crate) const KEY: &str = "a-16-byte-secret";

/// A running gateway and its ports.
pub(crate) struct Site {
    pub(crate) place: Place,
    _gateway: Process,
    pub(crate) plain: u16,
    pub(crate) secure: u16,
}

impl Site {
    pub(crate) fn start() -> Self {
        let place = Place::with_ledger_in_process();
        let (plain, secure) = (free_port(), free_port());
        place.configure("listen = []\n", &format!("listen = [\"127.0.0.1:{plain}\"]\n"));
        place.configure("listen_dtls = []\n", &format!("listen_dtls = [\"127.0.0.1:{secure}\"]\n"));
        place.configure(
            "class = \"billing\"\n",
            "class = \"billing\"\npsk_credential = \"meter-1-psk\"\n",
        );
        place.configure(
            "name = \"meter-2\"\n",
            "name = \"meter-2\"\n\n[[device]]\nname = \"lab-1\"\nsecurity = \"none\"\n",
        );
        let file = place.path("credentials/meter-1-psk");
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
        opened.unwrap().write_all(hex.as_bytes()).unwrap();
        let gateway = place.gateway();
        Self { place, _gateway: gateway, plain, secure }
    }

    /// Runs libcoap's client; gives what it printed.
    pub(crate) fn libcoap(&self, program: &str, arguments: &[&str], path: &str) -> Output {
        let (scheme, port) = match program {
            "coap-client-openssl" => ("coaps", self.secure),
            _ => ("coap", self.plain),
        };
        let uri = format!("{scheme}://127.0.0.1:{port}{path}");
        let client = Command::new(program).args(["-B", "10"]).args(arguments).arg(uri).output();
        client.unwrap_or_else(|error| panic!("{program}: {error}; run tests/setup/install.sh test"))
    }

    /// Starts a Python program with aiocoap, which lies beside the build results.
    pub(crate) fn python(&self, arguments: &[&str]) -> Child {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let python = target.join("python/bin/python");
        let started = Command::new(&python)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let missing =
            |error| panic!("{}: {error}; run tests/setup/install.sh test", python.display());
        started.unwrap_or_else(missing)
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
