"""The server: MLflow's REST API over a store. `steplog server` starts it.

Nothing that records imports this package; it needs the extra ``steplog[server]``.
"""
