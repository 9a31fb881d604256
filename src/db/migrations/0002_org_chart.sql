-- The organisation chart: units, persons, tags, the runs that bring them up to date, and the feed for other systems.
--
-- Versions. A row of unit_rows, person_rows or tag_rows holds from version `since` up to, and not including, version
-- `until`; 9223372036854775807 is "until further notice". Everybody reads the rows that hold in charts.version. A run
-- writes the rows of the next version in short transactions, unseen, and publishes them all by raising charts.version
-- once. What a crash leaves behind is rows of a version that was never published: the next run removes them. Edits by
-- hand and sign-ins change the rows that hold now, in one transaction.

-- complete_at: when the last run began that read every detail of everything visible. One row a corporation.
CREATE TABLE charts (
    corp_id     TEXT   PRIMARY KEY,
    version     BIGINT NOT NULL,
    complete_at BIGINT NOT NULL
);
INSERT INTO charts (corp_id, version, complete_at) SELECT DISTINCT corp_id, 0, 0 FROM persons;

-- wecom_id: the department's id, NULL for a local unit; parent_id NULL: on the top floor; leaders: a JSON list of userids.
CREATE TABLE unit_rows (
    id         TEXT   NOT NULL,
    corp_id    TEXT   NOT NULL,
    since      BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    wecom_id   BIGINT,
    source     TEXT   NOT NULL,
    parent_id  TEXT,
    name       TEXT   NOT NULL,
    name_en    TEXT   NOT NULL,
    sort       BIGINT NOT NULL,
    leaders    TEXT   NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id, until)
);
CREATE INDEX unit_rows_since ON unit_rows (since);
CREATE INDEX unit_rows_until ON unit_rows (until) WHERE until < 9223372036854775807;

-- What is known of a person. source: wecom | local; status: active | disabled | inactive | left; left_at: since when it is
-- left. memberships: JSON [[unit id, order, leader 0 or 1], …]; detail: a JSON object of fields that nothing is looked up
-- by. said: the fingerprint of what WeCom said the last time a run read it, '' if that is not what the row says.
CREATE TABLE person_rows (
    person_id   TEXT   NOT NULL REFERENCES persons (id),
    corp_id     TEXT   NOT NULL,
    since       BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    userid      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    email       TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    left_at     BIGINT,
    main_unit   TEXT,
    memberships TEXT   NOT NULL,
    detail      TEXT   NOT NULL,
    said        TEXT   NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (person_id, until)
);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit,
                         memberships, detail, said, updated_at)
    SELECT id, corp_id, 0, 9223372036854775807, userid, name, email, source, status,
           CASE WHEN status = 'left' THEN updated_at END, NULL, '[]', '{}', '', updated_at FROM persons;
CREATE INDEX person_rows_since ON person_rows (since);
CREATE INDEX person_rows_until ON person_rows (until) WHERE until < 9223372036854775807;

-- users: a JSON list of userids; units: a JSON list of unit ids.
CREATE TABLE tag_rows (
    id         TEXT   NOT NULL,
    corp_id    TEXT   NOT NULL,
    since      BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    wecom_id   BIGINT,
    name       TEXT   NOT NULL,
    users      TEXT   NOT NULL,
    units      TEXT   NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (id, until)
);
CREATE INDEX tag_rows_since ON tag_rows (since);
CREATE INDEX tag_rows_until ON tag_rows (until) WHERE until < 9223372036854775807;

-- persons keeps who is who: our id, and whose the userid is. released_at: when the userid went to somebody else, or the
-- person was merged into another; then the userid is free again.
DROP INDEX persons_userid;
ALTER TABLE persons DROP COLUMN name;
ALTER TABLE persons DROP COLUMN email;
ALTER TABLE persons DROP COLUMN source;
ALTER TABLE persons DROP COLUMN status;
ALTER TABLE persons DROP COLUMN updated_at;
ALTER TABLE persons ADD COLUMN released_at BIGINT;
CREATE UNIQUE INDEX persons_userid ON persons (corp_id, lower(userid)) WHERE released_at IS NULL;

-- What changed, for other systems that follow. The rows of a run are written before it publishes; only its row in
-- publications makes them visible and gives them their numbers, first_seq + n, so that no reader misses one.
-- kind: unit | person | tag; change: created | updated | removed. Kept 90 days.
CREATE TABLE directory_changes (
    batch   BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    corp_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT   NOT NULL,
    change  TEXT   NOT NULL,
    PRIMARY KEY (batch, n)
);
CREATE TABLE publications (
    first_seq BIGINT PRIMARY KEY,
    batch     BIGINT NOT NULL,
    corp_id   TEXT   NOT NULL,
    count     BIGINT NOT NULL,
    at        BIGINT NOT NULL
);
CREATE INDEX publications_at ON publications (at);
INSERT INTO feed_counter (name, seq) VALUES ('batch', 0);
INSERT INTO feed_counter (name, seq) VALUES ('directory', 0);

-- The runs: asked for, running, and how they ended. kind: update | full; cause: who asked; dry_run, forced, complete: 0 or 1;
-- status: queued | running | done | refused | failed. A run belongs to the process `holder` until lease_until.
-- counts, progress, report: JSON. Kept 90 days, the last complete one for ever.
CREATE TABLE sync_runs (
    id           TEXT   PRIMARY KEY,
    corp_id      TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    cause        TEXT   NOT NULL,
    dry_run      BIGINT NOT NULL,
    forced       BIGINT NOT NULL,
    status       TEXT   NOT NULL,
    complete     BIGINT NOT NULL,
    counts       TEXT   NOT NULL,
    progress     TEXT   NOT NULL,
    report       TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    holder       TEXT   NOT NULL,
    lease_until  BIGINT NOT NULL,
    requested_at BIGINT NOT NULL,
    started_at   BIGINT,
    finished_at  BIGINT
);
-- One at a time, and at most one waiting (a rehearsal beside it).
CREATE UNIQUE INDEX sync_runs_running ON sync_runs (corp_id) WHERE status = 'running';
CREATE UNIQUE INDEX sync_runs_queued ON sync_runs (corp_id, dry_run) WHERE status = 'queued';
CREATE INDEX sync_runs_requested_at ON sync_runs (requested_at);

-- When each schedule last fired, so that N replicas fire it once. One row a schedule.
CREATE TABLE schedules (
    corp_id TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (corp_id, name)
);

-- What only a human can decide: whether two persons are one. candidates: a JSON list of person ids.
-- state: open | merged | separate | gone. Closed ones are kept as long as both persons are, so that nobody is asked twice.
CREATE TABLE conflicts (
    id         TEXT   PRIMARY KEY,
    corp_id    TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    person_id  TEXT   NOT NULL,
    candidates TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    closed_at  BIGINT
);
CREATE INDEX conflicts_person ON conflicts (person_id);

-- Whose the userids in user: rules are (folded). One row a userid that was ever named in a rule.
CREATE TABLE rule_bindings (
    corp_id   TEXT   NOT NULL,
    userid    TEXT   NOT NULL,
    person_id TEXT   NOT NULL,
    bound_at  BIGINT NOT NULL,
    PRIMARY KEY (corp_id, userid)
);
