//! SIGKILL, lost acknowledgements, a broker that forgets: every reading is in the log once, every
//! answer arrives.

use serde_json::Value;

use crate::{
    broker::Broker,
    process::until,
    site::{Site, ack, pack, readings},
    tap::{CONNECT, From, PUBACK, PUBLISH, Tap},
};

fn with_tap() -> (Site, Tap) {
    let site = Site::new();
    let tap = Tap::new(site.broker.port());
    site.reach_broker_at(tap.port());
    (site, tap)
}

fn indices(told: &[Value]) -> Vec<u64> {
    told.iter().map(|told| told["index"].as_u64().unwrap()).collect()
}

#[test]
fn a_reading_that_was_not_durable_is_delivered_again_after_sigkill() {
    // A commit that other records wait for can come between the message and the kill; then once more.
    let killed_before = (0..5).any(|_| is_killed_before_its_commit());
    assert!(killed_before, "every reading was durable before its gateway was killed");
}

fn is_killed_before_its_commit() -> bool {
    let (site, tap) = with_tap();
    site.place.configure("commit_delay = \"20ms\"", "commit_delay = \"1s\"");
    let gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    tap.wait("the message at the gateway", |tap| tap.seen(From::Broker, PUBLISH) == 1);
    gateway.kill();
    let is_acknowledged = tap.seen(From::Gateway, PUBACK) > 0;
    let was_told = !device.messages(&ack("meter-1")).is_empty();
    assert!(is_acknowledged || !was_told, "told before it was durable");

    let gateway = site.gateway();
    let told = device.wait(&ack("meter-1"), |told| told["seq"] == 1);
    assert!(is_acknowledged || tap.redelivered() == 1, "the broker gave it up");
    let logged = site.logged(gateway);
    assert_eq!(logged, [(110, 1, told["index"].as_u64().unwrap())]);
    !is_acknowledged
}

#[test]
fn a_reading_whose_acknowledgement_was_lost_is_delivered_again_and_is_one_leaf() {
    let (site, tap) = with_tap();
    let gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    tap.lose(From::Gateway, PUBACK);
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    tap.wait("an acknowledgement", |tap| tap.lost(From::Gateway, PUBACK) == 1);
    gateway.kill();
    tap.lose_nothing();

    let gateway = site.gateway();
    tap.wait("the message again", |tap| tap.redelivered() == 1);
    tap.wait("its acknowledgement", |tap| tap.seen(From::Gateway, PUBACK) == 2);
    let first = device.wait(&ack("meter-1"), |told| told["seq"] == 1);
    until("an answer for each delivery", || {
        (device.messages(&ack("meter-1")).len() >= 2).then_some(())
    });
    let logged = site.logged(gateway);
    let index = first["index"].as_u64().unwrap();
    assert_eq!(logged, [(110, 1, index)]);
    let told = indices(&device.messages(&ack("meter-1")));
    assert!(told.iter().all(|told| *told == index), "{told:?}");
}

#[test]
fn an_answer_that_never_reached_the_broker_goes_out_after_sigkill() {
    let (site, tap) = with_tap();
    site.place.configure("patience = \"1s\"", "patience = \"1h\"");
    let gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    tap.lose(From::Gateway, PUBLISH);
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    tap.wait("an answer", |tap| tap.lost(From::Gateway, PUBLISH) == 1);
    tap.wait("the acknowledgement", |tap| tap.seen(From::Gateway, PUBACK) == 1);
    gateway.kill();
    tap.lose_nothing();
    assert_eq!(device.messages(&ack("meter-1")).len(), 0);

    let gateway = site.gateway();
    let told = device.wait(&ack("meter-1"), |told| told["seq"] == 1);
    assert_eq!(tap.redelivered(), 0, "the broker had its acknowledgement");
    assert_eq!(site.logged(gateway), [(110, 1, told["index"].as_u64().unwrap())]);
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left_and_tried_again() {
    let (site, tap) = with_tap();
    let _gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    tap.lose(From::Broker, PUBACK);
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    tap.wait("a second connection", |tap| tap.seen(From::Gateway, CONNECT) >= 2);
    tap.wait("the answer again", |tap| tap.lost(From::Broker, PUBACK) >= 2);
    tap.lose_nothing();
    let before = tap.seen(From::Broker, PUBACK);
    tap.wait("the broker's acknowledgement", |tap| tap.seen(From::Broker, PUBACK) > before);
    let told = indices(&device.messages(&ack("meter-1")));
    assert!(told.len() >= 2 && told.iter().all(|index| *index == told[0]), "{told:?}");
    site.broker.publish(&readings("meter-1", 2), &pack(230));
    device.wait(&ack("meter-1"), |told| told["seq"] == 2);
    until("nothing that waits for the broker", || {
        let health = site.wait_health("connected to");
        (!health.contains("publications wait")).then_some(())
    });
}

#[test]
fn a_broker_that_forgot_everything_is_subscribed_to_again_and_gets_what_waits() {
    let (mut site, tap) = with_tap();
    site.place.configure("patience = \"1s\"", "patience = \"1h\"");
    let gateway = site.gateway();
    tap.lose(From::Gateway, PUBLISH);
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    tap.wait("an answer", |tap| tap.lost(From::Gateway, PUBLISH) == 1);
    let port = site.broker.port();
    let folder = site.place.path("");
    // Killed first, so that the port is free for the next one.
    let fresh = Broker::start(&folder);
    std::mem::replace(&mut site.broker, fresh).kill();
    site.wait_health("not connected");
    let broker = Broker::start_at(&folder, port, "allow_anonymous true");
    let device = broker.subscribe(&ack("meter-1"));
    tap.lose_nothing();
    let told = device.wait(&ack("meter-1"), |told| told["seq"] == 1);
    broker.publish(&readings("meter-1", 2), &pack(231));
    let next = device.wait(&ack("meter-1"), |told| told["seq"] == 2);
    let of = |told: &Value| told["index"].as_u64().unwrap();
    assert_eq!(site.logged(gateway), [(110, 1, of(&told)), (110, 2, of(&next))]);
}

#[test]
fn a_broker_that_is_away_holds_up_nothing_else() {
    let mut site = Site::new();
    let gateway = site.gateway();
    let fresh = Broker::start(&site.place.path(""));
    std::mem::replace(&mut site.broker, fresh).kill();
    site.wait_health("not connected");
    assert!(site.place.client().log_new("meter-1", 1) > 0);
    assert!(gateway.stop().as_secs() < 2);
}
