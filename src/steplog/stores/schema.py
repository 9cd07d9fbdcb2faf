"""The tables of a catalog file, as the steps that brought each format from the one before.

A new catalog takes all steps, an older one those that it lacks. A step that was released is never
changed.

What the tables mean together: points wait in `tail` (blobs of one batch and run) until they are
sealed into `chunks`; `series` says what their numbers mean and what is known of their points.
Everything else is rows that `steplog.fold` changes. A float stands as the integer of its bits (see
`steplog.stores.database`).
"""

from __future__ import annotations

from collections.abc import Sequence

from steplog.summary import SUMMARY

APPLICATION_ID = 0x7374706C  # "stpl"; together with user_version it says which format this is
SUMMARY_COLUMNS: Sequence[str] = SUMMARY.names or ()
_SUMMARY = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in SUMMARY_COLUMNS)
_SERIES = ", ".join([
    "series_id, run_no, key, model_id, dataset_name, dataset_digest, attempt",
    "exact, waiting, alone",
    *SUMMARY_COLUMNS,
])  # fmt: skip
"""The columns that `series` had when ranks came."""

_RUNS_AND_POINTS = f"""
CREATE TABLE experiments (
    experiment_id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, artifact_location TEXT NOT NULL,
    lifecycle_stage TEXT NOT NULL, creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL, placeholder INTEGER NOT NULL);
CREATE TABLE experiment_tags (
    experiment_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)) WITHOUT ROWID;
CREATE TABLE runs (
    run_no INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, experiment_id TEXT NOT NULL,
    user_id TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, start_time INTEGER NOT NULL,
    end_time INTEGER, lifecycle_stage TEXT NOT NULL, artifact_uri TEXT NOT NULL,
    placeholder INTEGER NOT NULL);
CREATE INDEX runs_of_experiments ON runs (experiment_id, start_time);
CREATE TABLE params (
    run_no INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)) WITHOUT ROWID;
CREATE TABLE tags (
    run_no INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)) WITHOUT ROWID;
CREATE TABLE writers (
    run_no INTEGER NOT NULL, writer_id TEXT NOT NULL,
    PRIMARY KEY (run_no, writer_id)) WITHOUT ROWID;
CREATE TABLE journals (
    journal_id TEXT PRIMARY KEY, writer_id TEXT NOT NULL, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE refusals (
    refusal_id INTEGER PRIMARY KEY, journal_id TEXT NOT NULL, offset INTEGER NOT NULL,
    error_code TEXT NOT NULL, message TEXT NOT NULL, run_id TEXT);
CREATE TABLE series (
    series_id INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, key TEXT NOT NULL,
    model_id TEXT NOT NULL, dataset_name TEXT NOT NULL, dataset_digest TEXT NOT NULL,
    attempt INTEGER NOT NULL, exact INTEGER NOT NULL DEFAULT 1,
    waiting INTEGER NOT NULL DEFAULT 0, {_SUMMARY},
    UNIQUE (run_no, key, model_id, dataset_name, dataset_digest, attempt));
-- AUTOINCREMENT: sealing looks whether what it read is still there, so that a number must never
-- come back with other points.
CREATE TABLE tail (
    tail_id INTEGER PRIMARY KEY AUTOINCREMENT, run_no INTEGER NOT NULL, n INTEGER NOT NULL,
    n_series INTEGER NOT NULL, points BLOB NOT NULL);
CREATE INDEX tail_of_runs ON tail (run_no, n, n_series);
CREATE TABLE chunks (
    chunk_id INTEGER PRIMARY KEY AUTOINCREMENT, series_id INTEGER NOT NULL, {_SUMMARY});
CREATE INDEX chunks_of_series ON chunks (series_id, first_step, first_timestamp);
-- Apart from the chunks, so that their summaries are read without stepping over the bytes.
CREATE TABLE chunk_bytes (chunk_id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""

_MODELS_DATASETS_SEARCH = """
CREATE TABLE models (
    model_id TEXT PRIMARY KEY, experiment_id TEXT NOT NULL, name TEXT NOT NULL,
    artifact_location TEXT NOT NULL, creation_timestamp INTEGER NOT NULL,
    last_updated_timestamp INTEGER NOT NULL, model_type TEXT, source_run_id TEXT,
    status TEXT NOT NULL, status_message TEXT, lifecycle_stage TEXT NOT NULL,
    placeholder INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX models_of_experiments ON models (experiment_id, creation_timestamp);
CREATE TABLE model_params (
    model_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)) WITHOUT ROWID;
CREATE TABLE model_tags (
    model_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)) WITHOUT ROWID;
CREATE TABLE datasets (
    dataset_no INTEGER PRIMARY KEY, experiment_id TEXT NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL, source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT,
    profile TEXT, UNIQUE (experiment_id, name, digest));
CREATE TABLE run_datasets (
    use_no INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, dataset_no INTEGER NOT NULL,
    context TEXT, tags TEXT NOT NULL, UNIQUE (run_no, dataset_no));
CREATE INDEX runs_of_datasets ON run_datasets (dataset_no);
CREATE TABLE run_models (
    use_no INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, role TEXT NOT NULL,
    model_id TEXT NOT NULL, step INTEGER NOT NULL, UNIQUE (run_no, role, model_id));
-- 1 while no other series has this run and key, so that what is known of the series is what is
-- known of the metric: searching then reads nothing but the index below.
ALTER TABLE series ADD COLUMN alone INTEGER NOT NULL DEFAULT 1;
UPDATE series SET alone = 0 WHERE (run_no, key) IN (
    SELECT run_no, key FROM series GROUP BY run_no, key HAVING count(*) > 1);
CREATE INDEX series_of_keys ON series (key, run_no, alone, last_value);
CREATE INDEX series_with_siblings ON series (key) WHERE alone = 0;
CREATE INDEX series_of_models ON series (model_id, key) WHERE model_id <> '';
"""

_RANKS_HEARTBEATS = f"""
CREATE TABLE heartbeats (writer_id TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) WITHOUT ROWID;
-- A constraint cannot be changed, so the table is made again.
-- AUTOINCREMENT, as now that runs are removed for good: the number of a series that somebody
-- remembers must never mean another one.
CREATE TABLE ranked_series (
    series_id INTEGER PRIMARY KEY AUTOINCREMENT, run_no INTEGER NOT NULL, key TEXT NOT NULL,
    model_id TEXT NOT NULL, dataset_name TEXT NOT NULL, dataset_digest TEXT NOT NULL,
    attempt INTEGER NOT NULL, rank INTEGER NOT NULL DEFAULT -1, exact INTEGER NOT NULL DEFAULT 1,
    waiting INTEGER NOT NULL DEFAULT 0, alone INTEGER NOT NULL DEFAULT 1, {_SUMMARY},
    UNIQUE (run_no, key, model_id, dataset_name, dataset_digest, attempt, rank));
INSERT INTO ranked_series ({_SERIES}) SELECT {_SERIES} FROM series;
DROP TABLE series;
ALTER TABLE ranked_series RENAME TO series;
CREATE INDEX series_of_keys ON series (key, run_no, alone, last_value);
CREATE INDEX series_with_siblings ON series (key) WHERE alone = 0;
CREATE INDEX series_of_models ON series (model_id, key) WHERE model_id <> '';
"""

STEPS = (_RUNS_AND_POINTS, _MODELS_DATASETS_SEARCH, _RANKS_HEARTBEATS)
FORMAT = len(STEPS)
