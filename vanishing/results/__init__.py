"""The files that stages write and read: a public contract.

- schemas: the columns of every table
- parquet: writing and reading one schema
- tables: tables of several variants and seeds by name
- run: run.json, the parameters of one training run
- recorded: a watched run, taken over as a training run
- summaries: the JSON files in reports/
"""
