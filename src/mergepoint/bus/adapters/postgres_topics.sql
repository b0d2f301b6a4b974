-- Topics, processes, presence and requests.

-- Put one message, for drivers that cannot bind arrays: what an app calls in its own transaction.
CREATE FUNCTION mergepoint.put_one(
    p_queue text, p_id text, p_attributes text, p_data bytea, p_key text, p_priority integer,
    p_not_before float8, p_attempts_max integer, p_expires_at float8, p_dedupe_s float8
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM mergepoint.put(
        p_queue, ARRAY[p_id], ARRAY[p_attributes], ARRAY[p_data], ARRAY[p_key], ARRAY[p_priority],
        ARRAY[p_not_before], ARRAY[p_attempts_max], ARRAY[p_expires_at], p_dedupe_s, -1
    );
    RETURN FOUND;
END $$;

-- Publish events in the order given; feeds the queues bound to them. Returns those queues.
CREATE FUNCTION mergepoint.publish(
    p_topics text[], p_ids text[], p_attributes text[], p_data bytea[], p_keys text[],
    p_keep boolean[], p_attempts_max integer, p_dedupe_s float8, p_messages_max bigint
) RETURNS SETOF text LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_last bigint;
    v_epoch text;
    v_bound boolean := false;
    v_row record;
BEGIN
    FOR v_row IN
        SELECT b.queue, array_agg(p.id ORDER BY nth) AS ids,
            array_agg(p.attributes ORDER BY nth) AS attributes,
            array_agg(p.data ORDER BY nth) AS data, array_agg(p.key ORDER BY nth) AS keys,
            count(*) AS n
        FROM unnest(p_topics, p_ids, p_attributes, p_data, p_keys) WITH ORDINALITY
            AS p(topic, id, attributes, data, key, nth)
        JOIN (SELECT DISTINCT queue, regex FROM mergepoint.binding) AS b ON p.topic ~ b.regex
        GROUP BY b.queue ORDER BY b.queue
    LOOP
        v_bound := true;
        PERFORM FROM mergepoint.put(
            v_row.queue, v_row.ids, v_row.attributes, v_row.data, v_row.keys,
            array_fill(4, ARRAY[v_row.n::integer]),
            array_fill(0::float8, ARRAY[v_row.n::integer]),
            array_fill(p_attempts_max, ARRAY[v_row.n::integer]),
            array_fill(0::float8, ARRAY[v_row.n::integer]), p_dedupe_s, p_messages_max
        );
        RETURN NEXT v_row.queue;
    END LOOP;
    IF NOT v_bound AND NOT (true = ANY (p_keep)) THEN
        -- Nothing here is promised to survive a crash, so nobody waits for the disk.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    LOOP
        UPDATE mergepoint.pulse SET n = n + cardinality(p_topics) RETURNING n, epoch
        INTO v_last, v_epoch;
        EXIT WHEN FOUND;
        INSERT INTO mergepoint.pulse (epoch, n) VALUES (gen_random_uuid()::text, 0)
        ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO mergepoint.topic AS t (name, n)
    SELECT topic, count(*) FROM unnest(p_topics) AS p(topic) GROUP BY topic ORDER BY topic
    ON CONFLICT (name) DO UPDATE SET n = t.n + excluded.n;
    INSERT INTO mergepoint.event (n, topic, topic_n, at, attributes, data)
    SELECT v_last - cardinality(p_topics) + p.nth, p.topic,
        t.n - count(*) OVER (PARTITION BY p.topic)
            + row_number() OVER (PARTITION BY p.topic ORDER BY p.nth),
        v_now, p.attributes::json, p.data
    FROM unnest(p_topics, p_attributes, p_data) WITH ORDINALITY AS p(topic, attributes, data, nth)
    JOIN mergepoint.topic t ON t.name = p.topic;
    INSERT INTO mergepoint.last AS l (topic, attributes, data)
    SELECT DISTINCT ON (p.topic) p.topic, p.attributes::json, p.data
    FROM unnest(p_topics, p_attributes, p_data, p_keep) WITH ORDINALITY
        AS p(topic, attributes, data, keep, nth)
    WHERE p.keep ORDER BY p.topic, p.nth DESC
    ON CONFLICT (topic) DO UPDATE SET attributes = excluded.attributes, data = excluded.data;
END $$;

-- Forget what nobody is promised any more; one process at a time.
CREATE FUNCTION mergepoint.prune(
    p_dedupe_s float8, p_dead_s float8, p_dead_max bigint, p_event_s float8, p_events_max bigint
) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
BEGIN
    IF NOT pg_try_advisory_xact_lock(1836016704, 2) THEN
        RETURN;
    END IF;
    DELETE FROM mergepoint.seen WHERE at < v_now - p_dedupe_s;
    DELETE FROM mergepoint.message WHERE state = 'dead' AND at < v_now - p_dead_s;
    DELETE FROM mergepoint.message WHERE place IN (
        SELECT over.place FROM mergepoint.queue_names() AS q(name) CROSS JOIN LATERAL (
            SELECT m.place FROM mergepoint.message m
            WHERE m.queue = q.name AND m.state = 'dead'
            ORDER BY m.at DESC, m.place DESC OFFSET p_dead_max
        ) AS over
    );
    DELETE FROM mergepoint.event
    WHERE at < v_now - p_event_s OR n <= (SELECT max(n) - p_events_max FROM mergepoint.event);
    DELETE FROM mergepoint.inbox WHERE expires_at < v_now;
END $$;

-- Tell everybody who watches of a change of who is there: an event like any other.
CREATE FUNCTION mergepoint.tell(p_change text, p_member mergepoint.member) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM mergepoint.publish(
        ARRAY['mp.presence'], ARRAY[gen_random_uuid()::text],
        ARRAY[json_build_object(
            'change', p_change, 'who', p_member.process || '.' || p_member.place,
            'address', p_member.address, 'info', p_member.info, 'since', p_member.since
        )::text], ARRAY[''::bytea], ARRAY[''], ARRAY[false], 1, 0, 0
    );
END $$;

-- Be there, tell something else, or (null information) be gone.
CREATE FUNCTION mergepoint.present(
    p_process integer, p_place integer, p_address text, p_info text, p_since float8
) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    v_old mergepoint.member%ROWTYPE;
    v_new mergepoint.member%ROWTYPE;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM mergepoint.member WHERE process = p_process AND place = p_place
    RETURNING * INTO v_old;
    IF p_info IS NULL THEN
        IF v_old.process IS NOT NULL THEN
            PERFORM mergepoint.tell('left', v_old);
        END IF;
        RETURN;
    END IF;
    INSERT INTO mergepoint.member (process, place, address, info, since)
    VALUES (p_process, p_place, p_address, p_info::json, p_since) RETURNING * INTO v_new;
    PERFORM mergepoint.tell(
        CASE WHEN v_old.process IS NULL THEN 'joined' ELSE 'updated' END, v_new
    );
END $$;

-- Find processes that are silent: they are there no longer. Those whose session is gone, too, are
-- dead: their leases end. Returns how many were found.
CREATE FUNCTION mergepoint.reap(p_grace_s float8) RETURNS integer LANGUAGE plpgsql
AS $$
DECLARE
    v_now float8 := mergepoint.unix_now();
    v_found integer := 0;
    v_row record;
BEGIN
    -- After a restart of the server every process must have had the time to come back.
    IF extract(epoch FROM pg_postmaster_start_time()) + p_grace_s > v_now
        OR NOT pg_try_advisory_xact_lock(1836016704, 3)
    THEN
        RETURN 0;
    END IF;
    FOR v_row IN
        SELECT number FROM mergepoint.process WHERE beat_at < v_now - 2 * heartbeat_s
    LOOP
        v_found := v_found + 1;
        -- A process that is stopped or cut off still holds the lock: its leases end in time.
        IF pg_try_advisory_xact_lock(1836016706, v_row.number) THEN
            UPDATE mergepoint.message SET lease_until = 0
            WHERE state = 'leased' AND process = v_row.number;
        END IF;
        PERFORM mergepoint.forget(v_row.number);
    END LOOP;
    RETURN v_found;
END $$;

-- A process is there no longer.
CREATE FUNCTION mergepoint.forget(p_process integer) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    v_member mergepoint.member%ROWTYPE;
BEGIN
    FOR v_member IN
        DELETE FROM mergepoint.member WHERE process = p_process RETURNING *
    LOOP
        PERFORM mergepoint.tell('left', v_member);
    END LOOP;
    DELETE FROM mergepoint.server WHERE process = p_process;
    DELETE FROM mergepoint.inbox WHERE process = p_process;
    DELETE FROM mergepoint.process WHERE number = p_process;
END $$;

-- A process stops in good order: its leases go back unburnt.
CREATE FUNCTION mergepoint.depart(p_process integer) RETURNS SETOF text LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM mergepoint.forget(p_process);
    RETURN QUERY UPDATE mergepoint.message
    SET state = 'ready', attempt = attempt - 1, token = 0, worker = '', process = 0,
        at = mergepoint.unix_now()
    WHERE state = 'leased' AND process = p_process RETURNING queue;
END $$;

-- A process is alive; false when it was forgotten, or a crash of the server forgot it.
CREATE FUNCTION mergepoint.beat(p_process integer) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE mergepoint.process SET beat_at = mergepoint.unix_now() WHERE number = p_process;
    PERFORM pg_notify('mergepoint_' || p_process, 'beat');
    RETURN FOUND;
END $$;

-- Send a request to one who serves the address, beats and has the most room. Returns who; -1 when
-- nobody takes it now, -2 when nobody ever served the address or the instance is gone.
CREATE FUNCTION mergepoint.ask(
    p_call text, p_sender integer, p_address text, p_timeout_s float8, p_attributes text,
    p_data bytea
) RETURNS integer LANGUAGE plpgsql
AS $$
DECLARE
    v_chosen mergepoint.server%ROWTYPE;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Whoever was chosen may be full by the time its row is ours.
    FOR v_try IN 1..3 LOOP
        UPDATE mergepoint.server s SET busy = s.busy + 1
        WHERE (s.address, s.process) = (
            SELECT o.address, o.process
            FROM mergepoint.server o JOIN mergepoint.process p ON p.number = o.process
            WHERE (o.address = p_address OR split_part(o.address, '/', 1) = p_address)
                AND p.beat_at > mergepoint.unix_now() - 2 * p.heartbeat_s AND o.busy < o.room
            ORDER BY o.busy, random() LIMIT 1
        ) AND s.busy < s.room
        RETURNING * INTO v_chosen;
        EXIT WHEN FOUND;
    END LOOP;
    IF v_chosen.process IS NULL THEN
        RETURN CASE
            WHEN EXISTS (
                SELECT FROM mergepoint.server s
                WHERE s.address = p_address OR split_part(s.address, '/', 1) = p_address
            ) THEN -1
            WHEN position('/' IN p_address) = 0 AND EXISTS (
                SELECT FROM mergepoint.address a WHERE a.name = p_address
            ) THEN -1
            ELSE -2
        END;
    END IF;
    INSERT INTO mergepoint.inbox (
        process, kind, call, sender, address, expires_at, attributes, data
    ) VALUES (
        v_chosen.process, 'request', p_call, p_sender, v_chosen.address,
        mergepoint.unix_now() + p_timeout_s, p_attributes::json, p_data
    );
    PERFORM pg_notify('mergepoint_' || v_chosen.process, 'inbox');
    RETURN v_chosen.process;
END $$;

-- End a request that `p_server` was sent for `p_address`: `p_kind` is answer, error, unavailable, or
-- nothing for one that came too late.
CREATE FUNCTION mergepoint.answer(
    p_server integer, p_address text, p_sender integer, p_kind text, p_call text,
    p_timeout_s float8, p_attributes text, p_data bytea
) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE mergepoint.server SET busy = greatest(busy - 1, 0)
    WHERE process = p_server AND address = p_address;
    IF p_kind <> '' THEN
        INSERT INTO mergepoint.inbox (
            process, kind, call, sender, address, expires_at, attributes, data
        ) VALUES (
            p_sender, p_kind, p_call, p_server, p_address, mergepoint.unix_now() + p_timeout_s,
            p_attributes::json, p_data
        );
        PERFORM pg_notify('mergepoint_' || p_sender, 'inbox');
    END IF;
END $$;

-- Everybody may call these two at most; an engine's role is granted the rest (see the docs).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mergepoint FROM PUBLIC;
