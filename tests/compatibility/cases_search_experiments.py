"""`search_experiments`: filters, orders, pages and views."""

from __future__ import annotations

from typing import Any

from compatibility.cases import attempt, case, experiment_id, tick

NAMES = ["one", "Two", "three %", "gone"]
_made: set[str] = set()
PREFIX = "searched: "
OURS = f"name LIKE '{PREFIX}%'"


def make(mlflow: Any) -> None:
    """Make the experiments that the cases search through, once."""
    if mlflow.__name__ in _made:
        return
    _made.add(mlflow.__name__)
    client = mlflow.MlflowClient()
    for number, name in enumerate(NAMES):
        tags = {"number": str(number), "team": "Red" if number else "red"}
        tick()
        made = client.create_experiment(PREFIX + name, tags=tags)
    client.set_experiment_tag(client.get_experiment_by_name(PREFIX + "one").experiment_id, "a", "1")
    client.delete_experiment(made)


def found(mlflow: Any, *filters: str, **arguments: Any) -> dict[str, object]:
    """Return the names that each filter finds, sorted, or the error that it is."""
    make(mlflow)
    client = mlflow.MlflowClient()

    def search(text: str) -> object:
        experiments = client.search_experiments(filter_string=text, **arguments)
        return sorted(each.name for each in experiments if each.name.startswith(PREFIX))

    return {text: attempt(search, text) for text in filters}


@case
def names(mlflow: Any) -> object:
    """A name is compared for being equal, or like a pattern."""
    return found(
        mlflow,
        OURS,
        f"name = '{PREFIX}one'",
        f"name != '{PREFIX}one'",
        f"attributes.name = '{PREFIX}Two'",
        f"attribute.name ILIKE '{PREFIX}TWO'",
        f"attr.name LIKE '{PREFIX}T%'",
        f"name LIKE '{PREFIX}t%'",
        "name = 'nothing'",
    )


@case
def tags(mlflow: Any) -> object:
    """Tags are compared as texts, or asked whether they are there."""
    return found(
        mlflow,
        "tags.number = '1'",
        "tags.number != '1'",
        "tag.team ILIKE 'RED'",
        "tags.team LIKE 'R%'",
        "tags.a = '1'",
        f"tags.a IS NULL AND {OURS}",
        "tags.a IS NOT NULL",
        "tags.`number` = '0'",
        "tags.nothing != '1'",
    )


@case
def times(mlflow: Any) -> object:
    """Times are compared as whole numbers."""
    return found(
        mlflow,
        "creation_time > 0",
        "attributes.creation_time < 5",
        "last_update_time >= 1000",
        "last_update_time = 1",
        "creation_time > 1.5",
        "creation_time > '5'",
        "creation_time > 1e3",
    )


@case
def ids(mlflow: Any) -> object:
    """An experiment is found by its id, or by a list of ids."""
    make(mlflow)
    client = mlflow.MlflowClient()
    one = client.get_experiment_by_name(PREFIX + "one").experiment_id
    two = client.get_experiment_by_name(PREFIX + "Two").experiment_id

    def search(text: str) -> object:
        experiments = client.search_experiments(filter_string=text)
        return sorted(each.name for each in experiments if each.name.startswith(PREFIX))

    return {
        name: attempt(search, text)
        for name, text in {
            "equal": f"experiment_id = '{one}'",
            "different": f"experiment_id != '{one}'",
            "in": f"experiment_id IN ('{one}', '{two}')",
            "not in": f"attributes.experiment_id NOT IN ('{one}')",
            "a number": f"experiment_id = {one}",
            "like": f"experiment_id LIKE '{one}'",
            "no number": "experiment_id = 'abc'",
        }.items()
    }


@case
def mistakes(mlflow: Any) -> object:
    """Unknown fields, comparators and values are errors that name them."""
    return found(
        mlflow,
        "foo = 'a'",
        "metrics.loss > 1",
        "params.lr = '1'",
        "name > 'a'",
        "name = one",
        "name = 5",
        "name IN ('a')",
        "name IS NULL",
        "tags.team = red",
        "tags.team > 'a'",
        "lifecycle_stage = 'active'",
        "name = 'a' OR name = 'b'",
        "name == 'a'",
        "name",
        "creation_time LIKE '1'",
    )


@case
def views(mlflow: Any) -> object:
    """Active experiments, deleted ones, or all."""
    view = mlflow.entities.ViewType
    return [
        found(mlflow, "", view_type=each)
        for each in (view.ACTIVE_ONLY, view.DELETED_ONLY, view.ALL)
    ]


@case
def orders(mlflow: Any) -> object:
    """Experiments are ordered by name, id and times, the latest first by default."""
    make(mlflow)
    client = mlflow.MlflowClient()

    def search(order: list[str] | None) -> object:
        found = client.search_experiments(filter_string=OURS, order_by=order)
        return [each.name for each in found]

    orders = (
        ["name"],
        ["name DESC"],
        ["attributes.name ASC"],
        ["creation_time", "name"],
        ["last_update_time desc"],
    )
    return [attempt(search, order) for order in (None, *orders)]


@case
def bad_orders(mlflow: Any) -> object:
    """Tags and unknown fields give no order."""
    client = mlflow.MlflowClient()
    return {
        order: attempt(lambda text: len(client.search_experiments(order_by=[text])), order)
        for order in ("tags.team", "foo", "name FOO", "metrics.m", "", "name ASC, creation_time")
    }


@case
def pages(mlflow: Any) -> object:
    """Pages follow each other, and the last has no token."""
    make(mlflow)
    client = mlflow.MlflowClient()
    seen = []
    token = None
    while True:
        page = client.search_experiments(
            filter_string=OURS, order_by=["name"], max_results=2, page_token=token
        )
        token = page.token
        seen.append([[each.name for each in page], bool(token)])
        if not token:
            return seen


@case
def sizes_and_tokens_that_cannot_be(mlflow: Any) -> object:
    """A page has 1 to 50,000 experiments, and tokens are those of pages."""
    client = mlflow.MlflowClient()
    return [
        attempt(client.search_experiments, max_results=0),
        attempt(client.search_experiments, max_results=-1),
        attempt(client.search_experiments, max_results=50_001),
        attempt(client.search_experiments, page_token="zz"),
        attempt(client.search_experiments, page_token="eyJmb28iOiAxfQ=="),
    ]


@case
def the_fluent_function(mlflow: Any) -> object:
    """The fluent function collects all pages in one list."""
    make(mlflow)
    found = mlflow.search_experiments(filter_string=OURS, order_by=["name"])
    limited = mlflow.search_experiments(filter_string=OURS, order_by=["name"], max_results=1)
    return [
        type(found).__name__,
        [each.name for each in found],
        [each.name for each in limited],
        attempt(mlflow.search_experiments, filter_string="foo = 1"),
    ]


@case
def whole_experiments(mlflow: Any) -> object:
    """An experiment that was found has everything that a fetched one has."""
    mlflow.set_experiment_tag("team", "blue")
    name = mlflow.get_experiment(experiment_id()).name
    return list(mlflow.search_experiments(filter_string=f"name = '{name}'"))
