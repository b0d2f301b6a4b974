-- Queues. Every function is one call of an engine and one transaction.
-- Order of locks: lines (a key of a queue, advisory), then rows; whoever picks rows first only
-- tries for lines. Rows are picked with SKIP LOCKED, so nobody waits for a neighbour's batch.

CREATE FUNCTION mergepoint.unix_now() RETURNS float8 LANGUAGE sql VOLATILE
    AS $$ SELECT extract(epoch FROM clock_timestamp())::float8 $$;

-- The advisory lock of a line; two lines that share a number only wait for each other.
CREATE FUNCTION mergepoint.line(p_queue text, p_key text) RETURNS integer LANGUAGE sql IMMUTABLE
    AS $$ SELECT hashtext(p_queue || chr(31) || p_key) $$;

-- Accept messages; returns the ids that are new. Runs with the owner's rights, so that an app may
-- put within its own transaction with the right to execute this and nothing else.
CREATE FUNCTION mergepoint.put(
    p_queue text, p_ids text[], p_attributes text[], p_data bytea[], p_keys text[],
    p_priorities integer[], p_not_before float8[], p_attempts_max integer[],
    p_expires_at float8[], p_dedupe_s float8, p_messages_max bigint
) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_found bigint;
BEGIN
    RETURN QUERY WITH given AS (
        SELECT DISTINCT ON (g.id) g.* FROM unnest(
            p_ids, p_attributes, p_data, p_keys, p_priorities, p_not_before, p_attempts_max,
            p_expires_at
        ) WITH ORDINALITY AS g(
            id, attributes, data, key, priority, not_before, attempts_max, expires_at, nth
        ) ORDER BY g.id, g.nth
    ), fresh AS (
        INSERT INTO mergepoint.seen AS s (queue, id, at)
        SELECT p_queue, g.id, v_now FROM given g ORDER BY g.id
        ON CONFLICT (queue, id) DO UPDATE SET at = excluded.at
            WHERE s.at < v_now - p_dedupe_s
        RETURNING s.id
    )
    INSERT INTO mergepoint.message AS m (
        queue, id, key, priority, state, attempts_max, not_before, expires_at, at, attributes, data
    )
    SELECT p_queue, g.id, g.key, g.priority,
        CASE WHEN g.not_before > v_now THEN 'delayed' ELSE 'ready' END,
        g.attempts_max, g.not_before, g.expires_at, v_now, g.attributes::json, g.data
    FROM given g JOIN fresh f ON f.id = g.id ORDER BY g.nth
    RETURNING m.id;
    IF p_messages_max > 0 THEN
        SELECT count(*) INTO v_found FROM (
            SELECT FROM mergepoint.message m
            WHERE m.queue = p_queue AND m.state <> 'dead' LIMIT p_messages_max + 1
        ) AS live;
        IF v_found > p_messages_max THEN
            RAISE EXCEPTION 'queue % is full: it takes % messages', p_queue, p_messages_max
                USING ERRCODE = 'MP001';
        END IF;
    END IF;
    -- Not in an app's own transaction: until it ended, everybody new to the queue would wait.
    IF p_messages_max >= 0 THEN
        INSERT INTO mergepoint.queue AS q (name) SELECT p_queue
            WHERE NOT EXISTS (SELECT FROM mergepoint.queue k WHERE k.name = p_queue)
            ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- Queues that were put into or bound, and those that apps alone have put into.
CREATE FUNCTION mergepoint.queue_names() RETURNS SETOF text LANGUAGE sql STABLE
AS $$
    SELECT name FROM mergepoint.queue
    UNION (
        WITH RECURSIVE found(name) AS (
            (SELECT queue FROM mergepoint.message ORDER BY queue LIMIT 1)
            UNION ALL
            SELECT (
                SELECT m.queue FROM mergepoint.message m WHERE m.queue > f.name
                ORDER BY m.queue LIMIT 1
            ) FROM found f WHERE f.name IS NOT NULL
        )
        SELECT name FROM found WHERE name IS NOT NULL
    )
$$;

