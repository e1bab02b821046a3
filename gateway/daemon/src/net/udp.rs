//! A UDP socket that takes and gives datagrams in batches (`recvmmsg`, `sendmmsg`).
//!
//! Guarantees: a datagram that can't be received or sent costs itself and nothing else; buffers are made once and have a
//! fixed size; an answer leaves from the address that was spoken to (`IP_PKTINFO`, `IPV6_PKTINFO`), which matters where
//! an interface has several, as with IPv6. Does not: retry, or fragment; what is longer than a buffer arrives cut short
//! and says so.
//!
//! `[::]` means both families, or IPv4 alone where the system has no IPv6.

use std::{
    array,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    cmsg_space,
    sys::socket::{
        self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg,
        SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
    },
};
use tokio::{io::Interest, net::UdpSocket};

use super::{Datagram, Path};
use crate::Error;

/// Most datagrams of one system call.
pub const BATCH: usize = 32;

/// Longest datagram that arrives whole, in bytes: more than an Ethernet frame carries.
pub const MAX_DATAGRAM: usize = 2048;

/// What the kernel may keep for us, in bytes; it takes less where `net.core.rmem_max` says so.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Pause after an error of the socket itself, which no datagram caused.
const PAUSE: Duration = Duration::from_millis(10);

/// The socket.
pub struct Udp {
    socket: UdpSocket,
    address: SocketAddr,
}

/// Buffers for one batch.
pub struct Inbox {
    bytes: Box<[[u8; MAX_DATAGRAM]; BATCH]>,
    headers: Vec<Header>,
}

struct Header {
    path: Path,
    length: usize,
    truncated: bool,
}

/// A datagram that arrived.
pub struct Received<'a> {
    /// From where, and to which address of this machine.
    pub path: Path,
    /// What it carries.
    pub bytes: &'a [u8],
    /// It was longer than [`MAX_DATAGRAM`]; the rest is lost.
    pub truncated: bool,
}

/// What became of an outbox.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the system took.
    pub sent: usize,
    /// Datagrams that it refused: no route, no permission, an impossible address.
    pub failed: usize,
}

impl Inbox {
    /// Empty buffers.
    pub fn new() -> Self {
        Self { bytes: Box::new([[0; MAX_DATAGRAM]; BATCH]), headers: Vec::with_capacity(BATCH) }
    }

