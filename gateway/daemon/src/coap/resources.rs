//! The gateway's CoAP resources (design §8): discovery, resource directory, readings, proofs, states of devices, channels.
//!
//! Guarantees: who is not enrolled gets 4.01 from everything but discovery; a reading is answered with the index of its
//! leaf, as text, when it is durable (I1). Does not: hold sockets; slow work runs beside the task and comes back.

mod channels;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use sluicegate_coap::{
    Code, ExchangeId, Method, ObservationId, Request, Response,
    directory::{Answer, Caller, Directory, Limits, Registration},
    format, link,
};
use tokio::sync::mpsc;

use super::{Done, Link, outward::Wish, places::Places};
use crate::{
    Error,
    desk::Desk,
    devices::{Enrolled, changes::Place, contacts::Transport, twin},
    field::Field,
    intake::{Arrival, Rejection},
    prove::{Form, Question, Which, prove},
};

/// Content format of a bundle: it is CBOR.
const BUNDLE: u16 = format::CBOR;

/// What `/.well-known/core` says (RFC 6690).
const CORE: &str = "</readings>;rt=\"sluicegate.readings\";ct=\"110 112\",\
    </devices>;rt=\"sluicegate.state\",\
    </channels>;rt=\"sluicegate.channels\";ct=60,\
    </rd>;rt=\"core.rd\";ct=40,</rd-lookup/res>;rt=\"core.rd-lookup-res\";ct=40,\
    </rd-lookup/ep>;rt=\"core.rd-lookup-ep\";ct=40";

/// Routes requests.
pub(super) struct Resources {
    field: Field,
    places: Rc<RefCell<Places>>,
    directory: Directory,
    tell: mpsc::UnboundedSender<Done>,
    wishes: Vec<Wish>,
}

/// A request that is answered later, or now.
enum Step {
    Now(Response),
    Later,
    /// Later, and the place is observed by a device.
    Watched(Place, String),
}

impl Resources {
    pub(super) fn new(
        field: Field,
        places: Rc<RefCell<Places>>,
        limits: Limits,
        tell: mpsc::UnboundedSender<Done>,
    ) -> Self {
        let directory = Directory::new(limits);
        Self { field, places, directory, tell, wishes: Vec::new() }
    }

    /// Takes a request; its answer comes as [`Done`]. Gives the place that an observation is of, and the device that observes.
    pub(super) fn take(
        &mut self,
        now: u64,
        exchange: ExchangeId,
        link: Link,
        request: Request,
        observe: Option<ObservationId>,
    ) -> Option<(Place, String)> {
        let step = self.route(now, exchange, link, request, observe);
        match step {
            Step::Now(response) => {
                let _ = self.tell.send(Done::Respond(exchange, response));
                None
            }
            Step::Later => None,
            Step::Watched(place, reader) => Some((place, reader)),
        }
    }

