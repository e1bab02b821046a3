//! What an endpoint and the resources together answer, without sockets.

use sluicegate_coap::{
    Endpoint, Output, Settings,
    message::{Kind, Message, Token, Writer},
    option,
};

use sluicegate_protocol::channel::{
    ChannelId,
    exchange::{Phase, Summary},
};

use super::*;
use crate::{
    channels::{Ask, Denied, Handle, Said},
    config::Config,
    net::{Path, dtls::SessionId, psk::Identity},
    testing::{Parts, Place, run},
};

const DEVICES: &str = "[[device]]\nname = \"lab-1\"\nsecurity = \"none\"\nreadings_per_second = 1\n\
    [[device]]\nname = \"lab-2\"\nsecurity = \"none\"\n";

struct Table {
    endpoint: Endpoint<Link>,
    resources: Resources,
    done: mpsc::UnboundedReceiver<Done>,
    next: u16,
    /// From where the device asks.
    link: Link,
}

/// Code, whether it has an Observe option, Max-Age and payload.
type Told = (Code, bool, Option<u32>, String);

impl Table {
    async fn new(parts: &Parts, config: &Config) -> Self {
        let field = Field::open(config, &parts.keeper, parts.clock).await.unwrap();
        let places = Rc::new(RefCell::new(Places::new(field.registry.clone())));
        let (tell, done) = mpsc::unbounded_channel();
        let endpoint = Endpoint::new(Settings { rate: 0, ..Settings::default() }, [1; 32]);
        Self {
            endpoint,
            resources: Resources::new(field, places, Limits::default(), tell),
            done,
            next: 0,
            link: Link::Plain(Path::to(([127, 0, 0, 1], 9).into())),
        }
    }

    /// From now on this device asks, over DTLS.
    fn secure(&mut self, name: &str) {
        let session = SessionId::numbered(1);
        let path = Path::to(([127, 0, 0, 1], 9).into());
        let identity = Identity::new(name).unwrap();
        self.resources.places.borrow_mut().opened(session, &identity, path);
        self.link = Link::Dtls(session);
    }

    /// A GET of a device of this name, from an address that was proven.
    async fn ask(&mut self, name: &str, path: &[&str], observe: bool) -> Told {
        self.next += 1;
        let token = Token::new(&self.next.to_be_bytes()).unwrap();
        let mut writer = Writer::new(Kind::Con, Code(1), self.next, token, 64);
        if observe {
            writer.option(option::OBSERVE, &[]);
        }
        path.iter().for_each(|segment| writer.option(option::URI_PATH, segment.as_bytes()));
        writer.option(option::URI_QUERY, format!("ep={name}").as_bytes());
        self.endpoint.receive(0, self.link, true, &writer.payload(&[]));
        loop {
            while let Some(output) = self.endpoint.poll() {
                match output {
                    Output::Send { datagram, .. } => return told(&datagram),
                    Output::Request { exchange, peer, request, observe } => {
                        drop(self.resources.take(0, exchange, peer, request, observe));
                    }
                    _ => {}
                }
            }
            match self.done.recv().await.unwrap() {
                Done::Respond(exchange, response) => self.endpoint.respond(0, exchange, response),
                Done::Observe(exchange, _, response) => self.endpoint.accept(0, exchange, response),
            }
        }
    }
}

fn told(datagram: &[u8]) -> Told {
    let message = Message::parse(datagram).unwrap();
    let has = |wanted| message.options().find(|(number, _)| *number == wanted);
    let number = |value: &[u8]| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let max_age = has(option::MAX_AGE).map(|(_, value)| number(value));
    let text = String::from_utf8_lossy(message.payload).into_owned();
    (message.code, has(option::OBSERVE).is_some(), max_age, text)
}

