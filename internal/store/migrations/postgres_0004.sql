-- Evenkeel's tables, version 4, for PostgreSQL: what becomes of dead letters.

-- How a resolved letter ended: applied, obsolete or duplicate; '' in other states.
-- changed_at is when the state changed last, NULL as long as it never has.
ALTER TABLE evenkeel_dead_letters ADD COLUMN outcome text NOT NULL DEFAULT '';
ALTER TABLE evenkeel_dead_letters ADD COLUMN changed_at bigint;

-- What is parked to replay a letter says what the letter is, as JSON; '' for all others.
ALTER TABLE evenkeel_parked ADD COLUMN replay text NOT NULL DEFAULT '';

-- Groups and numbers are read from this index alone.
CREATE INDEX evenkeel_dead_letters_causes ON evenkeel_dead_letters (fingerprint, state, created_at, grp);
CREATE INDEX evenkeel_dead_letters_made ON evenkeel_dead_letters (created_at DESC NULLS LAST, id);
CREATE INDEX evenkeel_dead_letters_ended ON evenkeel_dead_letters (grp, changed_at) WHERE state IN ('resolved', 'discarded');

-- Who did what to which letter, when and why, written with the change itself. Lines are
-- never changed and never go.
CREATE TABLE evenkeel_audit (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           bigint NOT NULL,
    actor        text   NOT NULL,
    via          text   NOT NULL, -- what the actor used, e.g. cli
    verb         text   NOT NULL,
    reason       text   NOT NULL,
    grp          text   NOT NULL,
    letter       text   NOT NULL, -- '' for what is about many
    subject      text   NOT NULL, -- a fingerprint, where it is about that; of a letter, what was sent
    selection    text   NOT NULL, -- how the letter was chosen among others
    before_state text   NOT NULL, -- both '' where no state changed
    after_state  text   NOT NULL,
    rev          bigint NOT NULL, -- the letter's, after the change
    job          text   NOT NULL
);
CREATE INDEX evenkeel_audit_letter ON evenkeel_audit (letter, id) WHERE letter <> '';
CREATE INDEX evenkeel_audit_at ON evenkeel_audit (at);

CREATE FUNCTION evenkeel_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evenkeel_audit is only ever added to';
END
$$;
CREATE TRIGGER evenkeel_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON evenkeel_audit
    FOR EACH STATEMENT EXECUTE FUNCTION evenkeel_audit_stays();

-- What people have found out about a letter, or about all letters with one fingerprint.
CREATE TABLE evenkeel_notes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          bigint NOT NULL,
    actor       text   NOT NULL,
    letter      text   NOT NULL, -- one of the two is ''
    fingerprint text   NOT NULL,
    body        text   NOT NULL
);
CREATE INDEX evenkeel_notes_about ON evenkeel_notes (letter, fingerprint, id);

-- What the writer of a letter's event had seen, like a=1,b=2; '' where the event does not
-- say. A discard counts it as seen, so that what waits for it goes on.
ALTER TABLE evenkeel_dead_letters ADD COLUMN vector text NOT NULL DEFAULT '';

-- Replay jobs (R21): which letters, at what pace, and how far they have come. Letters that are
-- in none of the counts wait.
CREATE TABLE evenkeel_jobs (
    id         text PRIMARY KEY,
    grp        text NOT NULL,
    state      text NOT NULL, -- selecting, running, paused, done, cancelled
    plan       text NOT NULL, -- as JSON
    actor      text NOT NULL, -- who started it
    via        text NOT NULL,
    reason     text NOT NULL,
    selection  text NOT NULL,
    total      bigint NOT NULL,
    counts     text NOT NULL, -- of results, as JSON
    forgiven   bigint NOT NULL, -- failures before it was resumed
    why        text NOT NULL, -- who or what brought it into its state
    owner      text NOT NULL, -- the member that has it in hand, until lease
    lease      bigint,
    paced      bigint, -- when the next letter may be taken
    created_at bigint NOT NULL,
    changed_at bigint,
    ended_at   bigint, -- NULL until nothing is under way any more
    rev        bigint NOT NULL
);
CREATE INDEX evenkeel_jobs_open ON evenkeel_jobs (grp) WHERE ended_at IS NULL;

