//! Readings against a gateway that keeps a log, over a network that loses and repeats.

use proptest::{collection, prelude::*};
use sluicegate_device::{
    Config, Device, Error, Event, Output, Report, coap::option, senml::Format,
};

use super::*;

type Meter = Device<4, 2000>;

const CONFIG: Config = Config { seed: SEED, block: BlockSize::B256, next_seq: 10 };

/// Logs each sequence number once and remembers its messages, as the gateway does.
#[derive(Default)]
struct Gateway {
    /// Sequence number and pack, in the order of the log.
    log: Vec<(u64, Vec<u8>)>,
    upload: Vec<u8>,
    /// Message id and answer.
    answered: Vec<(u16, Vec<u8>)>,
    registrations: u32,
}

impl Gateway {
    fn handle(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(datagram).unwrap();
        if message.code.class() != 0 || message.code == Code::EMPTY {
            return None;
        }
        let known = self.answered.iter().rev().take(20).find(|(id, _)| *id == message.id);
        if let Some((_, answer)) = known {
            return Some(answer.clone());
        }
        let answer = self.answer(datagram, &message).bytes();
        self.answered.push((message.id, answer.clone()));
        Some(answer)
    }

    fn answer(&mut self, datagram: &[u8], message: &Message<'_>) -> Answer {
        if message.option(option::URI_PATH) == Some(b"rd") {
            self.registrations += 1;
            let created = Answer::to(datagram, Code::CREATED);
            return created.option(option::LOCATION_PATH, b"rd");
        }
        if let Some(block) = message.uint(option::BLOCK1) {
            let offset = usize::try_from(block >> 4).unwrap() * (16 << (block & 7));
            if offset > self.upload.len() {
                return Answer::to(datagram, Code::REQUEST_ENTITY_INCOMPLETE);
            }
            self.upload.truncate(offset);
            self.upload.extend(message.payload);
            if block & 8 != 0 {
                return Answer::to(datagram, Code::CONTINUE).uint(option::BLOCK1, block);
            }
        } else {
            self.upload = message.payload.to_vec();
        }
        let query = message.option(option::URI_QUERY).unwrap();
        let seq: u64 = std::str::from_utf8(query).unwrap()[4..].parse().unwrap();
        let pack = std::mem::take(&mut self.upload);
        let index = self.log.iter().position(|(known, _)| *known == seq).unwrap_or_else(|| {
            self.log.push((seq, pack.clone()));
            self.log.len() - 1
        });
        assert_eq!(self.log[index].1, pack);
        Answer::to(datagram, Code::CHANGED).payload(index.to_string().as_bytes())
    }
}

/// What the network does with a datagram.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Lost,
    Twice,
}

/// Runs until the queue is empty; gives the reports of what was logged.
fn run(
    meter: &mut Meter,
    gateway: &mut Gateway,
    now: &mut Duration,
    fate: &mut dyn FnMut() -> Fate,
) -> Vec<(u64, Option<u64>)> {
    let mut logged = Vec::new();
    let mut note = |event: Event<'_>| match event {
        Event::Report(Report::Logged { seq, index }) => logged.push((seq, index)),
        Event::Report(Report::Refused { .. }) | Event::Application(_) => panic!("{event:?}"),
        Event::Report(Report::Delayed { .. }) | Event::Registered(_) => {}
    };
    for _ in 0..100_000 {
        let mut arriving = Vec::new();
        while let Some(output) = meter.poll(*now, &mut Bare(b"")) {
            match output {
                Output::Event(event) => note(event),
                Output::Send(datagram) => {
                    assert!(datagram.len() < 256 + 64);
                    for _ in 0..copies(fate()) {
                        let answer = gateway.handle(datagram);
                        arriving.extend(answer.into_iter().flat_map(|a| vec![a; copies(fate())]));
                    }
                }
            }
        }
        for answer in &arriving {
            meter.handle(*now, answer, &mut Bare(b"")).into_iter().for_each(&mut note);
        }
        let next = meter.next_deadline();
        if meter.readings().is_empty() && next.is_none_or(|next| next > *now) {
            return logged;
        }
        *now = (*now).max(next.unwrap_or(*now));
    }
    panic!("it does not end");
}

