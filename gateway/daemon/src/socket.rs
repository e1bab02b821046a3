//! The local socket: readings, status and proofs for programs of this machine.
//!
//! Guarantees: a bounded number of connections, lines and readings under way for each; whoever sends nonsense loses
//! its own connection only (I7), and so does who holds many and asks nothing; a reading's answer leaves after its leaf
//! is durable (I1). The file mode of the socket decides who may talk: owner and group. Does not: authenticate devices; from here whoever may write may name any
//! enrolled device.

use std::{
    cell::Cell, fs, os::unix::fs::PermissionsExt, path::Path, rc::Rc, sync::Arc, time::Duration,
};

use base64ct::{Base64, Encoding};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use crate::{
    Error,
    anchorer::Reach,
    channels,
    desk::Desk,
    devices::{
        Registry,
        commands::{self, Commands},
        contacts::Contacts,
        record::{self, Record},
        twin,
    },
    field::{Field, FieldHealth},
    intake::{Arrival, Intake, Rejection},
    keeper::Keeper,
    meter::Meters,
    prove::{Proof, prove},
    store::{Anchor, AnchorState},
    wire::{
        self, Act, Acted, AnchorStatus, Logged, MAX_LINE, Note, Reading, Refused, Request,
        Response, Status,
    },
};

/// Most connections.
const MAX_CONNECTIONS: usize = 64;

/// Most readings under way for one connection.
const WINDOW: usize = 256;

/// Most bytes of requests that wait for their answers, of all connections.
const REQUEST_BYTES: usize = 8 << 20;

/// How long a peer may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest note, in bytes.
const MAX_NOTE: usize = 1_000;

/// What a connection needs.
pub struct Counter {
    keeper: Keeper,
    registry: Registry,
    contacts: Contacts,
    intake: Intake,
    commands: Commands,
    field: FieldHealth,
    reach: watch::Receiver<Reach>,
    channels: Option<channels::Handle>,
    meters: Meters,
    /// Requests so far.
    requests: Cell<u64>,
    /// Bytes that requests may still take.
    room: Arc<Semaphore>,
    /// One proof at a time is built and sent.
    proofs: Arc<Semaphore>,
}

