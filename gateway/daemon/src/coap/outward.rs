//! What the gateway asks of devices over CoAP: to carry out commands, to show their links and their states.
//!
//! Guarantees: a command is a confirmable PUT with its id and deadline in the query, `?id=17&until=1795180000` (Unix
//! seconds); an observed state is logged when it changed. Does not: repeat a command that got no answer; its maker does
//! ([`crate::devices::commands`]).

use std::collections::HashMap;

use sluicegate_coap::{
    Code, Endpoint, Failure, Method, Request, RequestId, Response,
    directory::Registration,
    format,
    link::{self, Link as Described},
};
use tokio::sync::oneshot;

use super::Link;
use crate::{
    devices::commands::{Answer, Order},
    field::Field,
};

/// Most resources that are observed at one device.
pub(super) const MAX_OBSERVED: usize = 8;

/// Longest answer to a command that is kept, in characters.
const MAX_DETAIL: usize = 256;

/// What a registration leads to.
pub(super) enum Wish {
    /// Ask for the device's links.
    Fetch { device: String, link: Link, registration: Registration },
    /// Observe what these links say can be observed.
    Observe { device: String, link: Link, links: Vec<u8> },
}

/// What a request of ours is for.
enum Purpose {
    Command(Order, oneshot::Sender<Answer>),
    Links { device: String, link: Link, registration: Registration },
    State { device: String, resource: String },
}

/// Requests of ours under way.
pub(super) struct Outward {
    field: Field,
    under_way: HashMap<RequestId, Purpose>,
    wishes: Vec<Wish>,
}

impl Outward {
    pub(super) fn new(field: Field) -> Self {
        Self { field, under_way: HashMap::new(), wishes: Vec::new() }
    }

    /// Sends a command.
    pub(super) fn order(
        &mut self,
        now: u64,
        endpoint: &mut Endpoint<Link>,
        link: Option<Link>,
        order: Order,
        reply: oneshot::Sender<Answer>,
    ) {
        let Some(link) = link else {
            let _ = reply.send(Answer::Absent);
            return;
        };
        let command = &order.command;
        let request = Request::new(Method::Put, &command.resource)
            .query(&format!("id={}", command.id))
            .query(&format!("until={}", command.until_ms / 1_000))
            .payload(format::TEXT, command.value.as_bytes());
        match endpoint.request(now, link, request) {
            Ok(id) => drop(self.under_way.insert(id, Purpose::Command(order, reply))),
            Err(error) => {
                tracing::debug!(%error, device = order.device, "a command could not be sent");
                let _ = reply.send(Answer::Unreachable);
            }
        }
    }

    /// Takes back commands that nobody waits for any more: their deadline has passed.
    pub(super) fn withdraw(&mut self, now: u64, endpoint: &mut Endpoint<Link>) {
        let given_up = self.under_way.iter().filter(
            |(_, purpose)| matches!(purpose, Purpose::Command(_, reply) if reply.is_closed()),
        );
        let given_up: Vec<_> = given_up.map(|(id, _)| *id).collect();
        for id in given_up {
            self.under_way.remove(&id);
            endpoint.cancel(now, id);
        }
    }

    /// Does what a registration asks for.
    pub(super) fn wish(&mut self, now: u64, endpoint: &mut Endpoint<Link>, wish: Wish) {
        match wish {
            Wish::Fetch { device, link, registration } => {
                let request =
                    Request::new(Method::Get, ".well-known/core").accept(format::LINK_FORMAT);
                if let Ok(id) = endpoint.request(now, link, request) {
                    let purpose = Purpose::Links { device, link, registration };
                    self.under_way.insert(id, purpose);
                }
            }
            Wish::Observe { device, link, links } => {
                for resource in observable(&links) {
                    self.observe(now, endpoint, link, &device, resource);
                }
            }
        }
    }

    /// What was asked for while an answer was looked at.
    pub(super) fn take_wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    /// Takes an answer; gives a registration and its links when that was the question.
    pub(super) fn response(
        &mut self,
        id: RequestId,
        result: Result<Response, Failure>,
    ) -> Option<(Registration, Response)> {
        // An observation goes on after its first answer.
        if let (Some(Purpose::State { .. }), Ok(response)) = (self.under_way.get(&id), &result)
            && response.code.is_success()
        {
            self.notification(id, response);
            return None;
        }
        match self.under_way.remove(&id)? {
            Purpose::Command(order, reply) => {
                let _ = reply.send(answer(&order, result));
                None
            }
            Purpose::Links { device, link, registration } => {
                let answer = result.ok().filter(|response| response.code.is_success())?;
                let links = answer.payload.clone();
                self.wishes.push(Wish::Observe { device, link, links });
                Some((registration, answer))
            }
            Purpose::State { device, resource } => {
                tracing::debug!(device, resource, "a state is no longer observed");
                None
            }
        }
    }