-- Let the next of a line be taken; the caller holds the line's lock.
CREATE FUNCTION mergepoint.advance(p_queue text, p_key text) RETURNS void LANGUAGE sql
AS $$
    UPDATE mergepoint.message SET state = 'ready'
    WHERE state = 'held' AND place = (
        SELECT m.place FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.key = p_key AND m.key <> '' AND m.state <> 'dead'
        ORDER BY m.place LIMIT 1
    ) AND NOT EXISTS (
        SELECT FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.key = p_key AND m.key <> '' AND m.state = 'leased'
    )
$$;

-- Make a message dead and let its line go on; the caller holds the line's lock.
CREATE FUNCTION mergepoint.lay_down(p_place bigint, p_reason text) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    v_dead mergepoint.message%ROWTYPE;
BEGIN
    UPDATE mergepoint.message SET state = 'dead', reason = p_reason, at = mergepoint.unix_now()
    WHERE place = p_place RETURNING * INTO v_dead;
    IF v_dead.key <> '' THEN
        PERFORM mergepoint.advance(v_dead.queue, v_dead.key);
    END IF;
END $$;

-- Do what time alone brings about: delays and leases that ended, messages that expired.
CREATE FUNCTION mergepoint.tidy() RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_row record;
BEGIN
    FOR v_row IN
        SELECT place FROM mergepoint.message WHERE state = 'delayed' AND not_before <= v_now
        ORDER BY not_before, place LIMIT 500 FOR UPDATE SKIP LOCKED
    LOOP
        -- What was delayed is as old as its time has come, but keeps its place in a line.
        UPDATE mergepoint.message
        SET state = 'ready', at = v_now,
            place = CASE WHEN key = '' THEN nextval('mergepoint.place') ELSE place END
        WHERE place = v_row.place;
    END LOOP;
    UPDATE mergepoint.message
    SET state = 'ready', at = v_now, reason = 'lease ended', token = 0, worker = '', process = 0
    WHERE place IN (
        SELECT place FROM mergepoint.message
        WHERE state = 'leased' AND lease_until <= v_now AND attempt < attempts_max
        ORDER BY lease_until LIMIT 500 FOR UPDATE SKIP LOCKED
    );
    FOR v_row IN
        SELECT place, queue, key, 'expired' AS why FROM (
            SELECT place, queue, key FROM mergepoint.message
            WHERE expires_at > 0 AND state IN ('ready', 'delayed', 'held') AND expires_at <= v_now
            ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED
        ) AS late
        UNION ALL
        SELECT place, queue, key, 'attempts' FROM (
            SELECT place, queue, key FROM mergepoint.message
            WHERE state = 'leased' AND lease_until <= v_now AND attempt >= attempts_max
            ORDER BY lease_until LIMIT 500 FOR UPDATE SKIP LOCKED
        ) AS spent
    LOOP
        IF v_row.key = ''
            OR pg_try_advisory_xact_lock(1836016705, mergepoint.line(v_row.queue, v_row.key))
        THEN
            PERFORM mergepoint.lay_down(v_row.place, v_row.why);
        END IF;
    END LOOP;
END $$;

-- Seconds until time alone brings something about; null when nothing waits for it.
CREATE FUNCTION mergepoint.due() RETURNS float8 LANGUAGE sql
AS $$
    SELECT least(
        (SELECT min(not_before) FROM mergepoint.message WHERE state = 'delayed'),
        (SELECT min(lease_until) FROM mergepoint.message WHERE state = 'leased'),
        (SELECT min(expires_at) FROM mergepoint.message
         WHERE expires_at > 0 AND state IN ('ready', 'delayed', 'held'))
    ) - mergepoint.unix_now()
$$;

-- Take the head of a line or hold the message back; true when it was taken.
CREATE FUNCTION mergepoint.take_of_line(
    p_place bigint, p_queue text, p_key text, p_process integer, p_worker text, p_until float8
) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.key = p_key AND m.key <> '' AND m.state = 'leased'
    ) OR EXISTS (
        SELECT FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.key = p_key AND m.key <> '' AND m.state <> 'dead'
            AND m.place < p_place
    ) THEN
        -- All that are ready behind the head, or taking one would look at each of them again.
        UPDATE mergepoint.message SET state = 'held' WHERE place IN (
            SELECT m.place FROM mergepoint.message m
            WHERE m.queue = p_queue AND m.key = p_key AND m.key <> '' AND m.state = 'ready'
                AND m.place >= p_place
            FOR UPDATE SKIP LOCKED
        );
        RETURN false;
    END IF;
    UPDATE mergepoint.message
    SET state = 'leased', attempt = attempt + 1, token = nextval('mergepoint.token'),
        lease_until = p_until, process = p_process, worker = p_worker,
        at = mergepoint.unix_now()
    WHERE place = p_place;
    RETURN true;
