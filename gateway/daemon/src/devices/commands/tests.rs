//! Commands against a deliverer that a test plays.

use super::*;
use crate::testing::{Parts, Place, run};

const DEVICES: &str = "[[device]]\nname = \"valve-1\"\n[[device]]\nname = \"valve-2\"\n";
const LONG: u64 = 3_600_000;

/// What a deliverer was given.
type Delivery = (Order, oneshot::Sender<Answer>);

async fn open(place: &Place) -> (Parts, Commands, mpsc::Receiver<Delivery>) {
    let parts = place.open();
    let commands = parts.commands().await;
    let orders = start(&commands);
    (parts, commands, orders)
}

fn start(commands: &Commands) -> mpsc::Receiver<Delivery> {
    let (coap, orders) = mpsc::channel(8);
    let deliverers = Deliverers { coap: Some(coap), mqtt: None };
    tokio::task::spawn_local(commands.clone().run(deliverers));
    orders
}

fn speak(parts: &Parts, device: &str) {
    parts.intake.note_contact(device, Transport::Coap);
}

async fn act(commands: &Commands, value: &str, valid_ms: u64) -> (u64, oneshot::Receiver<Outcome>) {
    commands.act("valve-1", "valve", value, valid_ms).await.unwrap()
}

fn done(detail: &str) -> Answer {
    Answer::Done { ok: true, detail: detail.to_owned() }
}

