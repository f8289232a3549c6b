-- Listings by rank. What documents say, who sent them and where on the chain stands in shown as index.Show renders it, so that a search
-- passes it on as it is; rest has what that does not show.
CREATE TABLE listing (
    rank     INTEGER PRIMARY KEY, -- index.Rank
    account  BLOB    NOT NULL UNIQUE,
    status   TEXT    NOT NULL,
    verified INTEGER NOT NULL,
    owner    INTEGER REFERENCES owner (id), -- who decides on access, as far as it is proven
    expires  INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES document (id),
    vouch    BLOB,                -- of the owner, when it is 0x and the hex of 64 bytes or more; else it is in rest
    shown    TEXT    NOT NULL,
    rest     TEXT    NOT NULL     -- JSON
) STRICT;

CREATE INDEX listing_owner ON listing (owner) WHERE status = 'live';
CREATE INDEX listing_expires ON listing (expires, account) WHERE status = 'live' AND expires < 4294967295;

-- Document bytes: the first one tells how the others are packed (see pack).
CREATE TABLE document (
    id  INTEGER PRIMARY KEY,
    raw BLOB NOT NULL
) STRICT;

-- Types, kinds and units of offers, each text once, and which go together, with the number of live offers that have them so.
CREATE TABLE word (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE combo (
    id        INTEGER PRIMARY KEY,
    data_type INTEGER NOT NULL REFERENCES word (id),
    kind      INTEGER NOT NULL REFERENCES word (id),
    unit      INTEGER NOT NULL REFERENCES word (id),
    n         INTEGER NOT NULL,
    UNIQUE (data_type, kind, unit)
) STRICT;

CREATE INDEX combo_kind ON combo (kind, unit);
CREATE INDEX combo_unit ON combo (unit);

-- What is to be had: a row for each stream of a live listing, or one for a document of version 1. Each index holds all that searches filter
-- by, in an order of answers: the rows themselves are never read for it. Prices are as by pack, places in 10^-7 degrees, cells
-- as by cellOf.
CREATE TABLE offer (
    rank      INTEGER NOT NULL,   -- of its listing
    position  INTEGER NOT NULL,
    data_type INTEGER NOT NULL,   -- as of combo, here and below
    kind      INTEGER NOT NULL,
    unit      INTEGER NOT NULL,
    combo     INTEGER NOT NULL REFERENCES combo (id),
    price     BLOB,
    verified  INTEGER NOT NULL,
    lat       INTEGER,
    lon       INTEGER,
    cell      INTEGER,
    PRIMARY KEY (rank, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX offer_combo ON offer (combo, rank, position, price, verified, lat, lon);
CREATE INDEX offer_combo_price ON offer (combo, price, rank DESC, position, verified, lat, lon);
CREATE INDEX offer_price ON offer (price, rank DESC, position, data_type, kind, unit, verified, lat, lon);
CREATE INDEX offer_cell ON offer (cell, rank, position, data_type, kind, unit, price, verified, lat, lon) WHERE cell IS NOT NULL;

-- How many live offers there are in squares of the curve (areaOf), so that it is known before a search about how many are within a box.
CREATE TABLE area (
    square INTEGER PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT;

-- How many live offers there are by price and by time, in steps (priceStep, timeStep).
CREATE TABLE step (
    of   INTEGER NOT NULL,        -- 1: price; 2: time
    step INTEGER NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY (of, step)
) STRICT, WITHOUT ROWID;

-- The words of a live listing (index.Terms), and marks of what its offers are (comboMark); rowid is its rank, so that they are found in the
-- order of the newest.
CREATE VIRTUAL TABLE words USING fts5 (terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii', prefix = '1 2');

-- All words, cut at 16 bytes, with a number and in how many live listings they are: what the beginning of a word in a search may mean.
CREATE TABLE term (
    text   TEXT    PRIMARY KEY,
    number INTEGER NOT NULL,
    n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The words of a live listing the other way round: their numbers as by packNumbers.
CREATE TABLE said (
    rank  INTEGER PRIMARY KEY,
    terms BLOB    NOT NULL
) STRICT;

-- What the existing marketplace filters by, of live listings. Prices are as by pack, zero when there is none.
CREATE TABLE legacy (
    rank         INTEGER PRIMARY KEY,
    data_type    TEXT NOT NULL,
    location     TEXT NOT NULL,
    price_access BLOB NOT NULL,
    price_pin    BLOB NOT NULL
) STRICT;

CREATE INDEX legacy_data_type ON legacy (data_type);

CREATE TABLE history (
    id       INTEGER PRIMARY KEY,
    account  BLOB    NOT NULL,
    action   TEXT    NOT NULL,
    who      BLOB,                -- one byte: the account itself
    state    TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    document INTEGER REFERENCES document (id),
    at       BLOB    NOT NULL     -- a point as by packPoint
) STRICT;

CREATE INDEX history_account ON history (account, id);
