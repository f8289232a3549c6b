-- +goose Up
-- One row: which chain is followed, and how far. The cursor moves in the transaction that takes the blocks in.
CREATE TABLE progress (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    genesis    BLOB    NOT NULL,
    start      INTEGER NOT NULL,
    from_state INTEGER NOT NULL,
    number     INTEGER,            -- NULL while the state is read
    hash       BLOB,
    head       INTEGER NOT NULL,
    committed  INTEGER NOT NULL    -- Unix milliseconds of this machine's clock
) STRICT;

-- The last blocks that ended a transaction, to recognise the chain by.
CREATE TABLE anchor (
    number INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL
) STRICT;

-- Document bytes, each once. hash is blake2-256.
CREATE TABLE document (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    raw  BLOB NOT NULL
) STRICT;

-- Points are stored as block, block hash, Unix milliseconds, extrinsic (-1: none), event and whether they are of the state.
CREATE TABLE listing (
    id            INTEGER PRIMARY KEY,
    account       BLOB    NOT NULL UNIQUE,
    status        TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    vouched       INTEGER NOT NULL,
    owner         BLOB,              -- who decides on access, as far as it is proven
    floor         INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    data_type     TEXT    NOT NULL,
    location      TEXT    NOT NULL,
    lat           REAL,
    lon           REAL,
    price_access  BLOB    NOT NULL,  -- 16 bytes big-endian, in 10^-18; zero when none is said
    price_pin     BLOB    NOT NULL,
    body          TEXT    NOT NULL,  -- JSON of the whole document
    document      INTEGER NOT NULL REFERENCES document (id),
    signer        BLOB,
    expires       INTEGER NOT NULL,
    own_validity  INTEGER NOT NULL,
    ended_block   INTEGER NOT NULL,
    presence      TEXT    NOT NULL,
    presence_who  BLOB,
    presence_at   TEXT    NOT NULL,  -- JSON point
    first_at      TEXT    NOT NULL,  -- JSON point
    updated_at    TEXT    NOT NULL,  -- JSON point
    updated       INTEGER NOT NULL   -- Unix milliseconds: the order of searches
) STRICT;

CREATE INDEX listing_updated ON listing (updated DESC, account DESC) WHERE status = 'live';
CREATE INDEX listing_owner ON listing (owner, updated DESC, account DESC) WHERE status = 'live';
CREATE INDEX listing_place ON listing (lat, lon) WHERE status = 'live' AND lat IS NOT NULL;
CREATE INDEX listing_expires ON listing (expires, account) WHERE status = 'live';
CREATE INDEX listing_data_type ON listing (data_type, updated DESC, account DESC) WHERE status = 'live';
CREATE INDEX listing_price_access ON listing (price_access) WHERE status = 'live';
CREATE INDEX listing_price_pin ON listing (price_pin) WHERE status = 'live';

-- What is to be had: a row for each stream of a live listing, or one for a document of version 1. updated and account are those of
-- the listing, so that a search for offers walks one index, which holds all that it filters by, in the order of the answer.
CREATE TABLE offer (
    listing   INTEGER NOT NULL REFERENCES listing (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    account   BLOB    NOT NULL,
    kind      TEXT    NOT NULL,
    data_type TEXT    NOT NULL,
    unit      TEXT    NOT NULL,
    price     BLOB,
    PRIMARY KEY (listing, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX offer_data_type ON offer (data_type, updated DESC, account DESC, kind, unit, price);
CREATE INDEX offer_unit ON offer (unit, updated DESC, account DESC, kind, price);
CREATE INDEX offer_updated ON offer (updated DESC, account DESC, kind, price);

-- What a live listing says in words; rowid = listing.id.
CREATE VIRTUAL TABLE words USING fts5 (said, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');

CREATE TABLE history (
    id        INTEGER PRIMARY KEY,
    account   BLOB    NOT NULL,
    action    TEXT    NOT NULL,
    who       BLOB,
    state     TEXT    NOT NULL,
    sequence  INTEGER NOT NULL,
    document  INTEGER REFERENCES document (id),
    block     INTEGER NOT NULL,
    at        TEXT    NOT NULL       -- JSON point
) STRICT;

CREATE INDEX history_account ON history (account, id DESC);

CREATE TABLE set_aside (
    id      INTEGER PRIMARY KEY,
    account BLOB,
    who     BLOB,
    reason  TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    raw     BLOB    NOT NULL,
    block   INTEGER NOT NULL,
    at      TEXT    NOT NULL         -- JSON point
) STRICT;

CREATE INDEX set_aside_account ON set_aside (account, id DESC);

-- Counted as rows change, so that asking how many there are costs nothing.
CREATE TABLE tally (
    what TEXT    PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tally VALUES ('live', 0), ('verified', 0), ('ended', 0), ('set_aside', 0);

-- +goose Down
DROP TABLE tally;
DROP TABLE set_aside;
DROP TABLE history;
DROP TABLE words;
DROP TABLE offer;
DROP TABLE listing;
DROP TABLE document;
DROP TABLE anchor;
DROP TABLE progress;
