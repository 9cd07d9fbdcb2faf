"""What the public functions give and take: runs, experiments, metrics, params, tags, datasets,
models.

Plain values with MLflow's names, attributes and argument order; no behaviour, no storage. They are
written out by hand because `dataclasses` costs more to import than the rest of steplog's values
together. Do not assign to their attributes: they may be members of a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, TypeVar

from steplog.exceptions import invalid

T = TypeVar("T")


class Entity:
    """A value with named attributes: those that its classes list in ``__slots__``.

    Iterating yields ``(name, value)`` sorted by name, as in MLflow, so that ``dict(entity)`` works.
    """

    __slots__ = ()
    _names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        slots = cls.__dict__.get("__slots__", ())
        public = (name for name in slots if not name.startswith("_"))
        cls._names = tuple(sorted({*cls._names, *public}))

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return ((name, getattr(self, name)) for name in self._names)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names)

    def __hash__(self) -> int:
        # Dicts and lists have no hash; leaving them out only makes equal hashes more likely.
        return hash(tuple(value for _, value in self if not isinstance(value, (dict, list))))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(f'{k}={v!r}' for k, v in self)}>"

    def to_dictionary(self) -> dict[str, object]:
        """Return the attributes by name, those of the entities inside it likewise."""
        return {name: _plain(value) for name, value in self}


def _plain(value: object) -> object:
    if isinstance(value, Entity):
        return value.to_dictionary()
    return [_plain(each) for each in value] if isinstance(value, list) else value


class Metric(Entity):
    """One point of one metric.

    Args:
        key: the name of the metric.
        value: what was measured.
        timestamp: when, in milliseconds since 1970.
        step: at which step of the training.
        model_id: the model it was measured on, if any.
        dataset_name: the dataset it was measured on, if any; given together with …
        dataset_digest: … the digest of that dataset.
        run_id: the run it was logged to, where that is known.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where only one of name and digest is given.

    """

    __slots__ = (
        "dataset_digest",
        "dataset_name",
        "key",
        "model_id",
        "run_id",
        "step",
        "timestamp",
        "value",
    )

    def __init__(
        self,
        key: str,
        value: float,
        timestamp: int,
        step: int,
        model_id: str | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        run_id: str | None = None,
    ) -> None:
        if (dataset_name is None) != (dataset_digest is None):
            raise invalid(
                "Both dataset_name and dataset_digest must be provided if one is provided"
            )
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.step = step
        self.model_id = model_id
        self.dataset_name = dataset_name
        self.dataset_digest = dataset_digest
        self.run_id = run_id


class _Pair(Entity):
    __slots__ = ("key", "value")

    def __init__(self, key: str, value: str) -> None:
        self.key = key
        self.value = value


class Param(_Pair):
    """A parameter of a run: written once, never changed."""

    __slots__ = ()


class RunTag(_Pair):
    """A tag of a run."""

    __slots__ = ()


class ExperimentTag(_Pair):
    """A tag of an experiment."""

    __slots__ = ()


class InputTag(_Pair):
    """A tag of a dataset as the input of one run, such as ``mlflow.data.context``."""

    __slots__ = ()


class LoggedModelParameter(_Pair):
    """A parameter of a logged model."""

    __slots__ = ()


class LoggedModelTag(_Pair):
    """A tag of a logged model."""

    __slots__ = ()


class RunInfo(Entity):
    """What a run is called, where it belongs, and how far it has come.

    Args:
        run_id: 32 hex digits.
        experiment_id: the experiment it belongs to; decimal digits.
        user_id: who started it.
        status: a name from `RunStatus`.
        start_time: in milliseconds since 1970.
        end_time: likewise; None while it has not ended.
        lifecycle_stage: one of `LifecycleStage`.
        artifact_uri: where its artifacts are kept.
        run_name: the name shown to people.

    """

    __slots__ = (
        "artifact_uri",
        "end_time",
        "experiment_id",
        "lifecycle_stage",
        "run_id",
        "run_name",
        "start_time",
        "status",
        "user_id",
    )

    def __init__(
        self,
        run_id: str,
        experiment_id: str,
        user_id: str,
        status: str,
        start_time: int,
        end_time: int | None,
        lifecycle_stage: str,
        artifact_uri: str | None = None,
        run_name: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.user_id = user_id
        self.status = status
        self.start_time = start_time
        self.end_time = end_time
        self.lifecycle_stage = lifecycle_stage
        self.artifact_uri = artifact_uri
        self.run_name = run_name


class RunData(Entity):
    """The last value of every metric, the params and the tags of a run, each by key."""

    __slots__ = ("_metric_objs", "metrics", "params", "tags")

    def __init__(
        self,
        metrics: Iterable[Metric] = (),
        params: Iterable[Param] = (),
        tags: Iterable[RunTag] = (),
    ) -> None:
        self._metric_objs = list(metrics)  # MLflow's name: code in the wild reads the steps here
        self.metrics = {metric.key: metric.value for metric in self._metric_objs}
        self.params = {param.key: param.value for param in params}
        self.tags = {tag.key: tag.value for tag in tags}


class Dataset(Entity):
    """A dataset that runs use and metrics are measured on, known by name and digest.

    Args:
        name: the name shown to people.
        digest: what tells this version of it from another.
        source_type: the kind of place it came from.
        source: that place.
        schema: its columns, as text.
        profile: its sizes, as text.

    """

    __slots__ = ("digest", "name", "profile", "schema", "source", "source_type")

    def __init__(
        self,
        name: str,
        digest: str,
        source_type: str = "",
        source: str = "",
        schema: str | None = None,
        profile: str | None = None,
    ) -> None:
        self.name = name
        self.digest = digest
        self.source_type = source_type
        self.source = source
        self.schema = schema
        self.profile = profile

    def _to_mlflow_entity(self) -> Dataset:
        # What MLflow asks of the datasets that it builds itself; so `log_metric` can ask either.
        return self


class DatasetInput(Entity):
    """A dataset that a run used, and the tags that say how."""

    __slots__ = ("dataset", "tags")

    def __init__(self, dataset: Dataset, tags: Sequence[InputTag] | None = None) -> None:
        self.dataset = dataset
        self.tags = list(tags or ())

    def to_dictionary(self) -> dict[str, object]:
        """Return the dataset's attributes, and the tags by key."""
        tags = {tag.key: tag.value for tag in self.tags}
        return {"dataset": self.dataset.to_dictionary(), "tags": tags}


