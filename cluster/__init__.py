"""Runs the stages of a dvc.yaml side by side, on one machine or on many, with Ray.

__main__    the command `python -m cluster`
plan        the stages that are due and their dependencies, as DVC sees them
sharing     how results travel between the workspaces of stages
connection  Ray: started on this machine, or joined at an address
driver      gives Ray each stage once its dependencies are done, and reports progress
worker      runs one stage in a copy of the workspace
workspace   the copy: its list of files, packed and unpacked
results     outputs and entries of dvc.lock, by way of DVC's cache and remote
"""
