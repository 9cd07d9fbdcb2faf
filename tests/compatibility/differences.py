"""Every difference between steplog and MLflow that is accepted, with its reason.

A difference is one field of what one case sees: ``module.case``, then the path to the field as one
would write it in Python. It is accepted where MLflow loses or corrupts what was logged, where it
shows a text of its database or answers a mistake as if it were its own, and where docs/mlflow.md
says that steplog differs on purpose. The tests fail for a difference that is not here, and for one
that is here and does not occur any more.
"""

from __future__ import annotations

from typing import Any

from compatibility.comparison import ABSENT, Difference
from compatibility.messages import (
    AUTOFLUSH,
    DATABASE,
    DELETED,
    DRIVER,
    NO_ARTIFACTS,
    NO_FIELD,
    NO_NAME,
    NO_NUMBER,
    OK,
    TOO_LARGE,
    UNKNOWN_FIELD,
    bad_key,
    bad_step,
    bad_timestamp,
    error,
    internal,
    invalid,
    missing,
    refused,
    retried,
    taken,
    twice,
    unwaited,
    wrong_type,
)

TARGETS = ("plugin", "server", "import")
ALL = TARGETS
LOCAL = ("plugin", "import")  # over HTTP, MLflow's client refuses or has changed what is asked
SERVER = ("server",)
IMPORT = ("import",)

GREATEST = 1.7976931348623157e308
INF = float("inf")
NAN = float("nan")
NO_OUTPUTS: tuple[None, dict[str, Any]] = (None, {"model_outputs": []})

