//! `sluicegate device …`, `sluicegate act`, `sluicegate note`: enrolment, commands, what is known.
//!
//! Guarantees: a PSK is shown once, on a terminal or in a pipe of the administrator's choice, and nowhere else.
//! Does not: need a running gateway to enrol; it reads the enrolments at its start and on SIGHUP.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use qrcode::{EcLevel, QrCode, render::unicode};
use sluicegate_notary::verify::utc;
use zeroize::Zeroizing;

use super::{Configured, ask, refused};
use crate::{
    Error,
    config::{Config, Device, Duration, Security, Signs},
    devices::{self, enrol, twin::Twin},
    gateway,
    net::psk::Psk,
    wire::{Act, Acted, Note, Request, Response},
};

macro_rules! say {
    ($($part:tt)*) => {
        drop(writeln!(io::stdout(), $($part)*))
    };
}

#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Enrol a device: prints its name, its PSK and a QR code with both
    Add(Add),
    /// List the enrolled devices
    List(Configured),
    /// End an enrolment that was made with add
    Remove {
        #[command(flatten)]
        configured: Configured,
        /// The device
        device: String,
    },
    /// Show what is known of a device: state, contact, gaps, commands, notes
    Show {
        #[command(flatten)]
        configured: Configured,
        /// The device
        device: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    configured: Configured,
    /// Endpoint name: 1 to 32 of A-Z a-z 0-9 - _ .
    device: String,
    /// Retention class of its readings
    #[arg(long, default_value = "default")]
    class: String,
    /// Without DTLS: whoever reaches the plain CoAP port may speak in its name (laboratory)
    #[arg(long)]
    no_security: bool,
    /// It has a key of its own for payment channels and signs for itself
    #[arg(long)]
    signs_itself: bool,
    /// A device whose state it may read; * for all; may be repeated
    #[arg(long)]
    reads: Vec<String>,
    /// Readings that it may send a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Without the QR code
    #[arg(long)]
    no_qr: bool,
}

#[derive(Debug, Args)]
pub(super) struct ActArguments {
    #[command(flatten)]
    configured: Configured,
    /// The device
    device: String,
    /// Its resource, such as valve
    resource: String,
    /// What to write, such as open
    value: String,
    /// How long the command may be carried out; a sleeping device gets it with its next contact
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    valid: Duration,
    /// How long to wait for the device's answer
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    wait: Duration,
}

#[derive(Debug, Args)]
pub(super) struct NoteArguments {
    #[command(flatten)]
    configured: Configured,
    /// The device
    device: String,
    /// What happened, such as "seal replaced"
    text: String,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::try_from(text.to_owned())
}

/// Runs `sluicegate device …`.
pub(super) fn run(command: DeviceCommand) -> Result<(), Error> {
    match command {
        DeviceCommand::Add(arguments) => add(arguments),
        DeviceCommand::List(configured) => list(configured.config),
        DeviceCommand::Remove { configured, device } => {
            enrol::remove(&Config::load(&configured.config)?, &device)?;
            say!("{device} is no longer enrolled; a running gateway forgets it on SIGHUP");
            Ok(())
        }
        DeviceCommand::Show { configured, device, json } => show(&configured, device, json),
    }
}

fn add(arguments: Add) -> Result<(), Error> {
    let config = Config::load(&arguments.configured.config)?;
    let device = Device {
        name: arguments.device,
        class: arguments.class,
        psk_credential: None,
        security: if arguments.no_security { Security::None } else { Security::Psk },
        signs: if arguments.signs_itself { Signs::Itself } else { Signs::Gateway },
        reads: arguments.reads,
        readings_per_second: arguments.rate,
    };
    let (device, psk) = devices::add(&config, device)?;
    print_enrolment(&device, &psk, !arguments.no_qr)
}

fn print_enrolment(device: &Device, psk: &Psk, qr: bool) -> Result<(), Error> {
    let hex = Zeroizing::new(format!("{:032x}", u128::from_be_bytes(*psk.expose())));
    say!("endpoint name  {}", device.name);
    say!("PSK            {}", *hex);
    if qr {
        say!("{}", *draw(&enrolment_text(&device.name, &hex))?);
    }
    eprintln!("A running gateway takes it on SIGHUP (systemctl reload sluicegate).");
    Ok(())
}

/// What the QR code of an enrolment says.
fn enrolment_text(name: &str, psk: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("SLUICEGATE:1;EP:{name};PSK:{psk};;"))
}

/// A QR code as rows of a terminal, two modules in a character.
fn draw(text: &str) -> Result<Zeroizing<String>, Error> {
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M);
    let code = code.map_err(|error| Error::Usage(format!("no QR code: {error}")))?;
    Ok(Zeroizing::new(code.render::<unicode::Dense1x2>().quiet_zone(true).build()))
}

fn list(file: PathBuf) -> Result<(), Error> {
    let (registry, alarms) = devices::Registry::load(&Config::load(&file)?);
    for name in registry.names() {
        let Some(enrolled) = registry.get(&name) else { continue };
        let security = match (&enrolled.device.security, &enrolled.psk) {
            (Security::None, _) => "no security",
            (Security::Psk, Some(_)) => "PSK",
            (Security::Psk, None) => "no PSK: no DTLS",
        };
        let signs = match enrolled.device.signs {
            Signs::Gateway => "",
            Signs::Itself => ", signs for itself",
        };
        say!("{name:32}  {:16}  {security}{signs}", enrolled.device.class);
    }
    alarms.iter().for_each(|alarm| eprintln!("{alarm}"));
    Ok(())
}