    /// What registrations asked for since the last call.
    pub(super) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    pub(super) fn handle_timeout(&mut self, now: u64) {
        for device in self.directory.expire(now) {
            tracing::info!(device, "the registration is over");
        }
    }

    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.directory.next_expiry()
    }

    /// Forgets the registrations of devices that are no longer enrolled.
    pub(super) fn retain(&mut self) {
        let registry = &self.field.registry;
        self.directory.retain(|name| registry.get(name).is_some());
    }

    /// A device answered with its links.
    pub(super) fn complete(&mut self, now: u64, registration: Registration, links: &Response) {
        if let Err(error) = self.directory.complete(now, registration, links) {
            tracing::info!(%error, "a device's links can't be registered");
        }
    }

    fn route(
        &mut self,
        now: u64,
        exchange: ExchangeId,
        link: Link,
        request: Request,
        observe: Option<ObservationId>,
    ) -> Step {
        if request.method == Method::Get && request.is_path(&[".well-known", "core"]) {
            return Step::Now(discover(&request));
        }
        let named = request.parameter("ep");
        let Some(enrolled) = self.places.borrow_mut().device(link, named) else {
            return Step::Now(unauthorized());
        };
        let device = enrolled.device.name.clone();
        self.field.intake.note_contact(&device, Transport::Coap);
        let path: Vec<String> = request.path().map(str::to_owned).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Err(rejection) = self.charge(&enrolled, request.method, &path) {
            return Step::Now(refuse(&rejection));
        }
        match (request.method, path.as_slice()) {
            (_, [".well-known", "rd"] | ["rd", ..] | ["rd-lookup", ..]) => {
                self.consult(now, link, &device, &request)
            }
            (Method::Post, ["readings"]) => self.log(exchange, device, request),
            (Method::Get, ["readings", index, "proof"]) => {
                self.prove(exchange, device, index, &request)
            }
            (Method::Get, ["devices", name, resource @ ..]) if !resource.is_empty() => {
                self.state(exchange, &enrolled, name, &resource.join("/"), observe)
            }
            (_, ["channels", ..]) => self.channels(exchange, link, &enrolled, &request, observe),
            (_, ["readings"] | ["readings", _, "proof"] | ["devices", ..]) => {
                Step::Now(Response::new(Code::METHOD_NOT_ALLOWED))
            }
            _ => Step::Now(Response::new(Code::NOT_FOUND)),
        }
    }

    /// A question that the store answers costs the device as much as a reading.
    fn charge(&self, enrolled: &Enrolled, method: Method, path: &[&str]) -> Result<(), Rejection> {
        let device = &enrolled.device;
        match (method, path) {
            (Method::Get, ["readings", _, "proof"] | ["devices", _, _, ..])
            | (_, ["channels", ..]) => {
                self.field.intake.spend(&device.name, device.readings_per_second)
            }
            _ => Ok(()),
        }
    }

    fn consult(&mut self, now: u64, link: Link, device: &str, request: &Request) -> Step {
        let base = self.places.borrow().uri(link).unwrap_or_default();
        let caller = Caller { name: Some(device), base: &base };
        let (response, fetch) = match self.directory.handle(now, request, caller) {
            None => (Response::new(Code::NOT_FOUND), None),
            Some(Answer::Respond(response)) => (response, None),
            Some(Answer::Fetch(response, registration)) => (response, Some(registration)),
        };
        // A refresh without links says nothing new of them.
        let news = fetch.is_some() || !request.payload.is_empty();
        if response.code.is_success() && request.method == Method::Post && news {
            let device = device.to_owned();
            self.wishes.push(match fetch {
                Some(registration) => Wish::Fetch { device, link, registration },
                None => Wish::Observe { device, link, links: request.payload.clone() },
            });
        }
        Step::Now(response)
    }

    fn log(&self, exchange: ExchangeId, device: String, request: Request) -> Step {
        let seq = match request.parameter("seq").map(str::parse::<u64>) {
            None => None,
            Some(Ok(seq)) => Some(seq),
            Some(Err(_)) => {
                let text = "seq is no number of 64 bits";
                return Step::Now(Response::diagnostic(Code::BAD_REQUEST, text));
            }
        };
        let Some(format) = request.content_format() else {
            let text = "the content format is missing: 110 or 112 (SenML JSON, CBOR)";
            return Step::Now(Response::diagnostic(Code::UNSUPPORTED_CONTENT_FORMAT, text));
        };
        let arrival = Arrival { device, seq, format, payload: request.payload };
        let (intake, tell) = (self.field.intake.clone(), self.tell.clone());
        tokio::task::spawn_local(async move {
            let response = match intake.take(arrival, Some(Transport::Coap)).await {
                Ok(found) => {
                    let text = found.index.to_string();
                    Response { code: Code::CHANGED, ..Response::content(format::TEXT, text) }
                }
                Err(rejection) => refuse(&rejection),
            };
            let _ = tell.send(Done::Respond(exchange, response));
        });
        Step::Later
    }

    fn prove(&self, exchange: ExchangeId, device: String, index: &str, request: &Request) -> Step {
        let Ok(index) = index.parse::<u64>() else {
            return Step::Now(Response::new(Code::NOT_FOUND));
        };
        if request.accepts().is_some_and(|accept| accept != BUNDLE) {
            return Step::Now(Response::new(Code::NOT_ACCEPTABLE));
        }
        let question = Question { device, which: Which::Index(index), form: Form::Sgp, log: None };
        let (keeper, tell) = (self.field.keeper.clone(), self.tell.clone());
        let proofs = Arc::clone(&self.field.proofs);
        tokio::task::spawn_local(async move {
            let _turn = proofs.acquire_owned().await;
            let proved = keeper.call(move |desk: &mut Desk, _| prove(desk, &question)).await;
            let response = match proved {
                Some(Ok(proof)) => Response::content(BUNDLE, proof.bytes),
                Some(Err(Error::NotFound(reason))) => {
                    Response::diagnostic(Code::NOT_FOUND, &reason)
                }
                Some(Err(_)) | None => unavailable(),
            };
            let _ = tell.send(Done::Respond(exchange, response));
        });
        Step::Later
    }

    fn state(
        &self,
        exchange: ExchangeId,
        reader: &Enrolled,
        name: &str,
        resource: &str,
        observe: Option<ObservationId>,
    ) -> Step {
        if !reader.device.may_read(name) {
            let text = "this device may not read that one: see reads in its enrolment";
            return Step::Now(Response::diagnostic(Code::FORBIDDEN, text));
        }
        let place = (name.to_owned(), resource.to_owned());
        let (keeper, tell, of) = (self.field.keeper.clone(), self.tell.clone(), place.clone());
        tokio::task::spawn_local(async move {
            let (name, resource) = of;
            let twin = keeper.call(move |desk: &mut Desk, _| twin::derive(desk, &name)).await;
            let response = match twin {
                Some(Ok(twin)) => match twin.state.get(&resource) {
                    Some(state) => Response::content(format::TEXT, state.value.as_bytes()),
                    None => Response::new(Code::NOT_FOUND),
                },
                Some(Err(_)) | None => unavailable(),
            };
            let _ = tell.send(match observe {
                Some(observation) => Done::Observe(exchange, observation, response),
                None => Done::Respond(exchange, response),
            });
        });
        match observe {
            Some(_) => Step::Watched(place, reader.device.name.clone()),
            None => Step::Later,
        }
    }
}

