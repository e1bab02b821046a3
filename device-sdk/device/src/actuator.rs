//! Commands of the gateway: executed once, and not after their deadline.
//!
//! Guarantees: of the commands with an id the last `N` are remembered, and one that comes again has
//! no second effect and gets the first outcome (I6); one that comes after its deadline has none,
//! if the device knows the time. Does not: survive a restart; a valve that must not move twice then
//! persists its last id and gives it to [`Actuator::remember`].
//!
//! Over CoAP a command is a PUT with `id=` and `until=` in its query ([`Command::from_request`]),
//! over MQTT a message on an `act` topic ([`crate::mqtt::parse_command`]).

use crate::{
    Bytes,
    coap::{Code, Incoming},
};

/// The room for a value or an answer.
pub const MAX_VALUE: usize = 64;

/// A command for one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// What makes it one command however often it comes; without it, it is a new one each time.
    pub id: Option<u64>,
    /// Until when it may be executed, in seconds since 1970.
    pub until: Option<u64>,
    /// The value to set.
    pub value: Bytes<MAX_VALUE>,
}

impl Command {
    /// The command in a PUT or POST; the error is the response.
    pub fn from_request(request: &Incoming<'_>) -> Result<Self, Code> {
        if request.method != Code::PUT && request.method != Code::POST {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let number = |key| {
            let value = request.query(key).map(str::parse);
            value.transpose().map_err(|_| Code::BAD_REQUEST)
        };
        let value = Bytes::new(request.payload).ok_or(Code::REQUEST_ENTITY_TOO_LARGE)?;
        Ok(Self { id: number("id")?, until: number("until")?, value })
    }
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// 2.04 if it was executed; 4.12 if its deadline had passed.
    pub code: Code,
    /// The value then, or why not.
    pub value: Bytes<MAX_VALUE>,
}

impl Outcome {
    /// Executed: this is the value now.
    pub const fn done(value: Bytes<MAX_VALUE>) -> Self {
        Self { code: Code::CHANGED, value }
    }

    /// Not executed, for the device's own reason.
    pub fn refused(code: Code, reason: &str) -> Self {
        Self { code, value: Bytes::new(reason.as_bytes()).unwrap_or_default() }
    }

    /// Whether it was executed.
    pub const fn is_done(&self) -> bool {
        self.code.class() == 2
    }
}

/// The memory of commands; one for all resources whose commands share their ids.
#[derive(Debug)]
pub struct Actuator<const N: usize> {
    outcomes: [Option<(u64, Outcome)>; N],
    next: usize,
}

impl<const N: usize> Actuator<N> {
    /// Remembers nothing yet.
    pub const fn new() -> Self {
        Self { outcomes: [None; N], next: 0 }
    }

    /// Executes a command unless it was executed or its deadline has passed.
    ///
    /// `time` is in seconds since 1970, `None` if the device does not know it; then deadlines are
    /// the gateway's affair. `execute` gets the value.
    pub fn run(
        &mut self,
        command: &Command,
        time: Option<u64>,
        execute: impl FnOnce(&[u8]) -> Outcome,
    ) -> Outcome {
        if let Some(outcome) = command.id.and_then(|id| self.outcome(id)) {
            return outcome;
        }
        let late = time.zip(command.until).is_some_and(|(time, until)| time > until);
        let outcome = if late {
            Outcome::refused(Code::PRECONDITION_FAILED, "the deadline has passed")
        } else {
            execute(command.value.as_slice())
        };
        command.id.into_iter().for_each(|id| self.remember(id, outcome));
        outcome
    }

    /// The outcome of a command that was executed.
    pub fn outcome(&self, id: u64) -> Option<Outcome> {
        let known = self.outcomes.iter().flatten().find(|(known, _)| *known == id);
        known.map(|(_, outcome)| *outcome)
    }

    /// Takes a command for executed; the oldest is forgotten for it.
    pub fn remember(&mut self, id: u64, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(self.next) {
            *place = Some((id, outcome));
            self.next = (self.next + 1) % N;
        }
    }
}

impl<const N: usize> Default for Actuator<N> {
    fn default() -> Self {
        Self::new()
    }
}
