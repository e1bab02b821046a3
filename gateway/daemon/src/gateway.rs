//! The running processes: the gateway, and the embedded ledger on its own.
//!
//! Guarantees: ready is said when the store is open and the socket is bound; SIGTERM commits what waits and ends within
//! two seconds; a broken configuration starts the gateway with the last one that worked, and an alarm. A ledger that
//! can't be opened costs anchoring, not readings. Does not: decide anything; it wires tasks together.

use std::{future::Future, path::Path, path::PathBuf, sync::Arc, time::Duration};

use sluicegate_embedded::{owner::drive, server};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::LocalSet,
    time::timeout,
};

use crate::{
    Error,
    anchorer::{Anchorer, Reach},
    channels::{self, Begun},
    clock::Clock,
    coap,
    config::Config,
    credentials,
    devices::commands::{Deliverer, Deliverers},
    field::Field,
    keeper::Keeper,
    meter, mqtt,
    peers::{Book, PeersHandle},
    recorder::Alarm,
    setup, socket,
};

/// How long a stop may take.
const STOP: Duration = Duration::from_millis(1_800);

/// How long telling the devices may take.
const FAREWELL: Duration = Duration::from_millis(300);

/// Runs the gateway until it is told to stop.
pub fn run(file: &Path) -> Result<(), Error> {
    forbid_core_dumps();
    let (config, alarm) = usable(file)?;
    if alarm.is_none() {
        keep_good(file);
    }
    let clock = Clock::start();
    let desk = setup::desk(&config, clock)?;
    let effects = desk.effects.share()?;
    let (keeper, thread) = Keeper::start(desk)?;
    let result = block_on(async {
        if let Some(alarm) = alarm {
            keeper.call(move |desk, _| desk.alarm(alarm)).await;
        }
        let field = Field::open(&config, &keeper, clock).await?;
        let Anchoring { reach, ledger, task: anchoring } =
            anchoring(&config, &keeper, clock, effects.share()?).await?;
        let Begun { handle: payments, peers, task: paying } =
            channels::begin(&config, &field, ledger, clock, effects).await;
        let meter::Begun { meters, task: metering } =
            meter::begin(&config, &field, payments.clone());
        let (stop, stopping) = watch::channel(false);
        let mut serving = std::pin::pin!(serve_field(&config, &field, stopping).await?);
        // Whoever finds the socket finds a gateway that answers.
        let listener = socket::bind(&config.socket)?;
        let counter = socket::Counter::new(keeper.clone(), &field, reach);
        let counter = counter.with_channels(payments, meters);
        tracing::info!(socket = %config.socket.display(), origin = config.log.origin, "ready");
        notify("READY=1\nSTATUS=Logging readings");
        tokio::select! {
            () = counter.serve(listener) => {}
            () = anchoring => {}
            () = paying => {}
            () = metering => {}
            () = &mut serving => {}
            () = reload_on_signal(file, &field, peers.as_ref()) => {}
            () = keeper.ended() => {
                return Err(Error::Failed("the thread that owns the store ended".to_owned()));
            }
            stopped = stop_signal() => stopped?,
        }
        notify("STOPPING=1");
        tracing::info!("stopping");
        let _ = stop.send(true);
        let _ = timeout(FAREWELL, serving).await;
        if let Some(peers) = &peers {
            let _ = timeout(FAREWELL, peers.stop()).await;
        }
        Ok(())
    });
    keeper.stop();
    let joined = std::thread::spawn(move || thread.join());
    wait_for(&joined);
    result
}

/// Runs the embedded ledger as a process of its own until it is told to stop.
pub fn run_ledger(file: &Path) -> Result<(), Error> {
    forbid_core_dumps();
    let config = Config::load(file)?;
    let Some(path) = config.ledger.socket.clone() else {
        return Err(Error::Usage("ledger.socket is needed to serve the ledger".to_owned()));
    };
    let owner = setup::own_ledger(&config)?;
    block_on(async {
        let listener = socket::bind(&path)?;
        tracing::info!(socket = %path.display(), ledger = config.ledger.name, "ready");
        notify("READY=1\nSTATUS=Serving the ledger");
        let stop = async {
            if let Err(error) = stop_signal().await {
                tracing::error!(%error, "signals can't be received");
            }
        };
        Ok(server::serve(listener, owner, stop).await?)
    })
}

