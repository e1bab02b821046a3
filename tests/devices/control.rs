//! Standard input as the hand on a device: its network's plug, and the end of its work.

use std::io;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What somebody does to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// `finish`: measure no more, and end when all is acknowledged.
    Finish,
    /// `network off` or `network on`.
    Network(bool),
    /// Anything else: the appliance may understand it.
    Other(String),
}

/// Orders as they come.
pub(crate) struct Control(UnboundedReceiver<Order>);

impl Control {
    /// Reads lines of standard input.
    pub(crate) fn from_stdin() -> Self {
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                let _ = sender.send(parse(&line));
            }
        });
        Self(receiver)
    }

    /// The next order; fails when nobody can give one any more.
    pub(crate) async fn next(&mut self) -> Result<Order, String> {
        self.0.recv().await.ok_or_else(|| "nobody holds standard input any more".to_owned())
    }
}

fn parse(line: &str) -> Order {
    match line.trim() {
        "finish" => Order::Finish,
        "network off" => Order::Network(false),
        "network on" => Order::Network(true),
        other => Order::Other(other.to_owned()),
    }
}
