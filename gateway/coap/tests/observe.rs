//! Observers of our resources (RFC 7641 §4), with the sequences of its Appendix A.

use sluicegate_coap::{
    Code, ObservationId, Response, Settings,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, Sent, body, get, get_observe, message};

/// A bench with one observer, with token 0x4a.
fn observed(settings: Settings) -> (Bench, ObservationId, Sent) {
    let mut bench = Bench::with(settings);
    bench.hear(&get_observe(1, &[0x4a], "temperature", 0));
    let observation = bench.asked[0].observe.unwrap();
    let first = bench.accept(Response::content(0, "22.9").with_max_age(15)).remove(0);
    (bench, observation, first)
}

fn later(first: &Sent, second: &Sent) -> bool {
    let [first, second] = [first, second].map(|sent| sent.uint(option::OBSERVE).unwrap());
    first < second && second - first < 1 << 23
}

/// Figures 2 and 3: the client registers and gets notifications, some of them lost.
#[test]
fn notifications_carry_the_token_and_a_growing_number() {
    let (mut bench, observation, first) = observed(Settings::default());
    assert_eq!((first.kind, first.code), (Kind::Ack, Code::CONTENT));
    bench.wait(15_000);
    let second = bench.notify(observation, "22.8").remove(0);
    assert_eq!((second.kind, &second.token[..]), (Kind::Non, &[0x4a][..]));
    bench.hear(&get(2, &[1], "other"));
    let third = bench.notify(observation, "22.7").remove(0);
    assert!(later(&first, &second) && later(&second, &third));
}

/// Figures 6 and 7: a client that has lost interest answers with a reset.
#[test]
fn a_reset_ends_an_observation() {
    for confirm_observer in [0, 100_000] {
        let (mut bench, observation, _) =
            observed(Settings { confirm_observer, ..Settings::default() });
        let sent = bench.notify(observation, "22.8").remove(0);
        assert_eq!(sent.kind, if confirm_observer == 0 { Kind::Con } else { Kind::Non });
        bench.hear(&empty(Kind::Rst, sent.id));
        assert_eq!(bench.ended, [observation]);
        assert_eq!(bench.notify(observation, "22.7"), []);
    }
}

#[test]
fn an_observer_that_does_not_acknowledge_is_dropped() {
    let settings = Settings { confirm_observer: 0, ..Settings::default() };
    let (mut bench, observation, _) = observed(settings);
    assert_eq!(bench.notify(observation, "22.8").len(), 1);
    assert_eq!(bench.wait(100_000).len(), 4);
    assert_eq!(
        (bench.ended.as_slice(), bench.endpoint.usage().observations),
        (&[observation][..], 0)
    );
}

#[test]
fn an_observer_is_asked_to_acknowledge_once_a_day() {
    let (mut bench, observation, _) = observed(Settings::default());
    bench.now += 23 * 3600 * 1000;
    assert_eq!(bench.notify(observation, "a")[0].kind, Kind::Non);
    bench.wait(2 * 3600 * 1000);
    let sent = bench.notify(observation, "b").remove(0);
    assert_eq!(sent.kind, Kind::Con);
    bench.hear(&empty(Kind::Ack, sent.id));
    assert_eq!(bench.notify(observation, "c")[0].kind, Kind::Non);
}

#[test]
fn a_silent_observer_is_asked_to_acknowledge() {
    let (mut bench, observation, _) = observed(Settings::default());
    assert_eq!(bench.notify(observation, "a")[0].kind, Kind::Non);
    assert_eq!(bench.notify(observation, "b")[0].kind, Kind::Con);
}

#[test]
fn a_newer_state_takes_the_place_of_one_that_waits() {
    let settings = Settings { confirm_observer: 0, ..Settings::default() };
    let (mut bench, observation, _) = observed(settings);
    let first = bench.notify(observation, "1").remove(0);
    for state in ["2", "3", "4"] {
        assert_eq!(bench.notify(observation, state), []);
    }
    let sent = bench.hear(&empty(Kind::Ack, first.id));
    assert_eq!((sent.len(), &sent[0].payload[..]), (1, &b"4"[..]));
    bench.notify(observation, "5");
    let repeated = bench.wait(3_000).remove(0);
    assert_eq!((&repeated.payload[..], repeated.id == sent[0].id), (&b"5"[..], false));
    bench.hear(&empty(Kind::Ack, sent[0].id));
    assert!(!bench.wait(10_000).is_empty());
    bench.hear(&empty(Kind::Ack, repeated.id));
    assert_eq!((bench.wait(100_000), bench.ended.len()), (vec![], 0));
}

#[test]
fn an_observer_may_leave() {
    let (mut bench, observation, _) = observed(Settings::default());
    bench.hear(&get_observe(2, &[0x4b], "temperature", 1));
    bench.hear(&get_observe(3, &[0x4a], "other", 1));
    assert!(bench.ended.is_empty());
    bench.hear(&get_observe(4, &[0x4a], "temperature", 1));
    assert_eq!(bench.ended, [observation]);
    for _ in 0..3 {
        assert_eq!(bench.accept(Response::content(0, "x"))[0].uint(option::OBSERVE), None);
    }
}