    /// What [`Udp::receive`] filled in.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        self.headers.iter().zip(self.bytes.iter()).map(|(header, bytes)| Received {
            path: header.path,
            bytes: bytes.get(..header.length).unwrap_or_default(),
            truncated: header.truncated,
        })
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Udp {
    /// Opens a socket at an address of this machine, or at all of them, on a runtime of tokio.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let socket = open(address).or_else(|error| match address {
            SocketAddr::V6(six)
                if six.ip().is_unspecified()
                    && error.raw_os_error() == Some(libc::EAFNOSUPPORT) =>
            {
                open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), six.port()))
            }
            _ => Err(error),
        });
        let opened = socket.and_then(|socket| {
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        });
        opened.map_err(|source| Error::Network { what: format!("udp {address}"), source })
    }

    /// The address, with the port that the system chose where 0 was asked for.
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for datagrams and takes at most [`BATCH`] of them. Nothing is lost if the future is dropped.
    pub async fn receive(&self, inbox: &mut Inbox) {
        loop {
            inbox.headers.clear();
            let ready = self.socket.readable().await;
            let taken = ready.and_then(|()| {
                self.socket.try_io(Interest::READABLE, || Ok(inbox.fill(self.socket.as_raw_fd())?))
            });
            match taken {
                Ok(()) if !inbox.headers.is_empty() => return,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // What an earlier datagram caused is told once; whatever stays must not keep the processor busy.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Sends all datagrams of an outbox and empties it; waits while the system can't take more.
    pub async fn send(&self, outbox: &mut Vec<Datagram>) -> Sent {
        let mut result = Sent::default();
        let mut rest = outbox.as_slice();
        while let Some(first) = rest.first() {
            let alike = |datagram: &&Datagram| datagram.path.local == first.path.local;
            let batch = &rest[..rest.iter().take(BATCH).take_while(alike).count()];
            let sent = self.socket.try_io(Interest::WRITABLE, || Ok(self.send_alike(batch)?));
            let done = match sent {
                Ok(sent) => {
                    result.sent += sent;
                    sent
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    usize::from(self.socket.writable().await.is_err())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(_) => {
                    result.failed += 1;
                    1
                }
            };
            rest = rest.get(done..).unwrap_or_default();
        }
        outbox.clear();
        result
    }

    /// Sends datagrams from one address; how many, at least one. An error is the first one's.
    fn send_alike(&self, batch: &[Datagram]) -> nix::Result<usize> {
        let local = batch.first().and_then(|first| first.path.local);
        let (mut four, mut six) = (None, None);
        match local {
            Some(local) if self.address.is_ipv6() => six = Some(from_six(mapped(local))),
            Some(IpAddr::V4(local)) => four = Some(from_four(local)),
            _ => {}
        }
        let four = four.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let control = six.as_ref().map(ControlMessage::Ipv6PacketInfo).or(four);
        // The space has to be the exact one, the kernel reads all of it.
        let space = control.as_ref().map(|control| match control {
            ControlMessage::Ipv4PacketInfo(_) => cmsg_space!(libc::in_pktinfo),
            _ => cmsg_space!(libc::in6_pktinfo),
        });
        let mut headers = MultiHeaders::preallocate(batch.len(), space);
        let slices: Vec<_> = batch.iter().map(|datagram| [IoSlice::new(&datagram.bytes)]).collect();
        let addresses: Vec<_> =
            batch.iter().map(|datagram| Some(self.address_of(datagram.path.peer))).collect();
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent =
            socket::sendmmsg(socket, &mut headers, &slices, &addresses, control.as_slice(), flags)?;
        Ok(sent.count())
    }

    /// An address as this socket takes it.
    fn address_of(&self, peer: SocketAddr) -> SockaddrStorage {
        match peer {
            SocketAddr::V4(four) if self.address.is_ipv6() => {
                SocketAddrV6::new(four.ip().to_ipv6_mapped(), four.port(), 0, 0).into()
            }
            peer => peer.into(),
        }
    }
}

impl Inbox {
    fn fill(&mut self, socket: i32) -> nix::Result<()> {
        let mut buffers = self.bytes.iter_mut();
        let mut slices: [_; BATCH] = array::from_fn(|_| {
            let buffer: &mut [u8] = buffers.next().map_or(&mut [], |buffer| buffer);
            [IoSliceMut::new(buffer)]
        });
        // New ones each time: the kernel shortens the lengths in them.
        let space = cmsg_space!(libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(space));
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = socket::recvmmsg(socket, &mut headers, slices.iter_mut(), flags, None)?;
        self.headers.extend(received.map(|message| Header {
            path: path(&message),
            length: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        }));
        Ok(())
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &!address.ip().is_unspecified())?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    UdpSocket::from_std(socket.into())
}

fn path(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Path {
    let address = message.address.as_ref();
    let six = address.and_then(|address| address.as_sockaddr_in6()).map(|six| {
        let ip = six.ip();
        match ip.to_ipv4_mapped() {
            Some(four) => SocketAddr::new(IpAddr::V4(four), six.port()),
            None => SocketAddrV6::new(ip, six.port(), 0, six.scope_id()).into(),
        }
    });
    let four = address.and_then(|address| address.as_sockaddr_in());
    let four = four.map(|four| SocketAddr::new(IpAddr::V4(four.ip()), four.port()));
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    Path { peer: six.or(four).unwrap_or(nowhere), local: local(message) }
}

/// The address that was spoken to, where an answer can come from it.
fn local(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    let address = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical())
        }
        _ => None,
    });
    let everybody = |address: &IpAddr| match address {
        IpAddr::V4(four) => four.is_broadcast() || four.is_multicast() || four.is_unspecified(),
        IpAddr::V6(six) => six.is_multicast(),
    };
    address.filter(|address| !everybody(address))
}

const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

const fn from_four(local: Ipv4Addr) -> libc::in_pktinfo {
    let nothing = libc::in_addr { s_addr: 0 };
    let local = libc::in_addr { s_addr: local.to_bits().to_be() };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: nothing }
}

