//! Registration at the gateway's resource directory (RFC 9176), and the links in it (RFC 6690).
//!
//! Guarantees: registers, refreshes in good time, registers anew when the gateway has forgotten it,
//! and tries again with growing pauses. Does not: send; its owner gives it the client.

use core::{fmt, time::Duration};

use super::{Body, Code, Event, Link, Observable, Request, body::Window, content_format, option};
use crate::{Bytes, Error};

/// The first pause after a failure; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// The registration of one endpoint name.
#[derive(Debug)]
pub struct Registration {
    query: Bytes<96>,
    lifetime: Duration,
    /// Where the registration is; empty if there is none.
    location: Bytes<48>,
    due: Duration,
    pause: Duration,
}

impl Registration {
    /// A registration that is due now; `lifetime` in seconds, 60 at least (RFC 9176 §5).
    pub fn new(endpoint_name: &str, lifetime: u32) -> Result<Self, Error> {
        let mut query = Bytes::EMPTY;
        let lifetime = lifetime.max(60);
        fmt::Write::write_fmt(&mut query, format_args!("ep={endpoint_name}&lt={lifetime}"))
            .map_err(|_| Error::TooLong("the endpoint name"))?;
        Ok(Self {
            query,
            lifetime: Duration::from_secs(lifetime.into()),
            location: Bytes::EMPTY,
            due: Duration::ZERO,
            pause: FIRST_PAUSE,
        })
    }

    /// When the next request is due.
    pub const fn due(&self) -> Duration {
        self.due
    }

    /// Whether the gateway knows the device.
    pub const fn is_registered(&self) -> bool {
        !self.location.is_empty()
    }

    /// Registers at once, after a new connection say.
    pub const fn renew(&mut self, now: Duration) {
        self.location = Bytes::EMPTY;
        self.due = now;
    }

    /// The request that registers or refreshes; the body of the first is [`LinkFormat`].
    pub fn request(&self, links: &[Link<'_>]) -> Request<'_> {
        if self.is_registered() {
            return Request { method: Code::POST, ..Request::get(self.location.as_str()) };
        }
        let post = Request::post("rd", content_format::LINK_FORMAT, LinkFormat(links).size());
        Request { query: self.query.as_str(), ..post }
    }

    /// Takes what came of the request; whether the device is registered now.
    pub fn handle(&mut self, now: Duration, event: &Event<'_>) -> bool {
        let code = match event {
            Event::Response(response) => response.code,
            Event::Failed(_) | Event::Pong => Code::EMPTY,
        };
        if let (Code::CREATED, Event::Response(response)) = (code, event) {
            let options = response.message.options();
            let path = options.filter(|(found, _)| *found == option::LOCATION_PATH);
            self.location = Bytes::EMPTY;
            for (place, (_, segment)) in path.enumerate() {
                let parts: [&[u8]; 2] = [if place == 0 { b"" } else { b"/" }, segment];
                if parts.into_iter().any(|part| self.location.push(part).is_err()) {
                    self.location = Bytes::EMPTY;
                    break;
                }
            }
        } else if code.class() == 4 {
            self.location = Bytes::EMPTY;
        }
        if code.class() == 2 && self.is_registered() {
            self.pause = FIRST_PAUSE;
            // A quarter of the lifetime is left for repetitions.
            self.due = now.saturating_add(self.lifetime.saturating_sub(self.lifetime / 4));
            return true;
        }
        self.due = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
        false
    }
}

/// Links in link format, as the body of a registration.
pub struct LinkFormat<'a>(pub &'a [Link<'a>]);

impl Body for LinkFormat<'_> {
    fn size(&self) -> usize {
        let mut window = Window::new(&mut [], 0);
        let _ = write_links(self.0, &mut window);
        window.total()
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut window = Window::new(out, offset);
        let _ = write_links(self.0, &mut window);
        window.kept()
    }
}

/// `</valve>;rt="valve";obs,</status>`.
pub(super) fn write_links(links: &[Link<'_>], out: &mut dyn fmt::Write) -> fmt::Result {
    for (place, link) in links.iter().enumerate() {
        out.write_str(if place == 0 { "</" } else { ",</" })?;
        out.write_str(link.path)?;
        out.write_str(">")?;
        if !link.attributes.is_empty() {
            out.write_str(";")?;
            out.write_str(link.attributes)?;
        }
        if link.observable != Observable::No {
            out.write_str(";obs")?;
        }
    }
    Ok(())
}
