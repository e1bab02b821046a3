//! The charging station of one run: a ledger, the car's gateway and the station's, and a device behind each.
//!
//! Guarantees: every process has a folder of its own with its own store and keys; they speak TLS and DTLS with each
//! other, on loopback. Does not: look into a store; what it knows was said by `sluicegate` or by a device.
//!
//! Order of calls: [`Yard::start`]; then what the run is about.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

use crate::{
    failure::{Doing, Failure, Result},
    process::Process,
    site::{Site, run},
    station::{device::Device, timeline::Shown},
};

const GATEWAY: &str = include_str!("gateway.toml");
const LEDGER: &str = include_str!("ledger.toml");

/// Energy that is paid at once, and its price.
pub(crate) const STEP_WH: u64 = 100;
pub(crate) const PRICE: u64 = 80;

/// Longest wait for a clean end.
const STOP: Duration = Duration::from_secs(5);

/// Everything that runs.
pub(crate) struct Yard {
    pub(crate) car: Party,
    pub(crate) station: Party,
    ledger: Process,
}

/// A gateway with its device.
pub(crate) struct Party {
    pub(crate) name: &'static str,
    device_name: &'static str,
    /// What the device is.
    kind: &'static str,
    run: &'static str,
    site: Site,
    coaps: u16,
    gateway: Option<Process>,
    device: Option<Device>,
}

impl Yard {
    /// Sets up and starts everything for a run, in the folder of its name.
    pub(crate) fn start(run: &'static str) -> Result<Self> {
        let ledger = Site::with(
            &format!("{run}/ledger"),
            LEDGER,
            &["log-key", "ledger-key", "account-key"],
        )?;
        let ledger = ledger.start_ledger_as(&format!("{run}-ledger"))?;
        let ports = [free_port()?, free_port()?];
        let mut car = Party::new(run, ("car", "car", "car-1"), ports[0])?;
        let mut station = Party::new(run, ("station", "charger", "charger-1"), ports[1])?;
        let (of_car, of_station) = (car.identity()?, station.identity()?);
        car.site.configure(&(peer("station", ports[1], &of_station) + &pays()))?;
        station.site.configure(&(peer("car", ports[0], &of_car) + &sells()))?;
        for party in [&mut car, &mut station] {
            party.enrol()?;
            party.start_gateway()?;
            party.start_device()?;
        }
        Ok(Self { car, station, ledger })
    }

    /// Asks all to end.
    pub(crate) fn stop(self) -> Result<()> {
        for party in [self.car, self.station] {
            drop(party.device);
            party.gateway.map_or(Ok(()), |gateway| gateway.stop(STOP).map(drop))?;
        }
        self.ledger.stop(STOP).map(drop)
    }
}