class LoggedModelInput(Entity):
    """A model that a run used."""

    __slots__ = ("model_id",)

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id


class LoggedModelOutput(Entity):
    """A model that a run made, and the step at which it did."""

    __slots__ = ("model_id", "step")

    def __init__(self, model_id: str, step: int) -> None:
        self.model_id = model_id
        self.step = step


class RunInputs(Entity):
    """The datasets and the models that a run used."""

    __slots__ = ("dataset_inputs", "model_inputs")

    def __init__(
        self,
        dataset_inputs: Sequence[DatasetInput],
        model_inputs: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        self.dataset_inputs = list(dataset_inputs)
        self.model_inputs = list(model_inputs or ())


class RunOutputs(Entity):
    """The models that a run made."""

    __slots__ = ("model_outputs",)

    def __init__(self, model_outputs: Sequence[LoggedModelOutput]) -> None:
        self.model_outputs = list(model_outputs)


class Run(Entity):
    """A run as it was when it was read; it does not follow what is logged later.

    Attributes:
        info: its name, place and state.
        data: its metrics, params and tags.
        inputs: the datasets and models that it used.
        outputs: the models that it made.

    """

    __slots__ = ("data", "info", "inputs", "outputs")

    def __init__(
        self,
        run_info: RunInfo,
        run_data: RunData,
        run_inputs: RunInputs | None = None,
        run_outputs: RunOutputs | None = None,
    ) -> None:
        self.info = run_info
        self.data = run_data
        self.inputs = run_inputs or RunInputs([])
        self.outputs = run_outputs or RunOutputs([])

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the run as it was when it was read."""
        from steplog import markup

        info = self.info
        facts = [
            markup.badge(info.status),
            f"started {markup.moment(info.start_time)}",
            f"<code>{markup.text(info.run_id)}</code>",
        ]
        metrics = {key: self.data.metrics[key] for key in sorted(self.data.metrics)}
        rows = [[markup.name(key), markup.number(value)] for key, value in metrics.items()]
        tags = {key: tag for key, tag in self.data.tags.items() if not key.startswith("mlflow.")}
        return markup.fragment(
            f"<h1>{markup.name(info.run_name or info.run_id)}</h1>\n"
            f'<p class="facts">{" ".join(f"<span>{each}</span>" for each in facts)}</p>\n'
            + (markup.table(("metric", "last"), rows, numbers=(1,)) if rows else "")
            + markup.pairs("Params", self.data.params)
            + markup.pairs("Tags", tags)
        )


class Experiment(Entity):
    """A named group of runs.

    Args:
        experiment_id: decimal digits; ``"0"`` is the experiment named Default.
        name: unique in its store.
        artifact_location: where its runs keep their artifacts.
        lifecycle_stage: one of `LifecycleStage`.
        tags: by key.
        creation_time: in milliseconds since 1970.
        last_update_time: likewise.

    """

    __slots__ = (
        "artifact_location",
        "creation_time",
        "experiment_id",
        "last_update_time",
        "lifecycle_stage",
        "name",
        "tags",
    )

    def __init__(
        self,
        experiment_id: str,
        name: str,
        artifact_location: str,
        lifecycle_stage: str,
        tags: Mapping[str, str] | None = None,
        creation_time: int | None = None,
        last_update_time: int | None = None,
    ) -> None:
        self.experiment_id = experiment_id
        self.name = name
        self.artifact_location = artifact_location
        self.lifecycle_stage = lifecycle_stage
        self.tags = dict(tags or {})
        self.creation_time = creation_time
        self.last_update_time = last_update_time


class LoggedModelStatus(str, Enum):
    """How far a logged model has come."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    @staticmethod
    def is_finalized(status: LoggedModelStatus) -> bool:
        """Tell whether the model is complete, or never will be."""
        return status in (LoggedModelStatus.READY, LoggedModelStatus.FAILED)


class LoggedModel(Entity):
    """A model that was trained or is measured, as it was when it was read.

    Args:
        experiment_id: the experiment it belongs to.
        model_id: ``m-`` and 32 hex digits.
        name: the name shown to people; several models may share it.
        artifact_location: where its files are kept.
        creation_timestamp: in milliseconds since 1970.
        last_updated_timestamp: likewise.
        model_type: the user's word for its kind, if any.
        source_run_id: the run that made it, if any.
        status: of `LoggedModelStatus`.
        status_message: what went wrong, if anything.
        tags: by key.
        params: by key.
        metrics: every point that was logged for this model, in whichever run.

    """

    __slots__ = (
        "artifact_location",
        "creation_timestamp",
        "experiment_id",
        "last_updated_timestamp",
        "metrics",
        "model_id",
        "model_type",
        "name",
        "params",
        "source_run_id",
        "status",
        "status_message",
        "tags",
    )

    def __init__(
        self,
        experiment_id: str,
        model_id: str,
        name: str,
        artifact_location: str,
        creation_timestamp: int,
        last_updated_timestamp: int,
        model_type: str | None = None,
        source_run_id: str | None = None,
        status: LoggedModelStatus | str = LoggedModelStatus.READY,
        status_message: str | None = None,
        tags: Sequence[LoggedModelTag] | Mapping[str, str] | None = None,
        params: Sequence[LoggedModelParameter] | Mapping[str, str] | None = None,
        metrics: Sequence[Metric] | None = None,
    ) -> None:
        self.experiment_id = experiment_id
        self.model_id = model_id
        self.name = name
        self.artifact_location = artifact_location
        self.creation_timestamp = creation_timestamp
        self.last_updated_timestamp = last_updated_timestamp
        self.model_type = model_type
        self.source_run_id = source_run_id
        self.status = LoggedModelStatus(status)
        self.status_message = status_message
        self.tags = _by_key(tags)
        self.params = _by_key(params)
        self.metrics = None if metrics is None else list(metrics)

    @property
    def model_uri(self) -> str:
        """What MLflow loads the model by."""
        return f"models:/{self.model_id}"


def _by_key(pairs: Sequence[Any] | Mapping[str, str] | None) -> dict[str, str]:
    if isinstance(pairs, Mapping):
        return dict(pairs)
    return {pair.key: pair.value for pair in pairs or ()}


class Summary(NamedTuple):
    """What is known of one series without reading its points.

    Times are in milliseconds since 1970. `last` is MLflow's last: of the greatest step, of those
    the greatest timestamp, of those the greatest value. Where every value is NaN there is no mean,
    minimum or maximum, and these are None.

    Attributes:
        count: how many points, `nan_count` of them NaN.
        mean: of the values that are not NaN.
        rank: of the process that logged it in a distributed job; -1 where it was in none.

    """

    run_id: str
    key: str
    model_id: str | None
    dataset_name: str | None
    dataset_digest: str | None
    attempt: int
    count: int  # type: ignore[assignment]  # nobody counts the members of this tuple
    nan_count: int
    mean: float | None
    first: float
    first_step: int
    first_timestamp: int
    last: float
    last_step: int
    last_timestamp: int
    min: float | None
    min_step: int | None
    min_timestamp: int | None
    max: float | None
    max_step: int | None
    max_timestamp: int | None
    rank: int = -1


class RunStatus:
    """How far a run has come: MLflow's numbers, and the names that `RunInfo.status` holds."""

    RUNNING, SCHEDULED, FINISHED, FAILED, KILLED = range(1, 6)
    _NUMBERS: ClassVar[dict[str, int]] = {
        "RUNNING": RUNNING,
        "SCHEDULED": SCHEDULED,
        "FINISHED": FINISHED,
        "FAILED": FAILED,
        "KILLED": KILLED,
    }
    _NAMES: ClassVar[dict[int, str]] = {number: name for name, number in _NUMBERS.items()}

    @classmethod
    def from_string(cls, status_str: str) -> int:
        """Return the number of a name; raises Exception with MLflow's text for any other."""
        if status_str not in cls._NUMBERS:
            raise Exception(
                f"Could not get run status corresponding to string {status_str}. Valid run "
                f"status strings: {list(cls._NUMBERS)}"
            )
        return cls._NUMBERS[status_str]

    @classmethod
    def to_string(cls, status: int) -> str:
        """Return the name of a number; raises Exception with MLflow's text for any other."""
        if status not in cls._NAMES:
            raise Exception(
                f"Could not get string corresponding to run status {status}. Valid run "
                f"statuses: {list(cls._NAMES)}"
            )
        return cls._NAMES[status]

    @classmethod
    def is_terminated(cls, status: int) -> bool:
        """Say whether a run of this status has ended."""
        return status in (cls.FINISHED, cls.FAILED, cls.KILLED)


class ViewType:
    """Which runs or experiments are asked for: those not deleted, those deleted, or both."""

    ACTIVE_ONLY, DELETED_ONLY, ALL = range(1, 4)


class LifecycleStage:
    """Whether a run or an experiment is deleted; what is deleted can be restored."""

    ACTIVE = "active"
    DELETED = "deleted"

    @classmethod
    def view_type_to_stages(cls, view_type: int = ViewType.ALL) -> list[str]:
        """Return the stages that a `ViewType` asks for."""
        return {
            ViewType.ACTIVE_ONLY: [cls.ACTIVE],
            ViewType.DELETED_ONLY: [cls.DELETED],
            ViewType.ALL: [cls.ACTIVE, cls.DELETED],
        }.get(view_type, [])


class PagedList(list[T]):
    """A page of results.

    Attributes:
        token: give it as ``page_token`` to get the next page; None on the last one.

    """

    def __init__(self, items: Iterable[T], token: str | None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[T]:
        """Return a plain list of the same results."""
        return list(self)
