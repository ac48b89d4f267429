"""Tests of vanishing/integrations, on the frameworks themselves."""