/// Everything that talks to devices.
async fn serve_field(
    config: &Config,
    field: &Field,
    stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + use<>, Error> {
    let (to_coap, coap_inbox) = mpsc::channel(64);
    let server = coap::Server::open(&config.coap, field, config.log.max_payload)?;
    let (mqtt, broker) = serve_mqtt(config, field).await;
    let deliverers = Deliverers { coap: Some(to_coap), mqtt };
    let (commands, settings) = (field.commands.clone(), config.coap.clone());
    Ok(async move {
        tokio::select! {
            () = commands.run(deliverers) => {}
            () = server.run(settings, coap_inbox, stopping) => {}
            () = broker => {}
        }
    })
}

/// Devices behind a broker, where one is configured, and the way to them. A password that can't be read costs MQTT.
async fn serve_mqtt(
    config: &Config,
    field: &Field,
) -> (Option<Deliverer>, impl Future<Output = ()> + use<>) {
    let (orders, inbox) = mpsc::channel(32);
    let password = config.mqtt.as_ref().and_then(|mqtt| mqtt.password_credential.as_deref());
    let password = password.map(|name| credentials::load_text(config, name)).transpose();
    let served = match (config.mqtt.clone(), password) {
        (None, _) => None,
        (Some(mqtt), Ok(password)) => Some(mqtt::run(mqtt, password, field.clone(), inbox)),
        (Some(_), Err(error)) => {
            let text = format!("MQTT is off until a restart: {error}");
            field.health.set("mqtt", text.clone());
            field.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
            None
        }
    };
    let orders = served.is_some().then_some(orders);
    let task = async move {
        match served {
            Some(served) => served.await,
            None => std::future::pending().await,
        }
    };
    (orders, task)
}

/// Takes the devices of the configuration again at every SIGHUP; a broken one changes nothing.
async fn reload_on_signal(file: &Path, field: &Field, peers: Option<&PeersHandle>) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "SIGHUP can't be received");
            return std::future::pending().await;
        }
    };
    while hangup.recv().await.is_some() {
        notify("RELOADING=1");
        match Config::load(file) {
            Ok(config) => {
                field.reload(&config).await;
                reload_peers(&config, field, peers).await;
                keep_good(file);
                tracing::info!(devices = field.registry.names().len(), "reloaded");
            }
            Err(error) => {
                let alarm = Alarm(format!("{error}; nothing was reloaded"));
                field.keeper.call(move |desk, _| desk.alarm(alarm)).await;
            }
        }
        notify("READY=1");
    }
}

/// The address book anew; who is in it no more is disconnected.
async fn reload_peers(config: &Config, field: &Field, peers: Option<&PeersHandle>) {
    let Some(peers) = peers else { return };
    let book = Book::new(&config.peers).map_err(Error::Usage);
    if let Err(error) = book.and_then(|book| peers.reload(book)) {
        let alarm = Alarm(format!("{error}; the address book was not reloaded"));
        field.keeper.call(move |desk, _| desk.alarm(alarm)).await;
    }
}

/// The configuration, or the last one that worked with an alarm.
pub(crate) fn usable(file: &Path) -> Result<(Config, Option<Alarm>), Error> {
    let broken = match Config::load(file) {
        Ok(config) => return Ok((config, None)),
        Err(broken) => broken,
    };
    match Config::load_as(&last_good(file), file) {
        Ok(config) => {
            let alarm = format!("{broken}; the gateway runs with the last one that worked");
            Ok((config, Some(Alarm(alarm))))
        }
        Err(_) => Err(broken),
    }
}

