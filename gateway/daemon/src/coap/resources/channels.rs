//! `/channels`: the resources of a device that signs for itself.
//!
//! Guarantees: only over DTLS, only for devices that are declared so; what is not a message of the exchange is refused
//! with the rule it breaks, and costs nobody else (I7). Does not: know what a message leads to; [`crate::channels`] does.

use std::time::Duration;

use sluicegate_coap::{Code, ExchangeId, Method, ObservationId, Request, Response, format};
use sluicegate_protocol::channel::{
    ChannelId,
    exchange::{MAX_MESSAGE, Message},
};
use tokio::time::timeout;

use super::{Done, Link, Resources, Step};
use crate::{
    channels::{Ask, Denied, Said, place},
    config::Signs,
    devices::Enrolled,
};

/// How long the channels have for an answer; a peer that is asked for a channel is within it.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a device may ask again, in seconds.
const RETRY_S: u32 = 2;

impl Resources {
    pub(super) fn channels(
        &self,
        exchange: ExchangeId,
        link: Link,
        device: &Enrolled,
        request: &Request,
        observe: Option<ObservationId>,
    ) -> Step {
        if let Some(text) = forbidden(link, device) {
            return Step::Now(Response::diagnostic(Code::FORBIDDEN, text));
        }
        let ask = match understand(request) {
            Ok(ask) => ask,
            Err(response) => return Step::Now(response),
        };
        let Some(handle) = self.field.channels.get().cloned() else {
            let text = "payment channels are off here";
            return Step::Now(Response::diagnostic(Code::SERVICE_UNAVAILABLE, text));
        };
        let (tell, name) = (self.tell.clone(), device.device.name.clone());
        let observed = match &ask {
            Ask::List => Some(place(&name, None)),
            Ask::Show(channel) => Some(place(&name, Some(channel))),
            _ => None,
        };
        let observed = observe.zip(observed);
        let observation = observed.as_ref().map(|(observation, _)| *observation);
        let reader = name.clone();
        tokio::task::spawn_local(async move {
            let late = || Err(Denied::Later("no answer yet; it goes on".to_owned()));
            let outcome = timeout(PATIENCE, handle.device(&name, ask)).await;
            let response = respond(outcome.unwrap_or_else(|_| late()));
            let _ = tell.send(match observation {
                Some(observation) => Done::Observe(exchange, observation, response),
                None => Done::Respond(exchange, response),
            });
        });
        observed.map_or(Step::Later, |(_, place)| Step::Watched(place, reader))
    }
}

/// Why this device has no channels here.
fn forbidden(link: Link, device: &Enrolled) -> Option<&'static str> {
    match (link, device.device.signs) {
        (Link::Plain(_), _) => Some("channels are for devices with DTLS"),
        (_, Signs::Gateway) => {
            Some("the gateway signs for this device: see signs in its enrolment")
        }
        (Link::Dtls(_), Signs::Itself) => None,
    }
}

/// What a request asks; the response, if it is not one that can be asked.
fn understand(request: &Request) -> Result<Ask, Response> {
    let path: Vec<&str> = request.path().collect();
    let (get, post) = (request.method == Method::Get, request.method == Method::Post);
    let unknown = || Response::new(Code::NOT_FOUND);
    let channel = |id: &str| ChannelId::from_hex(id).ok_or_else(unknown);
    Ok(match path.as_slice() {
        ["channels", "key"] if get => Ask::Challenge,
        ["channels", "key"] if post => Ask::Prove(message(request)?),
        ["channels"] if get => Ask::List,
        ["channels"] if post => Ask::Open(message(request)?),
        ["channels", id] if get => Ask::Show(channel(id)?),
        ["channels", id, "signatures"] if post => Ask::Answer(channel(id)?, message(request)?),
        ["channels", id, "payments"] if post => Ask::Pay(channel(id)?, message(request)?),
        ["channels", id, "close"] if post => Ask::Close(channel(id)?),
        ["channels", id, "dispute"] if post => Ask::Dispute(channel(id)?),
        ["channels"] | ["channels", _] => return Err(Response::new(Code::METHOD_NOT_ALLOWED)),
        ["channels", _, "signatures" | "payments" | "close" | "dispute"] => {
            return Err(Response::new(Code::METHOD_NOT_ALLOWED));
        }
        _ => return Err(unknown()),
    })
}

/// The message of a request.
fn message<M: Message>(request: &Request) -> Result<Box<M>, Response> {
    let refuse = |code, text: &str| Err(Response::diagnostic(code, text));
    if request.content_format() != Some(format::CBOR) {
        return refuse(Code::UNSUPPORTED_CONTENT_FORMAT, "the content format is not 60 (CBOR)");
    }
    let length = request.payload.len();
    if length > MAX_MESSAGE {
        let text = format!("the message has {length} bytes, {MAX_MESSAGE} are allowed");
        return refuse(Code::REQUEST_ENTITY_TOO_LARGE, &text);
    }
    M::decode(&request.payload)
        .map(Box::new)
        .or_else(|error| refuse(Code::BAD_REQUEST, &error.to_string()))
}

fn respond(outcome: Result<Said, Denied>) -> Response {
    match outcome {
        Ok(Said::Challenge(challenge)) => told(Code::CONTENT, &challenge),
        Ok(Said::Channels(channels)) => told(Code::CONTENT, &*channels),
        Ok(Said::Done) => Response::new(Code::CHANGED),
        Ok(Said::Opened(channel)) => {
            let id = channel.to_string();
            Response::new(Code::CREATED).with_location(["channels", &id])
        }
        Ok(Said::Request(request)) => told(Code::CHANGED, &*request),
        Ok(Said::Summary(summary)) => told(Code::CONTENT, &*summary),
        Err(denied) => {
            let code = match denied {
                Denied::Conflict(_) => Code::CONFLICT,
                Denied::Invalid(_) => Code::BAD_REQUEST,
                Denied::Later(_) => Code::SERVICE_UNAVAILABLE,
                Denied::Unknown => Code::NOT_FOUND,
            };
            let response = Response::diagnostic(code, &denied.to_string());
            if code == Code::SERVICE_UNAVAILABLE {
                response.with_max_age(RETRY_S)
            } else {
                response
            }
        }
    }
}

/// A message as a representation.
fn told(code: Code, message: &impl Message) -> Response {
    match message.encode(&mut [0; MAX_MESSAGE]) {
        Ok(bytes) => Response { code, ..Response::content(format::CBOR, bytes) },
        Err(error) => Response::diagnostic(Code::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
