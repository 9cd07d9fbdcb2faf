"""The values of the public functions look and compare as MLflow's do."""

from __future__ import annotations

import math
import pickle
import warnings
from types import ModuleType

import pytest

from steplog import entities
from steplog.entities import (
    Dataset,
    Experiment,
    LifecycleStage,
    Metric,
    PagedList,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
    ViewType,
)
from steplog.exceptions import MlflowException


@pytest.fixture(scope="module")
def mlflow() -> ModuleType:
    """MLflow's own entities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.entities

    return mlflow.entities


def make_run(module: ModuleType) -> object:
    """A run with one metric, param, tag, input and output, of our classes or of MLflow's."""
    info = module.RunInfo(
        "0f" * 16, "7", "ada", "RUNNING", 1000, None, "active", "file:///a", "owl"
    )
    metrics = [module.Metric("loss", 0.5, 1000, 3)]
    data = module.RunData(metrics, [module.Param("lr", "0.1")], [module.RunTag("note", "x")])
    dataset = module.DatasetInput(
        module.Dataset("digits", "d1", "local", "a.csv"), [module.InputTag("use", "train")]
    )
    outputs = module.RunOutputs([module.LoggedModelOutput("m-1", 3)])
    return module.Run(info, data, module.RunInputs([dataset]), outputs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Metric", ("loss", 0.5, 1000, 3)),
        ("Metric", ("loss", 0.5, 1000, 3, "m-1", "digits", "d1", "0f")),
        ("Param", ("lr", "0.1")),
        ("RunTag", ("note", "x")),
        ("ExperimentTag", ("note", "x")),
        ("RunInfo", ("0f", "7", "ada", "RUNNING", 1000, None, "active", "file:///a", "owl")),
        ("Dataset", ("digits", "d1", "local", "/data")),
    ],
)
def test_entities_print_and_iterate_as_in_mlflow(
    mlflow: ModuleType, name: str, arguments: tuple[object, ...]
) -> None:
    """The same arguments give the same text, and the same names and values when iterated."""
    ours, theirs = getattr(entities, name)(*arguments), getattr(mlflow, name)(*arguments)
    assert repr(ours) == repr(theirs)
    assert dict(ours) == dict(theirs)


def test_a_run_becomes_the_dictionary_of_mlflow(mlflow: ModuleType) -> None:
    """`Run.to_dictionary` gives nested dictionaries with MLflow's names."""
    ours, theirs = make_run(entities), make_run(mlflow)
    assert isinstance(ours, Run)
    assert ours.to_dictionary() == theirs.to_dictionary()  # type: ignore[attr-defined]
    assert [metric.step for metric in ours.data._metric_objs] == [3]


def test_entities_are_equal_where_everything_is() -> None:
    """Equal entities have equal hashes; another class, value or NaN makes them unequal."""
    assert Metric("loss", 0.5, 1, 2) == Metric("loss", 0.5, 1, 2)
    assert len({Metric("loss", 0.5, 1, 2), Metric("loss", 0.5, 1, 2)}) == 1
    assert Metric("loss", 0.5, 1, 2) != Metric("loss", 0.5, 1, 2, run_id="0f")
    assert Metric("loss", math.nan, 1, 2) != Metric("loss", math.nan, 1, 2)
    assert Param("a", "1") != Param("a", "2")
    assert Param("a", "1") != RunTag("a", "1")
    assert make_run(entities) == make_run(entities)
    assert hash(make_run(entities)) == hash(make_run(entities))


def test_entities_can_be_subclassed_and_sent_to_other_processes() -> None:
    """A subclass keeps the names of its base, and any entity can be pickled."""

    class Active(Run):
        pass

    run = make_run(entities)
    assert isinstance(run, Run)
    assert [name for name, _ in Active(run.info, run.data)] == ["data", "info", "inputs", "outputs"]
    assert pickle.loads(pickle.dumps(run)) == run


def test_a_dataset_needs_name_and_digest() -> None:
    """A metric with only one of the dataset's name and digest is MLflow's error."""
    with pytest.raises(MlflowException, match="Both dataset_name and dataset_digest must be"):
        Metric("loss", 0.5, 1, 2, dataset_name="digits")
    dataset = Dataset("digits", "d1")
    assert dataset._to_mlflow_entity() is dataset


def test_an_experiment_keeps_its_own_copy_of_the_tags() -> None:
    """Changing the dictionary that was given does not change the experiment."""
    tags = {"a": "1"}
    experiment = Experiment("7", "digits", "file:///a", LifecycleStage.ACTIVE, tags)
    tags["a"] = "2"
    assert experiment.tags == {"a": "1"}


def test_numbers_and_names_of_the_enumerations_are_those_of_mlflow(mlflow: ModuleType) -> None:
    """Statuses, view types and lifecycle stages have MLflow's numbers, names and errors."""
    for name in ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"):
        number = RunStatus.from_string(name)
        assert number == getattr(RunStatus, name) == mlflow.RunStatus.from_string(name)
        assert RunStatus.to_string(number) == name
        assert RunStatus.is_terminated(number) == mlflow.RunStatus.is_terminated(number)
    for method, argument in (("from_string", "LOST"), ("to_string", 9)):
        with pytest.raises(Exception, match="Could not get") as theirs:
            getattr(mlflow.RunStatus, method)(argument)
        with pytest.raises(Exception, match="Could not get") as ours:
            getattr(RunStatus, method)(argument)
        assert str(ours.value) == str(theirs.value)
    for name in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        view_type = getattr(ViewType, name)
        assert view_type == getattr(mlflow.ViewType, name)
        stages = LifecycleStage.view_type_to_stages(view_type)
        assert stages == mlflow.LifecycleStage.view_type_to_stages(view_type)


def test_a_page_is_a_list_with_a_token() -> None:
    """A page of results behaves as a list and knows how to ask for the next one."""
    page = PagedList([RunInfo("0f", "7", "ada", "RUNNING", 1, None, "active")], "next")
    assert page.token == "next"
    assert type(page.to_list()) is list
    assert page.to_list() == page
    assert RunData().metrics == {}
