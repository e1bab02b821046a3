//! Commands: once by id, not after their deadline.

use sluicegate_device::{
    Bytes,
    actuator::{Actuator, Command, Outcome},
};

use super::*;

fn command(id: Option<u64>, until: Option<u64>) -> Command {
    Command { id, until, value: Bytes::new(b"open").unwrap() }
}

fn run(actuator: &mut Actuator<2>, command: &Command, time: Option<u64>) -> (Outcome, bool) {
    let mut executed = false;
    let outcome = actuator.run(command, time, |value| {
        executed = true;
        Outcome::done(Bytes::new(value).unwrap())
    });
    (outcome, executed)
}

#[test]
fn a_command_with_an_id_acts_once() {
    let mut actuator = Actuator::new();
    let first = run(&mut actuator, &command(Some(1), None), None);
    assert_eq!(first, (Outcome::done(Bytes::new(b"open").unwrap()), true));
    assert_eq!(run(&mut actuator, &command(Some(1), None), None), (first.0, false));
    assert!(run(&mut actuator, &command(Some(2), None), None).1);
    assert!(!run(&mut actuator, &command(Some(1), None), None).1);
    // Two are remembered.
    assert!(run(&mut actuator, &command(Some(3), None), None).1);
    assert!(run(&mut actuator, &command(Some(1), None), None).1);
    for _ in 0..2 {
        assert!(run(&mut actuator, &command(None, None), None).1);
    }
    actuator.remember(9, first.0);
    assert!(!run(&mut actuator, &command(Some(9), None), None).1);
}

#[test]
fn a_late_command_does_nothing_for_good() {
    let mut actuator = Actuator::new();
    assert!(run(&mut actuator, &command(Some(1), Some(100)), Some(100)).1);
    let (late, executed) = run(&mut actuator, &command(Some(2), Some(100)), Some(101));
    assert!(!executed && !late.is_done() && late.code == Code::PRECONDITION_FAILED);
    // Neither when the clock is set back.
    assert_eq!(run(&mut actuator, &command(Some(2), Some(100)), Some(50)), (late, false));
    assert!(run(&mut actuator, &command(Some(3), Some(100)), None).1);
}

struct Lamp(Actuator<4>, u32);

impl Application for Lamp {
    fn links(&self) -> &[Link<'_>] {
        &[Link {
            path: "lamp",
            attributes: "",
            observable: sluicegate_device::coap::Observable::No,
        }]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        let command = match Command::from_request(request) {
            Ok(command) => command,
            Err(code) => return code,
        };
        let outcome = self.0.run(&command, Some(1000), |value| {
            self.1 += 1;
            Outcome::done(Bytes::new(value).unwrap())
        });
        reply.push(outcome.value.as_slice());
        outcome.code
    }
}

#[test]
fn over_coap_a_command_in_a_new_message_acts_once_too() {
    let mut endpoint = Endpoint::new(SEED, BlockSize::B256);
    let mut lamp = Lamp(Actuator::new(), 0);
    let mut put = |id: u16, queries: &[&str], value: &[u8]| {
        let put = Answer::new(Kind::Con, Code::PUT, id, Token::default()).option(11, b"lamp");
        let put = queries.iter().fold(put, |put, query| put.option(15, query.as_bytes()));
        endpoint.handle(seconds(0), &put.payload(value).bytes(), &mut lamp);
        let answer = sent(&mut endpoint, seconds(0), &mut lamp);
        let message = Message::parse(&answer).unwrap();
        (message.code, message.payload.to_vec(), lamp.1)
    };
    assert_eq!(put(1, &["id=7", "until=1000"], b"on"), (Code::CHANGED, b"on".to_vec(), 1));
    assert_eq!(put(2, &["id=7", "until=1000"], b"on"), (Code::CHANGED, b"on".to_vec(), 1));
    assert_eq!(put(3, &["until=999", "id=8"], b"on").0, Code::PRECONDITION_FAILED);
    assert_eq!(put(4, &["id=x"], b"on").0, Code::BAD_REQUEST);
    assert_eq!(put(5, &["id=18446744073709551616"], b"on").0, Code::BAD_REQUEST);
    assert_eq!(put(6, &["id=9"], &[b'x'; 65]).0, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(put(7, &["id=9"], b"off"), (Code::CHANGED, b"off".to_vec(), 2));
}
