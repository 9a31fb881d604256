-- Messages: accepted once, delivered, opened signed in. How they travel is told in src/message/mod.rs.

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
    reason          TEXT   NOT NULL,
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
CREATE INDEX messages_finished_at ON messages (finished_at);
INSERT INTO feed_counter (name, seq) VALUES ('message', 0);

-- Who gets a message. member: who it is whatever the userid is by now: a person's id, '=' and the userid in lower case where
-- the directory knows nobody of that name, or '@all'. seq, body: the message's. status: pending | calling | sent | failed |
-- unknown; call_id: the call it belongs to from `calling` on. due_at: not before. counted_at: when WeCom may have counted it
-- as one more message to that member; NULL if it surely did not. alone: 1 if it must not share a call, because a call with
-- several was refused for one of them. aside: 1 if it had to wait because of an equal body: later messages of the member pass.
CREATE TABLE message_recipients (
    message_id TEXT   NOT NULL,
    member     TEXT   NOT NULL,
    corp_id    TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    userid     TEXT   NOT NULL,
    person_id  TEXT,
    body       TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    call_id    TEXT,
    due_at     BIGINT NOT NULL,
    counted_at BIGINT,
    alone      BIGINT NOT NULL,
    aside      BIGINT NOT NULL,
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
-- knowing; NULL if it surely has not. recall: '' | due | calling | done | failed, by the same lease.
CREATE TABLE message_calls (
    id            TEXT   PRIMARY KEY,
    corp_id       TEXT   NOT NULL,
    body          TEXT   NOT NULL,
    request       TEXT   NOT NULL,
    recipients    BIGINT NOT NULL,
    window_ms     BIGINT NOT NULL,
    status        TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    attempts      BIGINT NOT NULL,
    next_at       BIGINT NOT NULL,
    holder        TEXT   NOT NULL,
    lease_until   BIGINT NOT NULL,
    uncertain_at  BIGINT,
    msgid         TEXT,
    response_code TEXT,
    recall        TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX message_calls_due ON message_calls (corp_id, next_at) WHERE status IN ('due', 'calling');
CREATE INDEX message_calls_recall ON message_calls (corp_id, next_at) WHERE recall IN ('due', 'calling');
CREATE INDEX message_calls_body ON message_calls (corp_id, body, created_at);
CREATE INDEX message_calls_created_at ON message_calls (created_at);

-- The one way out to WeCom. Whoever plans or claims calls takes this row first, so that limits hold across replicas.
-- hold_until: nothing is sent before; hold_reason: why, '' if only a limit of WeCom's has to pass; hold_since: 0 or since
-- when it cannot send; holds: how often in a row; at_once: how many calls may be made at the same time.
CREATE TABLE message_lanes (
    corp_id     TEXT   PRIMARY KEY,
    turn        BIGINT NOT NULL,
    hold_until  BIGINT NOT NULL,
    hold_reason TEXT   NOT NULL,
    hold_since  BIGINT NOT NULL,
    holds       BIGINT NOT NULL,
    at_once     BIGINT NOT NULL
);

-- How many calls were made and how many recipients they had, in buckets of ten seconds. Kept two days.
CREATE TABLE message_pace (
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