impl Party {
    fn new(
        run: &'static str,
        (name, kind, device_name): (&'static str, &'static str, &'static str),
        port: u16,
    ) -> Result<Self> {
        let coaps = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let coaps = coaps.doing("looking for a free port")?.port();
        let text = GATEWAY.replace("{name}", name).replace("{port}", &port.to_string());
        let text = text.replace("{coaps}", &coaps.to_string());
        let secrets = ["log-key", "account-key", "device-seed"];
        let site = Site::with(&format!("{run}/{name}"), &text, &secrets)?;
        Ok(Self { name, kind, device_name, run, site, coaps, gateway: None, device: None })
    }

    /// The fingerprint of the certificate that the peer has to know.
    fn identity(&self) -> Result<String> {
        let output = run(&mut self.site.with_config("peer identity"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("fingerprint"));
        line.map(|line| line.trim().to_owned()).ok_or_else(|| Failure::new("no fingerprint"))
    }

    fn enrol(&self) -> Result<()> {
        self.site.enrol(self.device_name, &["--signs-itself"], &self.enrolment())
    }

    fn enrolment(&self) -> String {
        self.site.path("enrolment")
    }

    pub(crate) fn start_gateway(&mut self) -> Result<()> {
        self.gateway = Some(self.site.start_gateway(&format!("{}-{}", self.run, self.name))?);
        Ok(())
    }

    /// As a power cut would end it.
    pub(crate) fn kill_gateway(&mut self) -> Result<()> {
        self.gateway.take().map_or(Ok(()), Process::kill)
    }

    fn start_device(&mut self) -> Result<()> {
        let terms = run(&mut self.site.with_config("channel terms"))?.stdout;
        let [file, key, flash] =
            ["terms", "device-key", "device-flash"].map(|name| self.site.path(name));
        fs::write(&file, terms).doing(&file)?;
        let (name, enrolment) = (format!("{}-{}", self.run, self.device_name), self.enrolment());
        let server = format!("127.0.0.1:{}", self.coaps);
        let arguments = [self.kind, &enrolment, &server, &file, &key, &flash];
        self.device = Some(Device::start(&name, &arguments)?);
        Ok(())
    }

    pub(crate) fn device(&mut self) -> Result<&mut Device> {
        self.device.as_mut().ok_or_else(|| Failure::new(format!("{} is off", self.device_name)))
    }

    /// Takes the power of its device away, for ever.
    pub(crate) fn kill_device(&mut self) -> Result<()> {
        self.device.take().map_or(Ok(()), Device::kill)
    }

    /// The newest channel, as the gateway shows it; none while it is away, or has none.
    pub(crate) fn channel(&self) -> Option<Shown> {
        self.gateway.as_ref()?;
        let output = self.site.with_config("channel list").arg("--json").output().ok()?;
        let channels: Vec<Shown> = serde_json::from_slice(&output.stdout).ok()?;
        channels.into_iter().last()
    }

    /// Settles its channel on the ledger.
    pub(crate) fn dispute(&self, channel: &str) -> Result<()> {
        run(self.site.with_config("channel dispute").arg(channel)).map(drop)
    }

    /// Copies what the gateway keeps; it does not run.
    pub(crate) fn copy_state(&self) -> Result<()> {
        copy_folder(Path::new(&self.site.path("state")), Path::new(&self.site.path("copy")))
    }

    /// Puts the copy in the place of what the gateway kept.
    pub(crate) fn use_copy(&self) -> Result<()> {
        let (state, copy) = (self.site.path("state"), self.site.path("copy"));
        fs::remove_dir_all(&state).and_then(|()| fs::rename(&copy, &state)).doing(&state)
    }

    /// The file of what left the gateway, and what had become durable.
    pub(crate) fn effects(&self) -> String {
        self.site.path("effects.log")
    }
}

/// What the car pays for what its device measures.
fn pays() -> String {
    format!(
        "[[meter]]\ndevice = \"car-1\"\nrecord = \"energy\"\nunit = \"Wh\"\nstep = \"{STEP_WH}\"\n\
         [[meter.payee]]\npeer = \"station\"\nprice = \"{PRICE}\"\n\n"
    )
}

/// What the station delivers for it.
fn sells() -> String {
    format!(
        "[[payments.accept]]\npeer = \"car\"\ndevice = \"charger-1\"\n\n\
         [[meter]]\ndevice = \"charger-1\"\nrecord = \"energy\"\nunit = \"Wh\"\nstep = \"{STEP_WH}\"\n\
         [meter.payer]\npeer = \"car\"\nprice = \"{PRICE}\"\n\
         [meter.actuator]\ndevice = \"charger-1\"\nresource = \"relay\"\non = \"on\"\noff = \"off\"\n\n"
    )
}

fn peer(name: &str, port: u16, fingerprint: &str) -> String {
    format!(
        "[[peer]]\nname = \"{name}\"\nendpoint = \"127.0.0.1:{port}\"\n\
         fingerprint = \"{fingerprint}\"\n\n"
    )
}

fn free_port() -> Result<u16> {
    let tcp = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    tcp.doing("looking for a free port").map(|address| address.port())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).doing(to.display())?;
    for entry in fs::read_dir(from).doing(from.display())? {
        let path = entry.doing(from.display())?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target).doing(target.display())?;
        }
    }
    Ok(())
}
