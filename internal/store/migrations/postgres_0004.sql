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
    subject      text   NOT NULL, -- a fingerprint, where it is about that
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

-- Who asks for an event by its id finds its letters; see evenkeel_verdicts_event.
CREATE INDEX evenkeel_dead_letters_event ON evenkeel_dead_letters (substr(event_id, 1, 200));

-- Which dead-letter topics a group has used, for whoever looks at them later.
CREATE TABLE evenkeel_letter_topics (
    grp     text   NOT NULL,
    topic   text   NOT NULL,
    seen_at bigint NOT NULL, -- when a member has last started with it
    PRIMARY KEY (grp, topic)
);
