//! Something with two states that is commanded through a resource and whose state can be observed.
//!
//! Guarantees: a command acts once, however often it comes; each act is a line on standard output. Does not: say what
//! the states mean.

use std::time::{SystemTime, UNIX_EPOCH};

use sluicegate_device::{
    Bytes,
    actuator::{Actuator, Command, Outcome},
    coap::{Code, Incoming, Reply, content_format},
};

/// The two states, and the one that it is in.
pub(crate) struct Switch {
    /// What off and on are called.
    words: [&'static str; 2],
    on: bool,
    actuator: Actuator<8>,
    /// Whether the last answer to [`Switch::changed`] knew the state.
    told: bool,
}

impl Switch {
    pub(crate) const fn new(words: [&'static str; 2], on: bool) -> Self {
        Self { words, on, actuator: Actuator::new(), told: true }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether the state is another one than when this was last asked.
    pub(crate) const fn changed(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// Answers a request to its resource.
    pub(crate) fn serve(&mut self, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        reply.content_format(content_format::TEXT);
        if request.method == Code::GET {
            reply.push(self.words[usize::from(self.on)].as_bytes());
            return Code::CONTENT;
        }
        match Command::from_request(request) {
            Ok(command) => {
                let outcome = self.act(&command);
                reply.push(outcome.value.as_slice());
                outcome.code
            }
            Err(code) => code,
        }
    }

    fn act(&mut self, command: &Command) -> Outcome {
        let Self { words, on, actuator, told } = self;
        actuator.run(command, seconds(), |value| {
            let Some(place) = words.iter().position(|word| word.as_bytes() == value) else {
                return Outcome::refused(Code::BAD_REQUEST, "neither of its two states");
            };
            *on = place == 1;
            *told = false;
            println!("acted {} {}", command.id.unwrap_or_default(), words[place]);
            Outcome::done(Bytes::new(value).unwrap_or_default())
        })
    }
}

/// Since 1970.
fn seconds() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
