//! A device that a test plays: one socket, plain or with a DTLS session, one question at a time.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use sluicegate_coap::{
    Code, Method,
    message::{Kind, Message, Token, Writer, empty},
    option,
};

use crate::dtls::{DtlsClient, Event};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(15);

/// A message without an answer is sent again after this.
const AGAIN: Duration = Duration::from_millis(700);

pub(crate) struct Device {
    socket: UdpSocket,
    dtls: Option<DtlsClient>,
    next: u16,
    /// The session is over.
    pub(crate) closed: bool,
    /// Requests of the gateway that nobody has looked at.
    pub(crate) asked: Vec<Asked>,
}

/// An answer of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) max_age: Option<u32>,
}

/// A request of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    pub(crate) payload: Vec<u8>,
    id: u16,
    token: Token,
}

impl Device {
    pub(crate) fn plain(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(gateway).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, dtls: None, next: 0, closed: false, asked: Vec::new() }
    }

    /// Opens a session; none if the gateway refuses.
    pub(crate) fn secure(gateway: SocketAddr, name: &str, key: &[u8; 16]) -> Option<Self> {
        let mut device = Self::plain(gateway);
        device.dtls = Some(DtlsClient::new(name, key, Instant::now()));
        let end = Instant::now() + LIMIT;
        while !device.dtls.as_ref().is_some_and(DtlsClient::is_connected) {
            if device.closed || Instant::now() > end {
                return None;
            }
            device.listen();
        }
        Some(device)
    }

    /// Posts a reading.
    pub(crate) fn post(
        &mut self,
        path: &[&str],
        query: &[&str],
        format: u16,
        pack: &[u8],
    ) -> Answer {
        self.ask(Method::Post, path, query, Some(format), pack)
    }

    /// Logs a reading; gives its index.
    pub(crate) fn log(&mut self, seq: u64) -> u64 {
        let pack = format!(r#"[{{"n":"power","u":"W","v":{seq}}}]"#);
        let answer = self.post(&["readings"], &[&format!("seq={seq}")], 110, pack.as_bytes());
        assert_eq!(answer.code, Code::CHANGED, "{answer:?}");
        answer.text.parse().unwrap()
    }

    /// Asks until there is an answer.
    pub(crate) fn ask(
        &mut self,
        method: Method,
        path: &[&str],
        query: &[&str],
        format: Option<u16>,
        payload: &[u8],
    ) -> Answer {
        self.next += 1;
        let token = Token::new(&self.next.to_be_bytes()).unwrap();
        let mut writer = Writer::new(Kind::Con, method.code(), self.next, token, 64);
        path.iter().for_each(|segment| writer.option(option::URI_PATH, segment.as_bytes()));
        if let Some(format) = format {
            let bytes = format.to_be_bytes();
            let short = &bytes[usize::from(format < 256)..];
            writer.option(option::CONTENT_FORMAT, if format == 0 { &[] } else { short });
        }
        query.iter().for_each(|part| writer.option(option::URI_QUERY, part.as_bytes()));
        let datagram = writer.payload(payload);
        let end = Instant::now() + LIMIT;
        while Instant::now() < end && !self.closed {
            self.send(&datagram);
            let again = Instant::now() + AGAIN;
            while Instant::now() < again && !self.closed {
                let answers = self.listen();
                if let Some((_, answer)) = answers.into_iter().find(|(other, _)| *other == token) {
                    return answer;
                }
            }
        }
        panic!("no answer to {path:?} {query:?}; session over: {}", self.closed);
    }

    /// The next request of the gateway.
    pub(crate) fn asked(&mut self) -> Asked {
        let end = Instant::now() + LIMIT;
        while self.asked.is_empty() && Instant::now() < end {
            self.listen();
        }
        assert!(!self.asked.is_empty(), "the gateway asked nothing");
        self.asked.remove(0)
    }

    /// Answers a request of the gateway.
    pub(crate) fn answer(&mut self, asked: &Asked, code: Code, text: &str) {
        let writer = Writer::new(Kind::Ack, code, asked.id, asked.token, 64);
        let datagram = writer.payload(text.as_bytes());
        self.send(&datagram);
    }

    /// Answers a request of the gateway to observe: it is told of changes.
    pub(crate) fn observed(&mut self, asked: &Asked, text: &str) {
        let mut writer = Writer::new(Kind::Ack, Code::CONTENT, asked.id, asked.token, 64);
        writer.option(option::OBSERVE, &[1]);
        let datagram = writer.payload(text.as_bytes());
        self.send(&datagram);
    }

    pub(crate) fn send(&mut self, datagram: &[u8]) {
        match &mut self.dtls {
            Some(dtls) => dtls.send(Instant::now(), datagram),
            // A gateway that is not there is no reason to stop.
            None => drop(self.socket.send(datagram)),
        }
        self.flush();
    }

    /// Listens for a moment; gives the answers that came.
    pub(crate) fn listen(&mut self) -> Vec<(Token, Answer)> {
        let mut buffer = [0; 2048];
        let now = Instant::now();
        if let Some(dtls) = &mut self.dtls
            && dtls.next_timeout().is_some_and(|due| due <= now)
        {
            dtls.handle_timeout(now);
        }
        let mut answers = self.flush();
        if let Ok(length) = self.socket.recv(&mut buffer) {
            match &mut self.dtls {
                Some(dtls) => dtls.receive(Instant::now(), &buffer[..length]),
                None => answers.extend(self.take(&buffer[..length])),
            }
        }
        answers.extend(self.flush());
        answers
    }

    fn flush(&mut self) -> Vec<(Token, Answer)> {
        let mut answers = Vec::new();
        while let Some(event) = self.dtls.as_mut().and_then(DtlsClient::poll) {
            match event {
                Event::Send(datagram) => drop(self.socket.send(&datagram)),
                Event::Data(message) => answers.extend(self.take(&message)),
                Event::Connected => {}
                Event::Closed => self.closed = true,
            }
        }
        answers
    }

    fn take(&mut self, datagram: &[u8]) -> Option<(Token, Answer)> {
        let message = Message::parse(datagram).unwrap();
        if message.code == Code::EMPTY {
            return None;
        }
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let values = |wanted: u16| {
            message.options().filter(move |(number, _)| *number == wanted).map(|(_, value)| value)
        };
        if !message.code.is_response() {
            let path: Vec<_> = values(option::URI_PATH).map(text).collect();
            let query = values(option::URI_QUERY).map(text).collect();
            let (id, token, payload) = (message.id, message.token, message.payload.to_vec());
            self.asked.push(Asked { path: path.join("/"), query, payload, id, token });
            return None;
        }
        if message.kind == Kind::Con {
            let acknowledgement = empty(Kind::Ack, message.id);
            match &mut self.dtls {
                Some(dtls) => dtls.send(Instant::now(), &acknowledgement),
                None => drop(self.socket.send(&acknowledgement)),
            }
        }
        let number = |value: &[u8]| value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let max_age = values(option::MAX_AGE).next().map(number);
        Some((message.token, Answer { code: message.code, text: text(message.payload), max_age }))
    }
}
