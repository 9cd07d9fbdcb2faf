"""Whether the real MLflow shows the same on steplog as on its own stores, case by case.

A *case* (`cases_*.py`, one file for each section of MLflow's behaviour) is a small function that
does something with the `mlflow` module it is handed and returns what it saw. `runner` does all
cases on one *target* in one process; `plain` turns what they saw into JSON without ids, times and
places; `targets` says what there is to run on, and starts the servers; `comparison` finds the
fields in which two targets differ; `differences` lists those that are accepted, with reasons.

The tests themselves are in `tests/test_compatibility.py`.
"""
