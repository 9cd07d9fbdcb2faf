"""The revisions of the tables in PostgreSQL, one in each module."""
