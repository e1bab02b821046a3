-- Metered payments: what a meter has counted in a channel's session, up to a place in the log.

CREATE TABLE meter (
    channel BLOB PRIMARY KEY,
    total   TEXT NOT NULL,           -- since the session began, a decimal
    last    TEXT,                    -- what the counter showed last, NULL before its first reading
    seq     INTEGER,                 -- the device's highest sequence number so far
    log     INTEGER NOT NULL,        -- the first leaf that was not looked at: its log
    idx     INTEGER NOT NULL         -- and its index
) WITHOUT ROWID;