END $$;

-- Lease up to `p_limit` messages, higher priority first, then older first.
CREATE FUNCTION mergepoint.take(
    p_queues text[], p_process integer, p_worker text, p_limit integer, p_lease_s float8,
    p_tidy boolean
) RETURNS SETOF mergepoint.message LANGUAGE plpgsql
AS $$
DECLARE
    v_taken bigint[] := '{}';
    v_passed bigint[] := '{}';
    v_free bigint[];
    v_lines integer;
    v_row record;
    v_now float8;
BEGIN
    IF p_tidy THEN
        PERFORM mergepoint.tidy();
    END IF;
    v_now := mergepoint.unix_now();
    LOOP
        v_free := '{}';
        v_lines := 0;
        FOR v_row IN
            SELECT picked.* FROM unnest(p_queues) AS asked(name) CROSS JOIN LATERAL (
                SELECT m.place, m.queue, m.key, m.priority, m.expires_at
                FROM mergepoint.message m
                WHERE m.queue = asked.name AND m.state = 'ready' AND m.place <> ALL (v_passed)
                ORDER BY m.priority DESC, m.place
                LIMIT p_limit - cardinality(v_taken) FOR UPDATE SKIP LOCKED
            ) AS picked
            ORDER BY picked.priority DESC, picked.place LIMIT p_limit - cardinality(v_taken)
        LOOP
            IF v_row.expires_at > 0 AND v_row.expires_at <= v_now THEN
                v_passed := v_passed || v_row.place;
                v_lines := v_lines + 1;
            ELSIF v_row.key = '' THEN
                v_free := v_free || v_row.place;
            ELSE
                v_lines := v_lines + 1;
                IF NOT pg_try_advisory_xact_lock(
                    1836016705, mergepoint.line(v_row.queue, v_row.key)
                ) THEN
                    v_passed := v_passed || v_row.place;
                ELSIF mergepoint.take_of_line(
                    v_row.place, v_row.queue, v_row.key, p_process, p_worker, v_now + p_lease_s
                ) THEN
                    v_taken := v_taken || v_row.place;
                END IF;
            END IF;
        END LOOP;
        IF cardinality(v_free) > 0 THEN
            UPDATE mergepoint.message
            SET state = 'leased', attempt = attempt + 1, token = nextval('mergepoint.token'),
                lease_until = v_now + p_lease_s, process = p_process, worker = p_worker, at = v_now
            WHERE place = ANY (v_free);
            v_taken := v_taken || v_free;
        END IF;
        -- Without lines the first pick was all there is to have.
        EXIT WHEN v_lines = 0 OR cardinality(v_taken) >= p_limit;
    END LOOP;
    RETURN QUERY SELECT m.* FROM mergepoint.message m WHERE m.place = ANY (v_taken)
        ORDER BY m.priority DESC, m.place;
END $$;

-- Finish leases; returns the places of those that were lost.
CREATE FUNCTION mergepoint.ack(p_places bigint[], p_tokens bigint[], p_lines boolean)
RETURNS SETOF bigint LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_done bigint[] := '{}';
    v_row record;
BEGIN
    IF p_lines THEN
        PERFORM pg_advisory_xact_lock(1836016705, line) FROM (
            SELECT DISTINCT mergepoint.line(m.queue, m.key) AS line FROM mergepoint.message m
            WHERE m.place = ANY (p_places) AND m.key <> '' ORDER BY line
        ) AS lines;
    END IF;
    FOR v_row IN
        DELETE FROM mergepoint.message m USING unnest(p_places, p_tokens) AS a(place, token)
        WHERE m.place = a.place AND m.token = a.token AND m.state = 'leased'
            AND m.lease_until > v_now
        RETURNING m.place, m.queue, m.key
    LOOP
        v_done := v_done || v_row.place;
        IF v_row.key <> '' THEN
            PERFORM mergepoint.advance(v_row.queue, v_row.key);
        END IF;
    END LOOP;
    RETURN QUERY SELECT place FROM unnest(p_places) AS asked(place) WHERE place <> ALL (v_done);