/// In the state folder where systemd gives one, since `/etc` may be read-only.
fn last_good(file: &Path) -> PathBuf {
    let name = format!("{}.good", file.file_name().unwrap_or_default().to_string_lossy());
    match std::env::var_os("STATE_DIRECTORY") {
        Some(folder) => Path::new(&folder).join(name),
        None => file.with_file_name(name),
    }
}

fn keep_good(file: &Path) {
    let good = last_good(file);
    let temporary = good.with_extension("new");
    let copied = std::fs::copy(file, &temporary).and_then(|_| std::fs::rename(&temporary, &good));
    if let Err(error) = copied {
        tracing::warn!(%error, copy = %good.display(), "the configuration could not be copied");
    }
}

/// The anchoring task and what goes with it.
struct Anchoring<T> {
    reach: watch::Receiver<Reach>,
    /// The account's channels, where there is a ledger.
    ledger: Option<Arc<dyn sluicegate_ledger::Channels>>,
    task: T,
}

/// The anchoring task, and where it says whether the ledger answers. Without a usable ledger it only waits.
async fn anchoring(
    config: &Config,
    keeper: &Keeper,
    clock: Clock,
    effects: crate::effects::Effects,
) -> Result<Anchoring<impl Future<Output = ()>>, Error> {
    let (connected, reach) = match setup::connect(config) {
        Ok(connected) => (Some(connected), None),
        Err(error) => {
            let text = format!("anchoring is off until a restart: {error}");
            let alarm = Alarm(text.clone());
            keeper.call(move |desk, _| desk.alarm(alarm)).await;
            (None, Some(watch::channel(Reach::Unreachable(text)).1))
        }
    };
    let ledger = connected.as_ref().map(|connected| Arc::clone(&connected.channels));
    let (anchorer, owner, reach) = match (connected, reach) {
        (Some(connected), _) => {
            let settings = setup::outbox_settings(config);
            let ledger = Arc::clone(&connected.ledger);
            let anchorer = Anchorer::new(keeper.clone(), ledger, settings, clock, effects);
            let (anchorer, reach) = anchorer.await?;
            let reserve = config.payments.as_ref().map_or(0, |p| u128::from(p.fee_reserve));
            (Some(anchorer.reserving(reserve)), connected.owner, reach)
        }
        (None, reach) => (None, None, reach.unwrap_or(watch::channel(Reach::Unknown).1)),
    };
    let keeper = keeper.clone();
    let task = async move {
        let own = async {
            if let Some(owner) = owner
                && let Err(error) = drive(owner).await
            {
                let text = format!("the ledger of this process stopped, until a restart: {error}");
                keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
            }
            std::future::pending::<()>().await;
        };
        let anchor = async {
            if let Some(anchorer) = anchorer {
                return anchorer.run().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = own => {}
            () = anchor => {}
        }
    };
    Ok(Anchoring { reach, ledger, task })
}

/// Runs a future on an executor of its own.
pub(crate) fn block_on<T>(main: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::storage("starting the executor"))?;
    let result = LocalSet::new().block_on(&runtime, main);
    // A write of the ledger's file that is under way may be cut off like by a power cut, and is as safe.
    runtime.shutdown_background();
    result
}

async fn stop_signal() -> Result<(), Error> {
    let what = || Error::storage("listening for signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(what())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(what())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Waits for the keeper, but not for ever: what is not committed was not acknowledged.
fn wait_for<T>(thread: &std::thread::JoinHandle<T>) {
    let deadline = std::time::Instant::now() + STOP;
    while !thread.is_finished() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    if !thread.is_finished() {
        tracing::warn!("the store did not finish in time");
    }
}

/// A core dump would hold keys (I8).
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps can't be forbidden");
    }
}

/// Tells systemd, where there is one.
fn notify(state: &str) {
    let states: Vec<_> = state.lines().map(sd_notify::NotifyState::Custom).collect();
    let _ = sd_notify::notify(&states);
}

/// Runs a request to a running process with a limit.
pub(crate) fn with_limit<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = || Err(Error::NotFound("no answer in time".to_owned()));
    block_on(async move { timeout(limit, request).await.unwrap_or_else(|_| late()) })
}
