-- The ledger of tasks, beside the queues of the bus. Times are Unix seconds (float8).

CREATE TABLE mergepoint.ledger_about (version integer NOT NULL, at float8 NOT NULL);

CREATE SEQUENCE mergepoint.task_place;

-- A task. `place` is the order of acceptance, within a key that of commits. `own_end`: until what
-- waited for an ended task is freed, the token of a run that completed itself in a transaction of its
-- app, or 'line'. `followed`: a task comes after it.
CREATE TABLE mergepoint.task (
    id text COLLATE "C" PRIMARY KEY,
    place bigint NOT NULL DEFAULT nextval('mergepoint.task_place'),
    name text NOT NULL,
    queue text NOT NULL,
    state text NOT NULL,
    key text NOT NULL DEFAULT '',
    unique_key text NOT NULL DEFAULT '',
    grp text NOT NULL DEFAULT '',
    generation integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    token text NOT NULL DEFAULT '',
    worker text NOT NULL DEFAULT '',
    cancelling boolean NOT NULL DEFAULT false,
    due_at float8 NOT NULL DEFAULT 0,
    created_at float8 NOT NULL,
    changed_at float8 NOT NULL,
    started_at float8 NOT NULL DEFAULT 0,
    touched_at float8 NOT NULL DEFAULT 0,
    keep_until float8 NOT NULL DEFAULT 0,
    permit_at float8 NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    result_type text NOT NULL DEFAULT '',
    own_end text NOT NULL DEFAULT '',
    followed boolean NOT NULL DEFAULT false,
    spec jsonb NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    payload bytea NOT NULL DEFAULT '',
    result bytea NOT NULL DEFAULT ''
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE UNIQUE INDEX task_unique ON mergepoint.task (unique_key) WHERE unique_key <> '';
CREATE INDEX task_due ON mergepoint.task (due_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX task_running ON mergepoint.task (touched_at) WHERE state = 'running';
CREATE INDEX task_keep ON mergepoint.task (keep_until) WHERE keep_until > 0;
CREATE INDEX task_line ON mergepoint.task (queue, key, place)
    WHERE key <> '' AND state NOT IN ('completed', 'cancelled', 'dead');
CREATE INDEX task_queue ON mergepoint.task (queue, state);
CREATE INDEX task_parked ON mergepoint.task (name) WHERE state = 'parked';
CREATE INDEX task_group ON mergepoint.task (grp) WHERE grp <> '';
CREATE INDEX task_own_end ON mergepoint.task (changed_at) WHERE own_end <> '';

-- `task` comes after `before`; `position` is the place of its result among the arguments.
CREATE TABLE mergepoint.task_link (
    before text COLLATE "C" NOT NULL, task text COLLATE "C" NOT NULL, position integer NOT NULL,
    PRIMARY KEY (before, task)
);
CREATE INDEX task_link_task ON mergepoint.task_link (task, position);
CREATE TABLE mergepoint.task_once (
    task text COLLATE "C" NOT NULL, key text NOT NULL, PRIMARY KEY (task, key)
);
CREATE TABLE mergepoint.task_bucket (name text PRIMARY KEY, tokens float8 NOT NULL, at float8);
CREATE TABLE mergepoint.task_schedule (
    name text COLLATE "C" PRIMARY KEY, app text NOT NULL, document jsonb NOT NULL,
    last_tick float8 NOT NULL
);
CREATE TABLE mergepoint.task_tick (
    schedule text NOT NULL, tick float8 NOT NULL, PRIMARY KEY (schedule, tick)
);
