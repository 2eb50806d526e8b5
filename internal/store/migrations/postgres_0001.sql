-- Evenkeel's tables, version 1, for PostgreSQL.
--
-- Times are microseconds since 1970, UTC. A time that is not known is NULL.
-- Texts have lost NUL and bytes that are not UTF-8 (shown as U+FFFD); the record's own
-- bytes are as Kafka delivered them.

CREATE TABLE evenkeel_schema (
    version    integer PRIMARY KEY,
    applied_at bigint  NOT NULL
);

-- Which group keeps a table right, and in which generation a clocked column came to it.
CREATE TABLE evenkeel_models (
    tbl        text    PRIMARY KEY,
    grp        text    NOT NULL,
    generation integer NOT NULL,
    columns    text    NOT NULL, -- JSON: {"column": generation}
    claimed_at bigint  NOT NULL
);

CREATE TABLE evenkeel_topics (
    cluster    text    NOT NULL,
    topic_id   text    NOT NULL,
    grp        text    NOT NULL,
    topic      text    NOT NULL,
    partitions integer NOT NULL, -- how many there were when the group first saw it
    seen_at    bigint  NOT NULL,
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
    epoch       bigint  NOT NULL,
    rev         bigint  NOT NULL,
    next_offset bigint  NOT NULL,
    high_offset bigint  NOT NULL,
    watermark   bigint,
    gaps        text    NOT NULL,
    done        text    NOT NULL,
    owner       text    NOT NULL,
    owned_at    bigint  NOT NULL,
    updated_at  bigint,
    PRIMARY KEY (cluster, topic_id, grp, partition)
) WITH (fillfactor = 20); -- every batch rewrites its row; the new version should fit beside it

-- Events that wait: R9.
CREATE TABLE evenkeel_parked (
    id               text     PRIMARY KEY,
    grp              text     NOT NULL,
    tbl              text     NOT NULL,
    entity           text     NOT NULL,
    handler          text     NOT NULL,
    cause            text     NOT NULL,
    place            bigint   NOT NULL,
    rev              bigint   NOT NULL,
    due              bigint   NOT NULL,
    expires          bigint,
    attempts         integer  NOT NULL,
    first_failed     bigint,
    last_failed      bigint,
    error_type       text     NOT NULL,
    error            text     NOT NULL,
    stack            text     NOT NULL,
    event_type       text     NOT NULL,
    source           text     NOT NULL,
    event_id         text     NOT NULL,
    occurred_at      bigint,
    codec            text     NOT NULL,
    cluster          text     NOT NULL,
    topic            text     NOT NULL,
    topic_id         text     NOT NULL,
    partition        integer  NOT NULL,
    log_offset       bigint   NOT NULL,
    leader_epoch     integer  NOT NULL,
    record_key       bytea,
    record_value     bytea,
    headers          bytea    NOT NULL,
    record_time      bigint,
    record_time_type smallint NOT NULL
);
CREATE INDEX evenkeel_parked_due ON evenkeel_parked (grp, due);
CREATE INDEX evenkeel_parked_entity ON evenkeel_parked (grp, tbl, entity, place);
CREATE INDEX evenkeel_parked_coordinates ON evenkeel_parked (topic_id, partition, log_offset);