#[test]
fn questions_to_the_store_cost_as_much_as_readings() {
    let place = Place::new(DEVICES);
    run(async {
        let parts = place.open();
        let mut table = Table::new(&parts, &place.config()).await;
        for path in [&["devices", "lab-1", "power"][..], &["readings", "0", "proof"]].repeat(5) {
            assert_eq!(table.ask("lab-1", path, false).await.0, Code::NOT_FOUND);
        }
        for path in [&["devices", "lab-1", "power"][..], &["readings", "0", "proof"]] {
            let (code, _, max_age, _) = table.ask("lab-1", path, false).await;
            assert_eq!((code, max_age), (Code::TOO_MANY_REQUESTS, Some(2)));
        }
        let (code, ..) = table.ask("lab-2", &["devices", "lab-2", "power"], false).await;
        assert_eq!(code, Code::NOT_FOUND, "nobody else waits");
        parts.close();
    });
}

#[test]
fn only_what_is_notified_can_be_observed() {
    let place = Place::new(DEVICES);
    run(async {
        let parts = place.open();
        let mut table = Table::new(&parts, &place.config()).await;
        let pack = br#"[{"n":"power","vs":"on"}]"#.to_vec();
        let arrival = Arrival { device: "lab-2".into(), seq: None, format: 110, payload: pack };
        parts.intake.take(arrival, None).await.unwrap();
        for path in [&[".well-known", "core"][..], &["rd-lookup", "ep"], &["rd-lookup", "res"]] {
            let (code, observed, ..) = table.ask("lab-2", path, true).await;
            assert_eq!((code, observed), (Code::CONTENT, false), "{path:?}");
        }
        assert_eq!(table.endpoint.usage().observations, 0);
        let (code, observed, _, text) =
            table.ask("lab-2", &["devices", "lab-2", "power"], true).await;
        assert_eq!((code, observed, text.as_str()), (Code::CONTENT, true, "on"));
        assert_eq!(table.endpoint.usage().observations, 1);
        let observable =
            |link: &link::Link<'_>| link.attributes.iter().any(|(name, _)| *name == "obs");
        assert!(!link::parse(CORE).unwrap().iter().any(observable));
        parts.close();
    });
}

#[test]
fn a_device_observes_its_own_channels_and_finds_no_others() {
    let place = Place::new("[[device]]\nname = \"car-1\"\nsigns = \"itself\"\n");
    run(async {
        let parts = place.open();
        let mut table = Table::new(&parts, &place.config()).await;
        table.secure("car-1");
        let own = ChannelId::new([0xab; 32]);
        let (id, other) = (own.to_string(), ChannelId::new([0xcd; 32]).to_string());
        let (code, ..) = table.ask("car-1", &["channels"], false).await;
        assert_eq!(code, Code::SERVICE_UNAVAILABLE, "there are no payments");
        let answer = move |device: &str, ask: Ask| match (device, ask) {
            ("car-1", Ask::Show(id)) if id == own => Ok(Said::Summary(Box::new(Summary {
                id,
                current: None,
                phase: Phase::Exchanging,
                pending: None,
            }))),
            ("car-1", Ask::List) => Ok(Said::Channels(Box::default())),
            _ => Err(Denied::Unknown),
        };
        assert!(table.resources.field.channels.set(Handle::answering(answer)).is_ok());
        for (path, found) in [
            (&["channels"][..], (Code::CONTENT, true)),
            (&["channels", &id], (Code::CONTENT, true)),
            (&["channels", &other], (Code::NOT_FOUND, false)),
            (&["channels", "key"], (Code::NOT_FOUND, false)),
        ] {
            let (code, observed, ..) = table.ask("car-1", path, true).await;
            assert_eq!((code, observed), found, "{path:?}");
        }
        assert_eq!(table.endpoint.usage().observations, 2);
        parts.close();
    });
}

#[test]
fn discovery_is_filtered_and_stays_well_formed() {
    let targets = |name, wanted| {
        let text = filtered(name, wanted);
        let links = link::parse(&text).unwrap_or_else(|_| panic!("{text}"));
        links.iter().map(|link| link.target.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(targets("rt", "core.rd*"), ["/rd", "/rd-lookup/res", "/rd-lookup/ep"]);
    assert_eq!(targets("rt", "core.rd"), ["/rd"]);
    assert_eq!(targets("href", "/rd-lookup/*"), ["/rd-lookup/res", "/rd-lookup/ep"]);
    assert_eq!(targets("ct", "110"), ["/readings"]);
    assert!(filtered("rt", "nothing").is_empty());
}