-- The letters of jobs, in the order in which they are taken.
CREATE TABLE evenkeel_job_letters (
    job    text NOT NULL,
    place  bigint NOT NULL,
    letter text NOT NULL,
    rev    bigint NOT NULL, -- the letter's when it was chosen, then when it was taken
    result text NOT NULL, -- waiting, replaying, applied, obsolete, duplicate, failed, refused, cancelled
    why    text NOT NULL, -- what refused it; of the others the audit knows, at the next rev
    at     bigint NOT NULL,
    PRIMARY KEY (job, place)
);
CREATE INDEX evenkeel_job_letters_result ON evenkeel_job_letters (job, result, place);
CREATE INDEX evenkeel_job_letters_letter ON evenkeel_job_letters (letter);

-- What people have made of a letter's record, as JSON, the newest revision last; '' for
-- none. What came stays in record_value and headers.
ALTER TABLE evenkeel_dead_letters ADD COLUMN edits text NOT NULL DEFAULT '';
CREATE INDEX evenkeel_dead_letters_edited ON evenkeel_dead_letters (grp, topic_id, partition, log_offset) WHERE edits <> '';

-- The timestamp that a record is sent with; NULL for that of the sending.
ALTER TABLE evenkeel_outbox ADD COLUMN record_time bigint;

-- The members that run, each as it was when it last said so. A row goes with its member, or
-- after a day of silence.
CREATE TABLE evenkeel_members (
    id      text   PRIMARY KEY,
    grp     text   NOT NULL,
    owner   text   NOT NULL, -- host and process, as in evenkeel_ledger
    version text   NOT NULL, -- of the service
    started bigint NOT NULL,
    seen    bigint NOT NULL, -- by the database's clock
    state   text   NOT NULL  -- partitions and breakers, as JSON
);
CREATE INDEX evenkeel_members_grp ON evenkeel_members (grp, seen);

-- What people tell the members of a group: to let a topic or partition be (topic '' and
-- partition -1 are all), and to go on. The row of all counts every word to go on.
CREATE TABLE evenkeel_controls (
    grp       text    NOT NULL,
    topic     text    NOT NULL,
    partition integer NOT NULL,
    paused    boolean NOT NULL,
    resumes   bigint  NOT NULL,
    at        bigint  NOT NULL,
    actor     text    NOT NULL,
    reason    text    NOT NULL,
    PRIMARY KEY (grp, topic, partition)
);

-- Who asks for an event by its id finds its letters; see evenkeel_verdicts_event.
CREATE INDEX evenkeel_dead_letters_event ON evenkeel_dead_letters (substr(event_id, 1, 200));

-- Which dead-letter topics a group has used, for whoever looks at them later.
CREATE TABLE evenkeel_letter_topics (
    grp     text   NOT NULL,
    topic   text   NOT NULL,
    seen_at bigint NOT NULL, -- when a member has last started with it
    PRIMARY KEY (grp, topic)
);

-- Which import has added a letter, and at which revision; '' for letters that were made here.
ALTER TABLE evenkeel_dead_letters ADD COLUMN imported text NOT NULL DEFAULT '';

-- What each member's sweeper has in hand of evenkeel_parked: ids and revisions, as JSON. A
-- claim ends with the revision, and with the time.
CREATE TABLE evenkeel_claims (
    grp   text   NOT NULL,
    owner text   NOT NULL, -- the member's id
    until bigint NOT NULL,
    marks text   NOT NULL,
    PRIMARY KEY (grp, owner)
);

-- The oldest verdicts are those with the lowest ids: an index by time was a third of what
-- a verdict costs.
DROP INDEX evenkeel_verdicts_at;

-- A stream's memo is updated with each number of it. Where its page has room for the new version,
-- the index needs no new entry.
ALTER TABLE evenkeel_memos SET (fillfactor = 70);