# reason -> targets -> field -> what MLflow shows, and what steplog shows
_ACCEPTED: dict[str, dict[tuple[str, ...], dict[str, tuple[Any, Any]]]] = {
    "Infinities and -0.0 are kept as they are, and so is NaN of a model's metric. MLflow keeps the "
    "greatest float, 0.0 and 0.": {
        ALL: {
            "values.infinities[0].history[0][2]": (GREATEST, INF),
            "values.infinities[0].history[1][2]": (-GREATEST, -INF),
            "values.infinities[0].history[2][2]": (GREATEST, INF),
            "values.infinities[0].history[3][2]": (GREATEST, INF),
            "values.infinities[1].v": (GREATEST, INF),
            "values.negative_zero[0].history[0][2]": (0.0, -0.0),
            "values.negative_zero[1].z": (0.0, -0.0),
            "values.infinity_beside_the_greatest_float[1]": (ABSENT, [1, 5, INF]),
            "model_metrics.nan_of_a_model[0]": (0.0, NAN),
            "model_metrics.nan_of_a_model[1]": (GREATEST, INF),
            "model_metrics.nan_of_a_model[2]": (-GREATEST, -INF),
            "model_metrics.nan_of_a_model[3]": (0.0, -0.0),
            "search_runs.infinities['metrics.loss = 1.7976931348623157e308'][0]": (
                "infinite",
                ABSENT,
            ),
            "search_orders.frame.rows[4]['metrics.loss']": (GREATEST, INF),
            "search_orders.frame.rows[4]['metrics.low']": (-GREATEST, -INF),
        },
        SERVER: {
            "rest.values_in_json[1].body.metrics[4].value": (GREATEST, "Infinity"),
            "rest.values_in_json[1].body.metrics[5].value": (-GREATEST, "-Infinity"),
            "rest.values_in_json[1].body.metrics[6].value": (GREATEST, "Infinity"),
        },
    },
    "Steps and timestamps are 64-bit integers: what equals one becomes one, all else is refused. "
    "MLflow stores fractions, infinities, and the bytes of numpy's integers.": {
        LOCAL: {
            "metrics.fractional_steps.outcomes[0]": (None, bad_step(1.5, "k0")),
            "metrics.fractional_steps.outcomes[1]": (None, bad_step(0.1, "k1")),
            "metrics.fractional_steps.stored[0][0]": ([1.5, 5, 1.0], ABSENT),
            "metrics.fractional_steps.stored[1][0]": ([0.1, 5, 1.0], ABSENT),
            "metrics.steps_that_are_no_number.outcomes[0]": (AUTOFLUSH, bad_step("NaN", "k0")),
            "metrics.steps_that_are_no_number.outcomes[1]": (None, bad_step("Infinity", "k1")),
            "metrics.steps_that_are_no_number.stored[1][0]": ([INF, 5, 1.0], ABSENT),
            "metrics.numpy_steps.stored[0][0][0]": (f"bytes {bytes([4, *[0] * 7])!r}", 4),
            "metrics.numpy_steps.stored[1][0][0]": (f"bytes {bytes([5, 0, 0, 0])!r}", 5),
            "metrics.numpy_floats_as_steps.stored[0][0][0]": (r"bytes b'\x00\x00\x00@'", 2),
            "metrics.too_large_a_step.outcomes[0]": (TOO_LARGE, bad_step(2**63, "k0")),
            "metrics.too_large_a_step.outcomes[1]": (TOO_LARGE, bad_step(-(2**63) - 1, "k1")),
            "metrics.fractional_timestamps.outcomes[0]": (None, bad_timestamp(1.5, "k0")),
            "metrics.fractional_timestamps.outcomes[1]": (AUTOFLUSH, bad_timestamp("NaN", "k1")),
            "metrics.fractional_timestamps.outcomes[2]": (None, bad_timestamp("Infinity", "k2")),
            "metrics.fractional_timestamps.stored[0][0]": ([0, 1.5, 1.0], ABSENT),
            "metrics.fractional_timestamps.stored[2][0]": ([0, INF, 1.0], ABSENT),
            "metrics.numpy_timestamps.stored[0][0][1]": (f"bytes {bytes([9, *[0] * 7])!r}", 9),
            "metrics.numpy_timestamps.stored[1][0][1]": (f"bytes {bytes([10, 0, 0, 0])!r}", 10),
            "metrics.too_large_a_timestamp.outcomes[0]": (TOO_LARGE, bad_timestamp(2**63, "k0")),
        },
    },
    "A batch is stored whole or not at all, however long it is. MLflow's client cuts it into "
    "requests of 1,000 items.": {
        IMPORT: {
            "batches.one_bad_metric_of_many[0]": (
                invalid(bad_key("b@d", "metrics[50].name")),
                invalid(bad_key("b@d", "metrics[1050].name")),
            ),
            "batches.one_bad_metric_of_many[1]": (1_000, 0),
        },
    },
    "A call that logs raises what is wrong with its arguments, also where it does not wait. MLflow "
    "leaves that to `wait()`, which few programs call.": {
        IMPORT: {
            "asynchronous.refused_metrics[0]": (
                unwaited("'", bad_key("a@b", "metrics[0].name")),
                invalid(bad_key("a@b", "name")),
            ),
            "asynchronous.refused_batches[0]": (
                unwaited("'", bad_key("a@b", "metrics[1].name")),
                invalid(bad_key("a@b", "metrics[1].name")),
            ),
            "asynchronous.deleted_runs": (unwaited('"', DELETED), invalid(DELETED)),
        },
    },
    "An item that is refused does not take its neighbours with it. MLflow merges what is logged "
    "within MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS, and loses all of it.": {
        LOCAL: {"asynchronous.one_bad_item_beside_good_ones[1].after": (ABSENT, 1.0)},
    },
    "Whether to wait is looked up where a run starts or a setting is set, not in a call that costs "
    "a microsecond; and a bad setting is an error of steplog's.": {
        IMPORT: {
            "asynchronous.switched_on_by_environment.True": ("RunOperations", None),
            "asynchronous.switched_on_by_environment['1']": ("RunOperations", None),
            "asynchronous.a_bad_switch": (
                [
                    "raised",
                    "ValueError",
                    None,
                    "MLFLOW_ENABLE_ASYNC_LOGGING value must be one of ['true', 'false', '1', '0'] "
                    "(case-insensitive), but got maybe",
                ],
                invalid(
                    "MLFLOW_ENABLE_ASYNC_LOGGING must be true, false, 1 or 0, but it is 'maybe'."
                ),
            ),
        },
    },
    "A thread without a run of its own, and a forked child, log to the run that the process "
    "started last.": {
        IMPORT: {
            "active_runs.of_another_thread[0][0]": (None, "main"),
            "active_runs.of_another_thread[0][1]": (False, True),
            "active_runs.of_another_thread[2].m": (ABSENT, 1.0),
            "active_runs.in_a_fork": ("None", "parent"),
        },
    },
    "The store in force is said in STEPLOG_TRACKING_URI: a program of MLflow's, started by this "
    "one, keeps its own.": {
        IMPORT: {"experiments.the_tracking_uri[1]": ("STORE", None)},
    },
    "A tag is the text that `str` makes of it, in memory as in the store. MLflow's database makes "
    "'1' of True.": {
        LOCAL: {
            "runs.tags_that_are_no_text[0].data.tags.a": (1, "1"),
            "runs.tags_that_are_no_text[0].data.tags.b": (2.5, "2.5"),
            "runs.tags_that_are_no_text[0].data.tags.c": (True, "True"),
            "runs.tags_that_are_no_text[1].c": ("1", "True"),
        },
    },
    "The outputs of a run, and the metrics of a model, are never None.": {
        LOCAL: {
            "runs.a_whole_run[0].outputs": NO_OUTPUTS,
            "runs.runs_of_the_client[0][0].outputs": NO_OUTPUTS,
            "runs.runs_of_the_client[0][1].outputs": NO_OUTPUTS,
            "runs.runs_of_the_client[0][2].outputs": NO_OUTPUTS,
            "runs.runs_of_the_client[0][3].outputs": NO_OUTPUTS,
            "runs.runs_of_the_client[0][4].outputs": NO_OUTPUTS,
            "runs.tags_that_are_no_text[0].outputs": NO_OUTPUTS,
            "datasets.runs_without_any[0][1]": NO_OUTPUTS,
            "models.created[2].metrics": (None, []),
            "models.created_with_little[1].metrics": (None, []),
            "search_models.bad_pages[0].page[0].metrics": (None, []),
        },
        SERVER: {
            "rest.run_created[0].body.run.outputs": (ABSENT, {}),
            "rest.run_created[1].body.run.outputs": (ABSENT, {}),
        },
    },
    "What was not given is left out of an answer. MLflow's server makes '' of it.": {
        SERVER: {
            f"rest.models_searched[0].body.models[{i}].info.{name}": ("", ABSENT)
            for i in range(2)
            for name in ("model_type", "source_run_id")
        },
    },
    "An error says what is wrong, not what the driver of a database said, with the code that it "
    "has elsewhere.": {
        ALL: {
            **{
                f"experiments.names_that_are_taken[{i}]": (
                    error("RESOURCE_ALREADY_EXISTS", f"{text} Error: {DRIVER}"),
                    error("RESOURCE_ALREADY_EXISTS", text),
                )
                for i in range(2)
                for text in [taken("experiments.names_that_are_taken: other")]
            },
            "experiments.renamed[3]": (
                DATABASE,
                error("RESOURCE_ALREADY_EXISTS", taken("experiments.renamed: another")),
            ),
            "models.a_changed_param[0][0]": (
                DATABASE,
                invalid(
                    "Changing param values is not allowed. Param with key='a' was already logged "
                    "with value='1' for model ID='MODEL 1'. Attempted logging new value '2'."
                ),
            ),
        },
        SERVER: {
            "rest_errors.names_that_are_taken[1]": (
                refused(
                    f"{taken('rest_errors.names_that_are_taken: other')} Error: {DRIVER}",
                    code="RESOURCE_ALREADY_EXISTS",
                ),
                refused(
                    taken("rest_errors.names_that_are_taken: other"),
                    code="RESOURCE_ALREADY_EXISTS",
                ),
            ),
            "rest_errors.names_that_are_taken[2]": (
                refused(DRIVER, code="BAD_REQUEST"),
                refused(
                    taken("rest_errors.names_that_are_taken: other"),
                    code="RESOURCE_ALREADY_EXISTS",
                ),
            ),
        },
    },
    "What is logged again is no error, for a request that is sent twice must do no harm; an output "
    "keeps its first step.": {
        ALL: {
            "models.a_changed_param[0][1]": (DATABASE, None),
            "datasets.an_output_again[0][1]": (DATABASE, None),
            "datasets.an_output_again[0][2]": (DATABASE, None),
        },
    },
    "A second value of a model's metric at one step and time is kept.": {
        ALL: {
            "model_metrics.two_values_at_one_step[0][1]": (DATABASE, None),
            "model_metrics.two_values_at_one_step[1][1]": (ABSENT, 0.5),
            "model_metrics.two_values_at_one_step[2][1]": (ABSENT, [1, 5, 0.5]),
        },
    },
    "A metric of a model that is not known here is kept: the model may be in a journal that nobody "
    "has read yet.": {
        ALL: {
            "model_metrics.unknown_models[0][0]": (DATABASE, None),
            "model_metrics.unknown_models[0][1]": (DATABASE, None),
            "model_metrics.unknown_models[0][2]": (DATABASE, None),
            "model_metrics.unknown_models[1][0]": ("b", "a"),
            "model_metrics.unknown_models[1][1]": (ABSENT, "b"),
            "model_metrics.unknown_models[1][2]": (ABSENT, "c"),
        },
    },
    "`log_metric` logs to all models that the run put out at the step, as `log_metrics` does.": {
        IMPORT: {"model_metrics.several_outputs_at_a_step.single": (1, 2)},
    },
    "Name and digest of a dataset are kept on the point.": {
        ALL: {
            "datasets.shown_in_the_history[0][1]": (None, "a"),
            "datasets.shown_in_the_history[0][2]": (None, "d1"),
        },
    },
    "`log_inputs` takes models, which MLflow leaves to Databricks.": {
        IMPORT: {
            "datasets.logged_wrongly[3]": (
                internal("'models' argument is only supported by Databricks managed MLflow."),
                None,
            ),
        },
    },
    "A model's status can be searched for. MLflow compares the number it keeps with the text.": {
        ALL: {
            "search_models.status[\"status = 'READY'\"][0]": (ABSENT, "alpha"),
            "search_models.status[\"status = 'READY'\"][1]": (ABSENT, "beta"),
            "search_models.status[\"status = 'READY'\"][2]": (ABSENT, "gamma"),
            "search_models.status[\"status != 'READY'\"][0]": ("alpha", "delta"),
            "search_models.status[\"status != 'READY'\"][1]": ("beta", ABSENT),
            "search_models.status[\"status != 'READY'\"][2]": ("delta", ABSENT),
            "search_models.status[\"status != 'READY'\"][3]": ("gamma", ABSENT),
            "search_models.status[\"status = 'PENDING'\"][0]": (ABSENT, "delta"),
        },
    },
    "A text in a filter of models stands in either kind of quotes, as in all filters.": {
        ALL: {
            "search_models.double_quotes['name = \"alpha\"'][0]": (ABSENT, "alpha"),
            "search_models.double_quotes['params.lr = \"0.1\"'][0]": (ABSENT, "alpha"),
            "search_models.double_quotes['params.lr = \"0.1\"'][1]": (ABSENT, "gamma"),
            "search_models.double_quotes['tags.team = \"red\"'][0]": (ABSENT, "alpha"),
        },
    },
    "A dataset without a digest means all of its name. MLflow's server looks for the digest ''.": {
        SERVER: {
            "search_models.datasets_without_digest['metrics.acc > 0.6'][0]": (ABSENT, "beta"),
        },
    },
    "The columns of a frame, and their types, do not depend on what is found.": {
        IMPORT: {
            "search_models.empty_frame[0]": (
                "",
                "artifact_location creation_timestamp experiment_id last_updated_timestamp "
                "metrics model_id model_type name params source_run_id status status_message tags",
            ),
            "search_orders.empty_frame[2].start_time": ("float64", "datetime64[UTC]"),
            "search_orders.empty_frame[2].end_time": ("float64", "datetime64[UTC]"),
        },
    },
    "A mistake of the caller's is INVALID_PARAMETER_VALUE, or what it is elsewhere, and never "
    "INTERNAL_ERROR: over HTTP that is a 500, and clients ask again for minutes.": {
        LOCAL: {
            "params.keys_that_are_no_text['5'][1]": (
                internal("expected string or bytes-like object, got 'int'"),
                ["raised", "TypeError", None, "expected string or bytes-like object, got 'int'"],
            ),
            "search_orders.fields_given_twice['metrics.loss, metrics.loss DESC']": (
                internal(twice("metrics.loss", "metrics.loss DESC")),
                invalid(twice("metrics.loss", "metrics.loss DESC")),
            ),
            "search_orders.fields_given_twice['run_name, run_name']": (
                internal(twice("run_name", "run_name")),
                invalid(twice("run_name", "run_name")),
            ),
            "search_orders.bad_tokens['a list']": (
                internal("'list' object has no attribute 'get'"),
                invalid("Invalid page token, parsed value=[1]"),
            ),
            "search_models.mistakes[\"foo = 'a'\"]": (internal(NO_FIELD), invalid(UNKNOWN_FIELD)),
            "search_models.mistakes[\"attributes.foo = 'a'\"]": (
                internal(NO_FIELD),
                invalid(UNKNOWN_FIELD),
            ),
            "search_models.mistakes[\"metrics.acc > 'x'\"]": (
                internal(NO_NUMBER),
                invalid(NO_NUMBER),
            ),
            "search_models.bad_orders['[{}]']": (
                internal("argument of type 'NoneType' is not iterable"),
                invalid(NO_NAME),
            ),
            "search_models.bad_orders[\"[{'ascending': True}]\"]": (
                internal("argument of type 'NoneType' is not iterable"),
                invalid(NO_NAME),
            ),
            "search_models.bad_pages[2]": (
                ["raised", "Error", None, "Incorrect padding"],
                invalid("Invalid page token, could not base64-decode"),
            ),
        },
        SERVER: {
            "experiments.deleted_ones_take_nothing[2]": (
                retried("experiments/update"),
                error("INVALID_STATE", "Cannot rename a non-active experiment."),
            ),
            "search_orders.fields_given_twice['metrics.loss, metrics.loss DESC']": (
                retried("runs/search"),
                invalid(twice("metrics.loss", "metrics.loss DESC")),
            ),
            "search_orders.fields_given_twice['run_name, run_name']": (
                retried("runs/search"),
                invalid(twice("run_name", "run_name")),
            ),
            "search_orders.bad_tokens['a list']": (
                retried("runs/search"),
                invalid("Invalid page token, parsed value=[1]"),
            ),
            "search_models.mistakes[\"foo = 'a'\"]": (
                retried("logged-models/search"),
                invalid(UNKNOWN_FIELD),
            ),
            "search_models.mistakes[\"attributes.foo = 'a'\"]": (
                retried("logged-models/search"),
                invalid(UNKNOWN_FIELD),
            ),
            "search_models.mistakes[\"metrics.acc > 'x'\"]": (
                retried("logged-models/search"),
                invalid(NO_NUMBER),
            ),
            "search_models.bad_pages[2]": (
                retried("logged-models/search"),
                invalid("Invalid page token, could not base64-decode"),
            ),
            "rest_errors.wrong_types[7]": (
                ["refused", 500, None],
                wrong_type("[1]", "value", "list"),
            ),
            "rest_errors.wrong_types[12]": (
                ["refused", 500, None],
                wrong_type("1", "metrics[0]", "int"),
            ),
            "rest_errors.bodies_that_are_no_object[\"b'[1]'\"]": (500, 400),
            "rest_errors.bodies_that_are_no_object['b\\'\"text\"\\'']": (500, 400),
            "rest_errors.bodies_that_are_no_object[\"b'5'\"]": (500, 400),
            "rest_errors.an_order_given_twice": (
                refused(twice("run_name", "run_name DESC"), 500, "INTERNAL_ERROR"),
                refused(twice("run_name", "run_name DESC")),
            ),
        },
    },
    "Sizes and tokens of pages are checked alike in all searches; tokens are a store's to make.": {
        ALL: {
            "search_orders.bad_tokens['a text']": (
                ["infinite", "nan", "gamma", "beta", "alpha"],
                invalid("Invalid page token, parsed value={'offset': '1'}"),
            ),
            "search_models.bad_pages[1]": (
                {
                    "page": [],
                    "token": {
                        "experiment_ids": ["EXPERIMENT 1"],
                        "filter_string": None,
                        "order_by": None,
                        "offset": -1,
                    },
                },
                invalid(
                    "Invalid value -1 for parameter 'max_results' supplied. It must be a positive "
                    "integer"
                ),
            ),
        },
    },
    "What cannot be read is refused with a 400 that names it, and nothing is stored. MLflow's "
    "server stores 0 or '' in its place.": {
        SERVER: {
            **{
                f"rest_errors.values_that_the_reference_corrupts.statuses[{i}]": (200, 400)
                for i in range(7)
            },
            "rest_errors.values_that_the_reference_corrupts.stored[0]": ([0, 0, 0.0], ABSENT),
            "rest_errors.values_that_the_reference_corrupts.stored[1]": ([0, 0, 1.0], ABSENT),
            "rest_errors.values_that_the_reference_corrupts.stored[2]": ([0, 5, 1.0], ABSENT),
            **{
                f"rest_errors.batches_that_the_reference_corrupts[{i}]{path}": both
                for i in range(4)
                for path, both in {
                    "[0]": (200, 400),
                    "[1][0]": ([0, 0, 0.0], ABSENT),
                    "[1][1]": ([1, 5, 1.0], ABSENT),
                }.items()
            },
            "rest_errors.names_of_values_that_are_none[0]": (200, 400),
            "rest_errors.names_of_values_that_are_none[1]": (200, 400),
            "rest_errors.missing_in_tags_of_experiments[2]": (OK, missing("value")),
            "rest_errors.missing_in_params_and_tags[2]": (OK, missing("value")),
            "rest_errors.missing_in_params_and_tags[5]": (OK, missing("value")),
            "rest_errors.missing_in_inputs[0]": (OK, missing("datasets[0].dataset.name")),
            "rest_errors.missing_in_inputs[1]": (OK, missing("datasets[0].dataset.digest")),
            "rest_errors.missing_in_inputs[2]": (OK, missing("datasets[0].dataset.source_type")),
            "rest_errors.missing_in_inputs[3]": (OK, missing("datasets[0].dataset.source")),
            "rest_errors.missing_in_inputs[4]": (OK, missing("datasets[0].dataset")),
            "rest_errors.missing_in_inputs[5]": (OK, missing("models[0].model_id")),
            "rest_errors.missing_in_inputs[6]": (OK, missing("models[0].step")),
            "rest.run_created[1].body.run.info.start_time": (0, "NOW"),
        },
    },
    "An id that no run can have is refused before anything is looked for.": {
        SERVER: {
            f"rest_errors.malformed_run_ids[{i}][0]": (
                refused(f"Run with id={run_id} not found", 404, "RESOURCE_DOES_NOT_EXIST"),
                refused(f"Invalid value \"{run_id}\" for parameter 'run_id' supplied."),
            )
            for i, run_id in enumerate(("bad id!", "../../etc/passwd", "x" * 300))
        },
    },
    "Artifacts are not the server's: clients write and read them where they are.": {
        SERVER: {
            "rest.artifacts_of_a_run": (
                {**OK, "body": {"root_uri": "mlflow-artifacts:/EXPERIMENT 1/RUN 1/artifacts"}},
                refused(NO_ARTIFACTS, 501, "NOT_IMPLEMENTED"),
            ),
        },
    },
    "An answer is JSON where it is said to be, and plain text where it is that; an error has the "
    "fields that clients look at.": {
        SERVER: {
            "rest_charts.bulk_of_special_values.metrics[1].value": (NAN, "NaN"),
            "rest.service[1].type": ("text/html", "text/plain"),
            "rest_errors.an_error_in_full": (
                [
                    "refused",
                    400,
                    {
                        **missing("experiment_id")[2],
                        "sqlstate": "KAM00",
                        "error_class": "INVALID_PARAMETER_VALUE",
                    },
                ],
                missing("experiment_id"),
            ),
        },
    },
}

ACCEPTED: dict[str, list[Difference]] = {
    target: [
        Difference(field, mlflow, steplog)
        for by_targets in _ACCEPTED.values()
        for targets, fields in by_targets.items()
        if target in targets
        for field, (mlflow, steplog) in fields.items()
    ]
    for target in TARGETS
}
