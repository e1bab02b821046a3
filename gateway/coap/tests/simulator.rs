//! Two endpoints and a network that loses, repeats and reorders datagrams, from a seed.

use std::collections::{BTreeMap, HashMap};

use sluicegate_coap::{
    Code, Endpoint, Method, ObservationId, Output, Request, Response, Settings, format,
};

use crate::bench::body;

const DEVICE: u32 = 1;
const GATEWAY: u32 = 2;

/// A small generator, for the network only.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The network and the two ends.
struct Network {
    now: u64,
    dice: Dice,
    /// Loss of a datagram, and its repetition, in percent.
    loss: u64,
    repeats: u64,
    /// By time of arrival: to whom.
    flying: BTreeMap<(u64, u64), (u32, Vec<u8>)>,
    count: u64,
    device: Endpoint<u32>,
    gateway: Endpoint<u32>,
    /// How often the gateway handled each body.
    handled: HashMap<Vec<u8>, u32>,
    observation: Option<ObservationId>,
    answers: Vec<Result<Response, sluicegate_coap::Failure>>,
    states: Vec<Vec<u8>>,
}

impl Network {
    fn new(seed: u64, loss: u64, repeats: u64) -> Self {
        let settings = Settings { rate: 0, ..Settings::default() };
        Self {
            now: 0,
            dice: Dice(seed),
            loss,
            repeats,
            flying: BTreeMap::new(),
            count: 0,
            device: Endpoint::new(settings.clone(), [1; 32]),
            gateway: Endpoint::new(settings, [seed as u8; 32]),
            handled: HashMap::new(),
            observation: None,
            answers: Vec::new(),
            states: Vec::new(),
        }
    }

    fn send(&mut self, to: u32, datagram: &[u8]) {
        let copies = 1 + u64::from(self.dice.throw(100) < self.repeats);
        for _ in 0..copies {
            if self.dice.throw(100) >= self.loss {
                let delay =
                    5 + self.dice.throw(20) + self.dice.throw(10) / 9 * self.dice.throw(4_000);
                self.count += 1;
                self.flying.insert((self.now + delay, self.count), (to, datagram.to_vec()));
            }
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.device.poll() {
            match output {
                Output::Send { datagram, .. } => self.send(GATEWAY, &datagram),
                Output::Response { result, .. } => self.answers.push(result),
                Output::Notification { response, .. } => self.states.push(response.payload),
                other => panic!("{other:?}"),
            }
        }
        while let Some(output) = self.gateway.poll() {
            match output {
                Output::Send { datagram, .. } => self.send(DEVICE, &datagram),
                Output::Request { exchange, request, observe, .. } => {
                    self.observation = observe.or(self.observation);
                    let response = self.handle(&request);
                    self.gateway.accept(self.now, exchange, response);
                }
                Output::ObservationEnded { .. } => self.observation = None,
                other => panic!("{other:?}"),
            }
        }
        for endpoint in [&self.device, &self.gateway] {
            let usage = endpoint.usage();
            assert!(usage.peers <= 1 && usage.bytes <= 512 * 1024 && usage.exchanges <= 64);
        }
    }

    fn handle(&mut self, request: &Request) -> Response {
        if request.method == Method::Get {
            return Response::content(format::OCTETS, body(5_000));
        }
        *self.handled.entry(request.payload.clone()).or_default() += 1;
        Response::content(format::OCTETS, request.payload.clone())
    }

    /// Until nothing flies and nothing is due, or a time is reached.
    fn run(&mut self, until: u64) {
        self.settle();
        loop {
            let flying = self.flying.keys().next().map(|(time, _)| *time);
            let due = [self.device.next_timeout(), self.gateway.next_timeout(), flying];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            if flying == Some(next) {
                let (_, (to, datagram)) = self.flying.pop_first().unwrap();
                let (from, end) = match to {
                    GATEWAY => (DEVICE, &mut self.gateway),
                    _ => (GATEWAY, &mut self.device),
                };
                end.receive(self.now, from, true, &datagram);
            }
            self.device.handle_timeout(self.now);
            self.gateway.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }
}

#[test]
fn every_request_has_one_effect_over_a_bad_network() {
    for seed in 0..60 {
        let mut network = Network::new(seed, 15, 20);
        for number in 0..8u8 {
            let length = usize::from(number % 4) * 700 + 1;
            let payload: Vec<_> = [vec![number], body(length)].concat();
            let request = Request::new(Method::Post, "r").payload(format::OCTETS, payload);
            network.device.request(network.now, GATEWAY, request).unwrap();
            network.run(network.now + 200_000);
        }
        assert_eq!(network.answers.len(), 8, "seed {seed}");
        for result in network.answers.iter().flatten().filter(|it| it.code.is_success()) {
            assert_eq!(network.handled.get(&result.payload), Some(&1), "seed {seed}");
        }
        for (payload, count) in &network.handled {
            assert_eq!(*count, 1, "seed {seed}: {} bytes", payload.len());
        }
        let whole = network.answers.iter().flatten().filter(|it| it.code == Code::CONTENT).count();
        assert!(whole >= 4, "seed {seed}: only {whole} of 8 came through");
    }
}

#[test]
fn a_day_profile_goes_up_and_its_proof_comes_down() {
    let mut network = Network::new(5, 5, 5);
    let profile = body(100_000);
    let request = Request::new(Method::Post, "r").payload(format::OCTETS, profile.clone());
    network.device.request(0, GATEWAY, request).unwrap();
    network.run(3_000_000);
    assert_eq!(network.answers.pop().unwrap().unwrap().payload, profile);
    assert_eq!(network.handled.get(&profile), Some(&1));
}

#[test]
fn an_observer_ends_with_the_last_state() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 10, 10);
        let request = Request::new(Method::Get, "valve");
        network.device.observe(0, GATEWAY, request).unwrap();
        network.run(100_000);
        let Some(observation) = network.observation else { continue };
        for state in 0..50u8 {
            let response = Response::content(format::OCTETS, [state]).with_max_age(1000);
            network.gateway.notify(network.now, observation, response);
            network.run(network.now + 300);
        }
        network.run(network.now + 120_000);
        let single: Vec<_> = network.states.iter().filter(|state| state.len() == 1).collect();
        assert!(single.is_sorted(), "seed {seed}: {single:?}");
        if network.observation.is_some() {
            assert!(single.last().unwrap()[0] > 40, "seed {seed}: {single:?}");
        }
    }
}
