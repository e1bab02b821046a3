-- Payment channels. Records, signatures and requests are in the encodings of gateway/channels and backends/ledger.

-- One row for each channel, kept when it is over.
CREATE TABLE channel (
    id      BLOB PRIMARY KEY,
    record  BLOB NOT NULL,
    last    BLOB,                    -- the newest state that its key has signed, NULL before the first
    over    INTEGER NOT NULL,        -- nothing can happen in it any more
    reserve INTEGER NOT NULL DEFAULT 0 -- fees of a dispute: 0 not set aside yet, 1 set aside, 2 given back
) WITHOUT ROWID;

-- Our signatures from the newest state of a channel on: one state for each version, and never one below the newest.
CREATE TABLE signature (
    channel   BLOB NOT NULL,
    version   BLOB NOT NULL,         -- 8 bytes, big endian
    hash      BLOB NOT NULL,         -- of the state
    signature BLOB,                  -- NULL while only the key's books know of it
    PRIMARY KEY (channel, version)
) WITHOUT ROWID;

-- What left the keys, by the limit's name.
CREATE TABLE spent (name TEXT PRIMARY KEY, spent BLOB NOT NULL) WITHOUT ROWID;

-- What the ledger is asked to do for channels, until the outbox has it.
CREATE TABLE wanted (
    place   INTEGER PRIMARY KEY AUTOINCREMENT,
    key     BLOB NOT NULL UNIQUE,    -- makes two requests the same
    request BLOB NOT NULL,
    stake   BLOB NOT NULL            -- what would be lost without it: 16 bytes, big endian
);