END $$;

-- Give a lease back; returns its new state, null when it was lost. `p_attempt`: 0 burns the
-- attempt, 1 gives it back, -1 makes the message dead.
CREATE FUNCTION mergepoint.nack(
    p_place bigint, p_token bigint, p_delay_s float8, p_reason text, p_attempt integer
) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_row mergepoint.message%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(1836016705, mergepoint.line(queue, key))
    FROM mergepoint.message WHERE place = p_place AND key <> '';
    SELECT * INTO v_row FROM mergepoint.message
    WHERE place = p_place AND token = p_token AND state = 'leased' AND lease_until > v_now
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_attempt < 0 OR (p_attempt = 0 AND v_row.attempt >= v_row.attempts_max) THEN
        PERFORM mergepoint.lay_down(p_place, p_reason);
        RETURN 'dead';
    END IF;
    UPDATE mergepoint.message
    SET state = CASE WHEN p_delay_s > 0 THEN 'delayed' ELSE 'ready' END,
        not_before = v_now + greatest(p_delay_s, 0), attempt = attempt - p_attempt, token = 0,
        worker = '', process = 0, at = v_now, reason = p_reason
    WHERE place = p_place RETURNING * INTO v_row;
    RETURN v_row.state;
END $$;

-- Hold leases from now on; returns the places of those that were lost.
CREATE FUNCTION mergepoint.extend(p_places bigint[], p_tokens bigint[], p_lease_s float8)
RETURNS SETOF bigint LANGUAGE sql
AS $$
    WITH kept AS (
        UPDATE mergepoint.message m SET lease_until = mergepoint.unix_now() + p_lease_s
        FROM unnest(p_places, p_tokens) AS a(place, token)
        WHERE m.place = a.place AND m.token = a.token AND m.state = 'leased'
            AND m.lease_until > mergepoint.unix_now()
        RETURNING m.place
    )
    SELECT place FROM unnest(p_places) AS asked(place) WHERE place NOT IN (SELECT place FROM kept)
$$;

-- Remove messages that are in these states; returns how many there were.
CREATE FUNCTION mergepoint.remove(p_queue text, p_ids text[], p_states text[])
RETURNS bigint LANGUAGE plpgsql
AS $$
DECLARE
    v_gone bigint := 0;
    v_row record;
BEGIN
    PERFORM pg_advisory_xact_lock(1836016705, line) FROM (
        SELECT DISTINCT mergepoint.line(m.queue, m.key) AS line FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.id = ANY (p_ids) AND m.key <> '' ORDER BY line
    ) AS lines;
    FOR v_row IN
        DELETE FROM mergepoint.message m
        WHERE m.queue = p_queue AND m.id = ANY (p_ids) AND m.state = ANY (p_states)
        RETURNING m.key
    LOOP
        v_gone := v_gone + 1;
        IF v_row.key <> '' THEN
            PERFORM mergepoint.advance(p_queue, v_row.key);
        END IF;
    END LOOP;
    RETURN v_gone;
END $$;

-- Put a dead letter back at the end of its line, with other data when they are given.
CREATE FUNCTION mergepoint.replay(p_queue text, p_id text, p_attributes text, p_data bytea)
RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE mergepoint.message
    SET place = nextval('mergepoint.place'), state = 'ready', attempt = 0, not_before = 0,
        expires_at = 0, token = 0, worker = '', process = 0, reason = '',
        at = mergepoint.unix_now(), attributes = coalesce(p_attributes::json, attributes),
        data = coalesce(p_data, data)
    WHERE place = (
        SELECT place FROM mergepoint.message
        WHERE queue = p_queue AND id = p_id AND state = 'dead'
        ORDER BY place LIMIT 1 FOR UPDATE
    );
    RETURN FOUND;
END $$;