fn copies(fate: Fate) -> usize {
    match fate {
        Fate::Arrives => 1,
        Fate::Lost => 0,
        Fate::Twice => 2,
    }
}

#[test]
fn readings_are_logged_in_their_order() {
    let (mut meter, mut gateway, mut now) = (Meter::new(CONFIG), Gateway::default(), seconds(0));
    meter.register("meter-1", 3600).unwrap();
    let packs: [&[u8]; 4] = [b"a", &[b'b'; 256], &[b'c'; 257], &[b'd'; 2000]];
    for (pack, seq) in packs.into_iter().zip(10..) {
        assert_eq!(meter.report(Format::Cbor, pack), Ok(seq));
    }
    assert_eq!(meter.report(Format::Cbor, b"e"), Err(Error::QueueFull));
    assert_eq!(meter.readings().next_seq(), 14);
    let logged = run(&mut meter, &mut gateway, &mut now, &mut || Fate::Arrives);
    assert_eq!(logged, [(10, Some(0)), (11, Some(1)), (12, Some(2)), (13, Some(3))]);
    let log: Vec<_> = gateway.log.iter().map(|(seq, pack)| (*seq, pack.as_slice())).collect();
    assert_eq!(log, (10..).zip(packs).collect::<Vec<_>>());
    assert_eq!((now, gateway.registrations), (seconds(0), 1));
    assert_eq!(meter.report(Format::Cbor, &[0; 2001]), Err(Error::TooLong("the reading")));
}

#[test]
fn a_reading_is_sent_again_after_each_outage_with_its_number() {
    let (mut meter, mut gateway, mut now) = (Meter::new(CONFIG), Gateway::default(), seconds(0));
    meter.report(Format::Json, b"a").unwrap();
    let mut datagrams = 0;
    // The way back is cut for a while: each request arrives, no answer does.
    let logged = run(&mut meter, &mut gateway, &mut now, &mut || {
        datagrams += 1;
        if datagrams % 2 == 0 && datagrams < 40 { Fate::Lost } else { Fate::Arrives }
    });
    assert_eq!(logged, [(10, Some(0))]);
    assert_eq!(gateway.log.len(), 1);
    assert!(now > seconds(3 * 60), "{now:?}");
}

#[test]
fn a_new_connection_sends_at_once() {
    let (mut meter, mut gateway, mut now) = (Meter::new(CONFIG), Gateway::default(), seconds(0));
    meter.register("meter-1", 3600).unwrap();
    run(&mut meter, &mut gateway, &mut now, &mut || Fate::Arrives);
    meter.report(Format::Json, b"a").unwrap();
    // Sent, and nothing comes back.
    assert!(matches!(meter.poll(now, &mut Bare(b"")), Some(Output::Send(_))));
    assert_eq!(meter.reconnected(now), None);
    let logged = run(&mut meter, &mut gateway, &mut now, &mut || Fate::Arrives);
    assert_eq!((logged.len(), gateway.log.len(), gateway.registrations), (1, 1, 2));
    assert_eq!(now, seconds(0));
    // The application hears that its own request is over.
    meter.request(&Request::get("readings/0/proof")).unwrap();
    let failed =
        sluicegate_device::coap::Event::Failed(sluicegate_device::coap::Failure::Reconnected);
    assert_eq!(meter.reconnected(now), Some(Event::Application(failed)));
}

