-- What must happen within one statement: in a transaction of an app there is nobody but SQL.
-- Order of locks: lines and unique keys (advisory, by number), then tasks by id. Whoever ends tasks
-- only tries for their lines; what follows them is locked last. A deadlock undoes one side, which is
-- done again.

-- The number of a key's line, or of a unique key; two that share one only wait for each other.
CREATE FUNCTION mergepoint.task_line(p_queue text, p_key text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtext(p_queue || chr(31) || p_key) $$;

CREATE FUNCTION mergepoint.lock_task_lines(p_lines integer[]) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1836016708, n) FROM (
        SELECT DISTINCT n FROM unnest(p_lines) AS l(n) ORDER BY n
    ) AS lines;
END $$;

-- Whether a task still keeps others of its unique key out (`tasks.settling.holds_unique`).
CREATE FUNCTION mergepoint.holds_unique(
    p_spec jsonb, p_state text, p_created_at float8, p_now float8
) RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$
    SELECT p_now < p_created_at + coalesce((p_spec #>> '{unique,period_s}')::float8, 0)
        OR coalesce(
            p_spec #> '{unique,states}' ? p_state, p_state NOT IN ('completed', 'cancelled', 'dead')
        )
$$;

-- Lock these tasks in the order given and return them; with `p_wait` false those that are locked by
-- somebody else are left out.
CREATE FUNCTION mergepoint.hold_tasks(p_ids text[], p_wait boolean) RETURNS SETOF mergepoint.task
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_wait THEN
        RETURN QUERY SELECT t.* FROM unnest(p_ids) AS g(id) JOIN mergepoint.task t ON t.id = g.id
            FOR UPDATE OF t;
    ELSE
        RETURN QUERY SELECT t.* FROM unnest(p_ids) AS g(id) JOIN mergepoint.task t ON t.id = g.id
            FOR UPDATE OF t SKIP LOCKED;
    END IF;
END $$;

-- Lock the lines of these tasks that have ended and return those tasks whose line somebody else
-- holds: a transaction that is still open has recorded a task there. They are marked, so that the
-- next of their line is let go later.
CREATE FUNCTION mergepoint.end_lines(p_ids text[]) RETURNS SETOF text LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY UPDATE mergepoint.task t SET own_end = 'line'
    WHERE t.id = ANY (p_ids) AND NOT pg_try_advisory_xact_lock(
        1836016708, mergepoint.task_line(t.queue, t.key)
    ) RETURNING t.id;
END $$;

-- Put the messages of tasks into their queues. No id of `generation` was ever put, so nothing is
-- looked up among the known ids. `p_delay_s`: how long nobody may take them.
CREATE FUNCTION mergepoint.release_tasks(p_ids text[], p_source text, p_delay_s float8)
RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO mergepoint.message (
        queue, id, priority, state, attempts_max, not_before, at, attributes, data
    )
    SELECT 'tasks.' || t.queue, m.id, coalesce((t.spec ->> 'priority')::integer, 4),
        CASE WHEN p_delay_s > 0 THEN 'delayed' ELSE 'ready' END, 1000,
        CASE WHEN p_delay_s > 0 THEN n.now + p_delay_s ELSE 0 END, n.now,
        (coalesce(t.spec -> 'context', '{}') || jsonb_build_object(
            'specversion', '1.0', 'id', m.id, 'source', p_source, 'type', 'tasks.' || t.queue,
            'subject', t.name,
            'time', to_char(to_timestamp(n.now) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        ))::json, ''
    FROM unnest(p_ids) WITH ORDINALITY AS given(id, nth)
    JOIN mergepoint.task t ON t.id = given.id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN t.generation > 0 THEN t.id || '.' || t.generation ELSE t.id END
    ) AS m(id)
    CROSS JOIN (SELECT mergepoint.unix_now()) AS n(now)
    ORDER BY given.nth;
END $$;

-- Record one task whose locks are held; returns the id that stands for it, whether that is
-- another or an older one, and the queue it goes into now ('' for none).
CREATE FUNCTION mergepoint.record_task(
    p_spec jsonb, p_payload bytea, p_now float8, OUT id text, OUT duplicate boolean, OUT queue text
) LANGUAGE plpgsql
AS $$
DECLARE
    v_holder mergepoint.task%ROWTYPE;
    v_before text[];
    v_missing text;
    v_cancelled text;
    v_key text := coalesce(p_spec ->> 'key', '');
    v_unique text := coalesce(p_spec ->> 'unique_key', '');
    v_not_before float8 := coalesce((p_spec ->> 'not_before')::float8, 0);
    v_state text;
BEGIN
    id := p_spec ->> 'id';
    queue := coalesce(p_spec ->> 'queue', 'default');
    duplicate := EXISTS (SELECT FROM mergepoint.task t WHERE t.id = p_spec ->> 'id');
    IF NOT duplicate AND v_unique <> '' THEN
        SELECT * INTO v_holder FROM mergepoint.task t
        WHERE t.unique_key = v_unique AND t.unique_key <> '';
        IF FOUND THEN
            duplicate := mergepoint.holds_unique(
                v_holder.spec, v_holder.state, v_holder.created_at, p_now
            );
            IF duplicate THEN
                id := v_holder.id;
            ELSE
                UPDATE mergepoint.task t SET unique_key = '' WHERE t.id = v_holder.id;
            END IF;
        END IF;
    END IF;
    IF duplicate THEN
        queue := '';
        RETURN;
    END IF;
    v_state := 'queued';
    IF v_not_before > p_now THEN
        v_state := 'scheduled';
    END IF;
    IF p_spec ? 'after' THEN
        v_before := ARRAY(SELECT jsonb_array_elements_text(p_spec -> 'after'));
        -- Whoever ends one of them meanwhile would not see that this one waits for it.
        PERFORM FROM (SELECT b.id FROM unnest(v_before) AS b(id) ORDER BY b.id COLLATE "C") AS g
            JOIN mergepoint.task t ON t.id = g.id FOR UPDATE OF t;
        UPDATE mergepoint.task t SET followed = true
        WHERE t.id = ANY (v_before) AND NOT t.followed;
        SELECT b.id INTO v_missing FROM unnest(v_before) WITH ORDINALITY AS b(id, nth)
        WHERE NOT EXISTS (SELECT FROM mergepoint.task t WHERE t.id = b.id) ORDER BY b.nth LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'no task % to wait for; it may have been forgotten', v_missing
                USING ERRCODE = 'MP002';
        END IF;
        INSERT INTO mergepoint.task_link (before, task, position)
        SELECT b.id, p_spec ->> 'id', b.nth - 1 FROM unnest(v_before) WITH ORDINALITY AS b(id, nth)
        ORDER BY b.nth ON CONFLICT DO NOTHING;
        SELECT t.id INTO v_cancelled FROM mergepoint.task t
        WHERE t.id = ANY (v_before) AND t.state = 'cancelled' LIMIT 1;
        IF FOUND THEN
            v_state := 'cancelled';
        ELSIF EXISTS (
            SELECT FROM mergepoint.task t WHERE t.id = ANY (v_before) AND t.state <> 'completed'
        ) THEN
            v_state := 'held';
        END IF;
    END IF;
    IF v_state <> 'cancelled' AND v_key <> '' AND EXISTS (
        SELECT FROM mergepoint.task t WHERE t.queue = coalesce(p_spec ->> 'queue', 'default')
            AND t.key = v_key AND t.key <> '' AND t.state NOT IN ('completed', 'cancelled', 'dead')
    ) THEN
        v_state := 'held';
    END IF;
    INSERT INTO mergepoint.task AS t (
        id, name, queue, state, key, unique_key, grp, due_at, created_at, changed_at, keep_until,
        error, spec, payload
    ) VALUES (
        p_spec ->> 'id', p_spec ->> 'name', coalesce(p_spec ->> 'queue', 'default'), v_state, v_key,
        CASE WHEN mergepoint.holds_unique(p_spec, v_state, p_now, p_now) THEN v_unique ELSE '' END,
        coalesce(p_spec ->> 'group', ''), v_not_before, p_now, p_now,
        CASE WHEN v_state = 'cancelled'
            THEN p_now + coalesce((p_spec #>> '{options,keep_result_s}')::float8, 86400) ELSE 0 END,
        CASE WHEN v_state = 'cancelled'
            THEN v_cancelled || ', which it waits for, was cancelled' ELSE '' END,
        p_spec, p_payload
    ) ON CONFLICT ON CONSTRAINT task_pkey DO NOTHING;
    duplicate := NOT FOUND;
    IF duplicate OR v_state <> 'queued' THEN
        queue := '';
    END IF;
END $$;

-- Record tasks and put the messages of those that may start: all or none. `p_lined`: some have
-- keys, of lines or of uniqueness.
CREATE FUNCTION mergepoint.record_tasks(
    p_specs jsonb[], p_payloads bytea[], p_lined boolean, p_source text, p_now float8
) RETURNS TABLE (id text, duplicate boolean, queue text) LANGUAGE plpgsql
AS $$
DECLARE
    v_ready text[] := '{}';
BEGIN
    IF p_lined THEN
        PERFORM mergepoint.lock_task_lines(array_agg(lines.n)) FROM (
            SELECT mergepoint.task_line(coalesce(s ->> 'queue', 'default'), s ->> 'key')
            FROM unnest(p_specs) AS g(s) WHERE s ->> 'key' <> ''
            UNION ALL
            SELECT mergepoint.task_line(chr(30), s ->> 'unique_key')
            FROM unnest(p_specs) AS g(s) WHERE s ->> 'unique_key' <> ''
        ) AS lines(n) HAVING count(*) > 0;
    END IF;
    FOR v_nth IN 1..cardinality(p_specs) LOOP
        SELECT r.* INTO id, duplicate, queue
        FROM mergepoint.record_task(p_specs[v_nth], p_payloads[v_nth], p_now) AS r;
        IF queue <> '' THEN
            v_ready := v_ready || id;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF cardinality(v_ready) > 0 THEN
        PERFORM mergepoint.release_tasks(v_ready, p_source, 0);
    END IF;
END $$;

-- Record a task in an app's own transaction, from what its outbox would have relayed; returns the
-- id that stands for it. Runs with the owner's rights: the app needs the right to execute this.
CREATE FUNCTION mergepoint.enqueue_task(p_attributes text, p_data bytea) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_spec jsonb := convert_from(p_data, 'UTF8')::jsonb;
    v_id text;
BEGIN
    SELECT r.id INTO v_id FROM mergepoint.record_tasks(
        ARRAY[v_spec - 'payload'], ARRAY[decode(coalesce(v_spec ->> 'payload', ''), 'base64')],
        v_spec ? 'key' OR v_spec ? 'unique_key',
        p_attributes::json ->> 'source', mergepoint.unix_now()
    ) AS r;
    RETURN v_id;
END $$;

-- Start tasks whose start is plain: queued, with their present message, without rate, expiry or
-- tasks to wait for. Returns them; whoever is not among them is decided on by `tasks.settling`.
CREATE FUNCTION mergepoint.start_plain(
    p_ids text[], p_messages text[], p_tokens text[], p_worker text, p_now float8
) RETURNS SETOF mergepoint.task LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY UPDATE mergepoint.task t
    SET state = 'running', attempt = t.attempt + 1, token = g.token, worker = p_worker,
        changed_at = p_now, started_at = p_now, touched_at = p_now, progress = '{}'
    FROM unnest(p_ids, p_messages, p_tokens) AS g(id, message, token)
    WHERE t.id = g.id AND t.state = 'queued' AND NOT t.cancelling AND t.permit_at = 0
        AND g.message = CASE WHEN t.generation > 0
            THEN t.id || '.' || t.generation ELSE t.id END
        AND NOT t.spec ? 'expires_at' AND NOT t.spec ? 'after'
        AND t.spec #> '{options,rate}' IS NULL
    RETURNING t.*;
END $$;

-- Complete runs that nothing follows and no key holds: returns them, as `start_plain` does.
CREATE FUNCTION mergepoint.finish_plain(
    p_ids text[], p_tokens text[], p_results bytea[], p_types text[], p_now float8
) RETURNS SETOF text LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY UPDATE mergepoint.task t
    SET state = 'completed', token = '', cancelling = false, error = '', changed_at = p_now,
        keep_until = p_now + coalesce((t.spec #>> '{options,keep_result_s}')::float8, 86400),
        result = g.result, result_type = g.kind
    FROM unnest(p_ids, p_tokens, p_results, p_types) AS g(id, token, result, kind)
    WHERE t.id = g.id AND t.state = 'running' AND t.token = g.token AND t.key = ''
        AND t.unique_key = '' AND NOT t.followed
    RETURNING t.id;
END $$;

-- Complete a run in a transaction of its app; false when the run is somebody else's by now. What
-- waited for the task is freed after the commit, so that no lock of another task is held here.
CREATE FUNCTION mergepoint.complete_task(p_id text, p_token text, p_result bytea, p_type text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
BEGIN
    UPDATE mergepoint.task t
    SET state = 'completed', token = '', cancelling = false, error = '', changed_at = v_now,
        keep_until = v_now + coalesce((t.spec #>> '{options,keep_result_s}')::float8, 86400),
        result = p_result, result_type = p_type, own_end = p_token,
        unique_key = CASE
            WHEN mergepoint.holds_unique(t.spec, 'completed', t.created_at, v_now)
            THEN t.unique_key ELSE '' END
    WHERE t.id = p_id AND t.state = 'running' AND t.token = p_token;
    RETURN FOUND OR EXISTS (
        SELECT FROM mergepoint.task t
        WHERE t.id = p_id AND t.state = 'completed' AND t.own_end = p_token
    );
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mergepoint FROM PUBLIC;
