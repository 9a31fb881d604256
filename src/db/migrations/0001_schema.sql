-- The whole schema, room by room: the feed, the directory and its runs, sign-in, audit, messages.
--
-- One text for SQLite and PostgreSQL: only TEXT and BIGINT; instants are milliseconds since 1970; a flag is the
-- instant at which it was set. Every row that names something of WeCom's carries corp_id.

-- The feed tells every replica what changed. Its numbers are given by updating this one row inside the writing
-- transaction: the row's lock makes the order of numbers the order of commits, so a reader that has seen
-- number n has missed nothing before it.
CREATE TABLE feed_counter (
    name TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL
);
INSERT INTO feed_counter (name, seq) VALUES ('feed', 0), ('directory', 0), ('batch', 0), ('message', 0);

-- kind: session | sessions | person | key | chart | binding. Kept 7 days.
CREATE TABLE feed (
    seq     BIGINT PRIMARY KEY,
    corp_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX feed_at ON feed (at);

-- Who is who: our id, and whose the userid is. checked_at: when WeCom last said the status; check_lease: until when a
-- replica is asking. released_at: when the userid went to somebody else, or the person was merged into another; then the
-- userid is free again. A person that left is purged by directory.purge_left_after.
CREATE TABLE persons (
    id          TEXT   PRIMARY KEY,
    corp_id     TEXT   NOT NULL,
    userid      TEXT   NOT NULL,
    checked_at  BIGINT NOT NULL,
    check_lease BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    released_at BIGINT
);
CREATE UNIQUE INDEX persons_userid ON persons (corp_id, lower(userid)) WHERE released_at IS NULL;
CREATE INDEX persons_checked_at ON persons (corp_id, checked_at);

-- The organisation chart, in versions. A row of unit_rows, person_rows or tag_rows holds from version `since` up to, and
-- not including, version `until`; 9223372036854775807 is "until further notice". Everybody reads the rows that hold in
-- charts.version. A run writes the rows of the next version in short transactions, unseen, and publishes them all by
-- raising charts.version once. What a crash leaves behind is rows of a version that was never published: the next run
-- removes them. Edits by hand and sign-ins change the rows that hold now, in one transaction.

-- complete_at: when the last run began that read every detail of everything visible. One row a corporation.
CREATE TABLE charts (
    corp_id     TEXT   PRIMARY KEY,
    version     BIGINT NOT NULL,
    complete_at BIGINT NOT NULL
);

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
CREATE INDEX person_rows_since ON person_rows (since);
CREATE INDEX person_rows_until ON person_rows (until) WHERE until < 9223372036854775807;
-- Whom a version keeps out: few, and looked for when it is published.
CREATE INDEX person_rows_inactive ON person_rows (since) WHERE status <> 'active';

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

-- The runs: asked for, running, and how they ended. kind: update | full; cause: cron | api | command | start | again, for api
-- with its client_id; dry_run, forced, complete: 0 or 1; status: queued | running | done | refused | failed. A run belongs to
-- the process `holder` until lease_until. counts, progress, report: JSON; reason: JSON with a code, why it was refused or failed.
-- Kept 90 days, the last complete one for ever.
CREATE TABLE sync_runs (
    id           TEXT   PRIMARY KEY,
    corp_id      TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    cause        TEXT   NOT NULL,
    client_id    TEXT,
    dry_run      BIGINT NOT NULL,
    forced       BIGINT NOT NULL,
    status       TEXT   NOT NULL,
    complete     BIGINT NOT NULL,
    counts       TEXT   NOT NULL,
    progress     TEXT,
    report       TEXT   NOT NULL,
    reason       TEXT,
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

-- audience: the host, or the cookie domain; family: the session that a sign-in began with, the same for those
-- that tickets made from it. end_reason: signed_out | replaced | revoked | directory | renamed | disabled | inactive |
-- left. Deleted 7 days after they expired or ended.
CREATE TABLE sessions (
    sid          TEXT   PRIMARY KEY,
    corp_id      TEXT   NOT NULL,
    person_id    TEXT   NOT NULL REFERENCES persons (id),
    family       TEXT   NOT NULL,
    audience     TEXT   NOT NULL,
    amr          TEXT   NOT NULL,
    auth_time    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT,
    end_reason   TEXT,
    address      TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
);
CREATE INDEX sessions_person ON sessions (person_id, sid);
CREATE INDEX sessions_family ON sessions (family);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- One row an attempt whose code came back; written by the callback that claims it, before WeCom is asked.
-- Exactly one of sid and failure is set when it is finished. failure: the code of the page, with WeCom's errcode and the
-- address that WeCom saw, where there are such. Kept a day.
CREATE TABLE attempts (
    id              TEXT   PRIMARY KEY,
    corp_id         TEXT   NOT NULL,
    code_hash       TEXT   NOT NULL,
    claimed_at      BIGINT NOT NULL,
    finished_at     BIGINT,
    sid             TEXT,
    target          TEXT,
    failure         TEXT,
    failure_errcode BIGINT,
    failure_address TEXT
);
CREATE INDEX attempts_claimed_at ON attempts (claimed_at);

-- A finished sign-in on its way to another host: redeemed once, within 30 s, by the browser that has the cookie.
-- Kept a day.
CREATE TABLE tickets (
    hash        TEXT   PRIMARY KEY,
    corp_id     TEXT   NOT NULL,
    sid         TEXT   NOT NULL REFERENCES sessions (sid),
    host        TEXT   NOT NULL,
    cookie_hash TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    started_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    redeemed_at BIGINT
);
CREATE INDEX tickets_expires_at ON tickets (expires_at);
CREATE INDEX tickets_sid ON tickets (sid);

-- ES256 keys: the public half as a JWK, the private half (PKCS #8) sealed under the root secret. signs_from lies
-- in the future for a new key of a running installation, so that everybody has it before it signs. Deleted when
-- its last token has expired.
CREATE TABLE signing_keys (
    kid        TEXT   PRIMARY KEY,
    jwk        TEXT   NOT NULL,
    sealed     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL
);

-- Who, what, when, from where, decision, rule. Append-only, kept 180 days.
CREATE TABLE audit (
    id         TEXT   PRIMARY KEY,
    corp_id    TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    event      TEXT   NOT NULL,
    person_id  TEXT   NOT NULL,
    userid     TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    host       TEXT   NOT NULL,
    decision   TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    request_id TEXT   NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_userid ON audit (corp_id, lower(userid), at);

-- Messages: accepted once, delivered, opened signed in. How they travel is told in src/message/mod.rs, and what the words of
-- every status and code mean in src/message/state.rs. reason_code, reason_detail: why something did not happen, and as JSON
-- what is variable in that; NULL if there is no reason.

-- What was accepted, in the order of `seq`. client_id: the API client, '' for the command line. request_hash: of what was
-- asked for, so that an Idempotency-Key is good for one thing. content: WeCom's own object of that kind, links wrapped.
-- body: a hash of kind and content; recipients of equal bodies share calls. is_unique: 1 if no other message can have an
-- equal body (a link of ours or a task_id is in it). targets: JSON {"users": [[userid, person id or null], …], "units": [id],
-- "tags": [id], "all": bool}. expanded_to: how far the recipients are written, '' not at all; expanded_at: when all were.
-- status: accepted (also while it is being sent) | sent | partly_failed | failed | unknown | expired | recalled; finished_at:
-- since when it has one of the others. recall_at: when somebody asked to recall it. Kept 30 days after it finished.
CREATE TABLE messages (
    id              TEXT   PRIMARY KEY,
    corp_id         TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    client_id       TEXT   NOT NULL,
    idempotency_key TEXT,
    request_hash    TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    content         TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    is_unique       BIGINT NOT NULL,
    targets         TEXT   NOT NULL,
    status          TEXT   NOT NULL,
    reason_code     TEXT,
    reason_detail   TEXT,
    not_before      BIGINT NOT NULL,
    expires_at      BIGINT,
    expanded_to     TEXT   NOT NULL,
    expanded_at     BIGINT,
    recall_at       BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    finished_at     BIGINT
);
CREATE UNIQUE INDEX messages_seq ON messages (seq);
CREATE UNIQUE INDEX messages_key ON messages (corp_id, client_id, idempotency_key);
CREATE INDEX messages_unexpanded ON messages (corp_id, seq) WHERE expanded_at IS NULL;
CREATE INDEX messages_open ON messages (corp_id, seq) WHERE finished_at IS NULL;
CREATE INDEX messages_finished_at ON messages (finished_at) WHERE finished_at IS NOT NULL;

-- Who gets a message. member: who it is whatever the userid is by now: a person's id, '=' and the userid in lower case where
-- the directory knows nobody of that name, or '@all'. seq, body: the message's. status: pending | calling | sent | failed |
-- unknown; call_id: the call it belongs to from `calling` on. due_at: not before. counted_at: when WeCom may have counted it
-- as one more message to that member; NULL if it surely did not. alone: 1 if it must not share a call, because a call with
-- several was refused for one of them. aside: 1 if it had to wait because of an equal body: later messages of the member pass.
CREATE TABLE message_recipients (
    message_id    TEXT   NOT NULL,
    member        TEXT   NOT NULL,
    corp_id       TEXT   NOT NULL,
    seq           BIGINT NOT NULL,
    userid        TEXT   NOT NULL,
    person_id     TEXT,
    body          TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    reason_code   TEXT,
    reason_detail TEXT,
    call_id       TEXT,
    due_at        BIGINT NOT NULL,
    counted_at    BIGINT,
    alone         BIGINT NOT NULL,
    aside         BIGINT NOT NULL,
    PRIMARY KEY (message_id, member)
);
CREATE INDEX message_recipients_queue ON message_recipients (corp_id, seq, due_at) WHERE status = 'pending';
CREATE INDEX message_recipients_turn ON message_recipients (corp_id, member, status, aside, seq)
    WHERE status IN ('pending', 'calling');
CREATE INDEX message_recipients_counted ON message_recipients (corp_id, member, counted_at) WHERE counted_at IS NOT NULL;
CREATE INDEX message_recipients_call ON message_recipients (call_id) WHERE call_id IS NOT NULL;

-- Calls of message/send, written before they are made. request: the exact bytes, '' once it is over; recipients: how many.
-- window_ms: WeCom's duplicate window that the request asks for. status: due | calling | sent | failed | unknown. A call that
-- is being made belongs to `holder` until lease_until. uncertain_at: since when WeCom may have acted on it without our
-- knowing; NULL if it surely has not.
CREATE TABLE message_calls (
    id            TEXT   PRIMARY KEY,
    corp_id       TEXT   NOT NULL,
    body          TEXT   NOT NULL,
    request       TEXT   NOT NULL,
    recipients    BIGINT NOT NULL,
    window_ms     BIGINT NOT NULL,
    status        TEXT   NOT NULL,
    reason_code   TEXT,
    reason_detail TEXT,
    attempts      BIGINT NOT NULL,
    next_at       BIGINT NOT NULL,
    holder        TEXT   NOT NULL,
    lease_until   BIGINT NOT NULL,
    uncertain_at  BIGINT,
    msgid         TEXT,
    response_code TEXT,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX message_calls_due ON message_calls (corp_id, next_at) WHERE status IN ('due', 'calling');
CREATE INDEX message_calls_body ON message_calls (corp_id, body, created_at);
CREATE INDEX message_calls_created_at ON message_calls (created_at);

-- Calls of message/recall, each for one call that WeCom took. status: due | calling | done | failed; leased as those calls
-- are. Kept as long as the call that they take back.
CREATE TABLE message_recalls (
    call_id       TEXT   PRIMARY KEY REFERENCES message_calls (id) ON DELETE CASCADE,
    corp_id       TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    reason_code   TEXT,
    reason_detail TEXT,
    attempts      BIGINT NOT NULL,
    next_at       BIGINT NOT NULL,
    holder        TEXT   NOT NULL,
    lease_until   BIGINT NOT NULL
);
CREATE INDEX message_recalls_due ON message_recalls (corp_id, next_at) WHERE status IN ('due', 'calling');

-- The one way out to WeCom. Whoever plans or claims calls takes this row first, so that limits hold across replicas.
-- hold_until: nothing is sent before. hold_code, hold_detail: why, and what is variable in that; hold_since: since when; all
-- three are NULL while messages can be sent. holds: how often in a row.
CREATE TABLE message_lanes (
    corp_id              TEXT   PRIMARY KEY,
    turn                 BIGINT NOT NULL,
    hold_until           BIGINT NOT NULL,
    hold_code            TEXT,
    hold_detail          TEXT,
    hold_since           BIGINT,
    holds                BIGINT NOT NULL,
    max_concurrent_calls BIGINT NOT NULL
);

-- How many calls were made and how many recipients they had, in buckets of ten seconds. Kept two days.
CREATE TABLE message_counts (
    corp_id    TEXT   NOT NULL,
    bucket     BIGINT NOT NULL,
    calls      BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    PRIMARY KEY (corp_id, bucket)
);

-- The links of messages. target: where one leads, judged again when it is opened. Kept as long as the message.
CREATE TABLE message_links (
    id         TEXT   PRIMARY KEY,
    corp_id    TEXT   NOT NULL,
    message_id TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    opened_at  BIGINT
);
CREATE INDEX message_links_message ON message_links (message_id);
