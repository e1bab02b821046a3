//! The command line of `sluicegate`: one table of commands, their arguments and what they do.
//!
//! Guarantees: usage errors end with 64, and nothing is touched before the arguments are right.

mod channel;
mod device;
mod meter;
mod peer;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use base64ct::{Base64, Encoding};
use clap::{Args, Parser, Subcommand};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use crate::{
    Error,
    clock::Clock,
    config::Config,
    credentials,
    desk::Desk,
    feed::{self, Pace},
    gateway,
    prove::{Form, Proof, Question, Which, prove},
    report, setup, time, verify,
    wire::{Request, Response, Status},
};

/// Prints a line; a reader that went away is no error.
macro_rules! say {
    ($($part:tt)*) => {
        drop(writeln!(io::stdout(), $($part)*))
    };
}

/// How long a running gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Exit codes of `verify`; [`report`] holds them.
const VERDICTS: &str = "Exit codes: 0 valid and anchored, 1 invalid, 2 no anchor that the policy trusts, 3 witnesses \
                        missing, 4 ledger unreachable, 64 usage or unreadable. Of several files the worst counts: \
                        1, 64, 4, 3, 2, 0.";

/// A gateway that pays, proves and acts for tiny devices.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell a device to do something, and wait for its answer
    Act(device::ActArguments),
    /// Payment channels
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// Create secrets: 32 random bytes each, in files that only their owner can read
    Credential {
        /// Files to create; none may exist
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Enrol devices, and show what is known of them
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Send the readings of a CSV file (time,device,seq,name,unit,value) to the running gateway
    Feed(Feed),
    /// Run the embedded ledger as a process of its own, for several gateways
    Ledger(Configured),
    /// Metered payments
    #[command(subcommand)]
    Meter(meter::MeterCommand),
    /// Write a note into a device's part of the log, as after maintenance
    Note(device::NoteArguments),
    /// Other gateways: show what their administrators need of this one
    #[command(subcommand)]
    Peer(peer::PeerCommand),
    /// Print the policy that verifiers of this gateway's bundles need
    Policy {
        #[command(flatten)]
        configured: Configured,
        /// Write it to this file instead
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Write a proof of readings: one, a device's day, a span of time, or all of a device
    Prove(Prove),
    /// Declare that the state folder is a restored backup: the next start begins a log with a new origin
    Restore(Configured),
    /// Run the gateway
    Run(Configured),
    /// Show how the running gateway is
    Status {
        #[command(flatten)]
        configured: Configured,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check bundles (.sgp) and tlog-proofs against your policy; offline unless --rpc is given
    #[command(after_help = VERDICTS)]
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Configured {
    /// The configuration file
    #[arg(long, default_value = "/etc/sluicegate/sluicegate.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Feed {
    #[command(flatten)]
    configured: Configured,
    /// Readings per second, or max
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// Seconds to wait for a gateway that is away
    #[arg(long, default_value_t = 30)]
    patience: u64,
    /// The file, or - for standard input
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Prove {
    #[command(flatten)]
    configured: Configured,
    /// The device
    #[arg(long)]
    device: String,
    /// The reading with this sequence number
    #[arg(long, conflicts_with_all = ["day", "from", "to"])]
    seq: Option<u64>,
    /// All readings of this UTC day, as 2026-11-20, with its summary once the day is over
    #[arg(long, value_parser = time::parse_day, conflicts_with_all = ["from", "to"])]
    day: Option<u32>,
    /// Readings logged from this time on, as 2026-11-20T10:00:00Z
    #[arg(long, value_parser = time::parse)]
    from: Option<u64>,
    /// Readings logged before this time
    #[arg(long, value_parser = time::parse)]
    to: Option<u64>,
    /// From the log with this number, where an earlier one holds more
    #[arg(long)]
    log: Option<u32>,
    /// Where to write it; named after the device if absent
    #[arg(long)]
    out: Option<PathBuf>,
    /// Which form
    #[arg(long, value_enum, default_value = "sgp")]
    format: Form,
}

#[derive(Debug, Args)]
struct Verify {
    /// Bundles and tlog-proofs
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whom to trust: log keys, ledger keys, witnesses
    #[arg(long)]
    policy: PathBuf,
    /// Ask this ledger too: unix:SOCKET
    #[arg(long)]
    rpc: Option<String>,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

/// Readings per second; none for as many as possible.
#[derive(Debug, Clone, Copy)]
struct Rate(Option<u32>);

fn parse_rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate(None)),
        _ => match text.parse() {
            Ok(rate) if rate > 0 => Ok(Rate(Some(rate))),
            _ => Err("write a number of readings per second, or max".to_owned()),
        },
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { report::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    start_logs();
    run(arguments.command).unwrap_or_else(|error| report::fail(&error))
}

fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        // 2 when the command is under way and its end not known yet.
        Command::Act(arguments) => {
            let done = device::act(arguments)?;
            return Ok(ExitCode::from(done.map_or(2, |done| u8::from(!done))));
        }
        Command::Channel(command) => channel::run(command)?,
        Command::Credential { files } => {
            files.iter().try_for_each(|file| credentials::create(file))?
        }
        Command::Device(command) => device::run(command)?,
        Command::Feed(arguments) => return feed_file(&arguments),
        Command::Ledger(configured) => gateway::run_ledger(&configured.config)?,
        Command::Meter(command) => meter::run(command)?,
        Command::Note(arguments) => device::note(arguments)?,
        Command::Peer(command) => peer::run(command)?,
        Command::Policy { configured, out } => {
            let policy = setup::policy(&usable(&configured.config)?)?;
            write_out(out.as_deref(), policy.as_bytes())?;
        }
        Command::Prove(arguments) => write_proof(arguments)?,
        Command::Restore(configured) => restore(&Config::load(&configured.config)?)?,
        Command::Run(configured) => gateway::run(&configured.config)?,
        Command::Status { configured, json } => show_status(&configured.config, json)?,
        Command::Verify(arguments) => return verify_files(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration that a gateway runs with, and a word if it is not the one in the file.
fn usable(file: &Path) -> Result<Config, Error> {
    let (config, notice) = gateway::usable(file)?;
    if let Some(notice) = notice {
        eprintln!("sluicegate: {notice}");
    }
    Ok(config)
}

fn feed_file(arguments: &Feed) -> Result<ExitCode, Error> {
    let config = usable(&arguments.configured.config)?;
    let rows = match arguments.file.to_str() {
        Some("-") => feed::read(io::stdin()),
        _ => {
            let what = format!("{}", arguments.file.display());
            feed::read(fs::File::open(&arguments.file).map_err(Error::storage(what))?)
        }
    };
    let pace = Pace { rate: arguments.rate.0, patience: Duration::from_secs(arguments.patience) };
    let outcome = gateway::block_on(feed::feed(&config.socket, rows, pace))?;
    say!(
        "feed: {} readings acknowledged, {} of them repeated, {} refused",
        outcome.acknowledged,
        outcome.repeated,
        outcome.refused
    );
    Ok(ExitCode::from(u8::from(outcome.refused > 0)))
}

fn write_proof(arguments: Prove) -> Result<(), Error> {
    let config = usable(&arguments.configured.config)?;
    let which = match (arguments.seq, arguments.day, arguments.from, arguments.to) {
        (Some(seq), ..) => Which::Seq(seq),
        (None, Some(day), ..) => Which::Day(day),
        (None, None, None, None) => Which::All,
        (None, None, from, to) => Which::Range(from.unwrap_or(0), to.unwrap_or(u64::MAX)),
    };
    let Prove { device, log, format: form, .. } = arguments;
    let question = Question { device, which, form, log };
    let proof = match ask(&config.socket, &Request::Prove(question.clone())) {
        Ok(Response::Proof(proof)) => Proof {
            bytes: Base64::decode_vec(&proof.file).unwrap_or_default(),
            notice: proof.notice,
        },
        Ok(other) => return Err(refused(&config, other)),
        // No gateway runs: this process may open the store itself.
        Err(Error::Gateway { .. }) => {
            let mut desk = Desk::open(setup::desk(&config, Clock::start())?)?;
            let proof = prove(&mut desk, &question)?;
            desk.finish()?;
            proof
        }
        Err(error) => return Err(error),
    };
    let out = arguments.out.unwrap_or_else(|| file_name(&question));
    write_out(Some(&out), &proof.bytes)?;
    eprintln!("{}: {} bytes", out.display(), proof.bytes.len());
    if let Some(notice) = proof.notice {
        eprintln!("{notice}");
    }
    Ok(())
}

fn file_name(question: &Question) -> PathBuf {
    let what = match question.which {
        Which::All => "all".to_owned(),
        Which::Day(day) => format!("day-{day}"),
        Which::Range(from, to) => format!("{from}-{to}"),
        Which::Index(index) => format!("leaf-{index}"),
        Which::Seq(seq) => seq.to_string(),
    };
    let suffix = match question.form {
        Form::Sgp => "sgp",
        Form::TlogProof => "tlog-proof",
    };
    PathBuf::from(format!("{}-{what}.{suffix}", question.device))
}

fn restore(config: &Config) -> Result<(), Error> {
    let desk = Desk::open(setup::desk(config, Clock::start())?)?;
    desk.declare_restored()?;
    say!(
        "The log {} is closed. The next start begins a log with a new origin; give verifiers the \
         new policy then (sluicegate policy). Payment channels sign nothing more: they are settled.",
        desk.recorder.open_log().origin
    );
    Ok(())
}

fn show_status(file: &Path, json: bool) -> Result<(), Error> {
    let config = usable(file)?;
    match ask(&config.socket, &Request::Status)? {
        Response::Status(status) if json => {
            say!("{}", serde_json::to_string(&status).unwrap_or_default());
        }
        Response::Status(status) => print_status(&status),
        other => return Err(refused(&config, other)),
    }
    Ok(())
}

fn print_status(status: &Status) {
    let or_none = |value: Option<u64>, none: &str, unit: &str| {
        value.map_or_else(|| none.to_owned(), |value| format!("{value}{unit}"))
    };
    let utc =
        |ms: Option<u64>| ms.map_or_else(|| "none".to_owned(), sluicegate_notary::verify::utc);
    say!("log                    {}", status.origin);
    say!("leaves                 {}, {} of them anchored", status.size, status.anchored_size);
    say!("oldest unanchored      {}", utc(status.oldest_unanchored_ms));
    say!("hours of buffer left   {}", or_none(status.hours_of_buffer_left, "nothing grows", ""));
    say!("ledger                 {}", status.ledger);
    for line in &status.field {
        say!("field                  {line}");
    }
    for anchor in status.anchors.iter().take(5) {
        let block = or_none(anchor.block, "-", "");
        say!("anchor                 {} leaves, block {block}, {}", anchor.size, anchor.state);
    }
    for alarm in &status.alarms {
        say!("ALARM                  {alarm}");
    }
}

fn verify_files(arguments: &Verify) -> Result<ExitCode, Error> {
    let question = verify::Question {
        files: &arguments.files,
        policy: &arguments.policy,
        rpc: arguments.rpc.as_deref(),
    };
    let judged = verify::judge(&question)?;
    for verify::Judged { file, found } in &judged {
        let name = serde_json::Value::from(file.display().to_string());
        match found {
            Ok(report) if arguments.json => {
                say!("{{\"file\":{name},\"report\":{}}}", report.to_json());
            }
            Ok(report) if judged.len() > 1 => say!("{}\n{}", file.display(), report.to_text()),
            Ok(report) => say!("{}", report.to_text()),
            Err(error) => {
                if arguments.json {
                    let error = serde_json::Value::from(error.to_string());
                    say!("{{\"file\":{name},\"error\":{error}}}");
                }
                report::fail(error);
            }
        }
    }
    let codes = judged.iter().map(verify::Judged::exit_code);
    Ok(ExitCode::from(report::worst(codes)))
}

/// One request to the running gateway.
fn ask(socket: &Path, request: &Request) -> Result<Response, Error> {
    let gone = |reason: String| Error::Gateway { socket: socket.to_owned(), reason };
    let mut line = serde_json::to_vec(request).unwrap_or_default();
    line.push(b'\n');
    gateway::with_limit(PATIENCE, async {
        let stream = UnixStream::connect(socket).await.map_err(|error| gone(error.to_string()))?;
        let (reading, mut writing) = stream.into_split();
        writing.write_all(&line).await.map_err(|error| gone(error.to_string()))?;
        let answer = BufReader::new(reading).lines().next_line().await;
        let answer = answer.map_err(|error| gone(error.to_string()))?;
        let answer = answer.ok_or_else(|| gone("it closed the connection".to_owned()))?;
        serde_json::from_str(&answer).map_err(|error| gone(error.to_string()))
    })
}

fn refused(config: &Config, response: Response) -> Error {
    match response {
        Response::Error(reason) => Error::NotFound(reason),
        _ => Error::Gateway {
            socket: config.socket.clone(),
            reason: "its answer does not fit the question".to_owned(),
        },
    }
}

fn write_out(file: Option<&Path>, bytes: &[u8]) -> Result<(), Error> {
    match file {
        None => io::stdout().write_all(bytes).map_err(Error::storage("writing to standard output")),
        Some(file) => {
            fs::write(file, bytes).map_err(Error::storage(format!("writing {}", file.display())))
        }
    }
}

/// To the journal where systemd runs us, else to stderr.
fn start_logs() {
    use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    let registry = tracing_subscriber::registry().with(level);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(journal) => registry.with(journal.with_field_prefix(Some("SLUICEGATE".into()))).init(),
        None => {
            let plain = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            registry.with(plain.with_ansi(io::stderr().is_terminal())).init();
        }
    }
}
