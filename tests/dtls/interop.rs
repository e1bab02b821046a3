//! Clients that we did not write, over the loopback: OpenSSL's `s_client` and libcoap's
//! `coap-client-openssl`.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Child, Command, Output as Finished, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use sluicegate_daemon::net::{
    dtls::{Output, Settings},
    psk::{Identity, Psk},
    udp::{Inbox, Udp},
};
use tokio::time::{sleep_until, timeout};

use crate::world::{enrolled, key, name, sessions};

const LIMIT: Duration = Duration::from_secs(20);

/// A gateway on the loopback that answers each message with what `answer` makes of it, for as long
/// as `work` takes. Returns what was told.
fn serve<T>(answer: fn(&[u8]) -> Vec<u8>, work: impl FnOnce(u16) -> T) -> (T, Vec<Output>) {
    let (ports, port) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let gateway = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut told = Vec::new();
            tokio::select! {
                () = run(answer, &ports, &mut told) => {}
                _ = stopped => {}
            }
            told
        })
    });
    let done = work(port.recv_timeout(LIMIT).unwrap());
    drop(stop);
    (done, gateway.join().unwrap())
}

async fn run(answer: fn(&[u8]) -> Vec<u8>, ports: &mpsc::Sender<u16>, told: &mut Vec<Output>) {
    let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let udp = Udp::bind(loopback).unwrap();
    ports.send(udp.local_address().port()).unwrap();
    let mut devices = enrolled([1]);
    // libcoap's key is text on its command line.
    devices.insert(Identity::new("text-key").unwrap(), Psk::new([b'k'; 16]));
    let mut gateway = sessions(Settings::default(), devices, Instant::now());
    let (mut inbox, mut outbox) = (Inbox::new(), Vec::new());
    loop {
        let next = gateway.next_timeout().unwrap_or_else(|| Instant::now() + LIMIT);
        tokio::select! {
            () = udp.receive(&mut inbox) => {
                for datagram in inbox.datagrams() {
                    gateway.receive(Instant::now(), datagram.path, datagram.bytes);
                }
            }
            () = sleep_until(next.into()) => gateway.handle_timeout(Instant::now()),
        }
        while let Some(output) = gateway.poll_output() {
            match output {
                Output::Send(datagram) => outbox.push(datagram),
                Output::Data { session, ref plaintext } => {
                    let reply = answer(plaintext);
                    gateway.send(Instant::now(), session, &reply).unwrap();
                    told.push(output);
                }
                told_now => told.push(told_now),
            }
        }
        timeout(LIMIT, udp.send(&mut outbox)).await.unwrap();
    }
}

/// Fails where a program is missing: a test that says nothing is no test.
fn need(program: &str) {
    let found = Command::new("which").arg(program).stdout(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    assert!(found, "{program} is missing; tests/setup/install.sh installs it");
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a client, which has limits of its own.
fn finish(child: Child) -> (Finished, String) {
    let finished = child.wait_with_output().unwrap();
    let (out, err) = (&finished.stdout, &finished.stderr);
    let text = String::from_utf8_lossy(&[&out[..], err].concat()).into_owned();
    (finished, text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn s_client(port: u16, identity: &str, key: &[u8; 16]) -> (Finished, String) {
    let mut client =
        piped(Command::new("timeout").args(["15", "openssl", "s_client", "-dtls1_2"]).args([
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-psk_identity",
            identity,
            "-psk",
            &hex(key),
            "-cipher",
            "PSK-AES128-CCM8",
        ]));
    let mut input = client.stdin.take().unwrap();
    // The client ends when its input does, and it says good-bye then.
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(700));
        let written = input.write_all(b"hello from openssl\n");
        thread::sleep(Duration::from_millis(700));
        written
    });
    let finished = finish(client);
    let _ = writer.join().unwrap();
    finished
}

#[test]
fn openssl_says_hello_and_good_bye() {
    need("openssl");
    let shout = |message: &[u8]| message.to_ascii_uppercase();
    let ((_, text), told) = serve(shout, |port| s_client(port, &name(1), &key(1)));
    assert!(text.contains("Cipher is PSK-AES128-CCM8"), "{text}");
    assert!(text.contains("HELLO FROM OPENSSL"), "{text}");
    assert!(matches!(told.first(), Some(Output::Opened { .. })), "{told:?}");
    assert!(matches!(told.last(), Some(Output::Closed { .. })), "{told:?}");
}

#[test]
fn openssl_with_a_wrong_key_is_refused_at_once() {
    need("openssl");
    let begun = Instant::now();
    let ((_, text), told) = serve(<[u8]>::to_vec, |port| s_client(port, &name(1), &key(2)));
    assert!(text.contains("handshake failure"), "{text}");
    assert!(told.is_empty(), "{told:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A piggybacked 2.05 with a text, for a confirmable request (RFC 7252 §3).
fn content(request: &[u8]) -> Vec<u8> {
    let tokens = usize::from(request[0] & 15);
    let header = [0x60 | request[0] & 15, 0x45, request[2], request[3]];
    [&header[..], &request[4..4 + tokens], &[0xFF], b"twenty-one degrees"].concat()
}

#[test]
fn libcoap_gets_a_resource() {
    need("coap-client-openssl");
    let (text, told) = serve(content, |port| {
        let key = "k".repeat(16);
        let uri = format!("coaps://127.0.0.1:{port}/temperature");
        let mut client = Command::new("coap-client-openssl");
        client.args(["-B", "10", "-m", "get", "-u", "text-key", "-k", &key, &uri]);
        finish(piped(&mut client)).1
    });
    assert!(text.contains("twenty-one degrees"), "{text}");
    assert!(matches!(told[..2], [Output::Opened { .. }, Output::Data { .. }]), "{told:?}");
}
