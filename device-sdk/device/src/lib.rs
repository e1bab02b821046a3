//! The device's side of a gateway, for small microcontrollers.
//!
//! Guarantees: `no_std`, no allocation, no input that panics; sans-io: datagrams and `now` come in,
//! datagrams and events go out in order; memory is fixed by types and constants, messages are at
//! most [`coap::MAX_DATAGRAM`] bytes. A reading that was queued stays until the gateway has logged
//! or refused it, and a command with an id acts once. Does not: open sockets, encrypt, read clocks,
//! draw random numbers, or write flash; the caller does, and persists the counter of readings.
//!
//! `now` is the time since any fixed moment, such as the start; it never goes back.
//!
//! - [`Device`]: all of it for a device with CoAP; the order of calls stands there
//! - [`coap`]: messages, the client and the resources below it
//! - [`reporter`]: readings until they are acknowledged, over CoAP or MQTT
//! - [`actuator`]: commands that act once
//! - [`participant`]: what a device that signs for itself signs in its channels
//! - [`channels`]: how it comes to the requests and sends the answers
//! - [`mqtt`]: topics and payloads for devices behind a broker
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod actuator;
pub mod channels;
pub mod coap;
mod device;
mod error;
pub mod mqtt;
pub mod participant;
pub mod reporter;
mod small;

pub use device::{Config, Device, Event, Output};
pub use error::Error;
pub use reporter::Report;
pub use sluicegate_protocol::{channel, senml};
pub use small::Bytes;

/// The example in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
