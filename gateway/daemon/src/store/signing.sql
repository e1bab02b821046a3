-- Devices that sign for themselves: the keys that they showed to have, and their channels.

CREATE TABLE device_key (device TEXT PRIMARY KEY, address BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE device_channel (
    place      INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which they began
    channel    BLOB NOT NULL UNIQUE,
    share      BLOB,                 -- of the device in the nonce, NULL if it did not ask for the channel
    peer_share BLOB,                 -- of the peer
    seen       INTEGER NOT NULL DEFAULT 0 -- the device was told that the channel is over
);