fn show(configured: &Configured, device: String, json: bool) -> Result<(), Error> {
    let (config, _) = gateway::usable(&configured.config)?;
    match ask(&config.socket, &Request::Show(device))? {
        Response::Twin(twin) if json => {
            say!("{}", serde_json::to_string(&twin).unwrap_or_default());
        }
        Response::Twin(twin) => print_twin(&twin),
        other => return Err(refused(&config, other)),
    }
    Ok(())
}

/// A line with what devices told: what would move a terminal's cursor, or turn the direction of writing, is written out.
fn say_plainly(line: &str) {
    say!("{}", plain(line));
}

fn plain(text: &str) -> String {
    let moves =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::new(), |mut plain, c| {
        match moves(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
        plain
    })
}

fn print_twin(twin: &Twin) {
    let none = || "none".to_owned();
    let enrolment = match (&twin.class, &twin.security) {
        (Some(class), Some(security)) => format!("class {class}, security {security}"),
        _ => "not enrolled".to_owned(),
    };
    say!("device        {} ({enrolment})", twin.device);
    let contact = twin.contact.as_ref().map(|(ms, how)| format!("{} over {how}", utc(*ms)));
    say!(
        "last contact  {}",
        contact.unwrap_or_else(|| "none since the gateway's start".to_owned())
    );
    say!("last logged   {}", twin.newest_ms.map_or_else(none, utc));
    say!("highest seq   {}", twin.highest_seq.map_or_else(none, |seq| seq.to_string()));
    for (first, last) in &twin.gaps {
        say!("gap           {first} to {last}");
    }
    for (name, state) in &twin.state {
        let unit = state.unit.as_deref().unwrap_or("");
        let (value, since) = (&state.value, utc(state.since_ms));
        say_plainly(&format!(
            "state         {name} = {value} {unit} (leaf {}, {since})",
            state.index
        ));
    }
    for told in &twin.commands {
        let (resource, value, made) = (&told.resource, &told.value, utc(told.made_ms));
        let (state, id) = (&told.state, told.id);
        say_plainly(&format!("command       {resource} = {value}: {state} ({made}, id {id})"));
    }
    for (ms, text) in &twin.notes {
        say_plainly(&format!("note          {}: {text}", utc(*ms)));
    }
}

/// Runs `sluicegate act`; whether the device did it, or `None` when it is not known yet.
pub(super) fn act(arguments: ActArguments) -> Result<Option<bool>, Error> {
    let (config, _) = gateway::usable(&arguments.configured.config)?;
    let act = Act {
        device: arguments.device,
        resource: arguments.resource,
        value: arguments.value,
        valid_ms: arguments.valid.0,
        wait_ms: arguments.wait.0.min(60_000),
    };
    let device = act.device.clone();
    match ask(&config.socket, &Request::Act(act))? {
        Response::Acted(Acted { id, outcome: Some(outcome) }) => {
            let done = if outcome.ok { "done" } else { "failed" };
            say_plainly(&format!("command {id}: {done}: {}", outcome.detail));
            Ok(Some(outcome.ok))
        }
        Response::Acted(Acted { id, outcome: None }) => {
            say!("command {id} waits: {device} gets it with its next contact");
            Ok(None)
        }
        other => Err(refused(&config, other)),
    }
}

/// Runs `sluicegate note`.
pub(super) fn note(arguments: NoteArguments) -> Result<(), Error> {
    let (config, _) = gateway::usable(&arguments.configured.config)?;
    let note = Note { device: arguments.device, text: arguments.text };
    match ask(&config.socket, &Request::Note(note))? {
        Response::Noted(index) => say!("noted, leaf {index}"),
        other => return Err(refused(&config, other)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules of a drawn code, true where dark, without the quiet zone of four on each side.
    fn modules(drawn: &str) -> Vec<Vec<bool>> {
        let mut rows: Vec<Vec<bool>> = Vec::new();
        for line in drawn.lines() {
            let halves = line.chars().map(|c| match c {
                '\u{2588}' => (true, true),
                '\u{2580}' => (true, false),
                '\u{2584}' => (false, true),
                ' ' => (false, false),
                other => panic!("{other:?}"),
            });
            let (upper, lower) = halves.unzip();
            rows.extend([upper, lower]);
        }
        let side = rows[0].len();
        rows.truncate(side);
        let quiet = |row: &Vec<bool>| !row.contains(&true);
        assert!(rows[..4].iter().chain(&rows[side - 4..]).all(quiet));
        let inner = rows[4..side - 4].iter();
        inner.map(|row| row[4..side - 4].to_vec()).collect()
    }

    #[test]
    fn the_drawn_code_says_name_and_psk() {
        let text = enrolment_text("meter-1", "00112233445566778899aabbccddeeff");
        let wanted = "SLUICEGATE:1;EP:meter-1;PSK:00112233445566778899aabbccddeeff;;";
        let wanted = QrCode::with_error_correction_level(wanted, EcLevel::M).unwrap();
        let dark: Vec<bool> =
            wanted.to_colors().iter().map(|color| *color == qrcode::Color::Dark).collect();
        let rows = modules(&draw(&text).unwrap());
        assert_eq!(rows.len(), wanted.width());
        assert_eq!(rows.concat(), dark);
    }

    #[test]
    fn what_devices_told_does_not_steer_a_terminal() {
        let told = "valve = \u{1b}[2Kopen\r\n\u{9b}1m\u{202e}°C 水";
        assert_eq!(plain(told), "valve = \\u{1b}[2Kopen\\r\\n\\u{9b}1m\\u{202e}°C 水");
    }
}
