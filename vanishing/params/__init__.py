"""params.yaml as frozen, validated objects: a module per group of sections."""