/// Ids of the commands and results in the log, in their order.
async fn logged(parts: &Parts) -> Vec<(&'static str, u64)> {
    let records = parts.records("valve-1").await.into_iter();
    let ids = records.filter_map(|record| match record {
        Record::Command(command) => Some(("command", command.id)),
        Record::Result(outcome) => Some(("result", outcome.id)),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_device_that_is_no_longer_enrolled_gets_nothing() {
    let place = Place::new(DEVICES);
    run(async {
        let parts = place.open();
        let commands = parts.commands().await;
        let (id, outcome) = act(&commands, "open", 1_500).await;
        place.configure("[[device]]\nname = \"valve-2\"\n");
        parts.registry.reload(&place.config());
        let mut orders = start(&commands);
        speak(&parts, "valve-1");
        let outcome = outcome.await.unwrap();
        assert!(!outcome.ok && outcome.id == id, "{outcome:?}");
        assert!(orders.try_recv().is_err(), "it was sent");
        parts.close();
    });
}

#[test]
fn a_command_is_logged_before_it_is_sent_and_its_result_before_it_is_told() {
    let place = Place::new(DEVICES);
    run(async {
        let (parts, commands, mut orders) = open(&place).await;
        speak(&parts, "valve-1");
        let (id, outcome) = act(&commands, "open", LONG).await;
        let (order, reply) = orders.recv().await.unwrap();
        assert_eq!((order.device.as_str(), order.command.id), ("valve-1", id));
        assert_eq!(logged(&parts).await, [("command", id)]);
        reply.send(done("is open")).unwrap();
        let outcome = outcome.await.unwrap();
        assert_eq!((outcome.ok, outcome.detail.as_str()), (true, "is open"));
        assert_eq!(logged(&parts).await, [("command", id), ("result", id)]);
        commands.result("valve-1", id, false, "late word").await;
        assert_eq!(logged(&parts).await.len(), 2);
        parts.close();
    });
}

#[test]
fn a_device_gets_one_command_at_a_time_in_their_order() {
    let place = Place::new(DEVICES);
    run(async {
        let (parts, commands, mut orders) = open(&place).await;
        for device in ["valve-1", "valve-2"] {
            speak(&parts, device);
        }
        let (first, told) = act(&commands, "1", LONG).await;
        let (second, _) = act(&commands, "2", LONG).await;
        commands.act("valve-2", "valve", "3", LONG).await.unwrap();
        let (order, reply) = orders.recv().await.unwrap();
        assert_eq!(order.command.id, first);
        let (other, _reply) = orders.recv().await.unwrap();
        assert_eq!(other.device, "valve-2", "another device does not wait");
        reply.send(Answer::Done { ok: false, detail: "4.04".to_owned() }).unwrap();
        assert!(!told.await.unwrap().ok);
        assert_eq!(orders.recv().await.unwrap().0.command.id, second);
        parts.close();
    });
}

#[test]
fn a_sleeping_device_gets_it_with_its_next_contact() {
    let place = Place::new(DEVICES);
    run(async {
        let (parts, commands, mut orders) = open(&place).await;
        let (id, outcome) = act(&commands, "open", LONG).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(orders.try_recv().is_err(), "nobody knows where it is");
        speak(&parts, "valve-1");
        let (order, reply) = orders.recv().await.unwrap();
        reply.send(Answer::Absent).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let begun = std::time::Instant::now();
        speak(&parts, "valve-1");
        let (again, reply) = orders.recv().await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(500), "it may sleep again soon");
        assert_eq!((again.command.id, again), (id, order));
        reply.send(done("")).unwrap();
        assert!(outcome.await.unwrap().ok);
        parts.close();
    });
}

#[test]
fn after_the_deadline_it_is_taken_back_and_one_result_is_logged() {
    let place = Place::new(DEVICES);
    run(async {
        let (parts, commands, mut orders) = open(&place).await;
        speak(&parts, "valve-1");
        let (id, outcome) = act(&commands, "open", 150).await;
        let (_, reply) = orders.recv().await.unwrap();
        let outcome = outcome.await.unwrap();
        assert!(!outcome.ok && outcome.detail.contains("did not say"), "{outcome:?}");
        assert!(reply.is_closed(), "whoever delivers it sees that");
        commands.result("valve-1", id, true, "too late").await;
        assert_eq!(logged(&parts).await, [("command", id), ("result", id)]);
        let (_, unheard) = commands.act("valve-2", "valve", "open", 1).await.unwrap();
        assert!(unheard.await.unwrap().detail.contains("before the device was heard"));
        assert!(commands.act("valve-2", "valve", "open", u64::MAX).await.is_err());
        parts.close();
    });
}

#[test]
fn two_ends_at_once_log_one_result() {
    let place = Place::new(DEVICES);
    run(async {
        let (parts, commands, mut orders) = open(&place).await;
        speak(&parts, "valve-1");
        let (id, outcome) = act(&commands, "open", LONG).await;
        let (_, reply) = orders.recv().await.unwrap();
        reply.send(Answer::Sent).unwrap();
        let ends = [true, false].map(|ok| commands.result("valve-1", id, ok, "told"));
        let [first, second] = ends;
        tokio::join!(first, second, commands.expire("valve-1", id));
        assert!(outcome.await.unwrap().ok, "the first one counts");
        assert_eq!(logged(&parts).await, [("command", id), ("result", id)]);
        parts.close();
    });
}

#[test]
fn a_restart_goes_on_with_the_same_ids_in_the_same_order() {
    let place = Place::new(DEVICES);
    let (first, second) = run(async {
        let (parts, commands, mut orders) = open(&place).await;
        speak(&parts, "valve-1");
        let ids = (act(&commands, "1", LONG).await.0, act(&commands, "2", LONG).await.0);
        // Sent, and then the power is gone.
        orders.recv().await.unwrap();
        parts.close();
        ids
    });
    run(async {
        let (parts, _commands, mut orders) = open(&place).await;
        speak(&parts, "valve-1");
        for id in [first, second] {
            let (order, reply) = orders.recv().await.unwrap();
            assert_eq!(order.command.id, id);
            reply.send(done("")).unwrap();
        }
        while logged(&parts).await.len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ids = [("command", first), ("result", first), ("command", second), ("result", second)];
        assert_eq!(logged(&parts).await, ids);
        parts.close();
    });
}

/// The process dies between the result's leaf and the note that the command ended.
#[test]
fn a_result_that_is_in_the_log_is_not_logged_again() {
    let place = Place::new(DEVICES);
    let id = run(async {
        let parts = place.open();
        let commands = parts.commands().await;
        let (id, _) = act(&commands, "open", LONG).await;
        let outcome =
            Outcome { id, resource: "valve".to_owned(), ok: true, detail: "open".to_owned() };
        let record = Record::Result(outcome);
        log(&parts.keeper, &parts.registry, "valve-1", &record).await.unwrap();
        parts.close();
        id
    });
    run(async {
        let parts = place.open();
        let commands = parts.commands().await;
        assert!(commands.queues.borrow().is_empty());
        let row = parts.keeper.call(move |desk, _| desk.recorder.store().command(id));
        let (_, ok, detail) = row.await.unwrap().unwrap().unwrap().ended.unwrap();
        assert_eq!((ok, detail.as_str()), (true, "open"));
        assert_eq!(logged(&parts).await, [("result", id)]);
        parts.close();
    });
}

#[test]
fn what_can_not_be_a_command_is_refused() {
    let place = Place::new(DEVICES);
    run(async {
        let parts = place.open();
        let commands = parts.commands().await;
        let long = "x".repeat(513);
        for (device, resource, value) in [
            ("stranger", "valve", "1"),
            ("valve-1", "", "1"),
            ("valve-1", "a//b", "1"),
            ("valve-1", "a b", "1"),
            ("valve-1", "valve", long.as_str()),
        ] {
            assert!(commands.act(device, resource, value, LONG).await.is_err(), "{resource:?}");
        }
        for _ in 0..MAX_WAITING {
            act(&commands, "1", LONG).await;
        }
        assert!(commands.act("valve-1", "valve", "1", LONG).await.is_err());
        parts.close();
    });
}