-- Dead letters: R10. The table is the authority, the topic the copy.
CREATE TABLE evenkeel_dead_letters (
    id               text     PRIMARY KEY,
    rev              bigint   NOT NULL,
    state            text     NOT NULL,
    blocking         boolean  NOT NULL,
    place            bigint   NOT NULL,
    grp              text     NOT NULL,
    handler          text     NOT NULL,
    tbl              text     NOT NULL,
    entity           text     NOT NULL,
    action           smallint NOT NULL,
    reason           text     NOT NULL,
    compared         text     NOT NULL, -- what the three numbers are; '' when nothing was compared
    cmp_event        bigint   NOT NULL,
    cmp_against      bigint   NOT NULL,
    cmp_bound        bigint   NOT NULL,
    cmp_event_tie    bytea    NOT NULL,
    cmp_against_tie  bytea    NOT NULL,
    detail           text     NOT NULL,
    masked           text     NOT NULL, -- JSON list of columns, or ''
    event_type       text     NOT NULL,
    source           text     NOT NULL,
    event_id         text     NOT NULL,
    occurred_at      bigint,
    stamp_time       bigint   NOT NULL,
    stamp_tie        bytea    NOT NULL,
    attempts         integer  NOT NULL,
    first_failed     bigint,
    last_failed      bigint,
    error_type       text     NOT NULL,
    error            text     NOT NULL,
    stack            text     NOT NULL,
    fingerprint      text     NOT NULL,
    service_version  text     NOT NULL,
    created_at       bigint,
    published_at     bigint,
    cluster          text     NOT NULL,
    topic            text     NOT NULL,
    topic_id         text     NOT NULL,
    partition        integer  NOT NULL,
    log_offset       bigint   NOT NULL,
    leader_epoch     integer  NOT NULL,
    record_key       bytea,
    record_value     bytea,
    headers          bytea    NOT NULL,
    record_time      bigint,
    record_time_type smallint NOT NULL,
    swept            boolean  NOT NULL, -- written by a sweeper, so that no lane's offset waits for it
    claimed_until    bigint   NOT NULL DEFAULT 0 -- by a relay that publishes it
);
CREATE INDEX evenkeel_dead_letters_unpublished ON evenkeel_dead_letters (grp, topic_id, partition, log_offset) WHERE published_at IS NULL;
CREATE INDEX evenkeel_dead_letters_entity ON evenkeel_dead_letters (grp, tbl, entity, place);
CREATE INDEX evenkeel_dead_letters_coordinates ON evenkeel_dead_letters (topic_id, partition, log_offset);
CREATE INDEX evenkeel_dead_letters_open ON evenkeel_dead_letters (grp, state, reason, created_at);

-- The journal of verdicts other than plain apply: R12.
CREATE TABLE evenkeel_verdicts (
    id              bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              bigint   NOT NULL,
    grp             text     NOT NULL,
    handler         text     NOT NULL,
    tbl             text     NOT NULL,
    entity          text     NOT NULL,
    event_type      text     NOT NULL,
    source          text     NOT NULL,
    event_id        text     NOT NULL,
    action          smallint NOT NULL,
    reason          text     NOT NULL,
    compared        text     NOT NULL,
    cmp_event       bigint   NOT NULL,
    cmp_against     bigint   NOT NULL,
    cmp_bound       bigint   NOT NULL,
    cmp_event_tie   bytea    NOT NULL,
    cmp_against_tie bytea    NOT NULL,
    detail          text     NOT NULL,
    masked          text     NOT NULL,
    cluster         text     NOT NULL,
    topic           text     NOT NULL,
    topic_id        text     NOT NULL,
    partition       integer  NOT NULL,
    log_offset      bigint   NOT NULL,
    leader_epoch    integer  NOT NULL
);
CREATE INDEX evenkeel_verdicts_at ON evenkeel_verdicts (at);
-- An id may be longer than an index entry: look for substr(event_id, 1, 200) and event_id.
CREATE INDEX evenkeel_verdicts_event ON evenkeel_verdicts (substr(event_id, 1, 200));

-- Ends a transaction whose guard did not hold (R15, R16) from inside, so that COMMIT can
-- travel in the same round trip as the statements that it depends on. EK001 is a
-- conflict, EK002 a fence.
CREATE FUNCTION evenkeel_require(held boolean, code text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF held IS NOT TRUE THEN
        RAISE EXCEPTION 'evenkeel: the guard % did not hold', code USING ERRCODE = code;
    END IF;
    RETURN true;
END
$$;
