-- What the bus keeps in PostgreSQL. Times are Unix seconds of the server's clock (float8).
-- Logged tables hold what was promised; unlogged ones what a crash of the server may forget.

CREATE TABLE mergepoint.about (version integer NOT NULL, at float8 NOT NULL);

-- CloudEvents 1.0, section 3.1.1: four attributes must be texts. Apps in any language may put rows,
-- and one that nobody can read is refused at its door, not by whoever takes it.
CREATE FUNCTION mergepoint.is_envelope(p_attributes json) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(p_attributes ->> 'specversion' = '1.0', false)
        AND coalesce(json_typeof(p_attributes -> 'id') = 'string', false)
        AND coalesce(json_typeof(p_attributes -> 'source') = 'string', false)
        AND coalesce(json_typeof(p_attributes -> 'type') = 'string', false)
        AND p_attributes ->> 'id' <> '' AND p_attributes ->> 'source' <> ''
        AND p_attributes ->> 'type' <> ''
$$;

CREATE SEQUENCE mergepoint.place;
CREATE SEQUENCE mergepoint.token;
CREATE SEQUENCE mergepoint.process_number AS integer CYCLE;

-- A message of a queue. `state`: ready, delayed, held (behind another of its key), leased, dead.
CREATE TABLE mergepoint.message (
    place bigint PRIMARY KEY DEFAULT nextval('mergepoint.place'),
    queue text NOT NULL,
    id text NOT NULL,
    key text NOT NULL DEFAULT '',
    priority smallint NOT NULL DEFAULT 4,
    state text NOT NULL DEFAULT 'ready',
    attempt integer NOT NULL DEFAULT 0,
    attempts_max integer NOT NULL,
    not_before float8 NOT NULL DEFAULT 0,
    expires_at float8 NOT NULL DEFAULT 0,
    token bigint NOT NULL DEFAULT 0,
    lease_until float8 NOT NULL DEFAULT 0,
    process integer NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    at float8 NOT NULL,
    attributes json NOT NULL CHECK (mergepoint.is_envelope(attributes)),
    data bytea NOT NULL
) WITH (
    fillfactor = 70,
    -- Rows live for seconds: a share of the table is the wrong measure of when to clean up.
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX message_ready ON mergepoint.message (queue, priority DESC, place)
    WHERE state = 'ready';
CREATE INDEX message_delayed ON mergepoint.message (not_before) WHERE state = 'delayed';
CREATE INDEX message_leased ON mergepoint.message (lease_until) WHERE state = 'leased';
CREATE INDEX message_expiring ON mergepoint.message (expires_at)
    WHERE expires_at > 0 AND state IN ('ready', 'delayed', 'held');
CREATE INDEX message_dead ON mergepoint.message (queue, at, place) WHERE state = 'dead';
CREATE INDEX message_id ON mergepoint.message (queue, id);
CREATE INDEX message_line ON mergepoint.message (queue, key, place)
    WHERE key <> '' AND state <> 'dead';
CREATE INDEX message_line_ready ON mergepoint.message (queue, key)
    WHERE key <> '' AND state = 'ready';
CREATE INDEX message_line_leased ON mergepoint.message (queue, key)
    WHERE key <> '' AND state = 'leased';

-- Ids that were accepted; what `dedupe_s` goes by.
CREATE TABLE mergepoint.seen (
    queue text NOT NULL, id text NOT NULL, at float8 NOT NULL, PRIMARY KEY (queue, id)
);
CREATE INDEX seen_at ON mergepoint.seen USING brin (at);

-- Queues that exist though they may be empty; named subscriptions; present values of topics.
CREATE TABLE mergepoint.queue (name text PRIMARY KEY);
CREATE TABLE mergepoint.binding (
    queue text NOT NULL, pattern text NOT NULL, regex text NOT NULL, PRIMARY KEY (queue, pattern)
);
CREATE TABLE mergepoint.last (
    topic text PRIMARY KEY, attributes json NOT NULL, data bytea NOT NULL
);
-- Addresses that were ever served.
CREATE TABLE mergepoint.address (name text PRIMARY KEY);

-- Live topics: one row of `pulse` counts every event, and its lock makes that the commit order.
CREATE UNLOGGED TABLE mergepoint.pulse (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch text NOT NULL, n bigint NOT NULL
) WITH (fillfactor = 10);
CREATE UNLOGGED TABLE mergepoint.topic (name text PRIMARY KEY, n bigint NOT NULL)
    WITH (fillfactor = 50);
CREATE UNLOGGED TABLE mergepoint.event (
    n bigint PRIMARY KEY, topic text NOT NULL, topic_n bigint NOT NULL, at float8 NOT NULL,
    attributes json NOT NULL, data bytea NOT NULL
);

-- Processes with a connection, what they serve, who is there, and what was sent to them.
CREATE UNLOGGED TABLE mergepoint.process (
    number integer PRIMARY KEY, address text NOT NULL, heartbeat_s float8 NOT NULL,
    beat_at float8 NOT NULL
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE mergepoint.server (
    process integer NOT NULL, address text NOT NULL, room integer NOT NULL,
    busy integer NOT NULL DEFAULT 0, PRIMARY KEY (address, process)
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE mergepoint.member (
    process integer NOT NULL, place integer NOT NULL, address text NOT NULL, info json NOT NULL,
    since float8 NOT NULL, PRIMARY KEY (process, place)
);
CREATE UNLOGGED TABLE mergepoint.inbox (
    n bigint GENERATED ALWAYS AS IDENTITY, process integer NOT NULL, kind text NOT NULL,
    call text NOT NULL, sender integer NOT NULL, address text NOT NULL, expires_at float8 NOT NULL,
    attributes json NOT NULL, data bytea NOT NULL, PRIMARY KEY (process, n)
);