/// Creates the socket, for owner and group.
pub fn bind(path: &Path) -> Result<UnixListener, Error> {
    let what = || Error::storage(format!("opening the socket {}", path.display()));
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::InUse(path.to_owned()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(what()(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(what())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(what())?;
    Ok(listener)
}

impl Counter {
    /// Serves these parts of the gateway.
    pub fn new(keeper: Keeper, field: &Field, reach: watch::Receiver<Reach>) -> Self {
        Self {
            keeper,
            registry: field.registry.clone(),
            contacts: field.contacts.clone(),
            intake: field.intake.clone(),
            commands: field.commands.clone(),
            field: field.health.clone(),
            reach,
            channels: None,
            meters: Meters::default(),
            requests: Cell::new(0),
            room: Arc::new(Semaphore::new(REQUEST_BYTES)),
            proofs: Arc::clone(&field.proofs),
        }
    }

    /// Serves payment channels and their meters too.
    #[must_use]
    pub fn with_channels(self, channels: Option<channels::Handle>, meters: Meters) -> Self {
        Self { channels, meters, ..self }
    }

    /// Accepts connections until it is dropped; where there are too many, the idlest one gives way.
    pub async fn serve(self, listener: UnixListener) {
        let counter = Rc::new(self);
        let mut connections = JoinSet::new();
        let mut guests: Vec<(AbortHandle, Rc<Guest>)> = Vec::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        guests.retain(|(task, _)| !task.is_finished());
                        make_room(&mut guests);
                        let guest = Rc::new(Guest::new(counter.requests.get()));
                        let task = Rc::clone(&counter).converse(stream, Rc::clone(&guest));
                        guests.push((connections.spawn_local(task), guest));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a local connection failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    async fn converse(self: Rc<Self>, stream: UnixStream, guest: Rc<Guest>) {
        let (reading, writing) = stream.into_split();
        let (responses, outbox) = mpsc::channel(WINDOW);
        let writing = write(outbox, writing);
        tokio::pin!(writing);
        tokio::select! {
            // Nobody takes the answers: nothing more is read.
            () = &mut writing => return,
            () = self.read(BufReader::new(reading), responses, &guest) => {}
        }
        writing.await;
    }

    /// Reads requests until the peer ends or breaks a rule; answers to what is under way still go out.
    async fn read(
        self: &Rc<Self>,
        mut lines: BufReader<OwnedReadHalf>,
        responses: mpsc::Sender<Answer>,
        guest: &Guest,
    ) {
        while let Some(line) = next_line(&mut lines).await {
            let bytes = line.as_ref().map_or(0, Vec::len);
            let request = line.and_then(|line| Request::parse(&line));
            let request = match request {
                Ok(request) => request,
                Err(reason) => {
                    let _ = responses.send((Response::Error(reason), None)).await;
                    return;
                }
            };
            self.requests.set(self.requests.get() + 1);
            guest.last.set(Some(self.requests.get()));
            let Ok(permit) = Arc::clone(&guest.window).acquire_owned().await else { return };
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let Ok(room) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return };
            let (counter, responses) = (Rc::clone(self), responses.clone());
            tokio::task::spawn_local(async move {
                let turn = match request {
                    // A proof may be large: the next one is built when this one was sent.
                    Request::Prove(_) => Arc::clone(&counter.proofs).acquire_owned().await.ok(),
                    _ => None,
                };
                let _ = responses.send((counter.answer(request).await, turn)).await;
                drop((permit, room));
            });
        }
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Prove(question) => {
                let job = move |desk: &mut Desk, _| prove(desk, &question);
                match self.keeper.call(job).await {
                    Some(Ok(Proof { bytes, notice })) => {
                        let file = Base64::encode_string(&bytes);
                        Response::Proof(wire::Proof { file, notice })
                    }
                    Some(Err(error)) => Response::Error(error.to_string()),
                    None => Response::Error("the store is not open".to_owned()),
                }
            }
            Request::Act(act) => self.act(act).await,
            Request::Channel(request) => match &self.channels {
                Some(channels) => channels.serve(request).await,
                None => Response::Error(
                    "payment channels are off: there is no [payments] in the configuration, or \
                     the status says what is wrong"
                        .to_owned(),
                ),
            },
            Request::Meters => Response::Meters(self.meters.told()),
            Request::Note(note) => self.note(note).await,
            Request::Reading(reading) => self.log(reading).await,
            Request::Show(device) => self.show(device).await,
            Request::Status => {
                let ledger = describe(&self.reach.borrow());
                let field = self.field.told();
                match self.keeper.call(|desk, _| status(desk, ledger, field)).await {
                    Some(Ok(status)) => Response::Status(Box::new(status)),
                    Some(Err(error)) => Response::Error(error.to_string()),
                    None => Response::Error("the store is not open".to_owned()),
                }
            }
        }
    }

    async fn log(&self, reading: Reading) -> Response {
        let Reading { device, seq, format, payload } = reading;
        let payload = payload.into_bytes();
        let arrival = Arrival { device: device.clone(), seq, format, payload };
        match self.intake.take(arrival, None).await {
            Ok(found) => Response::Logged(Logged {
                device,
                seq,
                index: found.index,
                repeated: found.repeated,
            }),
            Err(Rejection { reason, retry_after_s, .. }) => {
                Response::Refused(Refused { device, seq, reason, retry: retry_after_s.is_some() })
            }
        }
    }

    async fn act(&self, act: Act) -> Response {
        let Act { device, resource, value, valid_ms, wait_ms } = act;
        match self.commands.act(&device, &resource, &value, valid_ms).await {
            Ok((id, outcome)) => {
                let outcome = timeout(Duration::from_millis(wait_ms), outcome).await;
                let outcome = outcome.ok().and_then(Result::ok);
                Response::Acted(Acted { id, outcome })
            }
            Err(reason) => Response::Error(reason),
        }
    }

    async fn note(&self, note: Note) -> Response {
        let Note { device, text } = note;
        if self.registry.get(&device).is_none() {
            return Response::Error(format!("no device {device:?} is enrolled"));
        }
        if text.is_empty() || text.len() > MAX_NOTE {
            return Response::Error(format!("a note has 1 to {MAX_NOTE} bytes"));
        }
        let record = Record::Note(record::Note { text });
        match commands::log(&self.keeper, &self.registry, &device, &record).await {
            Some(index) => Response::Noted(index),
            None => Response::Error("the store is not open".to_owned()),
        }
    }

    async fn show(&self, device: String) -> Response {
        let enrolled = self.registry.get(&device);
        let contact = self.contacts.newest(&device);
        let derived = self.keeper.call(move |desk, _| twin::derive(desk, &device)).await;
        match derived {
            Some(Ok(twin)) if enrolled.is_none() && twin.newest_ms.is_none() => {
                Response::Error(format!("no device {:?} is known", twin.device))
            }
            Some(Ok(twin)) => Response::Twin(Box::new(twin.with(enrolled.as_deref(), contact))),
            Some(Err(error)) => Response::Error(error.to_string()),
            None => Response::Error("the store is not open".to_owned()),
        }
    }
}

/// An answer, and the turn that ends when it was sent.
type Answer = (Response, Option<OwnedSemaphorePermit>);

/// One connection, as far as it matters for who gives way.
struct Guest {
    /// Requests of all connections when it came.
    came: u64,
    /// Requests of all connections at its own last one.
    last: Cell<Option<u64>>,
    window: Arc<Semaphore>,
}

impl Guest {
    fn new(came: u64) -> Self {
        Self { came, last: Cell::new(None), window: Arc::new(Semaphore::new(WINDOW)) }
    }

    /// Lowest for who never asked anything, then for who asked nothing for the longest time; who waits comes last.
    fn rank(&self) -> (bool, Option<u64>, u64) {
        (self.window.available_permits() < WINDOW, self.last.get(), self.came)
    }
}

/// Ends the idlest connection if there are too many.
fn make_room(guests: &mut Vec<(AbortHandle, Rc<Guest>)>) {
    if guests.len() < MAX_CONNECTIONS {
        return;
    }
    let idlest = guests.iter().enumerate().min_by_key(|(_, (_, guest))| guest.rank());
    if let Some((position, _)) = idlest {
        guests.remove(position).0.abort();
    }
}

/// Sends answers; ends when there are no more, or when the peer does not take them.
async fn write(mut outbox: mpsc::Receiver<Answer>, mut writing: OwnedWriteHalf) {
    while let Some((response, _turn)) = outbox.recv().await {
        let mut line = serde_json::to_string(&response).unwrap_or_default();
        line.push('\n');
        if !matches!(timeout(PATIENCE, writing.write_all(line.as_bytes())).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next line without its end; `None` at the end of the connection.
async fn next_line(lines: &mut BufReader<OwnedReadHalf>) -> Option<Result<Vec<u8>, String>> {
    let mut line = Vec::new();
    let limit = MAX_LINE as u64 + 1;
    lines.take(limit).read_until(b'\n', &mut line).await.ok()?;
    match line.pop() {
        Some(b'\n') => Some(Ok(line)),
        Some(_) if line.len() >= MAX_LINE => Some(Err("the line is too long".to_owned())),
        _ => None,
    }
}

fn describe(reach: &Reach) -> String {
    match reach {
        Reach::Reachable => "reachable".to_owned(),
        Reach::Unknown => "unknown".to_owned(),
        Reach::Unreachable(reason) => format!("unreachable: {reason}"),
    }
}

fn status(desk: &mut Desk, ledger: String, field: Vec<String>) -> Result<Status, Error> {
    let anchors = desk.recorder.store().anchors(100)?;
    Ok(Status {
        origin: desk.recorder.open_log().origin.clone(),
        size: desk.recorder.files().size(),
        anchored_size: desk.anchoring.anchored_size(),
        oldest_unanchored_ms: desk.anchoring.oldest_unanchored().map(|time| time.ms),
        hours_of_buffer_left: desk.hours_left(),
        ledger,
        field,
        anchors: anchors.iter().map(anchor_status).collect(),
        alarms: desk.alarms().iter().map(ToString::to_string).collect(),
    })
}

fn anchor_status(anchor: &Anchor) -> AnchorStatus {
    let (state, block, final_ms) = match &anchor.state {
        AnchorState::Failed(reason) => (format!("failed: {reason}"), None, None),
        AnchorState::Final { block, since_ms } => {
            ("final".to_owned(), Some(*block), Some(*since_ms))
        }
        AnchorState::UnderWay => ("under way".to_owned(), None, None),
    };
    let digest = anchor.digest.to_string();
    AnchorStatus { size: anchor.size, digest, state, block, final_ms }
}
