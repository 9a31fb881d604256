-- A database of schema 0001 with rows in every table. Never edit or rewrite this file: it stands for
-- what is installed. tests/it/old_schema.rs wrote it and opens it.
CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL);
INSERT INTO _sqlx_migrations VALUES (1, 'schema', CURRENT_TIMESTAMP, TRUE, '\x552437FE001BF654DC8E283A2448C9C217FA225D54C8AFAF4CA8DEB0E7032ABF6901722AC8E92B1B93620AE5197E6B70', 1);
CREATE TABLE feed_counter (
    name TEXT PRIMARY KEY,
    seq  BIGINT NOT NULL
);
CREATE TABLE feed (
    seq     BIGINT PRIMARY KEY,
    corp_id TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX feed_at ON feed (at);
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
CREATE TABLE charts (
    corp_id     TEXT   PRIMARY KEY,
    version     BIGINT NOT NULL,
    complete_at BIGINT NOT NULL
);
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
CREATE INDEX person_rows_inactive ON person_rows (since) WHERE status <> 'active';
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
CREATE UNIQUE INDEX sync_runs_running ON sync_runs (corp_id) WHERE status = 'running';
CREATE UNIQUE INDEX sync_runs_queued ON sync_runs (corp_id, dry_run) WHERE status = 'queued';
CREATE INDEX sync_runs_requested_at ON sync_runs (requested_at);
CREATE TABLE schedules (
    corp_id TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (corp_id, name)
);
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
CREATE TABLE rule_bindings (
    corp_id   TEXT   NOT NULL,
    userid    TEXT   NOT NULL,
    person_id TEXT   NOT NULL,
    bound_at  BIGINT NOT NULL,
    PRIMARY KEY (corp_id, userid)
);
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
CREATE TABLE signing_keys (
    kid        TEXT   PRIMARY KEY,
    jwk        TEXT   NOT NULL,
    sealed     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL
);
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
CREATE TABLE message_counts (
    corp_id    TEXT   NOT NULL,
    bucket     BIGINT NOT NULL,
    calls      BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    PRIMARY KEY (corp_id, bucket)
);
CREATE TABLE message_links (
    id         TEXT   PRIMARY KEY,
    corp_id    TEXT   NOT NULL,
    message_id TEXT   NOT NULL,
    target     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    opened_at  BIGINT
);
CREATE INDEX message_links_message ON message_links (message_id);
INSERT INTO feed_counter (name, seq) VALUES ('feed', 3);
INSERT INTO feed_counter (name, seq) VALUES ('directory', 17);
INSERT INTO feed_counter (name, seq) VALUES ('batch', 2);
INSERT INTO feed_counter (name, seq) VALUES ('message', 2);
INSERT INTO feed (seq, corp_id, kind, id, at) VALUES (1, 'ww0123456789abcdef', 'key', 'u2hM8RRkTaS36su5fwL0UhaeR7Rfkb03y4Rw0boHHXY', 1795334400000);
INSERT INTO feed (seq, corp_id, kind, id, at) VALUES (2, 'ww0123456789abcdef', 'person', '01a20244-e800-73ce-87df-7428d8c9c158', 1795334400000);
INSERT INTO feed (seq, corp_id, kind, id, at) VALUES (3, 'ww0123456789abcdef', 'chart', '1', 1795334400000);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-73ce-87df-7428d8c9c158', 'ww0123456789abcdef', 'zhangsan', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-7097-be30-0c48a4bf6989', 'ww0123456789abcdef', 'sunqi', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-71ed-a4da-9ec8ba9cd72b', 'ww0123456789abcdef', 'lisi', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-73c7-b7a8-a7d6ac6f8578', 'ww0123456789abcdef', 'wujiu', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-73ee-aaf8-4875fb0cfdbc', 'ww0123456789abcdef', 'zhaoliu', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-754b-99ac-66224ab3d893', 'ww0123456789abcdef', 'zhouba', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ('01a20244-e800-768d-b6e0-7f2e2bbee41a', 'ww0123456789abcdef', 'wangwu', 1795334400000, 0, 1795334400000, NULL);
INSERT INTO charts (corp_id, version, complete_at) VALUES ('ww0123456789abcdef', 1, 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('75a2f193-c0cf-58cf-8452-0621b22055a9', 'ww0123456789abcdef', 1, 9223372036854775807, 1, 'wecom', NULL, '示例科技', '', 100000000, '[]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('ae920698-25d0-5dd9-8d5f-b5c84e5aeac6', 'ww0123456789abcdef', 1, 9223372036854775807, 2, 'wecom', '75a2f193-c0cf-58cf-8452-0621b22055a9', '财务部', '', 100000000, '["lisi"]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('e30bf02b-1dba-5c10-b46f-8fe2e0644149', 'ww0123456789abcdef', 1, 9223372036854775807, 3, 'wecom', '75a2f193-c0cf-58cf-8452-0621b22055a9', '研发部', '', 100000000, '["zhangsan"]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('49523688-69aa-5282-8921-31a219cfa868', 'ww0123456789abcdef', 1, 9223372036854775807, 4, 'wecom', 'e30bf02b-1dba-5c10-b46f-8fe2e0644149', '前端组', '', 100000000, '[]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('716144fb-2d87-5fa8-a0be-5037670ee650', 'ww0123456789abcdef', 1, 9223372036854775807, 5, 'wecom', 'e30bf02b-1dba-5c10-b46f-8fe2e0644149', '后端组', '', 100000000, '[]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('1cd4c596-a4ed-52c3-a59b-c0147d919d77', 'ww0123456789abcdef', 1, 9223372036854775807, 6, 'wecom', '75a2f193-c0cf-58cf-8452-0621b22055a9', '销售部', '', 100000000, '["zhaoliu"]', 1795334400000);
INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, leaders, updated_at) VALUES ('019824bd-fabb-500b-8824-ba120d7ac3b6', 'ww0123456789abcdef', 1, 9223372036854775807, 7, 'wecom', '75a2f193-c0cf-58cf-8452-0621b22055a9', '行政人事部', '', 100000000, '[]', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-73ce-87df-7428d8c9c158', 'ww0123456789abcdef', 0, 1, 'zhangsan', '张三', '', 'wecom', 'active', NULL, NULL, '[]', '{}', '', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-7097-be30-0c48a4bf6989', 'ww0123456789abcdef', 1, 9223372036854775807, 'sunqi', '孙七', '', 'wecom', 'active', NULL, '019824bd-fabb-500b-8824-ba120d7ac3b6', '[["019824bd-fabb-500b-8824-ba120d7ac3b6",0,0],["ae920698-25d0-5dd9-8d5f-b5c84e5aeac6",0,0]]', '{"position":"人事专员"}', '482716b1d34e8ebd49b35e465e935b7a', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-71ed-a4da-9ec8ba9cd72b', 'ww0123456789abcdef', 1, 9223372036854775807, 'lisi', '李四', '', 'wecom', 'active', NULL, 'ae920698-25d0-5dd9-8d5f-b5c84e5aeac6', '[["ae920698-25d0-5dd9-8d5f-b5c84e5aeac6",0,1]]', '{"position":"财务主管"}', '6c427c4a49994b02e746a07556e7391a', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-73c7-b7a8-a7d6ac6f8578', 'ww0123456789abcdef', 1, 9223372036854775807, 'wujiu', '吴九', '', 'wecom', 'inactive', NULL, '716144fb-2d87-5fa8-a0be-5037670ee650', '[["716144fb-2d87-5fa8-a0be-5037670ee650",0,0]]', '{"position":"实习生"}', '2673d980e651ddce9cae868ab6873a85', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-73ce-87df-7428d8c9c158', 'ww0123456789abcdef', 1, 9223372036854775807, 'zhangsan', '张三', '', 'wecom', 'active', NULL, '716144fb-2d87-5fa8-a0be-5037670ee650', '[["716144fb-2d87-5fa8-a0be-5037670ee650",0,0],["e30bf02b-1dba-5c10-b46f-8fe2e0644149",0,1]]', '{"position":"研发经理"}', '1ced291ca70a908357a6a072aef0b7b7', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-73ee-aaf8-4875fb0cfdbc', 'ww0123456789abcdef', 1, 9223372036854775807, 'zhaoliu', '赵六', '', 'wecom', 'active', NULL, '1cd4c596-a4ed-52c3-a59b-c0147d919d77', '[["1cd4c596-a4ed-52c3-a59b-c0147d919d77",0,1]]', '{"position":"销售总监"}', '4fbeb70dcada0ff9099384379b49ab5c', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-754b-99ac-66224ab3d893', 'ww0123456789abcdef', 1, 9223372036854775807, 'zhouba', '周八', '', 'wecom', 'disabled', NULL, '1cd4c596-a4ed-52c3-a59b-c0147d919d77', '[["1cd4c596-a4ed-52c3-a59b-c0147d919d77",0,0]]', '{"position":"销售代表"}', '478fc0fd096ebcd70f6f2fff696cdca9', 1795334400000);
INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, left_at, main_unit, memberships, detail, said, updated_at) VALUES ('01a20244-e800-768d-b6e0-7f2e2bbee41a', 'ww0123456789abcdef', 1, 9223372036854775807, 'wangwu', '王五', '', 'wecom', 'active', NULL, '49523688-69aa-5282-8921-31a219cfa868', '[["49523688-69aa-5282-8921-31a219cfa868",0,0]]', '{"position":"前端工程师"}', 'f8aa52f4603787c5fd3b848a7389936f', 1795334400000);
INSERT INTO tag_rows (id, corp_id, since, until, wecom_id, name, users, units, updated_at) VALUES ('e57ada82-9803-52a8-a6c5-b210de97600d', 'ww0123456789abcdef', 1, 9223372036854775807, 1, '管理层', '["zhangsan","lisi","zhaoliu"]', '[]', 1795334400000);
INSERT INTO tag_rows (id, corp_id, since, until, wecom_id, name, users, units, updated_at) VALUES ('168fc71b-cb50-55b4-a2b6-0eb6cf81938c', 'ww0123456789abcdef', 1, 9223372036854775807, 2, '技术人员', '["sunqi"]', '["e30bf02b-1dba-5c10-b46f-8fe2e0644149"]', 1795334400000);
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (1, 0, 'ww0123456789abcdef', 'person', '01a20244-e800-73ce-87df-7428d8c9c158', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 0, 'ww0123456789abcdef', 'unit', '75a2f193-c0cf-58cf-8452-0621b22055a9', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 1, 'ww0123456789abcdef', 'unit', 'ae920698-25d0-5dd9-8d5f-b5c84e5aeac6', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 2, 'ww0123456789abcdef', 'unit', 'e30bf02b-1dba-5c10-b46f-8fe2e0644149', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 3, 'ww0123456789abcdef', 'unit', '49523688-69aa-5282-8921-31a219cfa868', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 4, 'ww0123456789abcdef', 'unit', '716144fb-2d87-5fa8-a0be-5037670ee650', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 5, 'ww0123456789abcdef', 'unit', '1cd4c596-a4ed-52c3-a59b-c0147d919d77', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 6, 'ww0123456789abcdef', 'unit', '019824bd-fabb-500b-8824-ba120d7ac3b6', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 7, 'ww0123456789abcdef', 'tag', 'e57ada82-9803-52a8-a6c5-b210de97600d', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 8, 'ww0123456789abcdef', 'tag', '168fc71b-cb50-55b4-a2b6-0eb6cf81938c', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 9, 'ww0123456789abcdef', 'person', '01a20244-e800-7097-be30-0c48a4bf6989', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 10, 'ww0123456789abcdef', 'person', '01a20244-e800-71ed-a4da-9ec8ba9cd72b', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 11, 'ww0123456789abcdef', 'person', '01a20244-e800-73c7-b7a8-a7d6ac6f8578', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 12, 'ww0123456789abcdef', 'person', '01a20244-e800-73ce-87df-7428d8c9c158', 'updated');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 13, 'ww0123456789abcdef', 'person', '01a20244-e800-73ee-aaf8-4875fb0cfdbc', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 14, 'ww0123456789abcdef', 'person', '01a20244-e800-754b-99ac-66224ab3d893', 'created');
INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) VALUES (2, 15, 'ww0123456789abcdef', 'person', '01a20244-e800-768d-b6e0-7f2e2bbee41a', 'created');
INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES (1, 1, 'ww0123456789abcdef', 1, 1795334400000);
INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES (2, 2, 'ww0123456789abcdef', 16, 1795334400000);
INSERT INTO sync_runs (id, corp_id, kind, cause, client_id, dry_run, forced, status, complete, counts, progress, report, reason, holder, lease_until, requested_at, started_at, finished_at) VALUES ('01a20244-e800-7412-941f-be68a55871ff', 'ww0123456789abcdef', 'full', 'api', 'oa', 0, 0, 'done', 1, '{"units":{"created":7,"updated":0,"removed":0},"persons":{"created":6,"updated":1,"removed":0},"memberships":{"created":9,"updated":0,"removed":0}}', NULL, '{"way":"visible","notes":[],"removals":{"persons":0,"of_persons":1,"units":0,"of_units":0},"conflicts":[],"tags":{"created":2,"updated":0,"removed":0},"lines":["created unit 示例科技 (wecom:1)","created unit 财务部 (wecom:2)","created unit 研发部 (wecom:3)","created unit 前端组 (wecom:4)","created unit 后端组 (wecom:5)","created unit 销售部 (wecom:6)","created unit 行政人事部 (wecom:7)","created tag 管理层 (wecom:1)","created tag 技术人员 (wecom:2)","created person sunqi (孙七)","created person lisi (李四)","created person wujiu (吴九)","changed person zhangsan (张三): units, main unit, position","created person zhaoliu (赵六)","created person zhouba (周八)","created person wangwu (王五)"],"more_lines":0,"skipped":[],"more_skipped":0}', NULL, '30326 01a20244-e800-72c1-b9df-26541cc98fa0', 0, 1795334400000, 1795334400000, 1795334400000);
INSERT INTO schedules (corp_id, name, last_at) VALUES ('ww0123456789abcdef', 'full', 1795334400000);
INSERT INTO conflicts (id, corp_id, kind, person_id, candidates, state, created_at, closed_at) VALUES ('c1', 'ww0123456789abcdef', 'reused', '01a20244-e800-73ce-87df-7428d8c9c158', '["01a20244-e800-71ed-a4da-9ec8ba9cd72b"]', 'open', 1795334400000, NULL);
INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ('ww0123456789abcdef', 'zhangsan', '01a20244-e800-73ce-87df-7428d8c9c158', 0);
INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, expires_at, ended_at, end_reason, address, user_agent) VALUES ('01a20244-e800-7398-91db-79f112eeceae', 'ww0123456789abcdef', '01a20244-e800-73ce-87df-7428d8c9c158', '01a20244-e800-7398-91db-79f112eeceae', 'oa.example.com', 'wecom-app', 1795334400000, 1795334400000, 1795334400000, 1795377600000, NULL, NULL, '203.0.113.7', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh ColorScheme/Light');
INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, expires_at, ended_at, end_reason, address, user_agent) VALUES ('01a20244-e800-7435-994a-29264fa971ac', 'ww0123456789abcdef', '01a20244-e800-71ed-a4da-9ec8ba9cd72b', '01a20244-e800-7435-994a-29264fa971ac', 'oa.example.com', 'wecom-app', 1795334400000, 1795334400000, 1795334400000, 1795377600000, NULL, NULL, '203.0.113.7', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh ColorScheme/Light');
INSERT INTO attempts (id, corp_id, code_hash, claimed_at, finished_at, sid, target, failure, failure_errcode, failure_address) VALUES ('54efb892a54222708c8fa2c2', 'ww0123456789abcdef', 'd54c1aac8c6030eda5ff5ecdaf88c96d411f47c83ef49025684b838c770f6e7d', 1795334400000, 1795334400000, '01a20244-e800-7398-91db-79f112eeceae', 'https://oa.example.com/', NULL, NULL, NULL);
INSERT INTO attempts (id, corp_id, code_hash, claimed_at, finished_at, sid, target, failure, failure_errcode, failure_address) VALUES ('31c33e9e6ace351f1f219394', 'ww0123456789abcdef', 'f1d381dae8866ea05fccbf3a2a22434e553363a6c101aaf87a4d866f1119c495', 1795334400000, 1795334400000, '01a20244-e800-7435-994a-29264fa971ac', 'https://oa.example.com/', NULL, NULL, NULL);
INSERT INTO tickets (hash, corp_id, sid, host, cookie_hash, target, started_at, expires_at, redeemed_at) VALUES ('a', 'ww0123456789abcdef', '01a20244-e800-7398-91db-79f112eeceae', 'h', 'c', 't', 0, 1795334400000, NULL);
INSERT INTO signing_keys (kid, jwk, sealed, created_at, signs_from) VALUES ('u2hM8RRkTaS36su5fwL0UhaeR7Rfkb03y4Rw0boHHXY', '{"kty":"EC","crv":"P-256","x":"X9nnEiEbtgJPbQlYmJFcuvOUhvTndgf6peVr7tJt7J8","y":"4m_hy341LD8bFRrPMHwZbT2KibWjgU6r6rocKYkPj7c","kid":"u2hM8RRkTaS36su5fwL0UhaeR7Rfkb03y4Rw0boHHXY","alg":"ES256","use":"sig"}', 'YbgrwjaHCFRT22FGazQAVToPuLGHqTTY75K8FRGK02l+0nDFEBAKlucGUPmYYEW0nLOFmLYUyiGYwbCxibgtKR/qrnPm5b55GKbCnOVlKfN4f4azquCcYk5/AJoOtlSbehGKlLxH49a/nG6kg5m6ZHLExEOeK/b9Epn/2kUFk98bJ4iar2YX0V0eexMP1TRmdNu/04DyxbUMpObOT0qZ64DaJMqTHw==', 1795334400000, 1795334400000);
INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) VALUES ('01a20244-e800-744d-919d-a6adba86f4f2', 'ww0123456789abcdef', 1795334400000, 'sign-in', '01a20244-e800-73ce-87df-7428d8c9c158', 'zhangsan', '203.0.113.7', 'oa.example.com', 'allowed', 'wecom-app', '8ecedb3c59e4add0');
INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) VALUES ('01a20244-e800-7777-99c8-11ebc4cd47d4', 'ww0123456789abcdef', 1795334400000, 'sync', '', '', '', '', 'allowed', 'full run 01a20244-e800-7412-941f-be68a55871ff, by API client oa', '');
INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) VALUES ('01a20244-e800-7390-a977-74cfb87dd48f', 'ww0123456789abcdef', 1795334400000, 'sign-in', '01a20244-e800-71ed-a4da-9ec8ba9cd72b', 'lisi', '203.0.113.7', 'oa.example.com', 'allowed', 'wecom-app', '269516794c28e2f7');
INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) VALUES ('01a20244-f3b8-75fd-aab9-afa4800dc5f2', 'ww0123456789abcdef', 1795334403000, 'message', '', '', '127.0.0.1', '', 'done', 'recall 01a20244-e800-7653-b748-bd659ea3efb7, by API client oa', 'af4093bd5bec22d0');
INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, is_unique, targets, status, reason_code, reason_detail, not_before, expires_at, expanded_to, expanded_at, recall_at, created_at, updated_at, finished_at) VALUES ('01a20244-e800-7653-b748-bd659ea3efb7', 'ww0123456789abcdef', 1, 'oa', NULL, '526aaa17499b858d3137441eae97252d2aec11e824df6e59a602406429e21eff', 'textcard', '{"title":"请假","description":"三天","url":"https://oa.example.com/sso/m/5GyDPAsh8GGa62GB5npomK"}', '778065237bc07270d32188f5f5bca621081dd751b328815b770b3366be0a89af', 1, '{"users":[["zhangsan","01a20244-e800-73ce-87df-7428d8c9c158"]],"units":[],"tags":[],"all":false}', 'recalled', NULL, NULL, 1795334400000, NULL, '', 1795334403000, 1795334403000, 1795334400000, 1795334403000, 1795334403000);
INSERT INTO messages (id, corp_id, seq, client_id, idempotency_key, request_hash, kind, content, body, is_unique, targets, status, reason_code, reason_detail, not_before, expires_at, expanded_to, expanded_at, recall_at, created_at, updated_at, finished_at) VALUES ('01a20244-ff70-702a-9693-0de662180ec1', 'ww0123456789abcdef', 2, 'oa', NULL, '50e65076fee5dd0bc0b6761a61d0dfc72fcea167b31145e91deed135d58358f4', 'text', '{"content":"还没有发出"}', '6b0a319ac52fede2a09699162dda6471035df1e113212e1706b5e59b866dd8e6', 0, '{"users":[["lisi","01a20244-e800-71ed-a4da-9ec8ba9cd72b"]],"units":[],"tags":[],"all":false}', 'accepted', NULL, NULL, 1795334406000, NULL, '', 1795334406000, NULL, 1795334406000, 1795334406000, NULL);
INSERT INTO message_recipients (message_id, member, corp_id, seq, userid, person_id, body, status, reason_code, reason_detail, call_id, due_at, counted_at, alone, aside) VALUES ('01a20244-e800-7653-b748-bd659ea3efb7', '01a20244-e800-73ce-87df-7428d8c9c158', 'ww0123456789abcdef', 1, 'zhangsan', '01a20244-e800-73ce-87df-7428d8c9c158', '778065237bc07270d32188f5f5bca621081dd751b328815b770b3366be0a89af', 'sent', NULL, NULL, '01a20244-f3b8-77cf-a38f-07c133663990', 1795334400000, 1795334403000, 0, 0);
INSERT INTO message_recipients (message_id, member, corp_id, seq, userid, person_id, body, status, reason_code, reason_detail, call_id, due_at, counted_at, alone, aside) VALUES ('01a20244-ff70-702a-9693-0de662180ec1', '01a20244-e800-71ed-a4da-9ec8ba9cd72b', 'ww0123456789abcdef', 2, 'lisi', '01a20244-e800-71ed-a4da-9ec8ba9cd72b', '6b0a319ac52fede2a09699162dda6471035df1e113212e1706b5e59b866dd8e6', 'pending', NULL, NULL, NULL, 1795334406150, NULL, 0, 0);
INSERT INTO message_calls (id, corp_id, body, request, recipients, window_ms, status, reason_code, reason_detail, attempts, next_at, holder, lease_until, uncertain_at, msgid, response_code, created_at, finished_at) VALUES ('01a20244-f3b8-77cf-a38f-07c133663990', 'ww0123456789abcdef', '778065237bc07270d32188f5f5bca621081dd751b328815b770b3366be0a89af', '', 1, 14400000, 'sent', NULL, NULL, 1, 1795334403000, '', 0, NULL, 'BF-nPOqS2Cb7IA_c10LPYziunRZeBAA6', NULL, 1795334403000, 1795334403000);
INSERT INTO message_recalls (call_id, corp_id, status, reason_code, reason_detail, attempts, next_at, holder, lease_until) VALUES ('01a20244-f3b8-77cf-a38f-07c133663990', 'ww0123456789abcdef', 'done', NULL, NULL, 1, 1795334403000, '', 0);
INSERT INTO message_lanes (corp_id, turn, hold_until, hold_code, hold_detail, hold_since, holds, max_concurrent_calls) VALUES ('ww0123456789abcdef', 12, 0, NULL, NULL, NULL, 0, 10);
INSERT INTO message_counts (corp_id, bucket, calls, recipients) VALUES ('ww0123456789abcdef', 1795334400000, 1, 1);
INSERT INTO message_links (id, corp_id, message_id, target, expires_at, opened_at) VALUES ('5GyDPAsh8GGa62GB5npomK', 'ww0123456789abcdef', '01a20244-e800-7653-b748-bd659ea3efb7', 'https://oa.example.com/leave/1', 1797926400000, NULL);
