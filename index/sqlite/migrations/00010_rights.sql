-- +goose Up
-- Who may what: the RBAC of every owner. Owners (by owner.id) and blocks (by moment.block) stand in tables of their own, since each is
-- named many times. That they are there the writer sees to: to have them looked for at each row would double what a row costs.
CREATE TABLE owner (
    id      INTEGER PRIMARY KEY,
    account BLOB    NOT NULL UNIQUE
) STRICT;

CREATE TABLE moment (
    block INTEGER PRIMARY KEY,
    hash  BLOB    NOT NULL,
    time  INTEGER NOT NULL,        -- Unix milliseconds; 0: not known
    state INTEGER NOT NULL         -- whether the state as of the block was read, and no event seen
) STRICT;

-- Roles, permissions and groups. until_block is NULL while one is enabled.
CREATE TABLE entity (
    owner           INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    id              BLOB    NOT NULL,
    name            BLOB    NOT NULL,
    since_block     INTEGER NOT NULL,
    since_extrinsic INTEGER NOT NULL,
    since_event     INTEGER NOT NULL,
    until_block     INTEGER,
    until_extrinsic INTEGER,
    until_event     INTEGER,
    PRIMARY KEY (owner, kind, id)
) STRICT, WITHOUT ROWID;

-- Times in which a holder held something. until_block is NULL while it does.
CREATE TABLE link (
    owner           INTEGER NOT NULL,
    relation        INTEGER NOT NULL,
    held            BLOB    NOT NULL,
    holder          BLOB    NOT NULL,
    since_block     INTEGER NOT NULL,
    since_event     INTEGER NOT NULL,
    since_extrinsic INTEGER NOT NULL,
    until_block     INTEGER,
    until_event     INTEGER,
    until_extrinsic INTEGER,
    PRIMARY KEY (owner, relation, held, holder, since_block, since_event)
) STRICT, WITHOUT ROWID;

-- What owners did, as events told it.
CREATE TABLE deed (
    id        INTEGER PRIMARY KEY,
    owner     INTEGER NOT NULL,
    verb      INTEGER NOT NULL,
    what      INTEGER NOT NULL,    -- kind of entity, or relation
    id1       BLOB    NOT NULL,    -- of the entity, or of the holder
    id2       BLOB,                -- of what is held
    name      BLOB,
    block     INTEGER NOT NULL,
    extrinsic INTEGER NOT NULL,
    event     INTEGER NOT NULL
) STRICT;

CREATE INDEX deed_owner ON deed (owner, id DESC);

-- +goose Down
DROP TABLE deed;
DROP TABLE link;
DROP TABLE entity;
DROP TABLE moment;
DROP TABLE owner;
