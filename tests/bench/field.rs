//! What CoAP costs: requests per second of the server's processor time, plain and over DTLS, beside libcoap's server in the
//! same run, and the memory of a gateway with a thousand DTLS sessions.
//!
//! Guarantees: gateway and libcoap are processes of their own, asked over loopback by the same client from many ports; an
//! answer counts when its code is the one that the request must get. Does not: say how fast a server is under a client on
//! another machine; client and server share the processors.

mod client;
mod server;

use std::{path::Path, time::Duration};

use self::{
    client::{Load, Plain, Secured},
    server::Server,
};
use crate::{Result, stats::whole, table::Table};

/// How long each load runs.
const RUN: Duration = Duration::from_secs(5);

/// DTLS sessions for the memory.
const DEVICES: usize = 1_000;

/// Devices that ask at the same time.
const PEERS: usize = 64;

/// What was measured; rates are per second of the server's processor time.
pub(crate) struct Field {
    pub(crate) libcoap: f64,
    pub(crate) get: f64,
    pub(crate) post: f64,
    pub(crate) secure_post: f64,
    pub(crate) handshakes: Duration,
    pub(crate) memory_kib: u64,
    pub(crate) table: Table,
}

/// Measures everything.
pub(crate) fn measure(folder: &Path) -> Result<Field> {
    eprintln!("measuring CoAP");
    let mut table = Table::new(
        "CoAP",
        &["what", "per second of processor time", "ratio", "per second", "processor time each"],
    );
    let yardstick = Server::libcoap()?;
    let load = Load::get("time");
    let base = server::load(&yardstick, &mut Plain::new(yardstick.plain, PEERS)?, &load, RUN)?;
    drop(yardstick);
    let mut row = |what: &str, run: &server::Run| {
        let micros = 1e6 / run.per_processor_second;
        table.row([
            what.to_owned(),
            whole(run.per_processor_second),
            format!("{:.2}", run.per_processor_second / base.per_processor_second),
            whole(run.per_second),
            format!("{micros:.1} µs"),
        ]);
    };
    row("libcoap's coap-server-notls, GET /time", &base);
    let gateway = Server::gateway(folder, DEVICES)?;
    let mut plain = Plain::new(gateway.plain, PEERS)?;
    let get = server::load(&gateway, &mut plain, &Load::discover(), RUN)?;
    row("GET of a link of 33 bytes", &get);
    // New ports: answers to the load before are still on their way to the others.
    let mut plain = Plain::new(gateway.plain, PEERS)?;
    let post = server::load(&gateway, &mut plain, &Load::reading(), RUN)?;
    row("POST of a reading, durable", &post);
    let (mut secured, handshakes) = Secured::open(gateway.secure, DEVICES)?;
    let memory_kib = gateway.process.memory_kib()?;
    secured.keep(PEERS);
    let secure_post = server::load(&gateway, &mut secured, &Load::reading(), RUN)?;
    row("POST of a reading over DTLS, durable", &secure_post);
    table.note(&format!(
        "Confirmable requests from {PEERS} ports, 8 under way at each. A reading is a SenML pack of 63 bytes.\n\
         {DEVICES} DTLS handshakes after a start: {:.1} s with client and gateway on the same cores; resident memory of the\n\
         gateway with these sessions: {} KiB.",
        handshakes.as_secs_f64(),
        whole(memory_kib as f64),
    ));
    Ok(Field {
        libcoap: base.per_processor_second,
        get: get.per_processor_second,
        post: post.per_processor_second,
        secure_post: secure_post.per_processor_second,
        handshakes,
        memory_kib,
        table,
    })
}
