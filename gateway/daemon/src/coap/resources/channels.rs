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

#[cfg(test)]
mod tests {
    use sluicegate_protocol::channel::exchange::{PayRequest, Refusal, SignAnswer};

    use super::*;
    use crate::{
        devices::Registry,
        net::{Path, dtls::SessionId},
        testing::Place,
    };

    const ID: &str = "abababababababababababababababababababababababababababababababab";

    fn post(path: &str, payload: &[u8]) -> Request {
        Request::new(Method::Post, path).payload(format::CBOR, payload)
    }

    fn bytes(message: &impl Message) -> Vec<u8> {
        message.encode(&mut [0; MAX_MESSAGE]).unwrap().to_vec()
    }

    #[test]
    fn every_resource_takes_its_own_message() {
        let id = ChannelId::new([0xab; 32]);
        let pay = PayRequest {
            version: 1,
            amount: 7_u64.into(),
            asset: 0,
            memo: "kWh".try_into().unwrap(),
        };
        let no = SignAnswer { number: 5, outcome: Err(Refusal::Unwilling) };
        let [pays, answers, closes, disputes] =
            ["payments", "signatures", "close", "dispute"].map(|it| format!("channels/{ID}/{it}"));
        for (request, ask) in [
            (Request::new(Method::Get, "channels"), Ask::List),
            (Request::new(Method::Get, "channels/key"), Ask::Challenge),
            (Request::new(Method::Get, &format!("channels/{ID}")), Ask::Show(id)),
            (post(&pays, &bytes(&pay)), Ask::Pay(id, Box::new(pay))),
            (post(&answers, &bytes(&no)), Ask::Answer(id, Box::new(no))),
            (Request::new(Method::Post, &closes), Ask::Close(id)),
            (Request::new(Method::Post, &disputes), Ask::Dispute(id)),
        ] {
            assert_eq!(understand(&request), Ok(ask));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_code() {
        let [pays, other] = [format!("channels/{ID}/payments"), format!("channels/{ID}/other")];
        let half = format!("channels/{}/payments", &ID[..30]);
        let large = vec![0; MAX_MESSAGE + 1];
        for (request, code) in [
            (post("channels", b"\xa1\x01\x02"), Code::BAD_REQUEST),
            (post("channels", b""), Code::BAD_REQUEST),
            (post("channels/key", b"\xff"), Code::BAD_REQUEST),
            (post(&pays, &large), Code::REQUEST_ENTITY_TOO_LARGE),
            (Request::new(Method::Post, &pays), Code::UNSUPPORTED_CONTENT_FORMAT),
            (Request::new(Method::Get, &pays), Code::METHOD_NOT_ALLOWED),
            (Request::new(Method::Put, "channels"), Code::METHOD_NOT_ALLOWED),
            (Request::new(Method::Delete, &format!("channels/{ID}")), Code::METHOD_NOT_ALLOWED),
            (post(&other, b""), Code::NOT_FOUND),
            (post(&half, b""), Code::NOT_FOUND),
            (Request::new(Method::Get, "channels/ab"), Code::NOT_FOUND),
        ] {
            let refused = understand(&request).unwrap_err();
            assert_eq!(refused.code, code, "{request:?}");
        }
    }

    #[test]
    fn only_a_device_with_dtls_that_signs_for_itself_has_channels() {
        let place = Place::new(
            "[[device]]\nname = \"meter-1\"\n[[device]]\nname = \"car-1\"\nsigns = \"itself\"\n",
        );
        let registry = Registry::load(&place.config()).0;
        let [meter, car] = ["meter-1", "car-1"].map(|name| registry.get(name).unwrap());
        let session = Link::Dtls(SessionId::numbered(1));
        let plain = Link::Plain(Path::to(([127, 0, 0, 1], 9).into()));
        assert_eq!(forbidden(session, &car), None);
        assert!(forbidden(session, &meter).is_some_and(|text| text.contains("signs")));
        assert!(forbidden(plain, &car).is_some_and(|text| text.contains("DTLS")));
    }

    #[test]
    fn who_is_denied_is_told_whether_to_come_again() {
        let text = || "for a reason".to_owned();
        for (denied, code, words) in [
            (Denied::Conflict(text()), Code::CONFLICT, "for a reason"),
            (Denied::Invalid(text()), Code::BAD_REQUEST, "for a reason"),
            (Denied::Later(text()), Code::SERVICE_UNAVAILABLE, "for a reason"),
            (Denied::Unknown, Code::NOT_FOUND, "there is no such channel"),
        ] {
            let response = respond(Err(denied));
            assert_eq!((response.code, response.payload), (code, words.as_bytes().to_vec()));
        }
        let opened = respond(Ok(Said::Opened(ChannelId::new([0xab; 32]))));
        assert_eq!(opened.code, Code::CREATED);
    }
}