/// The first datagram of a meter with one reading is answered so; what it reports, and when it
/// sends again.
fn answered(code: Code, max_age: Option<u32>) -> (String, Option<Duration>, usize) {
    let mut meter = Meter::new(CONFIG);
    meter.report(Format::Json, b"a").unwrap();
    let Some(Output::Send(datagram)) = meter.poll(seconds(5), &mut Bare(b"")) else { panic!() };
    let mut answer = Answer::to(datagram, code);
    if let Some(max_age) = max_age {
        answer = answer.uint(option::MAX_AGE, max_age);
    }
    let answer = answer.payload(b"why").bytes();
    let event = meter.handle(seconds(5), &answer, &mut Bare(b""));
    (format!("{event:?}"), meter.next_deadline(), meter.readings().len())
}

#[test]
fn a_wrong_reading_leaves_the_queue_with_a_report() {
    for code in
        [Code::BAD_REQUEST, Code::REQUEST_ENTITY_TOO_LARGE, Code::BAD_OPTION, Code(4 << 5 | 15)]
    {
        let (event, deadline, left) = answered(code, None);
        let why = format!("code: {code}, diagnostic: {:?}", b"why");
        assert!(event.contains("Refused { seq: 10") && event.contains(&why), "{event}");
        assert_eq!((deadline, left), (None, 0));
    }
}

#[test]
fn a_gateway_that_asks_for_a_pause_gets_it() {
    for (code, max_age, pause) in [
        (Code::TOO_MANY_REQUESTS, Some(17), 17),
        (Code::SERVICE_UNAVAILABLE, Some(3), 3),
        (Code::SERVICE_UNAVAILABLE, None, 60),
        (Code::UNAUTHORIZED, None, 1),
        (Code::FORBIDDEN, None, 1),
        (Code(5 << 5), None, 1),
    ] {
        let (event, deadline, left) = answered(code, max_age);
        assert!(event.contains("Delayed { seq: 10"), "{event}");
        assert_eq!((deadline, left), (Some(seconds(5 + pause)), 1), "{code}");
    }
}

#[test]
fn a_reading_of_the_time_before_a_restart_keeps_its_number() {
    let (mut meter, mut gateway, mut now) = (Meter::new(CONFIG), Gateway::default(), seconds(0));
    meter.readings_mut().restore(4, Format::Json, b"old").unwrap();
    meter.report(Format::Json, b"new").unwrap();
    let logged = run(&mut meter, &mut gateway, &mut now, &mut || Fate::Arrives);
    assert_eq!(logged, [(4, Some(0)), (10, Some(1))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_network_does_each_reading_is_logged_once(
        fates in collection::vec(0..5_u8, 1..400),
        sizes in collection::vec(1..2000_usize, 1..12),
    ) {
        let (mut meter, mut gateway) = (Meter::new(CONFIG), Gateway::default());
        let mut now = seconds(0);
        // After that all is well, so that it ends.
        let mut fates = fates.into_iter().map(|fate| match fate {
            0 => Fate::Twice,
            1 | 2 => Fate::Lost,
            _ => Fate::Arrives,
        });
        let mut logged = Vec::new();
        for chunk in sizes.chunks(4) {
            for size in chunk {
                meter.report(Format::Cbor, &vec![7; *size]).unwrap();
            }
            logged.extend(run(&mut meter, &mut gateway, &mut now, &mut || {
                fates.next().unwrap_or(Fate::Arrives)
            }));
        }
        let expected: Vec<_> = (10..).zip((0..).map(Some)).take(sizes.len()).collect();
        prop_assert_eq!(logged, expected);
        let lengths: Vec<_> = gateway.log.iter().map(|(_, pack)| pack.len()).collect();
        prop_assert_eq!(lengths, sizes);
    }

    #[test]
    fn no_datagrams_panic(
        datagrams in collection::vec(collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let mut meter = Meter::new(CONFIG);
        meter.report(Format::Json, b"a").unwrap();
        for datagram in &datagrams {
            meter.handle(seconds(1), datagram, &mut Bare(b""));
            while meter.poll(seconds(1), &mut Bare(b"")).is_some() {}
        }
    }
}

#[test]
fn a_device_needs_little_memory() {
    let size = size_of::<Device<4, 1024>>();
    assert!(size < 9 * 1024, "{size}");
}
