"""MLflow: a training run is shown there while it runs, and all results are mirrored afterwards.

- journal: what a training run reports while it runs, in a file that is no result
- viewer: the process that shows a training run in MLflow: started, and recognised in a tag
- live: that process
- active_run: shows a watched training in the run that is active in a user's program
- mirror, contents: see to it that MLflow holds all results; what each of its runs holds
- store, timing: the runs of one experiment, by MLflow's client; when each began and ended
- connection: MLflow's client, and the experiment of a study
- scalars: metrics under the same names live and mirrored
- tags, source, descriptions, views: what a person reads beside the metrics, and the charts
- identity: what can be known without importing MLflow: its address, what tells results apart
- pages: the addresses of MLflow's pages
"""
