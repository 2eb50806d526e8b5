-- Evenkeel's tables, version 1, for SQLite.
--
-- Times are microseconds since 1970, UTC. A time that is not known is NULL.
-- Texts have lost NUL and bytes that are not UTF-8 (shown as U+FFFD); the record's own
-- bytes are as Kafka delivered them.

CREATE TABLE evenkeel_schema (
    version    integer PRIMARY KEY,
    applied_at integer NOT NULL
);

-- Which group keeps a table right, and in which generation a clocked column came to it.
CREATE TABLE evenkeel_models (
    tbl        text    PRIMARY KEY,
    grp        text    NOT NULL,
    generation integer NOT NULL,
    columns    text    NOT NULL, -- JSON: {"column": generation}
    claimed_at integer NOT NULL
);

CREATE TABLE evenkeel_topics (
    cluster    text    NOT NULL,
    topic_id   text    NOT NULL,
    grp        text    NOT NULL,
    topic      text    NOT NULL,
    partitions integer NOT NULL, -- how many there were when the group first saw it
    seen_at    integer NOT NULL,
    PRIMARY KEY (cluster, topic_id, grp)
);

-- What a group has finished of a partition. next_offset is -1 until something is.
-- Ranges are "from-to@watermark", to exclusive, with a space between them.
CREATE TABLE evenkeel_ledger (
    cluster     text    NOT NULL,
    topic_id    text    NOT NULL,
    grp         text    NOT NULL,
    partition   integer NOT NULL,
    topic       text    NOT NULL,
    epoch       integer NOT NULL,
    rev         integer NOT NULL,
    next_offset integer NOT NULL,
    high_offset integer NOT NULL,
    watermark   integer,
    gaps        text    NOT NULL,
    done        text    NOT NULL,
    owner       text    NOT NULL,
    owned_at    integer NOT NULL,
    updated_at  integer,
    PRIMARY KEY (cluster, topic_id, grp, partition)
);

-- Events that wait: R9.
CREATE TABLE evenkeel_parked (
    id               text    PRIMARY KEY,
    grp              text    NOT NULL,
    tbl              text    NOT NULL,
    entity           text    NOT NULL,
    handler          text    NOT NULL,
    cause            text    NOT NULL,
    place            integer NOT NULL,
    rev              integer NOT NULL,
    due              integer NOT NULL,
    expires          integer,
    attempts         integer NOT NULL,
    first_failed     integer,
    last_failed      integer,
    error_type       text    NOT NULL,
    error            text    NOT NULL,
    stack            text    NOT NULL,
    event_type       text    NOT NULL,
    source           text    NOT NULL,
    event_id         text    NOT NULL,
    occurred_at      integer,
    codec            text    NOT NULL,
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
    record_time_type integer NOT NULL
);
CREATE INDEX evenkeel_parked_due ON evenkeel_parked (grp, due);
CREATE INDEX evenkeel_parked_entity ON evenkeel_parked (grp, tbl, entity, place);
CREATE INDEX evenkeel_parked_coordinates ON evenkeel_parked (topic_id, partition, log_offset);

-- Dead letters: R10. The table is the authority, the topic the copy.
CREATE TABLE evenkeel_dead_letters (
    id               text    PRIMARY KEY,
    rev              integer NOT NULL,
    state            text    NOT NULL,
    blocking         integer NOT NULL,
    place            integer NOT NULL,
    grp              text    NOT NULL,
    handler          text    NOT NULL,
    tbl              text    NOT NULL,
    entity           text    NOT NULL,
    action           integer NOT NULL,
    reason           text    NOT NULL,
    compared         text    NOT NULL, -- what the three numbers are; '' when nothing was compared
    cmp_event        integer NOT NULL,
    cmp_against      integer NOT NULL,
    cmp_bound        integer NOT NULL,
    cmp_event_tie    blob    NOT NULL,
    cmp_against_tie  blob    NOT NULL,
    detail           text    NOT NULL,
    masked           text    NOT NULL, -- JSON list of columns, or ''
    event_type       text    NOT NULL,
    source           text    NOT NULL,
    event_id         text    NOT NULL,
    occurred_at      integer,
    stamp_time       integer NOT NULL,
    stamp_tie        blob    NOT NULL,
    attempts         integer NOT NULL,
    first_failed     integer,
    last_failed      integer,
    error_type       text    NOT NULL,
    error            text    NOT NULL,
    stack            text    NOT NULL,
    fingerprint      text    NOT NULL,
    service_version  text    NOT NULL,
    created_at       integer,
    published_at     integer,
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
    swept            integer NOT NULL, -- written by a sweeper, so that no lane's offset waits for it
    claimed_until    integer NOT NULL DEFAULT 0 -- by a relay that publishes it
);
CREATE INDEX evenkeel_dead_letters_unpublished ON evenkeel_dead_letters (grp, topic_id, partition, log_offset) WHERE published_at IS NULL;
CREATE INDEX evenkeel_dead_letters_entity ON evenkeel_dead_letters (grp, tbl, entity, place);
CREATE INDEX evenkeel_dead_letters_coordinates ON evenkeel_dead_letters (topic_id, partition, log_offset);
CREATE INDEX evenkeel_dead_letters_open ON evenkeel_dead_letters (grp, state, reason, created_at);

-- The journal of verdicts other than plain apply: R12.
CREATE TABLE evenkeel_verdicts (
    id              integer PRIMARY KEY,
    at              integer NOT NULL,
    grp             text    NOT NULL,
    handler         text    NOT NULL,
    tbl             text    NOT NULL,
    entity          text    NOT NULL,
    event_type      text    NOT NULL,
    source          text    NOT NULL,
    event_id        text    NOT NULL,
    action          integer NOT NULL,
    reason          text    NOT NULL,
    compared        text    NOT NULL,
    cmp_event       integer NOT NULL,
    cmp_against     integer NOT NULL,
    cmp_bound       integer NOT NULL,
    cmp_event_tie   blob    NOT NULL,
    cmp_against_tie blob    NOT NULL,
    detail          text    NOT NULL,
    masked          text    NOT NULL,
    cluster         text    NOT NULL,
    topic           text    NOT NULL,
    topic_id        text    NOT NULL,
    partition       integer NOT NULL,
    log_offset      integer NOT NULL,
    leader_epoch    integer NOT NULL
);
CREATE INDEX evenkeel_verdicts_at ON evenkeel_verdicts (at);
-- An id may be longer than an index entry: look for substr(event_id, 1, 200) and event_id.
CREATE INDEX evenkeel_verdicts_event ON evenkeel_verdicts (substr(event_id, 1, 200));