    /// A state that we observe changed, or is told again.
    pub(super) fn notification(&mut self, id: RequestId, response: &Response) {
        let Some(Purpose::State { device, resource }) = self.under_way.get(&id) else { return };
        let value = String::from_utf8_lossy(&response.payload).into_owned();
        let (states, device, resource) =
            (self.field.states.clone(), device.clone(), resource.clone());
        tokio::task::spawn_local(async move { states.observe(&device, &resource, &value).await });
    }

    /// Replaces an observation of the same resource: the device registered again, and may have forgotten it.
    fn observe(
        &mut self,
        now: u64,
        endpoint: &mut Endpoint<Link>,
        link: Link,
        device: &str,
        resource: String,
    ) {
        let same = |purpose: &Purpose| {
            matches!(purpose, Purpose::State { device: of, resource: what }
                if of == device && *what == resource)
        };
        let earlier = self.under_way.iter().find(|(_, purpose)| same(purpose));
        if let Some(id) = earlier.map(|(id, _)| *id) {
            self.under_way.remove(&id);
            endpoint.cancel(now, id);
        }
        let request = Request::new(Method::Get, &resource);
        if let Ok(id) = endpoint.observe(now, link, request) {
            let device = device.to_owned();
            self.under_way.insert(id, Purpose::State { device, resource });
        }
    }
}

/// Paths of the links that can be observed (RFC 7641 §6).
fn observable(links: &[u8]) -> Vec<String> {
    let Some(links) = std::str::from_utf8(links).ok().and_then(|text| link::parse(text).ok())
    else {
        return Vec::new();
    };
    let has_obs = |link: &&Described<'_>| link.attributes.iter().any(|(name, _)| *name == "obs");
    let paths = links.iter().filter(has_obs);
    let paths = paths.filter_map(|link| link.target.strip_prefix('/').map(str::to_owned));
    paths.filter(|path| !path.is_empty()).take(MAX_OBSERVED).collect()
}

fn answer(order: &Order, result: Result<Response, Failure>) -> Answer {
    let Ok(response) = result else { return Answer::Unreachable };
    let text: String =
        String::from_utf8_lossy(&response.payload).chars().take(MAX_DETAIL).collect();
    match response.code {
        // The device wants it later, or does not know the gateway any more.
        Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS => Answer::Unreachable,
        code if code.is_success() => {
            let detail = if text.is_empty() { order.command.value.clone() } else { text };
            Answer::Done { ok: true, detail }
        }
        code => Answer::Done { ok: false, detail: format!("{code} {text}").trim().to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_devices_links_the_first_that_can_be_observed_are() {
        let links = "</valve>;obs;rt=\"x\",</info>,<coap://elsewhere/x>;obs,</>;obs,</a/b>;obs";
        assert_eq!(observable(links.as_bytes()), ["valve", "a/b"]);
        let many: Vec<_> = (0..50).map(|n| format!("</r{n}>;obs")).collect();
        assert_eq!(observable(many.join(",").as_bytes()).len(), MAX_OBSERVED);
        assert!(observable(b"\xff").is_empty() && observable(b"</x").is_empty());
    }

    #[test]
    fn an_answer_says_what_became_of_the_command() {
        let command = crate::devices::record::Command {
            id: 1,
            resource: "valve".to_owned(),
            value: "open".to_owned(),
            until_ms: 0,
        };
        let order = Order { device: "valve-1".to_owned(), command };
        let told = |ok, detail: &str| Answer::Done { ok, detail: detail.to_owned() };
        assert_eq!(answer(&order, Ok(Response::new(Code::CHANGED))), told(true, "open"));
        let refused = Response::diagnostic(Code::NOT_FOUND, "no such valve");
        assert_eq!(answer(&order, Ok(refused)), told(false, "4.04 no such valve"));
        let busy = Response::new(Code::SERVICE_UNAVAILABLE);
        assert_eq!(answer(&order, Ok(busy)), Answer::Unreachable);
        assert_eq!(answer(&order, Err(Failure::Timeout)), Answer::Unreachable);
    }
}
