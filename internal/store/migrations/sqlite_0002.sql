
-- Evenkeel's tables, version 2, for SQLite: what is remembered of a key beside its row.

-- Small pieces of state with a revision: the place that a stream of numbers has reached,
-- the horizon of an id memory, the siblings of a vector clock. body is JSON for people.
CREATE TABLE evenkeel_memos (
    grp        text   NOT NULL,
    kind       text   NOT NULL,
    scope      text   NOT NULL,
    entity     text   NOT NULL,
    rev        integer NOT NULL,
    body       text   NOT NULL,
    updated_at integer NOT NULL,
    PRIMARY KEY (grp, kind, scope, entity)
);

-- Which ids an entity has seen. A held one outlives the horizon of its scope: its event
-- is parked, or lies as a letter.
CREATE TABLE evenkeel_ids (
    grp    text    NOT NULL,
    scope  text    NOT NULL,
    entity text    NOT NULL,
    id     text    NOT NULL, -- a number of a stream, or the hash of source and id
    value  text    NOT NULL, -- the hash of source and id that a number came with
    at     integer NOT NULL, -- the event's time
    held   integer NOT NULL,
    PRIMARY KEY (grp, scope, entity, id)
);
CREATE INDEX evenkeel_ids_at ON evenkeel_ids (grp, scope, at) WHERE NOT held;

-- The stream of a parked event or letter that waits for its number; '' for all others.
ALTER TABLE evenkeel_parked ADD COLUMN stream text NOT NULL DEFAULT '';
ALTER TABLE evenkeel_dead_letters ADD COLUMN stream text NOT NULL DEFAULT '';
CREATE INDEX evenkeel_parked_stream ON evenkeel_parked (grp, stream, entity, place) WHERE stream <> '';
CREATE INDEX evenkeel_dead_letters_stream ON evenkeel_dead_letters (grp, stream, entity, place) WHERE stream <> '';

-- The highest Lamport time that the group has admitted from the partition; 0 before any.
ALTER TABLE evenkeel_ledger ADD COLUMN lamport integer NOT NULL DEFAULT 0;

-- What tools must know of a table whose model they don't have: the model's name, the column
-- of the entity's key, and the kind of its stamps ('' before a service of this version ran).
ALTER TABLE evenkeel_models ADD COLUMN model text NOT NULL DEFAULT '';
ALTER TABLE evenkeel_models ADD COLUMN key_column text NOT NULL DEFAULT '';
ALTER TABLE evenkeel_models ADD COLUMN kind text NOT NULL DEFAULT '';

-- Which events wrote a placeholder that was born then, while the policy is to dead-letter
-- them if nobody completes it. rev is the row's revision that they made.
CREATE TABLE evenkeel_origins (
    grp              text    NOT NULL,
    tbl              text    NOT NULL,
    born             integer NOT NULL,
    entity           text    NOT NULL,
    rev              integer NOT NULL,
    id               text    NOT NULL, -- the unit's, as in evenkeel_dead_letters
    handler          text    NOT NULL,
    cluster          text    NOT NULL,
    topic            text    NOT NULL,
    topic_id         text    NOT NULL,
    partition        integer NOT NULL,
    log_offset       integer NOT NULL,
    leader_epoch     integer NOT NULL,
    record_key       blob,
    record_value     blob,
    headers          blob    NOT NULL,
    record_time      integer,
    record_time_type integer NOT NULL,
    PRIMARY KEY (grp, tbl, born, entity, rev, id)
);
