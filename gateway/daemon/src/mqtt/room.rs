//! Room for incoming messages that are under way.
//!
//! Guarantees: bounded for all connections together, because the messages of one that ended go on beside those that the
//! broker sends again; what a message took is given back however its task ends. Does not: wait for room.

use std::{cell::Cell, rc::Rc};

/// Most messages that are really taken: mosquitto 2.0.11 sends more than it is asked for.
pub(super) const MAX_MESSAGES: usize = 1_024;

/// Most bytes of messages under way; beyond them, what nobody waits for is dropped (QoS 0).
pub(super) const MAX_BYTES: usize = 32 << 20;

/// What is under way.
#[derive(Default)]
pub(super) struct Room {
    /// Messages that the broker does not wait for, and those that it does.
    messages: [Cell<usize>; 2],
    bytes: Cell<usize>,
}

/// The room of one message.
pub(super) struct Held {
    room: Rc<Room>,
    waited: bool,
    bytes: usize,
}

impl Room {
    /// Room for a message, if there is any; `waited` if the broker waits for its acknowledgement.
    pub(super) fn take(self: &Rc<Self>, waited: bool, bytes: usize) -> Option<Held> {
        let messages = &self.messages[usize::from(waited)];
        if messages.get() >= MAX_MESSAGES || self.bytes.get() >= MAX_BYTES {
            return None;
        }
        messages.set(messages.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
        Some(Held { room: Rc::clone(self), waited, bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self { room, waited, bytes } = self;
        let messages = &room.messages[usize::from(*waited)];
        messages.set(messages.get() - 1);
        room.bytes.set(room.bytes.get() - *bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_bounded_until_they_end() {
        let room = Rc::new(Room::default());
        let mut held: Vec<_> = (0..MAX_MESSAGES).map(|_| room.take(true, 1).unwrap()).collect();
        assert!(room.take(true, 1).is_none(), "the broker waits for too many");
        let large = room.take(false, MAX_BYTES).expect("nobody waits for this one");
        assert!(room.take(false, 1).is_none(), "too many bytes");
        drop(large);
        assert!(room.take(false, 1).is_some());
        held.pop();
        held.extend(room.take(true, 1));
        assert_eq!(held.len(), MAX_MESSAGES);
        drop(held);
        assert_eq!((room.bytes.get(), room.messages[0].get(), room.messages[1].get()), (0, 0, 0));
    }
}
