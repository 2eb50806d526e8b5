-- Evenkeel's tables, version 3, for SQLite: what is to be sent.

-- Events that handlers have emitted: R10, R11. A row goes when its event is on its topic.
CREATE TABLE evenkeel_outbox (
    seq           integer PRIMARY KEY AUTOINCREMENT, -- the order within a topic and key
    id            text    NOT NULL UNIQUE, -- the event's
    grp           text    NOT NULL,
    event_type    text    NOT NULL,
    to_topic      text    NOT NULL,
    record_key    blob,
    record_value  blob,
    headers       blob    NOT NULL,
    created_at    integer,
    swept         integer NOT NULL, -- no lane's offset waits for it
    claimed_until integer NOT NULL DEFAULT 0, -- by a relay that sends it
    cluster       text    NOT NULL, -- the record that it follows from
    topic         text    NOT NULL,
    topic_id      text    NOT NULL,
    partition     integer NOT NULL,
    log_offset    integer NOT NULL,
    leader_epoch  integer NOT NULL
);
CREATE INDEX evenkeel_outbox_origin ON evenkeel_outbox (grp, topic_id, partition, seq);
-- A key may be longer than an index entry.
CREATE INDEX evenkeel_outbox_key ON evenkeel_outbox (grp, to_topic, substr(record_key, 1, 200), seq);
