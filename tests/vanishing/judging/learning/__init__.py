"""Tests of verdicts on learning and their causes."""