const fn from_six(local: Ipv6Addr) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: local.octets() }, ipi6_ifindex: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    const ALL_FOUR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    const SIX: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
    const ALL: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

    /// Runs on a runtime, with a limit.
    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Duration::from_secs(10);
        runtime.block_on(async { tokio::time::timeout(limit, work).await }).expect("in time")
    }

    async fn receive(udp: &Udp, count: usize) -> Vec<(Path, Vec<u8>)> {
        let (mut inbox, mut all) = (Inbox::new(), Vec::new());
        while all.len() < count {
            udp.receive(&mut inbox).await;
            all.extend(inbox.datagrams().map(|received| (received.path, received.bytes.to_vec())));
        }
        all
    }

    fn datagram(peer: SocketAddr, bytes: &[u8]) -> Datagram {
        Datagram { path: Path::to(peer), bytes: bytes.to_vec() }
    }

    /// Asks `server` from `client` at `ip` and checks that the answer comes from there.
    async fn ask(client: &Udp, server: &Udp, ip: IpAddr) {
        let at = SocketAddr::new(ip, server.local_address().port());
        let sent = client.send(&mut vec![datagram(at, b"question")]).await;
        assert_eq!(sent, Sent { sent: 1, failed: 0 });
        let mut all = receive(server, 1).await;
        let (path, bytes) = all.remove(0);
        assert_eq!(bytes, b"question");
        assert_eq!(path.local, Some(ip));
        assert_eq!(path.peer.port(), client.local_address().port());
        assert_eq!(path.peer.is_ipv4(), ip.is_ipv4(), "an IPv4 address is written as one");
        let mut outbox = vec![Datagram { path, bytes: b"answer".to_vec() }];
        assert_eq!(server.send(&mut outbox).await, Sent { sent: 1, failed: 0 });
        assert!(outbox.is_empty());
        let (path, bytes) = receive(client, 1).await.remove(0);
        assert_eq!((path.peer, bytes), (at, b"answer".to_vec()));
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        run(async {
            let (client, server) = (Udp::bind(ALL_FOUR).unwrap(), Udp::bind(ALL_FOUR).unwrap());
            // All of 127.0.0.0/8 is this machine, and the system would answer from 127.0.0.1.
            for last in [1, 7, 200] {
                ask(&client, &server, IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).await;
            }
            let client = Udp::bind(FOUR).unwrap();
            ask(&client, &server, FOUR.ip()).await;
        });
    }

    #[test]
    fn one_socket_serves_both_families() {
        run(async {
            let server = Udp::bind(ALL).unwrap();
            ask(&Udp::bind(SIX).unwrap(), &server, SIX.ip()).await;
            ask(&Udp::bind(ALL).unwrap(), &server, SIX.ip()).await;
            let seventh = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));
            ask(&Udp::bind(ALL_FOUR).unwrap(), &server, seventh).await;
        });
    }

    #[test]
    fn a_socket_at_one_ipv6_address_is_not_reached_by_ipv4() {
        run(async {
            let server = Udp::bind(SIX).unwrap();
            let at = SocketAddr::new(FOUR.ip(), server.local_address().port());
            let client = Udp::bind(FOUR).unwrap();
            client.send(&mut vec![datagram(at, b"four")]).await;
            let six = Udp::bind(SIX).unwrap();
            six.send(&mut vec![datagram(server.local_address(), b"six")]).await;
            assert_eq!(receive(&server, 1).await[0].1, b"six");
        });
    }

    #[test]
    fn more_than_a_batch_arrives_in_order() {
        run(async {
            let (client, server) = (Udp::bind(FOUR).unwrap(), Udp::bind(FOUR).unwrap());
            let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
            let all = (0..3 * BATCH + 1).map(number);
            let mut outbox: Vec<_> =
                all.clone().map(|bytes| datagram(server.local_address(), &bytes)).collect();
            let sent = client.send(&mut outbox).await;
            assert_eq!(sent, Sent { sent: 3 * BATCH + 1, failed: 0 });
            let received = receive(&server, 3 * BATCH + 1).await;
            assert!(received.into_iter().map(|(_, bytes)| bytes).eq(all.map(Vec::from)));
        });
    }

    #[test]
    fn what_can_t_be_sent_costs_itself_only() {
        run(async {
            for (here, nowhere) in [(FOUR, "127.0.0.1:0"), (ALL, "127.0.0.1:0"), (ALL, "[::1]:0")] {
                let server = Udp::bind(FOUR).unwrap();
                let client = Udp::bind(here).unwrap();
                let good = datagram(server.local_address(), b"good");
                // Port 0 (EINVAL), too long (EMSGSIZE), from an address that is not ours.
                let port_0 = datagram(nowhere.parse().unwrap(), b"bad");
                let too_long = datagram(server.local_address(), &[0; 70_000]);
                let mut foreign = good.clone();
                foreign.path.local = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
                // To everybody, which the system refuses (EACCES), as a firewall's EPERM or a missing route (ENETUNREACH).
                let everybody = datagram("255.255.255.255:9".parse().unwrap(), b"bad");
                let bad = [&port_0, &too_long, &foreign, &everybody];
                let mut outbox = Vec::new();
                for bad in bad {
                    outbox.extend([bad.clone(), good.clone(), bad.clone(), bad.clone()]);
                }
                outbox.push(good.clone());
                let sent = client.send(&mut outbox).await;
                assert_eq!(sent, Sent { sent: 5, failed: 12 }, "{here} {nowhere}");
                assert_eq!(receive(&server, 5).await.len(), 5);
            }
        });
    }

    #[test]
    fn an_unreachable_port_does_not_stop_the_socket() {
        run(async {
            let (client, server) = (Udp::bind(FOUR).unwrap(), Udp::bind(FOUR).unwrap());
            let closed = Udp::bind(FOUR).unwrap().local_address();
            for _ in 0..3 {
                client.send(&mut vec![datagram(closed, b"nobody")]).await;
                ask(&client, &server, FOUR.ip()).await;
            }
        });
    }

    #[test]
    fn a_datagram_that_is_too_long_says_so_and_the_next_one_is_whole() {
        run(async {
            let (client, server) = (Udp::bind(FOUR).unwrap(), Udp::bind(FOUR).unwrap());
            let to = server.local_address();
            let lengths = [MAX_DATAGRAM + 1, MAX_DATAGRAM, 0];
            client.send(&mut lengths.map(|length| datagram(to, &vec![9; length])).into()).await;
            let (mut inbox, mut seen) = (Inbox::new(), Vec::new());
            while seen.len() < 3 {
                server.receive(&mut inbox).await;
                let all = inbox.datagrams();
                seen.extend(all.map(|received| (received.bytes.len(), received.truncated)));
            }
            assert_eq!(seen, [(MAX_DATAGRAM, true), (MAX_DATAGRAM, false), (0, false)]);
        });
    }
}