fn discover(request: &Request) -> Response {
    if request.accepts().is_some_and(|accept| accept != format::LINK_FORMAT) {
        return Response::new(Code::NOT_ACCEPTABLE);
    }
    let Some((name, value)) = request.parameters().find_map(|text| text.split_once('=')) else {
        return Response::content(format::LINK_FORMAT, CORE);
    };
    Response::content(format::LINK_FORMAT, filtered(name, value))
}

/// The links with this target or attribute (RFC 6690 §4.1); an asterisk at the end stands for anything.
fn filtered(name: &str, wanted: &str) -> String {
    let matches = |found: &str| match wanted.strip_suffix('*') {
        Some(start) => found.starts_with(start),
        None => found == wanted,
    };
    let links = link::parse(CORE).unwrap_or_default();
    let links = links.iter().filter(|link| match name {
        "href" => matches(&link.target),
        _ => link.attribute(name).is_some_and(|value| value.split(' ').any(matches)),
    });
    links.fold(String::new(), |mut text, link| {
        link.write(&mut text);
        text
    })
}

fn unauthorized() -> Response {
    Response::new(Code::UNAUTHORIZED)
}

fn unavailable() -> Response {
    Response::diagnostic(Code::SERVICE_UNAVAILABLE, "the store is not open").with_max_age(5)
}

fn refuse(rejection: &Rejection) -> Response {
    if rejection.code == Code::UNAUTHORIZED {
        return unauthorized();
    }
    let response = Response::diagnostic(rejection.code, &rejection.reason);
    match rejection.retry_after_s {
        Some(seconds) => response.with_max_age(seconds),
        None => response,
    }
}

#[cfg(test)]
mod tests;
