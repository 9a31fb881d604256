-- The front door: persons, sessions, sign-in attempts, hand-off tickets, signing keys, audit and the feed.
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
INSERT INTO feed_counter (name, seq) VALUES ('feed', 0);

-- kind: session | sessions | person | key. Kept 7 days.
CREATE TABLE feed (
    seq     BIGINT PRIMARY KEY,
    corp_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX feed_at ON feed (at);

-- source: wecom | local; status: active | disabled | inactive | left.
-- checked_at: when WeCom last said the status; check_lease: until when a replica is asking.
-- A person that left is purged by directory.purge_left_after.
CREATE TABLE persons (
    id          TEXT   PRIMARY KEY,
    corp_id     TEXT   NOT NULL,
    userid      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    email       TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    checked_at  BIGINT NOT NULL,
    check_lease BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX persons_userid ON persons (corp_id, lower(userid));
CREATE INDEX persons_checked_at ON persons (corp_id, checked_at);

-- audience: the host, or the cookie domain; family: the session that a sign-in began with, the same for those
-- that tickets made from it. Deleted 7 days after they expired or ended.
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
-- Exactly one of sid and failure is set when it is finished. Kept a day.
CREATE TABLE attempts (
    id          TEXT   PRIMARY KEY,
    corp_id     TEXT   NOT NULL,
    code_hash   TEXT   NOT NULL,
    claimed_at  BIGINT NOT NULL,
    finished_at BIGINT,
    sid         TEXT,
    target      TEXT,
    failure     TEXT
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
