-- The gateway's database. Times are milliseconds since the Unix epoch; hashes and keys are raw bytes.

CREATE TABLE log (
    id        INTEGER PRIMARY KEY,   -- 1, 2, …: the newest one is open
    origin    TEXT NOT NULL,
    durable   INTEGER NOT NULL DEFAULT 0, -- so many leaves were durable before the newest commit
    stored    INTEGER NOT NULL DEFAULT 0, -- for so many leaves there are rows, or none are needed
    set_aside INTEGER NOT NULL DEFAULT 0, -- its files were damaged: its readings may be logged again
    head_size INTEGER,               -- newest checkpoint that may have been shown to anyone
    head_note TEXT
);

CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE reading (
    log     INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    device  INTEGER NOT NULL,
    day     INTEGER NOT NULL,        -- UTC days since the Unix epoch
    class   TEXT NOT NULL,
    seq     INTEGER,                 -- the device's own counter
    payload BLOB,                    -- NULL once erased
    PRIMARY KEY (log, idx)
) WITHOUT ROWID;
CREATE INDEX reading_seq ON reading (device, seq) WHERE seq IS NOT NULL;
CREATE INDEX reading_day ON reading (device, day);
CREATE INDEX reading_recent ON reading (device, log, idx);

-- Half of each key: the other half is derived from the credential.
CREATE TABLE day_key (
    device INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    class  TEXT NOT NULL,
    key    BLOB NOT NULL,
    seen   INTEGER,                  -- newest synchronised day on which a reading used it, NULL if none is known
    PRIMARY KEY (device, day, class)
) WITHOUT ROWID;

CREATE TABLE day (
    log     INTEGER NOT NULL,
    device  INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    summary INTEGER,                 -- index of the newest summary leaf, NULL while it lacks readings
    PRIMARY KEY (log, device, day)
) WITHOUT ROWID;
CREATE INDEX day_open ON day (log) WHERE summary IS NULL;

-- Erasures whose entry exists or is about to, until payloads and keys are gone.
CREATE TABLE erasure (
    log    INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    device INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    class  TEXT NOT NULL,
    PRIMARY KEY (log, idx)
) WITHOUT ROWID;

-- Readings of closed logs that are logged again, until their leaf is durable and the old row goes.
CREATE TABLE moved (
    log      INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    from_log INTEGER NOT NULL,
    from_idx INTEGER NOT NULL,
    PRIMARY KEY (log, idx)
) WITHOUT ROWID;

CREATE TABLE beacon (
    log      INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    ledger   TEXT NOT NULL,
    number   INTEGER NOT NULL,
    evidence BLOB,
    PRIMARY KEY (log, idx)
) WITHOUT ROWID;

CREATE TABLE anchor (
    digest   BLOB PRIMARY KEY,       -- SHA-256 of the checkpoint body
    log      INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    note     TEXT NOT NULL,
    begun    INTEGER NOT NULL,
    final    INTEGER,                -- when it became final; NULL before
    block    INTEGER,
    failed   TEXT,                   -- why it never will be
    evidence BLOB
) WITHOUT ROWID;
CREATE INDEX anchor_size ON anchor (log, size);
CREATE INDEX anchor_under_way ON anchor (begun) WHERE final IS NULL AND failed IS NULL;

CREATE TABLE outbox (
    intent INTEGER PRIMARY KEY,      -- 0: the fee budgets
    record BLOB NOT NULL
);

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- What devices are told to do, kept after its end for the administrator.
CREATE TABLE command (
    id       INTEGER PRIMARY KEY,    -- random, never used twice
    device   TEXT NOT NULL,
    resource TEXT NOT NULL,
    value    TEXT NOT NULL,
    until    INTEGER NOT NULL,       -- not carried out later than this
    made     INTEGER NOT NULL,
    logged   INTEGER,                -- index of its leaf, NULL before there is one
    ended    INTEGER,                -- when its result was logged
    ok       INTEGER,
    detail   TEXT
);
CREATE INDEX command_waiting ON command (made) WHERE ended IS NULL;
CREATE INDEX command_device ON command (device, made);

-- What waits for the MQTT broker's acknowledgement.
CREATE TABLE publication (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   TEXT NOT NULL,
    payload BLOB NOT NULL,
    until   INTEGER                  -- not published later than this, NULL without a limit
);
