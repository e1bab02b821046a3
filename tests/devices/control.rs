//! Standard input as the hand on a device: its network's plug, and the end of its work.

use std::io;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What somebody does to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `finish`: measure no more, and end when all is acknowledged.
    Finish,
    /// `network off` or `network on`.
    Network(bool),
}

/// Orders as they come.
pub(crate) struct Control(UnboundedReceiver<Order>);

impl Control {
    /// Reads lines of standard input; others than orders are passed.
    pub(crate) fn from_stdin() -> Self {
        let (sender, receiver) = unbounded_channel();
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if let Some(order) = parse(&line) {
                    let _ = sender.send(order);
                }
            }
        });
        Self(receiver)
    }

    /// The next order; fails when nobody can give one any more.
    pub(crate) async fn next(&mut self) -> Result<Order, String> {
        self.0.recv().await.ok_or_else(|| "nobody holds standard input any more".to_owned())
    }
}

fn parse(line: &str) -> Option<Order> {
    match line.trim() {
        "finish" => Some(Order::Finish),
        "network off" => Some(Order::Network(false)),
        "network on" => Some(Order::Network(true)),
        _ => None,
    }
}
