//! Two gateways and a ledger, as processes, with as many channels between them as are wanted.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::client::Client;
use crate::{
    Result,
    process::{Process, free_tcp_port, secret, sluicegate},
};

/// Longest wait for a channel, and for all of them.
const PATIENCE: Duration = Duration::from_secs(300);

/// The ledger's, which both gateways know.
const LEDGER_KEY: usize = 99;

/// The two gateways and their ledger.
pub(super) struct Pair {
    payer: Process,
    payee: Process,
    _ledger: Process,
    /// Where the paying gateway is asked.
    pub(super) socket: PathBuf,
}

impl Pair {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let (payer, payee) = (folder.join("payer"), folder.join("payee"));
        let ports = [free_tcp_port()?, free_tcp_port()?];
        prepare(&payer, ("payer", ports[0]), 1)?;
        prepare(&payee, ("payee", ports[1]), 10)?;
        let prints = [fingerprint(&payer)?, fingerprint(&payee)?];
        knows(&payer, ("payee", ports[1]), &prints[1])?;
        knows(&payee, ("payer", ports[0]), &prints[0])?;
        let mut ledger = Process::start(&mut sluicegate(&payer, &["ledger"])?)?;
        ledger.wait_socket(&folder.join("ledger.sock"))?;
        let run = |folder: &Path| -> Result<Process> {
            let mut gateway = Process::start(&mut sluicegate(folder, &["run"])?)?;
            gateway.wait_socket(&folder.join("gateway.sock"))?;
            Ok(gateway)
        };
        let socket = payer.join("gateway.sock");
        Ok(Self { payer: run(&payer)?, payee: run(&payee)?, _ledger: ledger, socket })
    }

    /// Opens channels until there are so many, and waits until all are funded; gives their names.
    pub(super) fn open(&self, count: usize) -> Result<Vec<String>> {
        let mut client = Client::connect(&self.socket)?;
        let end = Instant::now() + PATIENCE;
        let mut begun = self.list(&mut client)?.len();
        while begun < count {
            let open = json!({ "peer": "payee", "device": "meter-1", "own": "100000", "theirs": "100000" });
            match client.ask(&json!({ "channel": { "open": open } })) {
                Ok(_) => begun += 1,
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
        loop {
            let all = self.list(&mut client)?;
            let open = all.iter().filter(|channel| channel["phase"] == "open");
            if open.count() == count {
                let id = |channel: &Value| channel["id"].as_str().map(str::to_owned);
                return Ok(all.iter().filter_map(id).collect());
            }
            if Instant::now() > end {
                return Err("not all channels are funded".into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn list(&self, client: &mut Client) -> Result<Vec<Value>> {
        let answer = client.ask(&json!({ "channel": "list" }))?;
        Ok(answer["channels"].as_array().cloned().unwrap_or_default())
    }

    /// Processor time so far, of the paying gateway and of the other one.
    pub(super) fn used(&self) -> Result<[Duration; 2]> {
        Ok([self.payer.processor_time()?, self.payee.processor_time()?])
    }
}

fn prepare(folder: &Path, (name, port): (&str, u16), secrets: usize) -> Result<()> {
    fs::create_dir_all(folder.join("credentials"))?;
    let own = (secrets..).zip(["log-key", "account-key", "device-seed"]);
    for (number, credential) in own.chain([(LEDGER_KEY, "ledger-key")]) {
        secret(folder, credential, &format!("{number:064x}"))?;
    }
    let text = format!(
        "state = \"state\"\ncredentials = \"credentials\"\nsocket = \"gateway.sock\"\n\
         [coap]\nlisten = []\nlisten_dtls = []\n\
         [log]\norigin = \"bench.example/{name}\"\nkey_credential = \"log-key\"\n\
         [ledger]\nname = \"ledger.bench.example\"\nsocket = \"../ledger.sock\"\nstate = \"../ledger\"\n\
         key_credential = \"ledger-key\"\naccount_credential = \"account-key\"\n\
         block_interval = \"50ms\"\nfinality_blocks = 1\ngrant = 1000000000000\n\
         [anchor]\ninterval = \"1h\"\nmax_fee_per_day = 1000000000\n\
         [channels]\nname = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\n\
         [payments]\nkey_credential = \"device-seed\"\nfee_reserve = 100\nmax_channels = 2000\n\
         [[payments.accept]]\npeer = \"payer\"\ndevice = \"meter-1\"\n\
         [[device]]\nname = \"meter-1\"\n"
    );
    Ok(fs::write(folder.join("sluicegate.toml"), text)?)
}

fn fingerprint(folder: &Path) -> Result<String> {
    let told = sluicegate(folder, &["peer", "identity"])?.output()?;
    let told = String::from_utf8(told.stdout)?;
    let line = told.lines().find_map(|line| line.strip_prefix("fingerprint"));
    Ok(line.ok_or("the gateway has no fingerprint")?.trim().to_owned())
}

fn knows(folder: &Path, (peer, port): (&str, u16), fingerprint: &str) -> Result<()> {
    let file = folder.join("sluicegate.toml");
    let text = fs::read_to_string(&file)?;
    let peer = format!(
        "[[peer]]\nname = \"{peer}\"\nendpoint = \"127.0.0.1:{port}\"\nfingerprint = \"{fingerprint}\"\n"
    );
    Ok(fs::write(file, text + &peer)?)
}
