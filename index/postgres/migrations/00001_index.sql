-- +goose Up
-- One row: which chain is followed, how far, by whom, and what is counted as rows change. It moves in the transaction that takes the
-- blocks in, which locks it first: so writers come one after another.
CREATE TABLE progress (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch      bigint  NOT NULL DEFAULT 0,     -- one more with each process that begins to write
    genesis    bytea,                          -- NULL: nothing is followed yet
    start      bigint  NOT NULL DEFAULT 0,
    from_state boolean NOT NULL DEFAULT false,
    number     bigint,                         -- NULL while the state is read
    hash       bytea,
    head       bigint  NOT NULL DEFAULT 0,
    committed  bigint  NOT NULL DEFAULT 0,     -- Unix milliseconds of the writer's clock
    change     bigint  NOT NULL DEFAULT 0,     -- newest history.id
    aside      bigint  NOT NULL DEFAULT 0,     -- newest set_aside.id
    combo      integer NOT NULL DEFAULT 0,     -- newest combo.id
    deed       bigint  NOT NULL DEFAULT 0,     -- newest deed.id
    owner      bigint  NOT NULL DEFAULT 0,     -- newest owner.id
    live       bigint  NOT NULL DEFAULT 0,
    verified   bigint  NOT NULL DEFAULT 0,
    ended      bigint  NOT NULL DEFAULT 0,
    set_aside  bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO progress DEFAULT VALUES;

-- The last blocks that ended a transaction, to recognise the chain by.
CREATE TABLE anchor (
    number bigint PRIMARY KEY,
    hash   bytea  NOT NULL
);

-- Document bytes, each once, by their blake2-256; packed as package index/pack says.
CREATE TABLE document (
    hash bytea PRIMARY KEY,
    raw  bytea NOT NULL
);

-- body is all that is believed of a device beside these columns, as codec.go writes it. Texts that PostgreSQL does not take are
-- escaped as codec.go says.
CREATE TABLE listing (
    rank         bigint  PRIMARY KEY,
    expires      bigint  NOT NULL,
    updated      bigint  NOT NULL,    -- Unix milliseconds; 0: not known
    live         boolean NOT NULL,
    account      bytea   NOT NULL,
    owner        bytea,               -- who decides on access, as far as it is proven
    document     bytea   NOT NULL,    -- document.hash
    data_type    text    COLLATE "C" NOT NULL,
    location     text    COLLATE "C" NOT NULL,
    price_access bytea   NOT NULL,    -- 16 bytes big-endian, in 10^-18; empty: none is said, or zero
    price_pin    bytea   NOT NULL,
    body         bytea   NOT NULL
);
CREATE UNIQUE INDEX listing_account ON listing (account);
CREATE INDEX listing_owner ON listing (owner, rank) WHERE live AND owner IS NOT NULL;
CREATE INDEX listing_expires ON listing (expires, account) WHERE live AND expires < 4294967295;
CREATE INDEX listing_data_type ON listing (data_type, rank) WHERE live;

-- What offers are of: each combination that there has ever been, once. A search for types, kinds and units is one for some of these.
CREATE TABLE combo (
    id        integer PRIMARY KEY,
    data_type text    COLLATE "C" NOT NULL,
    kind      text    COLLATE "C" NOT NULL,
    unit      text    COLLATE "C" NOT NULL,
    UNIQUE (data_type, kind, unit)
);
CREATE INDEX combo_kind ON combo (kind, unit);
CREATE INDEX combo_unit ON combo (unit);

-- What is to be had: a row for each stream of a live listing, or one for a document of version 1, with what of the listing is
-- filtered by. Searches walk one index of it in the order of the answer.
CREATE TABLE offer (
    rank      bigint   NOT NULL,
    lat       float8,
    lon       float8,
    cell      bigint,                     -- of the place, as cell.go says
    combo     integer  NOT NULL,          -- combo.id
    position  smallint NOT NULL,          -- 0 of the first, -1 of the second, …: so it descends with the rank
    state     smallint NOT NULL,
    price     bytea                       -- 16 bytes big-endian, in 10^-18
);
-- Ranks ascend, although searches walk them down, since what is added at the end of a group of an index leaves its pages full.
CREATE UNIQUE INDEX offer_rank ON offer (rank, position);
CREATE INDEX offer_combo ON offer (combo, rank, position);
CREATE INDEX offer_price ON offer (price DESC, rank, state);
CREATE INDEX offer_combo_price ON offer (combo, price DESC, rank, state);
CREATE INDEX offer_cell ON offer (cell) WHERE position = 0;
CREATE INDEX offer_combo_cell ON offer (combo, cell);

-- What a live listing says in words (index.Terms).
CREATE TABLE said (
    rank  bigint   PRIMARY KEY,
    words tsvector NOT NULL
);
CREATE INDEX said_words ON said USING gin (words) WITH (fastupdate = off);

CREATE TABLE history (
    id       bigint   PRIMARY KEY,
    sequence bigint   NOT NULL,
    action   smallint NOT NULL,
    state    smallint NOT NULL,
    account  bytea    NOT NULL,
    who      bytea,                -- empty: the account itself
    document bytea,                -- document.hash
    at       bytea    NOT NULL     -- a point as codec.go writes it
);
CREATE INDEX history_account ON history (account, id DESC);

CREATE TABLE set_aside (
    id      bigint PRIMARY KEY,
    size    bigint NOT NULL,
    account bytea,
    who     bytea,
    reason  text   NOT NULL,
    raw     bytea  NOT NULL,
    at      bytea  NOT NULL
);

-- Who may what: the RBAC of every owner. Owners and blocks stand in tables of their own, since each is named many times.
CREATE TABLE owner (
    id      bigint PRIMARY KEY,
    account bytea  NOT NULL UNIQUE
);

CREATE TABLE moment (
    block bigint  PRIMARY KEY,
    time  bigint  NOT NULL,        -- Unix milliseconds; 0: not known
    hash  bytea   NOT NULL,
    state boolean NOT NULL         -- whether the state as of the block was read, and no event seen
);

-- Roles, permissions and groups. until_block is NULL while one is enabled.
CREATE TABLE entity (
    owner           bigint   NOT NULL,
    since_block     bigint   NOT NULL,
    until_block     bigint,
    since_extrinsic integer  NOT NULL,
    since_event     bigint   NOT NULL,
    until_event     bigint,
    until_extrinsic integer,
    kind            smallint NOT NULL,
    id              bytea    NOT NULL,
    name            bytea    NOT NULL,
    PRIMARY KEY (owner, kind, id)
);

-- Times in which a holder held something. until_block is NULL while it does.
CREATE TABLE link (
    owner           bigint   NOT NULL,
    since_block     bigint   NOT NULL,
    until_block     bigint,
    since_event     bigint   NOT NULL,
    until_event     bigint,
    since_extrinsic integer  NOT NULL,
    until_extrinsic integer,
    relation        smallint NOT NULL,
    held            bytea    NOT NULL,
    holder          bytea    NOT NULL,
    PRIMARY KEY (owner, relation, held, holder, since_block, since_event)
);

-- What owners did, as events told it.
CREATE TABLE deed (
    id        bigint   PRIMARY KEY,
    owner     bigint   NOT NULL,
    block     bigint   NOT NULL,
    event     bigint   NOT NULL,
    extrinsic integer  NOT NULL,
    verb      smallint NOT NULL,
    what      smallint NOT NULL,   -- kind of entity, or relation
    id1       bytea    NOT NULL,   -- of the entity, or of the holder
    id2       bytea,               -- of what is held
    name      bytea
);
CREATE INDEX deed_owner ON deed (owner, id DESC);

-- +goose Down
DROP TABLE deed, link, entity, moment, owner, set_aside, history, said, offer, combo, listing, document, anchor, progress;