#[test]
fn registering_again_keeps_one_observation() {
    let (mut bench, observation, first) = observed(Settings::default());
    bench.hear(&get_observe(2, &[0x4a], "temperature", 0));
    assert_eq!(bench.asked[0].observe, Some(observation));
    assert!(later(&first, &bench.accept(Response::content(0, "x"))[0]));
    assert_eq!(bench.endpoint.usage().observations, 1);
}

#[test]
fn an_error_is_no_observation() {
    let mut bench = Bench::new();
    bench.hear(&get_observe(1, &[1], "none", 0));
    let sent = bench.accept(Response::new(Code::NOT_FOUND)).remove(0);
    assert_eq!((sent.code, sent.uint(option::OBSERVE)), (Code::NOT_FOUND, None));
    assert_eq!((bench.ended.len(), bench.endpoint.usage().observations), (1, 0));
}

#[test]
fn an_error_ends_an_observation() {
    let (mut bench, observation, _) = observed(Settings::default());
    bench.endpoint.notify(bench.now, observation, Response::new(Code::NOT_FOUND));
    let sent = bench.drain().remove(0);
    assert_eq!(
        (sent.kind, sent.code, sent.uint(option::OBSERVE)),
        (Kind::Con, Code::NOT_FOUND, None)
    );
    assert_eq!(bench.ended, [observation]);
}

#[test]
fn too_many_observations_are_plain_requests() {
    let settings = Settings { observations_per_peer: 2, observations: 3, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let mut observes = |peer, token: u8| {
        bench.hear_from(peer, &get_observe(token.into(), &[token], "r", 0));
        bench.accept(Response::content(0, "x"))[0].uint(option::OBSERVE).is_some()
    };
    assert_eq!([1, 2, 3].map(|token| observes(1, token)), [true, true, false]);
    assert_eq!([1, 2].map(|token| observes(2, token)), [true, false]);
}

#[test]
fn a_request_that_was_never_answered_leaves_no_observation() {
    let mut bench = Bench::new();
    bench.hear(&get_observe(1, &[1], "r", 0));
    bench.wait(300_000);
    assert_eq!((bench.ended.len(), bench.endpoint.usage().observations), (1, 0));
}

#[test]
fn an_answer_that_does_not_accept_it_is_no_observation() {
    let (mut bench, observation, _) = observed(Settings::default());
    for token in [0x4a, 0x4b] {
        bench.hear(&get_observe(u16::from(token), &[token], "temperature", 0));
        let offered = bench.asked[0].observe.unwrap();
        let sent = bench.answer(Response::content(0, "x")).remove(0);
        assert_eq!((sent.code, sent.uint(option::OBSERVE)), (Code::CONTENT, None));
        assert_eq!((bench.ended.pop(), offered == observation), (Some(offered), token == 0x4a));
        assert_eq!(bench.endpoint.usage().observations, 0);
    }
}

#[test]
fn observers_that_nobody_vouches_for_end_when_they_are_silent() {
    let observe = |verified| {
        let settings = Settings { echo_lifetime: u64::MAX, ..Settings::default() };
        let mut bench = Bench { verified, ..Bench::with(settings) };
        let echo = bench.hear(&get_observe(1, &[1], "r", 0)).pop();
        let echo = echo.and_then(|sent| sent.options.first(option::ECHO).map(<[u8]>::to_vec));
        let mut options = vec![(option::OBSERVE, &b""[..]), (option::URI_PATH, b"r")];
        options.extend(echo.iter().map(|echo| (option::ECHO, echo.as_slice())));
        bench.hear(&message(Kind::Con, Code(1), 2, &[1], &options, &[]));
        let observation = bench.asked.last().unwrap().observe.unwrap();
        while !bench.asked.is_empty() {
            bench.accept(Response::content(0, "x"));
        }
        (bench, observation)
    };
    for (verified, left) in [(true, 1), (false, 0)] {
        let (mut bench, _) = observe(verified);
        bench.wait(3_000_000);
        assert_eq!(bench.endpoint.usage().observations, 1);
        bench.wait(1_000_000);
        assert_eq!((bench.endpoint.usage().observations, bench.ended.len()), (left, 1 - left));
    }
    // One that acknowledges stays.
    let (mut bench, observation) = observe(false);
    for _ in 0..4 {
        bench.wait(2_000_000);
        let sent = bench.notify(observation, "y").remove(0);
        assert_eq!(sent.kind, Kind::Con);
        bench.hear(&empty(Kind::Ack, sent.id));
    }
    assert_eq!(bench.endpoint.usage().observations, 1);
}

#[test]
fn only_reading_methods_observe() {
    let mut bench = Bench::new();
    let options = [(option::OBSERVE, &b""[..]), (option::URI_PATH, b"r")];
    bench.hear(&message(Kind::Con, Code(2), 1, &[1], &options, &body(5)));
    assert_eq!(bench.asked[0].observe, None);
}
