//! A water valve with a flow meter: closed and opened by command, its state can be observed.
//!
//! Guarantees: a command acts once, however often it comes.

use std::time::{SystemTime, UNIX_EPOCH};

use sluicegate_device::{
    Bytes,
    actuator::{Actuator, Command, Outcome},
    coap::{Application, Code, Incoming, Link, Observable, Reply, content_format},
    senml::Decimal,
};

use crate::appliance::{Appliance, pack_of_one, wobble};

/// The valve.
pub(crate) struct Valve {
    name: String,
    body: Body,
    actuator: Actuator<8>,
    /// Whether the last answer to [`Appliance::changed`] knew the state.
    told: bool,
}

/// What moves.
struct Body {
    open: bool,
    /// Hundredths of a litre a minute.
    flow: i64,
}

impl Valve {
    /// An open one.
    pub(crate) fn new(name: &str) -> Self {
        let body = Body { open: true, flow: 1_200 };
        Self { name: name.to_owned(), body, actuator: Actuator::new(), told: true }
    }

    fn act(&mut self, command: &Command) -> Outcome {
        let Self { actuator, body, told, .. } = self;
        actuator.run(command, seconds(), |value| {
            body.open = match value {
                b"open" => true,
                b"closed" => false,
                _ => return Outcome::refused(Code::BAD_REQUEST, "open or closed"),
            };
            *told = false;
            println!("acted {} {}", command.id.unwrap_or_default(), body.state());
            Outcome::done(Bytes::new(value).unwrap_or_default())
        })
    }
}

impl Body {
    const fn state(&self) -> &'static str {
        if self.open { "open" } else { "closed" }
    }
}

impl Appliance for Valve {
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>> {
        let target = if self.body.open { 1_200 + wobble(tick, 5) / 12 } else { 0 };
        self.body.flow += (target - self.body.flow) * 2 / 3;
        let flow = Decimal::new(self.body.flow, -2);
        vec![pack_of_one(&self.name, "flow", "l/min", flow)]
    }

    fn changed(&mut self) -> Option<usize> {
        (!std::mem::replace(&mut self.told, true)).then_some(0)
    }
}

impl Application for Valve {
    fn links(&self) -> &[Link<'_>] {
        const LINK: Link<'_> = Link {
            path: "valve",
            attributes: "rt=\"valve\";if=\"core.a\"",
            observable: Observable::Confirmable,
        };
        &[LINK]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        reply.content_format(content_format::TEXT);
        if request.method == Code::GET {
            reply.push(self.body.state().as_bytes());
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
}

/// Since 1970.
fn seconds() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
